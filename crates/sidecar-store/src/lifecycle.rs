//! How instances leave and come back: departure, folding into departed totals, erasing, clearing;
//! and the compaction of an instance's columns that all of it needs.

use crate::bounds::place;
use crate::catalog::{Catalog, Folded, in_order};
use crate::forgotten::ForgottenId;
use crate::group::GroupState;
use crate::instance::{Body, Instance, Kind, State, Target, WriterRole};
use crate::maps::{Map, Set};
use crate::store::Store;
use crate::upkeep::mark_written;
use crate::window::Windows;
use parking_lot::MutexGuard;
use sidecar_model::{Bound, MetricType, Tick, Total, is_absent};
use std::sync::Arc;

impl Store {
    /// A live instance leaves: its gauges go, its cumulative values are remembered.
    pub(crate) fn depart_instance(&self, catalog: &mut Catalog, instance: &Instance, now: Tick) {
        let mut body = instance.body.lock();
        if body.state != State::Live {
            return;
        }
        let identified = instance.role == WriterRole::Identified;
        mark_written(catalog, instance.role, &body, now);
        body.watch.forget();
        release_families(catalog, &mut body, now);
        catalog.free_slot(body.slot.take());
        catalog.live_instances -= 1;
        catalog.jobs.depart(body.job.take().as_ref());
        self.counters.departures.add(1);
        if identified {
            body.compact(catalog, instance.role, |body, at| !body.is_cumulative_at(at));
            body.state = State::Departed { since: now };
            catalog.departed_instances += 1;
        } else {
            body.compact(catalog, instance.role, |_, _| true);
            body.state = State::New;
            body.held.clear();
        }
        body.shape = Arc::default();
        body.generation = body.generation.wrapping_add(1);
        body.windows = Windows::default();
        body.by_target = None;
        body.shrink();
    }

    /// A plain group goes with all it had.
    pub(crate) fn remove_group(&self, catalog: &mut Catalog, instance: &Instance, now: Tick) {
        let mut body = instance.body.lock();
        if body.state != State::Live {
            return;
        }
        mark_written(catalog, WriterRole::Group, &body, now);
        release_families(catalog, &mut body, now);
        body.held.clear();
        body.compact(catalog, WriterRole::Group, |_, _| true);
        body.state = State::Gone;
        catalog.groups -= 1;
        catalog.jobs.depart(body.job.take().as_ref());
        drop(body);
        self.unregister(instance);
    }

    /// A departed instance's values are forgotten: its shares join the departed totals. The id
    /// stays known.
    pub(crate) fn fold_instance(&self, catalog: &mut Catalog, instance: &Instance, now: Tick) {
        let body = instance.body.lock();
        if !matches!(body.state, State::Departed { .. }) {
            return;
        }
        let shares = body.shares();
        // Of a series with other bounds in an earlier life there are several.
        let composite = shares.iter().filter(|(_, s)| matches!(s, Folded::Composite { .. }));
        let had: Map<u32, bool> =
            composite.map(|(series, _)| (*series, catalog.folded.contains_key(series))).collect();
        for (series, share) in shares {
            catalog.fold(series, share, now);
        }
        for (series, had) in had {
            let native = body.natives.get(&series).and_then(|native| native.share(true));
            catalog.fold_native(series, had, native);
        }
        self.forget_values(catalog, instance, body, now);
    }

    /// Of a departed instance only the id is left.
    fn forget_values(
        &self,
        catalog: &mut Catalog,
        instance: &Instance,
        mut body: MutexGuard<'_, Body>,
        now: Tick,
    ) {
        body.compact(catalog, WriterRole::Identified, |_, _| true);
        let known = ForgottenId { since: now, sequence: body.sequence.take(), ended: body.ended };
        catalog.forgotten.insert(instance.id.clone(), known);
        self.limit_forgotten(catalog, &self.settings());
        catalog.departed_instances -= 1;
        body.state = State::Gone;
        drop(body);
        self.unregister(instance);
    }

