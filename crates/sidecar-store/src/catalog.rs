//! The shared directory: families, series as pushed, merged series, who owns which sample name,
//! and what departed instances have counted. Changed under one lock, in push order.

mod stored;

use crate::bounds::{placed, same_bounds, union};
use crate::draft::FamilyDraft;
use crate::family::{Family, FamilyRules, owned_names, type_by_rule};
use crate::forgotten::ForgottenId;
use crate::instance::{WriterRole, tenths};
use crate::jobs::{Jobs, NO_JOB};
use crate::maps::{Map, Seed};
use crate::outcome::Reason;
use crate::settings::Settings;
use crate::window::Windowing;
use hashbrown::HashTable;
use sidecar_model::{ABSENT, Bound, LabelSet, MetricType, NativeHistogram, Tick, Total, is_absent};
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

/// No merged series: dropped by a rule, or the family is gone.
pub(crate) const NOT_MERGED: u32 = u32::MAX;
/// The family of a series whose family is gone.
pub(crate) const NO_FAMILY: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) family: u32,
    /// As pushed, without the reserved labels.
    pub(crate) labels: LabelSet,
    /// Of the labels: a table that grows must not read them all.
    hash: u32,
    /// Contributions, and one for a departed total.
    refs: u32,
    /// That its label `job` names.
    pub(crate) job: u32,
    /// A plain group has it: no other one may.
    pub(crate) grouped: bool,
    /// Latest write of a contribution that the retain pass saw, in tenths of a second.
    pub(crate) written: u32,
}

/// What a family has under some labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Series(u32),
    /// Another series that formats with plain names print with the same labels.
    Lookalike,
    Nothing,
}

/// What is exposed as one: the series that are equal after `drop_labels`.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) family: u32,
    pub(crate) labels: LabelSet,
    series: u32,
    /// Contributions of instances with an id, and departed totals.
    pub(crate) identified: u32,
    /// Of a histogram or summary: all bounds that contributors have, or by rule those that all have.
    pub(crate) bounds: Option<Arc<[Bound]>>,
    /// Contributors differ in their bounds, or did.
    pub(crate) mixed_bounds: bool,
    /// When its first contribution of an instance began to count, in Unix seconds; `ABSENT`: not
    /// known. It does not change until the merged series starts at zero.
    pub(crate) created: f64,
}

/// What forgotten instances have counted in one series.
#[derive(Clone, Debug)]
pub(crate) enum Folded {
    Scalar(Total),
    /// Parts as in a group: one for each bound, sum, count; what nobody said is absent.
    Composite {
        bounds: Arc<[Bound]>,
        parts: Vec<Total>,
    },
}

#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) seed: Seed,
    pub(crate) families: Map<u32, Family>,
    next_family: u32,
    /// Sample and family names, as written and as escaped, to the family that prints them.
    owners: Map<Box<str>, u32>,
    pub(crate) series: Vec<Series>,
    /// Merged series by series; apart from `series` because a collect runs over it.
    pub(crate) merged_of: Vec<u32>,
    free_series: Vec<u32>,
    pub(crate) merged: Vec<Merged>,
    free_merged: Vec<u32>,
    pub(crate) folded: Map<u32, Folded>,
    /// The native part of what is in `folded`, unless somebody had none.
    pub(crate) folded_natives: Map<u32, NativeHistogram>,
    /// By series of a histogram or summary: the bounds that all who contributed had, from the first one on.
    pub(crate) common_bounds: Map<u32, Arc<[Bound]>>,
    pub(crate) forgotten: Map<Box<str>, ForgottenId>,
    /// Below `next_slot`.
    free_slots: BTreeSet<u32>,
    next_slot: u32,
    next_wish: u64,
    /// Positions of all instances together.
    pub(crate) contributions: u64,
    pub(crate) jobs: Jobs,
    /// Of all series.
    pub(crate) label_bytes: u64,
    /// Changes with every change of a family, of its series, or of its function.
    pub(crate) version: u64,
    pub(crate) live_instances: u64,
    /// Plain groups.
    pub(crate) groups: u64,
    pub(crate) departed_instances: u64,
    pub(crate) windowing: Windowing,
}

