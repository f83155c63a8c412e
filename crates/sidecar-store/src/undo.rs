//! How a push is taken back that panics before all of it is written: values, groups, positions, families
//! and the writer itself are as they were. What was told to the journal is not (see
//! [`crate::Journal::doubt`]).
//!
//! Kept while one push is written, with the catalog locked; never stored.

use crate::bounds::same_bounds;
use crate::catalog::Catalog;
use crate::forgotten::ForgottenId;
use crate::group::GroupState;
use crate::grouping::GroupKey;
use crate::instance::{Body, Held, Instance, Kind, Past, SharedIdWatch, State, WriterRole};
use crate::lifecycle::release_families;
use crate::place::Writes;
use crate::store::Store;
use crate::values::Manner;
use sidecar_model::{Bound, Tick, Total};
use std::sync::Arc;
use std::time::Duration;

/// What takes back one writer's share of a push.
#[derive(Debug)]
pub(crate) struct Undo {
    instance: Arc<Instance>,
    before: Before,
    positions: usize,
    values: Vec<Was>,
    groups: Vec<(u32, GroupState)>,
    bounds: Vec<WereBounds>,
    pub(crate) forgotten: Option<ForgottenId>,
    /// Families that the push made, began to hold, and has a first wish for.
    pub(crate) made: Vec<u32>,
    pub(crate) held: Vec<u32>,
    pub(crate) wishes: Vec<u32>,
    families: Vec<(u32, WasFamily)>,
    /// Held before, and let go by the push.
    let_go: Vec<Held>,
}

/// What the writer's state told before the push.
#[derive(Debug)]
struct Before {
    state: State,
    heard: Tick,
    ttl: Option<Duration>,
    sequence: Option<(Box<str>, u64)>,
    ended: bool,
    arrival: u64,
    applied: u64,
    past: Past,
    has_peaks: bool,
    start_time: Option<u32>,
    started: f64,
    gauge_due: Tick,
    watch: SharedIdWatch,
    restarts: u64,
    key: Option<GroupKey>,
    times: (f64, f64),
    unheard: bool,
}

#[derive(Clone, Copy, Debug)]
struct Was {
    position: u32,
    value: f64,
    changed: u64,
    written: u32,
    ttl: Option<u32>,
    peak: Option<f64>,
    base: Option<Total>,
}

#[derive(Debug)]
struct WereBounds {
    series: u32,
    common: Option<Arc<[Bound]>>,
    merged: Option<u32>,
    shown: Option<Arc<[Bound]>>,
    mixed: bool,
}

#[derive(Debug)]
struct WasFamily {
    suffixed: bool,
    help: Arc<str>,
    unit: Arc<str>,
}

impl Undo {
    /// Before anything is changed. From here on no push of a known shape comes in between.
    pub(crate) fn begin(instance: &Arc<Instance>, body: &mut Body) -> Undo {
        body.under_way = true;
        Undo {
            instance: Arc::clone(instance),
            before: Before::of(body),
            positions: body.positions(),
            values: Vec::new(),
            groups: Vec::new(),
            bounds: Vec::new(),
            forgotten: None,
            made: Vec::new(),
            held: Vec::new(),
            wishes: Vec::new(),
            families: Vec::new(),
            let_go: Vec::new(),
        }
    }

    /// `had`: what was held before, of which a part may be held still.
    pub(crate) fn note_let_go(&mut self, had: Vec<Held>) {
        self.let_go = had;
    }

    pub(crate) fn note_family(&mut self, catalog: &Catalog, id: u32) {
        if let Some(family) = catalog.families.get(&id) {
            let (help, unit) = (Arc::clone(&family.help), Arc::clone(&family.unit));
            self.families.push((id, WasFamily { suffixed: family.suffixed, help, unit }));
        }
    }

    /// A group is about to join the series, and `old` to give way to it.
    pub(crate) fn note_group(
        &mut self,
        catalog: &Catalog,
        body: &Body,
        series: u32,
        old: Option<u32>,
    ) {
        self.note_bounds(catalog, series);
        let Some(index) = old else { return };
        let Some(group) = body.groups.get(index as usize) else { return };
        self.groups.push((index, group.state));
        group.range().for_each(|at| self.keep(body, at));
    }

