//! What time does to the state: gauges decay, silent instances depart, departed ones are folded,
//! ids and families are forgotten. In slices, so that no call holds the catalog for long.

use crate::catalog::{Catalog, NO_FAMILY, in_order};
use crate::family::Family;
use crate::instance::{
    Body, Instance, Kind, State, WriterRole, duration_tenths, from_tenths, tenths,
};
use crate::lifecycle::release_families;
use crate::maps::Map;
use crate::record::Record;
use crate::relief::drop_series;
use crate::settings::Settings;
use crate::standing::ENDLESS_TENTHS;
use crate::store::Store;
use crate::stored::{Corrupt, Reader, Stored, Writer};
use crate::window::reach;
use sidecar_model::Tick;
use std::sync::Arc;
use std::time::Duration;

/// Positions that one slice may look at, and what an instance costs besides.
const POSITIONS_PER_SLICE: usize = 100_000;
const COST_OF_INSTANCE: usize = 20;
/// Ids, families and keys are looked over this often.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// A pass over all series for those that nobody writes is made so many times in `retain`.
const RETAIN_PASSES: u32 = 16;

/// Where the upkeep is in its round.
#[derive(Debug, Default)]
pub(crate) struct Round {
    waiting: Vec<Arc<Instance>>,
    swept: Tick,
    /// Series are marked with their latest write in this round.
    marks: bool,
    marked: Tick,
}

impl Round {
    /// Who waits goes by number; what deltas have added up to has none.
    pub(crate) fn put(&self, out: &mut Writer<'_>) {
        let Round { waiting, swept, marks, marked } = self;
        out.length(waiting.len());
        waiting.iter().for_each(|instance| out.number(instance.number()));
        swept.put(out);
        marks.put(out);
        marked.put(out);
    }

    pub(crate) fn take(
        from: &mut Reader<'_>,
        accumulator: &Arc<Instance>,
        by_number: &Map<u64, Arc<Instance>>,
    ) -> Result<Round, Corrupt> {
        let numbers: Vec<u64> = Stored::take(from)?;
        // Somebody who is gone takes its share of a slice, too.
        let gone = || {
            let body = Body { state: State::Gone, ..Body::default() };
            Arc::new(Instance::stored("".into(), WriterRole::Identified, u64::MAX, body))
        };
        let waiting = numbers.iter().map(|number| match number {
            0 => Arc::clone(accumulator),
            number => by_number.get(number).cloned().unwrap_or_else(gone),
        });
        Ok(Round {
            waiting: waiting.collect(),
            swept: Stored::take(from)?,
            marks: Stored::take(from)?,
            marked: Stored::take(from)?,
        })
    }
}

impl Store {
    /// Decay, departures, forgetting; to be called about every second. Does a bounded part of the
    /// work; true: more is due now. Does nothing while the journal is full.
    pub fn upkeep(&self, now: Tick) -> bool {
        let mut round = self.round.lock();
        let mut catalog = self.change();
        if self.tell(&Record::Upkeep, now).is_err() {
            // Nothing may change now. Time that is not recorded passes with the next step.
            return false;
        }
        let settings = self.settings();
        if round.waiting.is_empty() {
            self.begin_round(&mut round, &settings, now);
        }
        let mut budget = POSITIONS_PER_SLICE;
        while let Some(instance) = round.waiting.pop() {
            let marks = round.marks;
            let looked_at = self.visit(&mut catalog, &instance, &settings, now, marks);
            budget = budget.saturating_sub(looked_at + COST_OF_INSTANCE);
            if budget == 0 {
                break;
            }
        }
        if !round.waiting.is_empty() {
            return true;
        }
        if round.marks {
            round.marks = false;
            drop_unwritten(&self.all_instances(), &mut catalog, &settings, now);
        }
        if now.since(round.swept) >= SWEEP_EVERY.min(settings.resume_window) {
            round.swept = now;
            self.sweep(&mut catalog, &settings, now);
        }
        false
    }

    fn begin_round(&self, round: &mut Round, settings: &Settings, now: Tick) {
        round.waiting = self.all_instances();
        round.waiting.push(Arc::clone(&self.accumulator));
        if now.since(round.marked) >= settings.retain / RETAIN_PASSES {
            round.marked = now;
            round.marks = true;
        }
    }