impl Catalog {
    pub(crate) fn new(seed: Seed) -> Catalog {
        Catalog {
            families: Map::with_hasher(seed.clone()),
            next_family: 0,
            owners: Map::with_hasher(seed.clone()),
            series: Vec::new(),
            merged_of: Vec::new(),
            free_series: Vec::new(),
            merged: Vec::new(),
            free_merged: Vec::new(),
            folded: Map::with_hasher(seed.clone()),
            folded_natives: Map::with_hasher(seed.clone()),
            common_bounds: Map::with_hasher(seed.clone()),
            forgotten: Map::with_hasher(seed.clone()),
            free_slots: BTreeSet::new(),
            next_slot: 0,
            next_wish: 0,
            contributions: 0,
            jobs: Jobs::new(seed.clone()),
            label_bytes: 0,
            version: 1,
            live_instances: 0,
            groups: 0,
            departed_instances: 0,
            windowing: Windowing::default(),
            seed,
        }
    }

    // ---- slots and wishes

    /// The lowest slot that nobody has.
    pub(crate) fn take_slot(&mut self) -> u32 {
        self.free_slots.pop_first().unwrap_or_else(|| {
            self.next_slot += 1;
            self.next_slot - 1
        })
    }

    pub(crate) fn free_slot(&mut self, slot: Option<u32>) {
        self.free_slots.extend(slot);
        while self.next_slot > 0 && self.free_slots.remove(&(self.next_slot - 1)) {
            self.next_slot -= 1;
        }
    }

    pub(crate) fn number_wish(&mut self) -> u64 {
        self.next_wish += 1;
        self.next_wish
    }

    /// The family's layout or function changed.
    pub(crate) fn touch(&mut self, family: u32) {
        self.version += 1;
        let version = self.version;
        let Some(family) = self.families.get_mut(&family) else { return };
        family.version = version;
        self.windowing.note(family);
    }

    // ---- families

    pub(crate) fn owner(&self, name: &str) -> Option<u32> {
        self.owners.get(name).copied()
    }

    /// The family with this base name.
    pub(crate) fn family_named(&self, base: &str) -> Option<u32> {
        let id = self.owner(base)?;
        self.families.get(&id).filter(|f| &*f.base == base).map(|_| id)
    }

    /// Which families would have to go for one with these names, or who is in the way.
    pub(crate) fn make_way(
        &self,
        names: &[String],
        draft: &FamilyDraft,
        in_the_way: impl Fn(u32, &Family) -> bool,
    ) -> Result<Vec<u32>, Reason> {
        let mut leaving = Vec::new();
        for name in names {
            let Some(id) = self.owner(name).filter(|id| Some(*id) != draft.existing) else {
                continue;
            };
            let Some(family) = self.families.get(&id) else { continue };
            if !in_the_way(id, family) {
                if !leaving.contains(&id) {
                    leaving.push(id);
                }
                continue;
            }
            return Err(
                if *family.base == *draft.base && family.metric_type != draft.metric_type {
                    Reason::TypeConflict { held: family.metric_type, pushed: draft.metric_type }
                } else {
                    Reason::NameConflict { name: name.clone(), owner: family.base.to_string() }
                },
            );
        }
        Ok(leaving)
    }

    /// A family without series carries its suffix from now on, or no longer.
    pub(crate) fn set_suffixed(&mut self, id: u32, suffixed: bool) {
        let Some(family) = self.families.get_mut(&id) else { return };
        if family.suffixed == suffixed {
            return;
        }
        let (metric_type, base) = (family.metric_type, Arc::clone(&family.base));
        let before = owned_names(metric_type, &base, family.suffixed);
        family.suffixed = suffixed;
        for name in before {
            self.owners.remove(&*name);
        }
        for name in owned_names(metric_type, &base, suffixed) {
            self.owners.insert(name.into(), id);
        }
        self.touch(id);
    }

