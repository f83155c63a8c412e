//! A staged push as bytes: what decoder and shape memory made of the body, so that a replay needs
//! neither. Read back it refers to nothing that is not there.

use super::{ACCUMULATOR, Clearing, ParsedSample, StagedHeader, Stager};
use crate::exemplars::Staged;
use crate::facts::Facts;
use crate::instance::State;
use crate::natives::StagedNative;
use crate::outcome::PushMeta;
use crate::shape::NO_HEADER;
use crate::store::Store;
use crate::stored::{Corrupt, Reader, Stored, Writer, model::canonical, stored, stored_choice};
use sidecar_model::{ABSENT, Exemplar, MetricType, Role};
use std::sync::Arc;

stored_choice!(Clearing { ByType = 0, Add = 1, Replace = 2, ReplaceFamily = 3 });

stored!(Facts { name, metric_type, help, unit, temporality, aggregation });

impl Stored for StagedHeader {
    fn put(&self, out: &mut Writer<'_>) {
        let StagedHeader { facts, stray, raw: _, remembered: _ } = self;
        Facts::put(facts, out);
        stray.put(out);
        self.is_unremembered().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<StagedHeader, Corrupt> {
        let facts = Arc::new(Facts::take(from)?);
        let stray = bool::take(from)?;
        let remembered = if bool::take(from)? { NO_HEADER } else { 0 };
        Ok(StagedHeader { facts, raw: None, remembered, stray })
    }
}

impl Stored for Staged {
    fn put(&self, out: &mut Writer<'_>) {
        let (code, at) = match self {
            Staged::Known(at) => (0, at),
            Staged::Parsed(at) => (1, at),
        };
        out.byte(code);
        at.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Staged, Corrupt> {
        match from.byte()? {
            0 => usize::take(from).map(Staged::Known),
            1 => usize::take(from).map(Staged::Parsed),
            _ => Err(Corrupt("a staged sample")),
        }
    }
}

impl<'s> Stager<'s> {
    pub(crate) fn put(&self, out: &mut Writer<'_>) {
        let Stager {
            writers,
            known,
            parsed,
            headers,
            exemplars,
            natives,
            // In the texts below.
            arena: _,
            held,
            // What the push says of itself.
            temporality: _,
            has_sequence: _,
            named: _,
            grouping: _,
            times: _,
            // Whoever decodes asks.
            room: _,
            pace: _,
            shares: _,
            // The store's.
            store: _,
            settings: _,
            // The way through the body, and what is to be learned of it.
            ignores: _,
            forgetful: _,
            other_writers: _,
            primary: _,
            cursor: _,
            header: _,
            open: _,
            scratch: _,
            first: _,
            last: _,
            taken: _,
            links: _,
        } = self;
        // What was answered is a part of the push.
        held.is_short.put(out);
        writers.put(out);
        known.put(out);
        headers.put(out);
        out.length(parsed.len());
        parsed.iter().for_each(|sample| self.put_parsed(sample, out));
        exemplars.put(out);
        out.length(natives.len());
        for native in natives {
            let StagedNative { header, writer, labels: _, histogram } = native;
            header.put(out);
            writer.put(out);
            out.text(self.native_labels(native));
            histogram.put(out);
        }
    }

    fn put_parsed(&self, sample: &ParsedSample, out: &mut Writer<'_>) {
        let ParsedSample {
            header,
            writer,
            role,
            suffixed,
            value,
            labels: _,
            bound,
            bound_text: _,
            wish,
            clearing,
            raw_hash: _,
            raw_len: _,
        } = sample;
        header.put(out);
        writer.put(out);
        role.put(out);
        suffixed.put(out);
        value.put(out);
        wish.put(out);
        clearing.put(out);
        out.text(self.labels_of(sample));
        if has_bound(*role) {
            bound.put(out);
            out.text(self.bound_text_of(sample).as_bytes());
        }
    }

    pub(crate) fn take(
        store: &'s Store,
        meta: &PushMeta<'s>,
        from: &mut Reader<'_>,
    ) -> Result<Stager<'s>, Corrupt> {
        let mut stager = Stager::new(store, meta, true);
        stager.primary = None;
        stager.held.is_short = Stored::take(from)?;
        stager.writers = Stored::take(from)?;
        stager.known = Stored::take(from)?;
        stager.headers = Stored::take(from)?;
        for _ in 0..from.count(13)? {
            let sample = stager.take_parsed(from)?;
            stager.parsed.push(sample);
        }
        stager.exemplars = <Vec<(Staged, Arc<Exemplar>)>>::take(from)?;
        for _ in 0..from.count(30)? {
            let (header, writer) = stager.take_place(from)?;
            let labels = stager.keep(canonical(from)?);
            let histogram = Stored::take(from)?;
            stager.natives.push(StagedNative { header, writer, labels, histogram });
        }
        stager.check_known()?;
        Ok(stager)
    }

    fn take_place(&self, from: &mut Reader<'_>) -> Result<(u32, u32), Corrupt> {
        let (header, writer) = (u32::take(from)?, u32::take(from)?);
        let is_there = (header as usize) < self.headers.len()
            && (writer == ACCUMULATOR || (writer as usize) < self.writers.len());
        if is_there { Ok((header, writer)) } else { Err(Corrupt("a sample of nobody")) }
    }

    fn take_parsed(&mut self, from: &mut Reader<'_>) -> Result<ParsedSample, Corrupt> {
        let (header, writer) = self.take_place(from)?;
        let role = Role::take(from)?;
        let suffixed = bool::take(from)?;
        let value = from.float()?;
        let wish = Stored::take(from)?;
        let clearing = Stored::take(from)?;
        let labels = self.keep(canonical(from)?);
        let (bound, bound_text) = match has_bound(role) {
            true => (from.float()?, self.keep(from.str()?.as_bytes())),
            false => (ABSENT, (0, 0)),
        };
        let metric_type = self.headers.get(header as usize).map(|h| h.facts.metric_type);
        if bound.is_nan() && has_bound(role) || !metric_type.is_some_and(|t| fits(t, role)) {
            return Err(Corrupt("a sample that its family cannot have"));
        }
        Ok(ParsedSample {
            header,
            writer,
            role,
            suffixed,
            value,
            labels,
            bound,
            bound_text,
            wish,
            clearing,
            raw_hash: 0,
            raw_len: 0,
        })
    }

    /// Known positions must be the first writer's.
    fn check_known(&self) -> Result<(), Corrupt> {
        let Some(last) = self.known.iter().map(|(position, _)| *position).max() else {
            return Ok(());
        };
        let writer = self.writers.first();
        let found = writer.and_then(|id| self.store.find_writer(id, self.is_plain_group(0)));
        let is_there = found.is_some_and(|instance| {
            let body = instance.body.lock();
            body.state == State::Live && (last as usize) < body.positions()
        });
        if is_there { Ok(()) } else { Err(Corrupt("positions of nobody")) }
    }
}

fn has_bound(role: Role) -> bool {
    matches!(role, Role::Bucket | Role::Quantile)
}

fn fits(metric_type: MetricType, role: Role) -> bool {
    match role {
        Role::Value => !metric_type.is_composite(),
        Role::Bucket => {
            matches!(metric_type, MetricType::Histogram | MetricType::GaugeHistogram)
        }
        Role::Sum | Role::Count => metric_type.is_composite(),
        Role::Quantile => metric_type == MetricType::Summary,
        Role::Created => metric_type.is_cumulative(),
    }
}