    /// Looks one instance over; the number of positions looked at.
    fn visit(
        &self,
        catalog: &mut Catalog,
        instance: &Arc<Instance>,
        settings: &Settings,
        now: Tick,
        marks: bool,
    ) -> usize {
        let mut body = instance.body.lock();
        let positions = body.positions();
        if marks {
            mark_written(catalog, instance.role, &body, now);
        }
        match (body.state, instance.role) {
            (State::Departed { since }, _) => {
                drop(body);
                if now.since(since) >= settings.resume_window {
                    self.fold_instance(catalog, instance, now);
                }
                return positions;
            }
            (State::Live, WriterRole::Identified) => {
                let decay = body.decay(settings.decay, longest_by_rule(catalog, &body));
                if now.since(body.heard) >= decay {
                    body.silences += 1;
                    drop(body);
                    self.depart_instance(catalog, instance, now);
                    self.limit_departed(catalog, settings, now);
                    return positions;
                }
            }
            (State::Live, WriterRole::Group) => {
                let expired = body.ttl.is_some_and(|ttl| now.since(body.heard) >= ttl);
                drop(body);
                if expired {
                    self.remove_group(catalog, instance, now);
                }
                return if marks || expired { positions } else { 0 };
            }
            (State::Live, WriterRole::Anonymous | WriterRole::Accumulator) => {}
            (State::New | State::Gone, _) => return 0,
        }
        if !body.windows.is_settled(catalog.windowing.now()) {
            body.settle_windows(catalog, positions);
            body.gauge_due = Tick::default();
        }
        if now < body.gauge_due {
            return if marks { positions } else { 0 };
        }
        let gone = self.decay_positions(catalog, instance.role, &mut body, settings, now);
        let anonymous = instance.role == WriterRole::Anonymous;
        let empty = anonymous && gone && body.positions() == 0;
        if empty {
            drop(body);
            self.depart_instance(catalog, instance, now);
        }
        positions
    }

    /// Positions that decay one by one: gauges; without an id everything; of deltas what has a
    /// decay by rule or push.
    fn decay_positions(
        &self,
        catalog: &mut Catalog,
        role: WriterRole,
        body: &mut Body,
        settings: &Settings,
        now: Tick,
    ) -> bool {
        let mut due = u64::MAX;
        let mut expired = vec![false; body.positions()];
        let mut any = 0;
        for (at, expired) in expired.iter_mut().enumerate() {
            let Some(decay) = position_decay(catalog, role, body, at, settings) else { continue };
            let written = from_tenths(body.written[at]);
            if now.since(written) < decay {
                due = due.min(written.after(decay).as_millis());
            } else if counts_in_company(catalog, role, body, at) {
                due = due.min(now.after(SWEEP_EVERY).as_millis());
            } else {
                *expired = true;
                any += 1;
            }
        }
        body.gauge_due = Tick::from_millis(due);
        if any == 0 {
            return false;
        }
        self.counters.decayed.add(any);
        keep_groups_whole(body, &mut expired);
        body.compact(catalog, role, |_, at| expired[at]);
        if role != WriterRole::Identified {
            release_unused(catalog, body, now, &[], |_| true);
        }
        true
    }

    fn sweep(&self, catalog: &mut Catalog, settings: &Settings, now: Tick) {
        catalog.forgotten.retain(|_, known| now.since(known.since) < settings.retain);
        self.limit_forgotten(catalog, settings);
        let is_forgotten =
            |f: &Family| f.holders == 0 && now.since(f.unheld_since) >= settings.retain;
        let mut forgotten = in_order(catalog.families.keys());
        forgotten.retain(|id| catalog.families.get(id).is_some_and(is_forgotten));
        for family in forgotten {
            catalog.remove_family(family);
        }
        self.keys.lock().expire(now, settings.resume_window);
        self.forget_facts();
    }

    /// Beyond the limit of remembered departed instances the longest gone are folded early.
    fn limit_departed(&self, catalog: &mut Catalog, settings: &Settings, now: Tick) {
        let limit = settings.limits.departed_instances as u64;
        if catalog.departed_instances <= limit {
            return;
        }
        let mut departed: Vec<(Tick, Arc<Instance>)> = Vec::new();
        self.for_each_instance(|instance| {
            if let State::Departed { since } = instance.body.lock().state {
                departed.push((since, Arc::clone(instance)));
            }
        });
        departed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
        // A tenth more than needed, so that this is not done at every departure.
        let excess = catalog.departed_instances - limit + limit / 10;
        for (_, instance) in departed.iter().take(usize::try_from(excess).unwrap_or(usize::MAX)) {
            self.counters.early_folds.add(1);
            self.fold_instance(catalog, instance, now);
        }
    }
}

/// The longest decay that a rule or a window gives a family of the instance.
pub(crate) fn longest_by_rule(catalog: &Catalog, body: &Body) -> Duration {
    body.held
        .iter()
        .filter_map(|held| catalog.families.get(&held.family)?.decay())
        .max()
        .unwrap_or(Duration::ZERO)
}