    pub(crate) fn add_family(
        &mut self,
        metric_type: MetricType,
        base: &str,
        suffixed: bool,
        settings: &Settings,
        now: Tick,
    ) -> u32 {
        let id = self.next_family;
        self.next_family += 1;
        for name in owned_names(metric_type, base, suffixed) {
            self.owners.insert(name.into(), id);
        }
        let rules = FamilyRules::of(settings, metric_type, base);
        let mut family = Family::new(base, metric_type, suffixed, rules, now);
        family.typed_by_rule = type_by_rule(settings, &family.sample_name()).is_some();
        self.families.insert(id, family);
        self.touch(id);
        id
    }

    /// Its names are its own again, whoever took them.
    pub(crate) fn own_names(&mut self, id: u32) {
        let Some(family) = self.families.get(&id) else { return };
        for name in owned_names(family.metric_type, &family.base, family.suffixed) {
            self.owners.insert(name.into(), id);
        }
    }

    /// The family ends: its series, departed totals and names are free. Contributions that still
    /// point at its series count nowhere.
    pub(crate) fn remove_family(&mut self, id: u32) {
        let Some(family) = self.families.remove(&id) else { return };
        self.version += 1;
        self.windowing.forget(&family);
        for name in owned_names(family.metric_type, &family.base, family.suffixed) {
            if self.owner(&name) == Some(id) {
                self.owners.remove(&*name);
            }
        }
        for series in in_order(family.series.iter()) {
            self.unmerge(series);
            self.series[series as usize].family = NO_FAMILY;
            self.folded_natives.remove(&series);
            if self.folded.remove(&series).is_some() {
                self.unref(series);
            } else {
                self.free_if_unused(series);
            }
        }
    }

    pub(crate) fn family_of(&self, series: u32) -> Option<(u32, &Family)> {
        let id = self.series.get(series as usize)?.family;
        self.families.get(&id).map(|family| (id, family))
    }

    // ---- series

    /// Label sets that are printed equal where names are plain have one hash.
    pub(crate) fn hash(&self, canonical: &[u8]) -> u32 {
        let hash = self.seed.hash_one(&*LabelSet::plain_canonical(canonical));
        u32::try_from((hash >> 32) ^ (hash & u64::from(u32::MAX))).unwrap_or_default()
    }

    pub(crate) fn is_of(&self, series: u32, family: u32) -> bool {
        self.series.get(series as usize).is_some_and(|s| s.family == family)
    }

    /// Whether `series` is the family's with these labels, `hash` being theirs.
    pub(crate) fn is_series(&self, series: u32, family: u32, hash: u32, canonical: &[u8]) -> bool {
        self.series.get(series as usize).is_some_and(|s| {
            s.hash == hash && s.family == family && s.labels.as_bytes() == canonical
        })
    }

    /// Which series of the family has these labels, `hash` being theirs.
    pub(crate) fn look_up(&self, family: u32, hash: u32, canonical: &[u8]) -> Found {
        let Some(family) = self.families.get(&family) else { return Found::Nothing };
        let mut found = Found::Nothing;
        for id in family.series.iter_hash(spread(hash)) {
            let series = &self.series[*id as usize];
            let other = series.labels.as_bytes();
            if series.hash != hash {
                continue;
            }
            if other == canonical {
                return Found::Series(*id);
            }
            if LabelSet::plain_canonical(other) == LabelSet::plain_canonical(canonical) {
                found = Found::Lookalike;
            }
        }
        found
    }

    pub(crate) fn find_series(&self, family: u32, canonical: &[u8]) -> Option<u32> {
        match self.look_up(family, self.hash(canonical), canonical) {
            Found::Series(id) => Some(id),
            Found::Lookalike | Found::Nothing => None,
        }
    }