    /// Takes an instance's share out: every cumulative series it has restarts at zero. The id
    /// stays known, so that it does not count in full again.
    pub(crate) fn erase_instance(&self, catalog: &mut Catalog, instance: &Instance, now: Tick) {
        self.depart_instance(catalog, instance, now);
        let body = instance.body.lock();
        if !matches!(body.state, State::Departed { .. }) {
            return;
        }
        let series: Set<u32> = body.shares().iter().map(|(series, _)| *series).collect();
        let merged: Set<u32> = series.iter().filter_map(|s| catalog.merged_id(*s)).collect();
        self.forget_values(catalog, instance, body, now);
        self.restart_merged(catalog, &merged, &series);
    }

    /// Makes merged series start at zero: what everybody has now is their baseline. Of `series`
    /// those that a rule hides are merged into nothing and stand for themselves.
    fn restart_merged(&self, catalog: &mut Catalog, merged: &Set<u32>, series: &Set<u32>) {
        let is_hit = |catalog: &Catalog, of: u32| match catalog.merged_id(of) {
            Some(id) => merged.contains(&id),
            None => series.contains(&of),
        };
        let mut folded = in_order(catalog.folded.keys());
        folded.retain(|of| is_hit(catalog, *of));
        for series in folded {
            catalog.remove_folded(series);
        }
        for id in merged {
            catalog.undate(*id);
        }
        let mut instances = self.all_instances();
        instances.push(Arc::clone(&self.accumulator));
        for instance in instances {
            let mut body = instance.body.lock();
            body.make_baseline(|series| is_hit(catalog, series));
            body.cut_natives(|series| is_hit(catalog, series));
        }
    }

    /// Forgets everything.
    pub(crate) fn clear_all(&self, catalog: &mut Catalog) {
        for instance in self.all_instances() {
            instance.body.lock().state = State::Gone;
        }
        self.unregister_all();
        *self.accumulator.body.lock() = Body::default();
        let version = catalog.version;
        let window_changes = Arc::clone(&catalog.windowing.changes);
        *catalog = Catalog::new(self.seed().clone());
        catalog.version = version + 1;
        catalog.windowing.changes = window_changes;
    }
}

/// The instance's hold on its families ends.
pub(crate) fn release_families(catalog: &mut Catalog, body: &mut Body, now: Tick) {
    for held in &mut body.held {
        let wish = held.wish.take();
        let Some(family) = catalog.families.get_mut(&held.family) else { continue };
        family.holders = family.holders.saturating_sub(1);
        if family.holders == 0 {
            family.unheld_since = now;
        }
        if let Some((number, _)) = wish {
            let before = family.function();
            family.wishes.remove(&number);
            if family.function() != before {
                catalog.touch(held.family);
            }
        }
    }
}

impl Body {
    /// A cumulative value, or when one began to count.
    pub(crate) fn is_cumulative_at(&self, at: usize) -> bool {
        match self.targets[at].kind() {
            Kind::Cumulative => true,
            Kind::Part => {
                let group = &self.groups[self.targets[at].index() as usize];
                group.state != GroupState::Dead && group.metric_type.is_cumulative()
            }
            Kind::Created => self.is_cumulative_at(self.targets[at].index() as usize),
            Kind::Gauge => false,
        }
    }

    /// What the instance has counted, by series.
    fn shares(&self) -> Vec<(u32, Folded)> {
        let mut shares = Vec::new();
        for (at, target) in self.targets.iter().enumerate() {
            if target.kind() == Kind::Cumulative && !is_absent(self.values[at]) {
                shares.push((target.index(), Folded::Scalar(self.share(at))));
            }
        }
        for group in &self.groups {
            if group.state == GroupState::Dead || !group.metric_type.is_cumulative() {
                continue;
            }
            let is_summary = group.metric_type == MetricType::Summary;
            let parts = group.range().enumerate().map(|(part, at)| {
                let quantile = is_summary && part < group.sum_at();
                if quantile { Total::ZERO } else { self.part_share(at) }
            });
            let parts = parts.collect();
            let bounds = Arc::clone(&group.bounds);
            shares.push((group.series, Folded::Composite { bounds, parts }));
        }
        shares
    }

    fn part_share(&self, at: usize) -> Total {
        if is_absent(self.values[at]) {
            let position = u32::try_from(at).unwrap_or(u32::MAX);
            return self.bases.get(&position).copied().unwrap_or(Total::ABSENT);
        }
        self.share(at)
    }

