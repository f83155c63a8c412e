//! One writer's contributions as bytes: columns, what belongs to single positions, and how the
//! writer stands. What is read is checked in itself; against the catalog by `catalog.rs`.

use super::{Corrupt, Reader, Stored, Writer, stored, stored_choice};
use crate::group::{Group, GroupState};
use crate::instance::{Body, Held, Kind, Past, SharedIdWatch, State, Target, WriterRole};
use crate::maps::Map;
use sidecar_model::MetricType;
use std::sync::Arc;

stored_choice!(WriterRole { Identified = 0, Anonymous = 1, Group = 2, Accumulator = 3 });
stored_choice!(Past { Full = 0, Baseline = 1, AsSet = 2 });
stored_choice!(GroupState { Live = 0, Frozen = 1, Dead = 2 });

stored!(Held { family, wish });
stored!(SharedIdWatch { fell, explained, returns, shared });
stored!(Group { series, first, bounds, metric_type, pushed_parts, state });

impl Stored for State {
    fn put(&self, out: &mut Writer<'_>) {
        match self {
            State::New => out.byte(0),
            State::Live => out.byte(1),
            State::Departed { since } => {
                out.byte(2);
                since.put(out);
            }
            State::Gone => out.byte(3),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<State, Corrupt> {
        match from.byte()? {
            0 => Ok(State::New),
            1 => Ok(State::Live),
            2 => Ok(State::Departed { since: Stored::take(from)? }),
            // Nobody that can be found is gone.
            _ => Err(Corrupt("a state")),
        }
    }
}

impl Stored for Body {
    fn put(&self, out: &mut Writer<'_>) {
        let Body {
            state,
            // What was learned of the bytes of pushes is learned again.
            generation: _,
            shape: _,
            // Found again from the columns.
            group_of: _,
            by_target: _,
            // Nobody stores a state while it is changed.
            under_way: _,
            heard,
            ttl,
            sequence,
            ended,
            arrival,
            applied,
            slot,
            job,
            past,
            values,
            changed,
            written,
            targets,
            ttls,
            peaks,
            groups,
            bases,
            natives,
            exemplars,
            windows,
            held,
            start_time,
            started,
            gauge_due,
            watch,
            restarts,
            key,
            times,
            silences,
            unheard,
        } = self;
        state.put(out);
        heard.put(out);
        ttl.put(out);
        sequence.put(out);
        ended.put(out);
        arrival.put(out);
        applied.put(out);
        slot.put(out);
        job.put(out);
        past.put(out);
        out.column(targets.iter().map(|target| u64::from(target.bits())));
        out.floats(values);
        out.column(changed.iter().copied());
        out.column(written.iter().map(|tenths| u64::from(*tenths)));
        out.column(ttls.iter().map(|tenths| u64::from(*tenths)));
        out.floats(peaks);
        groups.put(out);
        out.sorted(bases.iter());
        out.sorted(natives.iter());
        out.sorted(exemplars.iter());
        windows.put(out);
        held.put(out);
        start_time.put(out);
        started.put(out);
        gauge_due.put(out);
        watch.put(out);
        restarts.put(out);
        key.put(out);
        times.put(out);
        silences.put(out);
        unheard.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Body, Corrupt> {
        let mut body = Body {
            state: Stored::take(from)?,
            generation: 0,
            shape: Arc::default(),
            group_of: Map::default(),
            by_target: None,
            under_way: false,
            heard: Stored::take(from)?,
            ttl: Stored::take(from)?,
            sequence: Stored::take(from)?,
            ended: Stored::take(from)?,
            arrival: Stored::take(from)?,
            applied: Stored::take(from)?,
            slot: Stored::take(from)?,
            job: Stored::take(from)?,
            past: Stored::take(from)?,
            targets: targets(from)?,
            values: from.floats()?,
            changed: from.column()?,
            written: from.column()?,
            ttls: from.column()?,
            peaks: from.floats()?,
            groups: Stored::take(from)?,
            bases: from.sorted()?.into_iter().collect(),
            natives: from.sorted()?.into_iter().collect(),
            exemplars: from.sorted()?.into_iter().collect(),
            windows: Stored::take(from)?,
            held: Stored::take(from)?,
            start_time: Stored::take(from)?,
            started: Stored::take(from)?,
            gauge_due: Stored::take(from)?,
            watch: Stored::take(from)?,
            restarts: Stored::take(from)?,
            key: Stored::take(from)?,
            times: Stored::take(from)?,
            silences: Stored::take(from)?,
            unheard: Stored::take(from)?,
        };
        for (at, group) in body.groups.iter().enumerate() {
            if group.state == GroupState::Live {
                body.group_of.insert(group.series, u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        body.check()?;
        Ok(body)
    }
}

fn targets(from: &mut Reader<'_>) -> Result<Vec<Target>, Corrupt> {
    let bits: Vec<u32> = from.column()?;
    Ok(bits.into_iter().map(Target::from_bits).collect())
}

impl Body {
    /// Everything that points at a position or a group points at one that is there.
    fn check(&self) -> Result<(), Corrupt> {
        let positions = self.positions();
        let is_column = |len: usize| len == positions;
        let columns = is_column(self.values.len())
            && is_column(self.changed.len())
            && is_column(self.written.len())
            && (self.ttls.is_empty() || is_column(self.ttls.len()))
            && (self.peaks.is_empty() || is_column(self.peaks.len()));
        if !columns {
            return Err(Corrupt("columns of several lengths"));
        }
        let is_there = |position: &u32| (*position as usize) < positions;
        let pointers = self.bases.keys().all(is_there)
            && self.exemplars.keys().all(is_there)
            && self.start_time.iter().all(is_there)
            && self.watch.fell.iter().all(|(position, _)| is_there(position))
            && self.natives.keys().all(|series| self.group_of.contains_key(series))
            && self.held.windows(2).all(|pair| pair[0].family < pair[1].family);
        let counts = self.restarts < u64::MAX / 2
            && self.silences < u32::MAX / 2
            && self.watch.returns < u32::MAX / 2;
        if !pointers || !counts {
            return Err(Corrupt("something of a position that is not there"));
        }
        self.check_targets()
    }

    fn check_targets(&self) -> Result<(), Corrupt> {
        let mut in_groups = 0;
        for (at, group) in self.groups.iter().enumerate() {
            let first = group.first as usize;
            let targets =
                first.checked_add(group.len()).and_then(|end| self.targets.get(first..end));
            let mine = Target::new(Kind::Part, u32::try_from(at).unwrap_or(u32::MAX));
            let is_whole = targets.is_some_and(|t| t.iter().all(|target| *target == mine));
            let parts = group.pushed_parts as usize;
            if !is_whole || !group.metric_type.is_composite() || parts > group.len() {
                return Err(Corrupt("a histogram that is not whole"));
            }
            if group.bounds.is_empty() && group.metric_type != MetricType::Summary {
                return Err(Corrupt("a histogram without bounds"));
            }
            in_groups += group.len();
        }
        let mut parts = 0;
        for target in &self.targets {
            match target.kind() {
                Kind::Gauge | Kind::Cumulative => {}
                Kind::Part => parts += 1,
                Kind::Created => match self.targets.get(target.index() as usize) {
                    Some(dated) if dated.kind() != Kind::Created => {}
                    Some(_) | None => return Err(Corrupt("a creation time of nothing")),
                },
            }
        }
        if parts == in_groups { Ok(()) } else { Err(Corrupt("parts of no histogram")) }
    }
}