    /// The series, which is new when it has no contribution yet; `None` when it would be printed
    /// like another one. It holds no reference: add one.
    pub(crate) fn intern_series(
        &mut self,
        family: u32,
        hash: u32,
        canonical: &[u8],
        settings: &Settings,
    ) -> Option<u32> {
        match self.look_up(family, hash, canonical) {
            Found::Series(known) => return Some(known),
            Found::Lookalike => return None,
            Found::Nothing => {}
        }
        let labels = LabelSet::from_canonical(canonical);
        let job = self.jobs.enter(labels.get("job").unwrap_or(""), settings);
        self.label_bytes += labels.as_bytes().len() as u64;
        let entry = Series { family, labels, hash, refs: 0, job, grouped: false, written: 0 };
        let id = match self.free_series.pop() {
            Some(id) => {
                self.series[id as usize] = entry;
                id
            }
            None => {
                self.series.push(entry);
                self.merged_of.push(NOT_MERGED);
                u32::try_from(self.series.len() - 1).unwrap_or(NOT_MERGED)
            }
        };
        let series = &self.series;
        if let Some(family) = self.families.get_mut(&family) {
            family.series.insert_unique(spread(hash), id, |s| spread(series[*s as usize].hash));
        }
        self.merge(id, settings);
        Some(id)
    }

    /// Somebody has `positions` more of the series.
    pub(crate) fn count(&mut self, series: u32, positions: u64) {
        self.contributions += positions;
        self.jobs.add_series(self.series[series as usize].job, positions);
    }

    pub(crate) fn count_off(&mut self, series: u32) {
        self.contributions -= 1;
        self.jobs.remove_series(self.series[series as usize].job);
    }

    pub(crate) fn add_ref(&mut self, series: u32, role: WriterRole) {
        let entry = &mut self.series[series as usize];
        entry.refs += 1;
        entry.grouped |= role == WriterRole::Group;
        if role == WriterRole::Identified
            && let Some(merged) = self.merged_mut(series)
        {
            merged.identified += 1;
        }
    }

    pub(crate) fn drop_ref(&mut self, series: u32, role: WriterRole) {
        if role == WriterRole::Group {
            self.series[series as usize].grouped = false;
        }
        if role == WriterRole::Identified
            && let Some(merged) = self.merged_mut(series)
        {
            merged.identified = merged.identified.saturating_sub(1);
        }
        self.unref(series);
    }

    fn unref(&mut self, series: u32) {
        let entry = &mut self.series[series as usize];
        entry.refs = entry.refs.saturating_sub(1);
        self.free_if_unused(series);
    }

    pub(crate) fn free_if_unused(&mut self, series: u32) {
        let entry = &mut self.series[series as usize];
        if entry.refs > 0 {
            return;
        }
        let (family, hash) = (entry.family, entry.hash);
        self.label_bytes -= entry.labels.as_bytes().len() as u64;
        entry.labels = LabelSet::empty();
        self.jobs.leave(std::mem::replace(&mut entry.job, NO_JOB));
        self.common_bounds.remove(&series);
        if let Some(family) = self.families.get_mut(&family)
            && let Ok(found) = family.series.find_entry(spread(hash), |s| *s == series)
        {
            found.remove();
        }
        self.unmerge(series);
        self.series[series as usize].family = NO_FAMILY;
        self.free_series.push(series);
    }

    /// Adds to the series' departed total.
    pub(crate) fn fold(&mut self, series: u32, share: Folded, now: Tick) {
        if self.series[series as usize].family == NO_FAMILY {
            return;
        }
        self.mark_written(series, tenths(now));
        match self.folded.get_mut(&series) {
            Some(total) => total.add(&share),
            None => {
                self.folded.insert(series, share);
                self.add_ref(series, WriterRole::Identified);
            }
        }
    }

    /// Adds to the native part of the series' departed total, which `had` a part before.
    pub(crate) fn fold_native(&mut self, series: u32, had: bool, share: Option<NativeHistogram>) {
        match (share, self.folded_natives.get_mut(&series)) {
            (Some(share), Some(total)) => share.merge_into(total),
            (Some(share), None) if !had => {
                self.folded_natives.insert(series, share);
            }
            (Some(_) | None, _) => {
                self.folded_natives.remove(&series);
            }
        }
    }