    /// All that the hit series count so far is taken as counted.
    fn make_baseline(&mut self, hit: impl Fn(u32) -> bool) {
        for at in 0..self.positions() {
            let series = match self.targets[at].kind() {
                Kind::Cumulative => self.targets[at].index(),
                Kind::Part => {
                    let group = &self.groups[self.targets[at].index() as usize];
                    if !group.metric_type.is_cumulative() {
                        continue;
                    }
                    group.series
                }
                Kind::Gauge | Kind::Created => continue,
            };
            if !hit(series) {
                continue;
            }
            let position = u32::try_from(at).unwrap_or(u32::MAX);
            let value = self.values[at];
            self.bases.remove(&position);
            if !is_absent(value) && value != 0.0 {
                self.bases.insert(position, Total::from_value(-value));
            }
            if let Some(peak) = self.peaks.get_mut(at) {
                *peak = value;
            }
        }
    }

    /// Another bound appeared in an accumulated group: what it has moves to the new one.
    pub(crate) fn move_bases(&mut self, old: u32, new: u32) {
        let (from, to) = (self.groups[old as usize].clone(), self.groups[new as usize].clone());
        for part in 0..from.len() {
            let position = from.first + u32::try_from(part).unwrap_or(u32::MAX);
            let Some(place) = place(&from.bounds, part, &to.bounds) else { continue };
            let value = self.values[position as usize];
            if let Some(base) = self.bases.remove(&position) {
                self.base_of(to.first as usize + place).add_total(base);
            }
            self.values[to.first as usize + place] = value;
        }
        self.groups[old as usize].state = GroupState::Dead;
    }

    /// A group gives way to one with other bounds. If the process began anew, what the old one
    /// counted stays as its base: it did when the cumulative count at one of its bounds is lower,
    /// or cannot be told.
    pub(crate) fn retire_group(
        &mut self,
        old: u32,
        (new_bounds, new_parts): (&[Bound], &[f64]),
        begins_anew: bool,
    ) {
        let group = self.groups[old as usize].clone();
        // Without an id, in company, it counts with its maximum.
        let column = if self.peaks.is_empty() { &self.values } else { &self.peaks };
        let values = &column[group.range()];
        let fell = if group.metric_type == MetricType::Summary {
            values.last().zip(new_parts.last()).is_some_and(|(old, new)| new < old)
        } else {
            let told = cumulative(new_bounds, new_parts);
            cumulative(&group.bounds, values).into_iter().any(|(bound, count)| {
                let new = told.iter().find(|(b, _)| b.total_cmp(&bound).is_eq());
                count > 0.0 && new.is_none_or(|(_, new)| *new < count)
            })
        };
        let bases = group
            .range()
            .any(|at| u32::try_from(at).is_ok_and(|position| self.bases.contains_key(&position)));
        let state = match (group.metric_type.is_cumulative(), fell || begins_anew) {
            (true, true) => GroupState::Frozen,
            (true, false) if bases => {
                self.values[group.range()].fill(0.0);
                if let Some(peaks) = self.peaks.get_mut(group.range()) {
                    peaks.fill(0.0);
                }
                GroupState::Frozen
            }
            (true | false, _) => GroupState::Dead,
        };
        self.groups[old as usize].state = state;
    }

    /// Removes the positions that `gone` names (of a group all or none), and what points at them.
    pub(crate) fn compact(
        &mut self,
        catalog: &mut Catalog,
        role: WriterRole,
        gone: impl Fn(&Body, usize) -> bool,
    ) {
        let mut removed: Vec<bool> = (0..self.positions()).map(|at| gone(self, at)).collect();
        for at in 0..removed.len() {
            let target = self.targets[at];
            if target.kind() == Kind::Created && removed[target.index() as usize] {
                removed[at] = true;
            }
        }
        if !removed.contains(&true) {
            return;
        }
        let moved = moved_positions(&removed);
        self.drop_refs(catalog, role, &removed);
        let new_group = self.compact_groups(&moved);
        self.compact_columns(&removed, &moved, &new_group);
        self.bases = std::mem::take(&mut self.bases)
            .into_iter()
            .filter_map(|(at, base)| {
                let to = moved.get(at as usize).copied().filter(|to| *to != u32::MAX)?;
                Some((to, base))
            })
            .collect();
        let to = |at: u32| moved.get(at as usize).copied().filter(|to| *to != u32::MAX);
        self.exemplars = std::mem::take(&mut self.exemplars)
            .into_iter()
            .filter_map(|(at, exemplar)| Some((to(at)?, exemplar)))
            .collect();
        self.windows.move_to(to);
        self.start_time = self.start_time.and_then(to);
        self.watch.fell.retain_mut(|(at, _)| match to(*at) {
            Some(new) => {
                *at = new;
                true
            }
            None => false,
        });
        self.shape = Arc::new(self.shape.remapped(&moved));
        self.generation = self.generation.wrapping_add(1);
        self.by_target = None;
    }