/// How long the position lives unwritten; `None`: it does not decay by itself.
fn position_decay(
    catalog: &Catalog,
    role: WriterRole,
    body: &Body,
    at: usize,
    settings: &Settings,
) -> Option<Duration> {
    let target = body.targets[at];
    let (series, cumulative) = match target.kind() {
        Kind::Gauge => (target.index(), false),
        Kind::Cumulative => (target.index(), true),
        Kind::Part => {
            let group = &body.groups[target.index() as usize];
            (group.series, group.metric_type.is_cumulative())
        }
        Kind::Created => return None,
    };
    if cumulative && role == WriterRole::Identified {
        return None;
    }
    let by_push = match body.ttls.get(at) {
        Some(0) | None => None,
        Some(tenths) => Some(Duration::from_millis(u64::from(*tenths) * 100)),
    };
    let family = catalog.family_of(series).map(|(_, family)| family);
    let told = by_push.or_else(|| family?.rules.decay);
    let window = || family?.window().map(reach);
    match role {
        // A total is never out of date.
        WriterRole::Accumulator if cumulative => told,
        WriterRole::Accumulator => told.or_else(window),
        WriterRole::Group => None,
        WriterRole::Identified | WriterRole::Anonymous => {
            Some(told.unwrap_or_else(|| settings.decay.max(window().unwrap_or_default())))
        }
    }
}

/// An anonymous value that counts in a total with others: it stays with that total, which would fall
/// to a part without it.
fn counts_in_company(catalog: &Catalog, role: WriterRole, body: &Body, at: usize) -> bool {
    let target = body.targets[at];
    let series = match target.kind() {
        Kind::Cumulative => target.index(),
        Kind::Part => {
            let group = &body.groups[target.index() as usize];
            if !group.metric_type.is_cumulative() {
                return false;
            }
            group.series
        }
        Kind::Gauge | Kind::Created => return false,
    };
    role.shows_as_it_comes() && catalog.has_company(series)
}

/// A histogram decays when its latest written part does.
fn keep_groups_whole(body: &Body, expired: &mut [bool]) {
    for group in &body.groups {
        let whole = group.range().any(|at| expired[at])
            && group.range().all(|at| expired[at] || body.written[at] == 0);
        expired[group.range()].fill(whole);
    }
}

/// Families of whose positions none `stays` are no longer held, but for those `named` otherwise.
pub(crate) fn release_unused(
    catalog: &mut Catalog,
    body: &mut Body,
    now: Tick,
    named: &[Option<u32>],
    stays: impl Fn(usize) -> bool,
) {
    let mut used: Vec<u32> = named.iter().flatten().copied().collect();
    for at in (0..body.positions()).filter(|at| stays(*at)) {
        let position = u32::try_from(at).unwrap_or(u32::MAX);
        used.extend(crate::draft::family_of_position(catalog, body, position));
    }
    used.sort_unstable();
    let (kept, left): (Vec<_>, Vec<_>) = std::mem::take(&mut body.held)
        .into_iter()
        .partition(|held| used.binary_search(&held.family).is_ok());
    body.held = left;
    release_families(catalog, body, now);
    body.held = kept;
}

/// What deltas have added up to knows no silence, and neither does a plain group or what is endless.
pub(crate) fn mark_written(catalog: &mut Catalog, role: WriterRole, body: &Body, now: Tick) {
    if !matches!(body.state, State::Live) {
        return;
    }
    for (at, target) in body.targets.iter().enumerate() {
        let series = match target.kind() {
            Kind::Gauge | Kind::Cumulative => target.index(),
            Kind::Part => body.groups[target.index() as usize].series,
            Kind::Created => continue,
        };
        let written = match role {
            WriterRole::Accumulator | WriterRole::Group => tenths(now),
            WriterRole::Identified if body.ttls.get(at) == Some(&ENDLESS_TENTHS) => tenths(now),
            WriterRole::Identified | WriterRole::Anonymous => body.written[at],
        };
        catalog.mark_written(series, written);
    }
}

/// Merged series that nobody live has written for `retain` go, with what was counted in them.
fn drop_unwritten(
    instances: &[Arc<Instance>],
    catalog: &mut Catalog,
    settings: &Settings,
    now: Tick,
) {
    let oldest = tenths(now).saturating_sub(duration_tenths(settings.retain));
    if oldest == 0 {
        return;
    }
    let mut fresh = vec![false; catalog.merged.len()];
    for (series, merged) in catalog.merged_of.iter().enumerate() {
        if let Some(fresh) = fresh.get_mut(*merged as usize) {
            *fresh |= catalog.series[series].written > oldest;
        }
    }
    // A series that a rule hides is merged into nothing and stands for itself.
    let is_fresh = |series: usize| {
        let merged = catalog.merged_of[series] as usize;
        fresh.get(merged).copied().unwrap_or(catalog.series[series].written > oldest)
    };
    let stale: Vec<bool> = (0..catalog.merged_of.len())
        .map(|series| {
            let entry = &catalog.series[series];
            entry.family != NO_FAMILY && entry.written > 0 && !is_fresh(series)
        })
        .collect();
    drop_series(instances, catalog, &stale, now);
}