    /// Notes a write for the retain pass.
    pub(crate) fn mark_written(&mut self, series: u32, written: u32) {
        if let Some(entry) = self.series.get_mut(series as usize) {
            entry.written = entry.written.max(written);
        }
    }

    pub(crate) fn remove_folded(&mut self, series: u32) {
        self.folded_natives.remove(&series);
        if self.folded.remove(&series).is_some() {
            self.drop_ref(series, WriterRole::Identified);
        }
    }

    // ---- merged series

    pub(crate) fn merged_id(&self, series: u32) -> Option<u32> {
        self.merged_of.get(series as usize).copied().filter(|m| *m != NOT_MERGED)
    }

    /// The family's merged series in label order.
    pub(crate) fn merged_in_order(&self, family: &Family) -> Vec<u32> {
        let mut merged: Vec<u32> =
            family.series.iter().filter_map(|series| self.merged_id(*series)).collect();
        // With labels dropped several series are one.
        merged.sort_unstable();
        merged.dedup();
        let mut keys = Vec::new();
        let mut order: Vec<(usize, usize, u32)> = Vec::with_capacity(merged.len());
        for at in merged {
            let start = keys.len();
            self.merged[at as usize].labels.write_order_key(&mut keys);
            order.push((start, keys.len(), at));
        }
        order.sort_unstable_by(|a, b| keys[a.0..a.1].cmp(&keys[b.0..b.1]));
        order.into_iter().map(|(_, _, at)| at).collect()
    }

    pub(crate) fn merged_mut(&mut self, series: u32) -> Option<&mut Merged> {
        let id = self.merged_id(series)?;
        self.merged.get_mut(id as usize)
    }

    /// Another series counts into the same merged series, or a departed total is there: an
    /// anonymous value is in company.
    pub(crate) fn has_company(&self, series: u32) -> bool {
        self.merged_id(series).is_some_and(|m| self.merged[m as usize].identified > 0)
    }

    /// Nobody contributes to the merged series but one writer to this one.
    pub(crate) fn has_one_contribution(&self, series: u32) -> bool {
        self.series.get(series as usize).is_some_and(|entry| entry.refs == 1)
            && self.merged_id(series).is_some_and(|m| self.merged[m as usize].series == 1)
    }

    /// Finds or makes the merged series that `series` counts into.
    pub(crate) fn merge(&mut self, series: u32, settings: &Settings) {
        let family_id = self.series[series as usize].family;
        let Some(family) = self.families.get(&family_id) else { return };
        let labels = &self.series[series as usize].labels;
        let Some(labels) = family.merged_labels(labels, settings) else {
            self.merged_of[series as usize] = NOT_MERGED;
            return;
        };
        let merged = match family.find_merged(&self.seed, &self.merged, &labels) {
            Some(id) => id,
            None => self.add_merged(family_id, labels),
        };
        self.merged[merged as usize].series += 1;
        self.merged_of[series as usize] = merged;
    }

    fn add_merged(&mut self, family: u32, labels: LabelSet) -> u32 {
        let hash = self.seed.hash_one(labels.as_bytes());
        let entry = Merged {
            family,
            labels,
            series: 0,
            identified: 0,
            bounds: None,
            mixed_bounds: false,
            created: ABSENT,
        };
        let id = match self.free_merged.pop() {
            Some(id) => {
                self.merged[id as usize] = entry;
                id
            }
            None => {
                self.merged.push(entry);
                u32::try_from(self.merged.len() - 1).unwrap_or(NOT_MERGED)
            }
        };
        let (seed, merged) = (&self.seed, &self.merged);
        if let Some(family) = self.families.get_mut(&family)
            && let Some(table) = &mut family.merged_by_labels
        {
            table.insert_unique(hash, id, |m: &u32| {
                seed.hash_one(merged[*m as usize].labels.as_bytes())
            });
        }
        self.touch(family);
        id
    }