    /// The bounds of the series and of what it is merged into are about to change.
    fn note_bounds(&mut self, catalog: &Catalog, series: u32) {
        let merged = catalog.merged_id(series);
        let entry = merged.and_then(|merged| catalog.merged.get(merged as usize));
        self.bounds.push(WereBounds {
            series,
            common: catalog.common_bounds.get(&series).cloned(),
            merged,
            shown: entry.and_then(|entry| entry.bounds.clone()),
            mixed: entry.is_some_and(|entry| entry.mixed_bounds),
        });
    }

    /// Everything that the write may change.
    pub(crate) fn keep_values(&mut self, body: &Body, writes: &Writes, manner: Manner) {
        let dates = |(at, _): &(u32, f64)| {
            body.targets.get(*at as usize).is_some_and(|target| target.kind() == Kind::Created)
        };
        let may_restart = manner.role == WriterRole::Identified
            && (manner.begins_anew || writes.scalars.iter().any(dates));
        if may_restart {
            (0..self.positions).for_each(|at| self.keep(body, at));
            return;
        }
        self.values.reserve(writes.scalars.len());
        for (position, _) in &writes.scalars {
            self.keep(body, *position as usize);
        }
        for write in &writes.groups {
            if let Some(group) = body.groups.get(write.group as usize) {
                group.range().for_each(|at| self.keep(body, at));
            }
        }
    }

    /// New positions go as a whole.
    fn keep(&mut self, body: &Body, at: usize) {
        if at >= self.positions {
            return;
        }
        let (Some(value), Some(changed), Some(written), Ok(position)) =
            (body.values.get(at), body.changed.get(at), body.written.get(at), u32::try_from(at))
        else {
            return;
        };
        let base = if body.bases.is_empty() { None } else { body.bases.get(&position).copied() };
        self.values.push(Was {
            position,
            value: *value,
            changed: *changed,
            written: *written,
            ttl: body.ttls.get(at).copied(),
            peak: body.peaks.get(at).copied(),
            base,
        });
    }

    /// Everything is as it was, but for numbers that are not given twice.
    pub(crate) fn take_back(self, store: &Store, catalog: &mut Catalog, now: Tick) {
        let mut body = self.instance.body.lock();
        for was in self.values.iter().rev() {
            body.restore(was);
        }
        for (index, state) in self.groups.iter().rev() {
            if let Some(group) = body.groups.get_mut(*index as usize) {
                group.state = *state;
            }
        }
        let positions = self.positions;
        body.compact(catalog, self.instance.role, |_, at| at >= positions);
        self.bounds.iter().rev().for_each(|were| catalog.restore_bounds(were));
        self.hold_again(catalog, &mut body);
        self.release(catalog, &mut body, now);
        for (id, was) in self.families.iter().rev() {
            catalog.restore_family(*id, was);
        }
        let entered = body.state != self.before.state;
        self.before.restore(&mut body);
        body.under_way = false;
        if entered && leave_again(catalog, &self.instance, &mut body, now) {
            drop(body);
            store.unregister(&self.instance);
            if let Some(known) = self.forgotten {
                catalog.forgotten.insert(self.instance.id.clone(), known);
            }
        } else {
            drop(body);
        }
        self.made.iter().for_each(|id| catalog.remove_family(*id));
    }

    /// What the push let go is held again, with what was wished of it.
    fn hold_again(&self, catalog: &mut Catalog, body: &mut Body) {
        for held in &self.let_go {
            let Err(at) = body.held.binary_search_by_key(&held.family, |h| h.family) else {
                continue;
            };
            let Some(family) = catalog.families.get_mut(&held.family) else { continue };
            family.holders += 1;
            if let Some((number, function)) = held.wish {
                family.wishes.insert(number, function);
                catalog.touch(held.family);
            }
            body.held.insert(at, *held);
        }
    }

    /// Wishes and holds of the push end.
    fn release(&self, catalog: &mut Catalog, body: &mut Body, now: Tick) {
        let (gone, mut kept): (Vec<_>, Vec<_>) = std::mem::take(&mut body.held)
            .into_iter()
            .partition(|held| self.held.contains(&held.family));
        body.held = gone;
        release_families(catalog, body, now);
        for held in kept.iter_mut().filter(|held| self.wishes.contains(&held.family)) {
            let wish = held.wish.take();
            if let (Some((number, _)), Some(family)) =
                (wish, catalog.families.get_mut(&held.family))
            {
                family.wishes.remove(&number);
                catalog.touch(held.family);
            }
        }
        body.held = kept;
    }
}