    /// The series that a position's value counts in, or that of the value which it dates.
    pub(crate) fn series_of(&self, target: Target) -> u32 {
        match target.kind() {
            Kind::Gauge | Kind::Cumulative => target.index(),
            Kind::Part => self.groups[target.index() as usize].series,
            Kind::Created => self.series_of(self.targets[target.index() as usize]),
        }
    }

    fn drop_refs(&self, catalog: &mut Catalog, role: WriterRole, removed: &[bool]) {
        for (at, _) in removed.iter().enumerate().filter(|(_, removed)| **removed) {
            let target = self.targets[at];
            catalog.count_off(self.series_of(target));
            match target.kind() {
                Kind::Gauge | Kind::Cumulative => catalog.drop_ref(target.index(), role),
                Kind::Part => {
                    let group = &self.groups[target.index() as usize];
                    if group.first as usize == at {
                        catalog.drop_ref(group.series, role);
                    }
                }
                Kind::Created => {}
            }
        }
    }

    /// Removes groups whose positions go; the new index of each old group.
    fn compact_groups(&mut self, moved: &[u32]) -> Vec<u32> {
        let mut new_group = vec![u32::MAX; self.groups.len()];
        let mut kept = Vec::with_capacity(self.groups.len());
        for (old, mut group) in std::mem::take(&mut self.groups).into_iter().enumerate() {
            let first = moved[group.first as usize];
            if first == u32::MAX {
                continue;
            }
            group.first = first;
            new_group[old] = u32::try_from(kept.len()).unwrap_or(u32::MAX);
            kept.push(group);
        }
        self.groups = kept;
        self.group_of.clear();
        for (at, group) in self.groups.iter().enumerate() {
            if group.state == GroupState::Live {
                self.group_of.insert(group.series, u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        self.natives.retain(|series, _| self.group_of.contains_key(series));
        new_group
    }

    fn compact_columns(&mut self, removed: &[bool], moved: &[u32], new_group: &[u32]) {
        for target in &mut self.targets {
            let index = target.index() as usize;
            *target = match target.kind() {
                Kind::Gauge | Kind::Cumulative => continue,
                Kind::Part => Target::new(Kind::Part, new_group[index]),
                Kind::Created => Target::new(Kind::Created, moved[index]),
            };
        }
        retain(&mut self.targets, removed);
        retain(&mut self.values, removed);
        retain(&mut self.changed, removed);
        retain(&mut self.written, removed);
        retain(&mut self.ttls, removed);
        retain(&mut self.peaks, removed);
    }

    pub(crate) fn shrink(&mut self) {
        self.targets.shrink_to_fit();
        self.values.shrink_to_fit();
        self.changed.shrink_to_fit();
        self.written.shrink_to_fit();
        self.ttls.shrink_to_fit();
        self.groups.shrink_to_fit();
    }
}

/// Bounds with the counts up to each.
fn cumulative(bounds: &[Bound], buckets: &[f64]) -> Vec<(f64, f64)> {
    let mut below = 0.0;
    let up_to = |(bound, count): (&Bound, &f64)| {
        below += count;
        (bound.value, below)
    };
    bounds.iter().zip(buckets).map(up_to).collect()
}

fn moved_positions(removed: &[bool]) -> Vec<u32> {
    let mut next = 0;
    removed
        .iter()
        .map(|removed| {
            if *removed {
                return u32::MAX;
            }
            next += 1;
            next - 1
        })
        .collect()
}

fn retain<T>(column: &mut Vec<T>, removed: &[bool]) {
    let mut flags = removed.iter();
    column.retain(|_| flags.next() != Some(&true));
}