    fn unmerge(&mut self, series: u32) {
        let Some(id) = self.merged_id(series) else { return };
        self.merged_of[series as usize] = NOT_MERGED;
        let merged = &mut self.merged[id as usize];
        merged.series = merged.series.saturating_sub(1);
        if merged.series > 0 {
            return;
        }
        let family = merged.family;
        let hash = self.seed.hash_one(merged.labels.as_bytes());
        if let Some(family) = self.families.get_mut(&family)
            && let Some(table) = &mut family.merged_by_labels
            && let Ok(found) = table.find_entry(hash, |m| *m == id)
        {
            found.remove();
        }
        let merged = &mut self.merged[id as usize];
        merged.family = NO_FAMILY;
        merged.labels = LabelSet::empty();
        merged.bounds = None;
        merged.mixed_bounds = false;
        merged.identified = 0;
        merged.created = ABSENT;
        self.free_merged.push(id);
        self.touch(family);
    }

    /// The series' merged one began to count then.
    pub(crate) fn date(&mut self, series: u32, created: f64) {
        if let Some(merged) = self.merged_mut(series)
            && merged.identified == 1
            && is_absent(merged.created)
        {
            merged.created = created;
            let family = merged.family;
            self.touch(family);
        }
    }

    /// The merged series starts at zero: when it begins to count is not known.
    pub(crate) fn undate(&mut self, merged: u32) {
        if let Some(entry) = self.merged.get_mut(merged as usize)
            && !is_absent(entry.created)
        {
            entry.created = ABSENT;
            let family = entry.family;
            self.touch(family);
        }
    }

    /// Applies new rules: families that change type end, all others merge anew.
    pub(crate) fn apply_rules(&mut self, settings: &Settings) {
        self.jobs.apply_settings(settings);
        self.merged.clear();
        self.free_merged.clear();
        self.merged_of.fill(NOT_MERGED);
        for family in self.families.values_mut() {
            family.rules = FamilyRules::of(settings, family.metric_type, &family.base);
            family.merged_by_labels = None;
        }
        for id in in_order(self.families.keys()) {
            self.touch(id);
            let Some(family) = self.families.get_mut(&id) else { continue };
            if family.drops_labels(settings) {
                family.merged_by_labels = Some(HashTable::new());
            }
            for series in in_order(family.series.iter()) {
                self.merge(series, settings);
            }
        }
        for series in in_order(self.folded.keys()) {
            let bounds = self.folded.get(&series).and_then(Folded::bounds);
            if let Some(merged) = self.merged_mut(series) {
                merged.identified += 1;
            }
            if let Some(bounds) = bounds {
                self.join_bounds(series, &bounds);
            }
        }
    }
}

/// What is done to each of them must not depend on the order of a table.
pub(crate) fn in_order<'n>(numbers: impl Iterator<Item = &'n u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.copied().collect();
    numbers.sort_unstable();
    numbers
}

/// A table takes its buckets from the low bits and its tags from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Folded {
    pub(crate) fn bounds(&self) -> Option<Arc<[Bound]>> {
        match self {
            Folded::Scalar(_) => None,
            Folded::Composite { bounds, .. } => Some(Arc::clone(bounds)),
        }
    }

    fn add(&mut self, other: &Folded) {
        match (&mut *self, other) {
            (Folded::Scalar(total), Folded::Scalar(more)) => total.add_total(*more),
            (Folded::Composite { bounds, parts }, Folded::Composite { bounds: b, parts: p }) => {
                if !same_bounds(bounds, b) {
                    let joined = union(bounds, b);
                    *parts = placed(bounds, parts, &joined);
                    *bounds = joined;
                }
                for (part, more) in parts.iter_mut().zip(placed(b, p, bounds)) {
                    part.join_total(more);
                }
            }
            (Folded::Scalar(_), Folded::Composite { .. })
            | (Folded::Composite { .. }, Folded::Scalar(_)) => {}
        }
    }
}
