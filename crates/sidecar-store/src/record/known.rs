//! The record of a push of a known shape: who, when, which positions it had, and of those that
//! changed the new value. A counter that grew by little takes two to four bytes, a value that did
//! not change none.

use super::KNOWN;
use crate::faults::{self, Step};
use crate::instance::{Body, Instance, Stamp, State, duration_tenths, from_tenths};
use crate::outcome::PushTimes;
use crate::store::Store;
use crate::stored::{Corrupt, Reader, Stored, Writer, unzigzag, zigzag};
use sidecar_model::{Exemplar, Tick, is_absent};
use std::sync::Arc;
use std::time::Duration;

/// Differences from here on are longer than the value itself.
const LONGEST_STEP: i64 = 1 << 48;

/// What such a push has besides values: all that it changes follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownPush {
    /// Its place in the order of pushes.
    pub(crate) number: u64,
    /// Tenths of a second.
    pub(crate) written: u32,
    pub(crate) ttl: Option<Duration>,
    /// `n` of its `Push-Sequence`.
    pub(crate) n: Option<u64>,
    pub(crate) times: Option<PushTimes>,
}

impl KnownPush {
    fn put(&self, out: &mut Writer<'_>) {
        let KnownPush { number, written, ttl, n, times } = self;
        number.put(out);
        written.put(out);
        ttl.put(out);
        n.put(out);
        times.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<KnownPush, Corrupt> {
        Ok(KnownPush {
            number: Stored::take(from)?,
            written: Stored::take(from)?,
            ttl: Stored::take(from)?,
            n: Stored::take(from)?,
            times: Stored::take(from)?,
        })
    }

    /// `writes` in the order of positions, not yet in the body.
    pub(crate) fn put_with(
        &self,
        instance: &Instance,
        body: &Body,
        writes: &[(u32, f64)],
        exemplars: &[(u32, Arc<Exemplar>)],
        out: &mut Writer<'_>,
    ) {
        out.byte(KNOWN);
        out.number(instance.number());
        self.put(out);
        out.length(exemplars.len());
        for (position, exemplar) in exemplars {
            position.put(out);
            exemplar.put(out);
        }
        put_runs(writes, out);
        put_changes(body, writes, out);
    }
}

/// Which positions the push has, as runs: how many are skipped, how many follow.
fn put_runs(writes: &[(u32, f64)], out: &mut Writer<'_>) {
    if let (Some((first, _)), Some((last, _))) = (writes.first(), writes.last())
        && (last - first) as usize + 1 == writes.len()
    {
        // All of an instance, or of a part of it.
        out.number(1);
        out.number(u64::from(*first));
        out.length(writes.len());
        return;
    }
    let runs = || writes.chunk_by(|a, b| a.0 + 1 == b.0);
    out.length(runs().count());
    let mut next = 0;
    for run in runs() {
        let first = run.first().map_or(next, |(position, _)| *position);
        out.number(u64::from(first - next));
        out.length(run.len());
        next = first + u32::try_from(run.len()).unwrap_or(u32::MAX);
    }
}

/// Up to the end: how many positions are skipped, with a mark for a value in full; then by how much
/// the value grew, or the value.
fn put_changes(body: &Body, writes: &[(u32, f64)], out: &mut Writer<'_>) {
    let mut next = 0;
    for (position, value) in writes {
        let old = body.values[*position as usize];
        if old.to_bits() == value.to_bits() {
            continue;
        }
        let skipped = u64::from(*position - next) << 1;
        match step(old, *value) {
            Some(step) => {
                out.number(skipped);
                out.number(zigzag(step));
            }
            None => {
                out.number(skipped | 1);
                out.float(*value);
            }
        }
        next = *position + 1;
    }
}

/// The whole number that leads from one value to the other exactly.
fn step(old: f64, new: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is seen below")]
    let step = (new - old) as i64;
    let leads = |step: i64| stepped(old, step).to_bits() == new.to_bits();
    (-LONGEST_STEP..LONGEST_STEP).contains(&step).then_some(step).filter(|step| leads(*step))
}

fn stepped(old: f64, step: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let step = step as f64;
    old + step
}

impl Body {
    /// Applies a push of a known shape, whether it comes now or out of the journal. Up to the windows
    /// it may be done twice.
    pub(crate) fn take_known(&mut self, push: KnownPush, writes: &[(u32, f64)]) {
        let KnownPush { number, written, ttl, n, times } = push;
        if ttl.is_some() && self.ttls.is_empty() {
            self.ttls = vec![0; self.positions()];
        }
        let stamp = Stamp { sequence: number, written, ttl: ttl.map_or(0, duration_tenths) };
        for (position, value) in writes {
            let at = *position as usize;
            if is_absent(self.values[at]) {
                self.write_first(at, *value, stamp);
            } else {
                self.write(at, *value, stamp);
            }
        }
        // Nothing fell: what was seen of two processes under the id was not twice in a row.
        self.watch.returns = 0;
        if let (Some((_, known)), Some(n)) = (&mut self.sequence, n) {
            *known = n;
        }
        faults::reach(Step::Told);
        let now = from_tenths(written);
        self.applied = number;
        self.unheard = false;
        self.heard = self.heard.max(now);
        self.ttl = ttl;
        self.note_times(times);
        if let Some(ttl) = ttl {
            self.gauge_due = self.gauge_due.min(now.after(ttl));
        }
        if !self.windows.is_empty() {
            self.windows.record(writes, written);
        }
    }
}

impl Store {
    pub(super) fn replay_known(&self, from: &mut Reader<'_>) -> Result<Tick, Corrupt> {
        let number = from.number()?;
        let push = KnownPush::take(from)?;
        let now = from_tenths(push.written);
        self.see_sequence(push.number)?;
        let replay = self.replay.lock();
        let found = replay.as_ref().and_then(|replay| replay.by_number.get(&number).cloned());
        drop(replay);
        let instance = found.ok_or(Corrupt("a push of nobody"))?;
        let mut body = instance.body.lock();
        if push.number <= body.applied {
            // The snapshot was written while pushes went on, and has it.
            return Ok(now);
        }
        if body.state != State::Live {
            return Err(Corrupt("a push of somebody who is not there"));
        }
        let exemplars: Vec<(u32, Arc<Exemplar>)> = Stored::take(from)?;
        let mut writes = take_runs(from, &body)?;
        take_changes(from, &mut writes)?;
        let is_there = |(position, _): &(u32, Arc<Exemplar>)| {
            writes.binary_search_by_key(position, |(at, _)| *at).is_ok()
        };
        if !exemplars.iter().all(is_there) {
            return Err(Corrupt("an exemplar of no value"));
        }
        body.take_known(push, &writes);
        for (position, exemplar) in &exemplars {
            body.note_exemplar(*position, push.number, exemplar);
        }
        Ok(now)
    }
}

/// The positions with the values that they have.
fn take_runs(from: &mut Reader<'_>, body: &Body) -> Result<Vec<(u32, f64)>, Corrupt> {
    let mut writes = Vec::with_capacity(body.positions());
    let mut next = 0_usize;
    for _ in 0..from.count(2)? {
        let first = usize::take(from)?.checked_add(next);
        let end = first.and_then(|first| first.checked_add(usize::take(from).ok()?));
        let (Some(first), Some(end)) = (first, end) else {
            return Err(Corrupt("positions that are not there"));
        };
        let values = body.values.get(first..end).ok_or(Corrupt("positions that are not there"))?;
        let positions = u32::try_from(first).unwrap_or(u32::MAX)..;
        writes.extend(positions.zip(values.iter().copied()));
        next = end;
    }
    Ok(writes)
}

fn take_changes(from: &mut Reader<'_>, writes: &mut [(u32, f64)]) -> Result<(), Corrupt> {
    let mut next = 0_u64;
    let mut at = 0;
    while !from.is_at_end() {
        let skipped = from.number()?;
        let position = next.saturating_add(skipped >> 1);
        while writes.get(at).is_some_and(|(known, _)| u64::from(*known) < position) {
            at += 1;
        }
        let found = writes.get_mut(at).filter(|(known, _)| u64::from(*known) == position);
        let Some((_, value)) = found else {
            return Err(Corrupt("a value at a position that the push has not"));
        };
        *value = match skipped & 1 {
            0 => stepped(*value, unzigzag(from.number()?)),
            _ => from.float()?,
        };
        next = position + 1;
    }
    Ok(())
}