/// The writer entered with the push. True: nobody knew it before.
fn leave_again(catalog: &mut Catalog, instance: &Instance, body: &mut Body, now: Tick) -> bool {
    release_families(catalog, body, now);
    catalog.jobs.depart(body.job.take().as_ref());
    let is_new = body.state == State::New;
    match instance.role {
        WriterRole::Accumulator => return false,
        WriterRole::Group => catalog.groups = catalog.groups.saturating_sub(1),
        WriterRole::Identified | WriterRole::Anonymous => {
            catalog.free_slot(body.slot.take());
            catalog.live_instances = catalog.live_instances.saturating_sub(1);
            catalog.departed_instances += u64::from(!is_new);
        }
    }
    if is_new {
        body.held.clear();
        body.state = State::Gone;
    }
    is_new
}

impl Before {
    fn of(body: &Body) -> Before {
        Before {
            state: body.state,
            heard: body.heard,
            ttl: body.ttl,
            sequence: body.sequence.clone(),
            ended: body.ended,
            arrival: body.arrival,
            applied: body.applied,
            past: body.past,
            has_peaks: !body.peaks.is_empty(),
            start_time: body.start_time,
            started: body.started,
            gauge_due: body.gauge_due,
            watch: body.watch.clone(),
            restarts: body.restarts,
            key: body.key.clone(),
            times: body.times,
            unheard: body.unheard,
        }
    }

    fn restore(self, body: &mut Body) {
        body.state = self.state;
        body.heard = self.heard;
        body.ttl = self.ttl;
        body.sequence = self.sequence;
        body.ended = self.ended;
        body.arrival = self.arrival;
        body.applied = self.applied;
        body.past = self.past;
        if !self.has_peaks {
            body.peaks = Vec::new();
        }
        body.start_time = self.start_time;
        body.started = self.started;
        body.gauge_due = self.gauge_due;
        body.watch = self.watch;
        body.restarts = self.restarts;
        body.key = self.key;
        body.times = self.times;
        body.unheard = self.unheard;
    }
}

impl Body {
    fn restore(&mut self, was: &Was) {
        let at = was.position as usize;
        let set = |column: &mut Vec<f64>, value: f64| {
            column.get_mut(at).into_iter().for_each(|old| *old = value);
        };
        set(&mut self.values, was.value);
        if let Some(peak) = was.peak {
            set(&mut self.peaks, peak);
        }
        self.changed.get_mut(at).into_iter().for_each(|old| *old = was.changed);
        self.written.get_mut(at).into_iter().for_each(|old| *old = was.written);
        self.ttls.get_mut(at).into_iter().for_each(|old| *old = was.ttl.unwrap_or(0));
        match was.base {
            Some(base) => self.bases.insert(was.position, base),
            None => self.bases.remove(&was.position),
        };
    }
}

impl Catalog {
    fn restore_bounds(&mut self, were: &WereBounds) {
        if self.family_of(were.series).is_some() {
            match &were.common {
                Some(common) => self.common_bounds.insert(were.series, Arc::clone(common)),
                None => self.common_bounds.remove(&were.series),
            };
        }
        let Some(merged) = were.merged.and_then(|merged| self.merged.get_mut(merged as usize))
        else {
            return;
        };
        let changed = match (&merged.bounds, &were.shown) {
            (Some(now), Some(shown)) => !same_bounds(now, shown),
            (now, shown) => now.is_some() != shown.is_some(),
        };
        merged.bounds.clone_from(&were.shown);
        merged.mixed_bounds = were.mixed;
        let family = merged.family;
        if changed {
            self.touch(family);
        }
    }

    fn restore_family(&mut self, id: u32, was: &WasFamily) {
        self.set_suffixed(id, was.suffixed);
        if let Some(family) = self.families.get_mut(&id) {
            family.help.clone_from(&was.help);
            family.unit.clone_from(&was.unit);
        }
        self.touch(id);
    }
}
