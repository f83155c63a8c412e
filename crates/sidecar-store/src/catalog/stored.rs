//! The catalog as bytes: what cannot be found again from anything else. Tables, references, holders
//! and sizes are counted anew while writers come in, so that they fit whatever was read.

use super::{Catalog, Folded, ForgottenId, Merged, NO_FAMILY, NOT_MERGED, Series, spread};
use crate::draft::scalar_kind;
use crate::family::{Family, FamilyRules, owned_names};
use crate::instance::{Body, Kind, State, WriterRole};
use crate::jobs::NO_JOB;
use crate::maps::Seed;
use crate::settings::Settings;
use crate::stored::{Corrupt, Reader, Stored, Writer, stored};
use hashbrown::HashTable;
use sidecar_model::{Bound, LabelSet, MetricType, is_absent};
use std::collections::BTreeMap;
use std::sync::Arc;

/// No counter of the catalog gets near to it.
const LARGEST_ID: u32 = 1 << 30;

/// A series' family, as written.
const FREE: u64 = 0;
const ORPHAN: u64 = 1;
const FIRST_FAMILY: u64 = 2;

stored!(ForgottenId { since, sequence, ended });

impl Stored for Folded {
    fn put(&self, out: &mut Writer<'_>) {
        match self {
            Folded::Scalar(total) => {
                out.byte(0);
                total.put(out);
            }
            Folded::Composite { bounds, parts } => {
                out.byte(1);
                bounds.put(out);
                parts.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Folded, Corrupt> {
        match from.byte()? {
            0 => Stored::take(from).map(Folded::Scalar),
            1 => {
                let bounds: Arc<[Bound]> = Stored::take(from)?;
                let parts: Vec<_> = Stored::take(from)?;
                if parts.len() == bounds.len() + 2 {
                    Ok(Folded::Composite { bounds, parts })
                } else {
                    Err(Corrupt("a departed total that is not whole"))
                }
            }
            _ => Err(Corrupt("a departed total")),
        }
    }
}

/// What a merged series has that its contributions do not tell.
struct MergedFacts {
    /// One that counts into it.
    series: u32,
    bounds: Option<Arc<[Bound]>>,
    mixed_bounds: bool,
    created: f64,
}

stored!(MergedFacts { series, bounds, mixed_bounds, created });

impl Catalog {
    pub(crate) fn put(&self, out: &mut Writer<'_>) {
        let Catalog {
            families,
            next_family,
            series,
            free_series,
            folded,
            folded_natives,
            common_bounds,
            forgotten,
            next_wish,
            free_slots,
            next_slot,
            // Of this process.
            seed: _,
            version: _,
            // Found again.
            owners: _,
            merged_of: _,
            merged: _,
            free_merged: _,
            jobs: _,
            label_bytes: _,
            contributions: _,
            live_instances: _,
            groups: _,
            departed_instances: _,
            // Behind the writers.
            windowing: _,
        } = self;
        next_family.put(out);
        next_wish.put(out);
        next_slot.put(out);
        out.length(free_slots.len());
        free_slots.iter().for_each(|slot| slot.put(out));
        let mut ids: Vec<u32> = families.keys().copied().collect();
        ids.sort_unstable();
        out.length(ids.len());
        for id in ids {
            id.put(out);
            if let Some(family) = families.get(&id) {
                put_family(family, out);
            }
            out.spill();
        }
        let mut free = vec![false; series.len()];
        free_series.iter().for_each(|id| free[*id as usize] = true);
        out.length(series.len());
        for (series, free) in series.iter().zip(free) {
            put_series(series, free, out);
            out.spill();
        }
        free_series.put(out);
        self.merged_facts().put(out);
        out.sorted(folded.iter());
        out.sorted(folded_natives.iter());
        out.sorted(common_bounds.iter());
        out.sorted(forgotten.iter());
    }

    /// In the order of the first series of each.
    fn merged_facts(&self) -> Vec<MergedFacts> {
        let mut seen = vec![false; self.merged.len()];
        let mut facts = Vec::new();
        for (series, merged) in (0_u32..).zip(&self.merged_of) {
            let Some(seen) = seen.get_mut(*merged as usize).filter(|seen| !**seen) else {
                continue;
            };
            *seen = true;
            let Merged {
                bounds,
                mixed_bounds,
                created,
                family: _,
                labels: _,
                series: _,
                identified: _,
            } = &self.merged[*merged as usize];
            if bounds.is_some() || !is_absent(*created) {
                facts.push(MergedFacts {
                    series,
                    bounds: bounds.clone(),
                    mixed_bounds: *mixed_bounds,
                    created: *created,
                });
            }
        }
        facts
    }

    /// The catalog without its writers: each is to be counted in.
    pub(crate) fn take(
        from: &mut Reader<'_>,
        seed: Seed,
        settings: &Settings,
    ) -> Result<Catalog, Corrupt> {
        let mut catalog = Catalog::new(seed);
        catalog.next_family = u32::take(from)?;
        catalog.next_wish = u64::take(from)?;
        catalog.next_slot = u32::take(from)?;
        catalog.free_slots = <Vec<u32>>::take(from)?.into_iter().collect();
        if catalog.next_family > LARGEST_ID || catalog.next_wish > u64::MAX / 2 {
            return Err(Corrupt("more families than there can be"));
        }
        for _ in 0..from.count(1)? {
            let id = u32::take(from)?;
            if id >= catalog.next_family || catalog.families.contains_key(&id) {
                return Err(Corrupt("a family's number"));
            }
            let family = take_family(from, settings)?;
            for name in owned_names(family.metric_type, &family.base, family.suffixed) {
                catalog.owners.insert(name.into(), id);
            }
            catalog.families.insert(id, family);
            catalog.touch(id);
        }
        catalog.take_series(from, settings)?;
        catalog.take_merged_facts(from)?;
        catalog.take_folded(from)?;
        catalog.forgotten.extend(from.sorted()?);
        Ok(catalog)
    }

    fn take_series(&mut self, from: &mut Reader<'_>, settings: &Settings) -> Result<(), Corrupt> {
        let count = from.count(1)?;
        self.series.reserve_exact(count);
        self.merged_of.resize(count, NOT_MERGED);
        let mut free = 0;
        for _ in 0..count {
            let series = self.take_one_series(from, settings)?;
            free += usize::from(series.is_none());
            let unused = || Series {
                family: NO_FAMILY,
                labels: LabelSet::empty(),
                hash: 0,
                refs: 0,
                job: NO_JOB,
                grouped: false,
                written: 0,
            };
            self.series.push(series.unwrap_or_else(unused));
        }
        self.free_series = Stored::take(from)?;
        let mut is_free = vec![false; count];
        for id in &self.free_series {
            let unused = |series: &Series| series.family == NO_FAMILY && series.labels.is_empty();
            match (self.series.get(*id as usize), is_free.get_mut(*id as usize)) {
                (Some(series), Some(is_free)) if !*is_free && unused(series) => *is_free = true,
                _ => return Err(Corrupt("a free series' number")),
            }
        }
        if self.free_series.len() != free {
            return Err(Corrupt("how many series are free"));
        }
        for (id, is_free) in (0_u32..).zip(is_free) {
            let series = &self.series;
            let entry = &series[id as usize];
            if is_free || entry.family == NO_FAMILY {
                continue;
            }
            if let Some(family) = self.families.get_mut(&entry.family) {
                let hash = spread(entry.hash);
                family.series.insert_unique(hash, id, |s| spread(series[*s as usize].hash));
            }
            self.merge(id, settings);
        }
        Ok(())
    }

    /// `None`: the number is free.
    fn take_one_series(
        &mut self,
        from: &mut Reader<'_>,
        settings: &Settings,
    ) -> Result<Option<Series>, Corrupt> {
        let family = match from.number()? {
            FREE => return Ok(None),
            ORPHAN => NO_FAMILY,
            family => u32::try_from(family - FIRST_FAMILY).unwrap_or(NO_FAMILY - 1),
        };
        if family != NO_FAMILY && !self.families.contains_key(&family) {
            return Err(Corrupt("a series of no family"));
        }
        let labels: LabelSet = Stored::take(from)?;
        let hash = self.hash(labels.as_bytes());
        let (grouped, written) = (bool::take(from)?, u32::take(from)?);
        let job = self.jobs.enter(labels.get("job").unwrap_or(""), settings);
        self.label_bytes += labels.as_bytes().len() as u64;
        Ok(Some(Series { family, labels, hash, refs: 0, job, grouped, written }))
    }

    fn take_merged_facts(&mut self, from: &mut Reader<'_>) -> Result<(), Corrupt> {
        let facts: Vec<MergedFacts> = Stored::take(from)?;
        for MergedFacts { series, bounds, mixed_bounds, created } in facts {
            let is_composite =
                self.family_of(series).is_some_and(|(_, f)| f.metric_type.is_composite());
            let Some(merged) = self.merged_mut(series) else {
                return Err(Corrupt("something of a merged series that is not there"));
            };
            if bounds.is_some() && !is_composite {
                return Err(Corrupt("bounds of a series that has none"));
            }
            merged.bounds = bounds;
            merged.mixed_bounds = mixed_bounds;
            merged.created = created;
        }
        Ok(())
    }

    fn take_folded(&mut self, from: &mut Reader<'_>) -> Result<(), Corrupt> {
        for (series, folded) in from.sorted::<u32, Folded>()? {
            let family = self.family_of(series).map(|(_, family)| family.metric_type);
            let is_composite = matches!(folded, Folded::Composite { .. });
            if family.is_none_or(|metric_type| metric_type.is_composite() != is_composite) {
                return Err(Corrupt("a departed total of another kind than its series"));
            }
            if let Some(bounds) = folded.bounds() {
                self.join_bounds(series, &bounds);
            }
            self.folded.insert(series, folded);
            self.add_ref(series, WriterRole::Identified);
        }
        self.folded_natives.extend(from.sorted()?);
        self.common_bounds = from.sorted()?.into_iter().collect();
        if self.folded_natives.keys().all(|series| self.folded.contains_key(series)) {
            Ok(())
        } else {
            Err(Corrupt("a native histogram beside nothing"))
        }
    }

    /// Counts a writer in that was read; it must fit what is here.
    pub(crate) fn count_in(
        &mut self,
        role: WriterRole,
        body: &mut Body,
        settings: &Settings,
    ) -> Result<(), Corrupt> {
        for target in &body.targets {
            let kind = target.kind();
            if matches!(kind, Kind::Gauge | Kind::Cumulative) {
                let fits = |held: MetricType| !held.is_composite() && scalar_kind(held) == kind;
                self.count_contribution(target.index(), role, fits)?;
            }
        }
        for group in &body.groups {
            self.count_contribution(group.series, role, |held| held == group.metric_type)?;
            if self.merged_id(group.series).is_some() {
                self.join_bounds(group.series, &group.bounds);
            }
        }
        for target in &body.targets {
            self.count(body.series_of(*target), 1);
        }
        match (body.state, role) {
            (State::Departed { .. }, WriterRole::Identified) => self.departed_instances += 1,
            (State::Live, WriterRole::Identified | WriterRole::Anonymous) => {
                self.live_instances += 1;
            }
            (State::Live, WriterRole::Group) => self.groups += 1,
            (State::Live, WriterRole::Accumulator) => {}
            (State::New, _) if body.positions() == 0 => {}
            (State::Departed { .. } | State::New | State::Gone, _) => {
                return Err(Corrupt("a writer that cannot be so"));
            }
        }
        if body.slot.is_some_and(|slot| slot >= self.next_slot || self.free_slots.contains(&slot)) {
            return Err(Corrupt("a slot that is free"));
        }
        if let Some(place) = body.job.take() {
            body.job = Some(self.jobs.arrive(&place.name, settings));
        }
        if body.state == State::Live {
            self.count_held(body);
        }
        Ok(())
    }

    fn count_contribution(
        &mut self,
        series: u32,
        role: WriterRole,
        fits: impl Fn(MetricType) -> bool,
    ) -> Result<(), Corrupt> {
        let Some(entry) = self.series.get(series as usize) else {
            return Err(Corrupt("a contribution to no series"));
        };
        match self.families.get(&entry.family) {
            Some(family) if fits(family.metric_type) => {}
            Some(_) => return Err(Corrupt("a contribution of another type than its series")),
            None => {}
        }
        let grouped = entry.grouped;
        self.add_ref(series, role);
        self.series[series as usize].grouped = grouped;
        Ok(())
    }

    fn count_held(&mut self, body: &Body) {
        for held in &body.held {
            let Some(family) = self.families.get_mut(&held.family) else { continue };
            family.holders += 1;
            if let Some((number, function)) = held.wish {
                family.wishes.insert(number, function);
            }
        }
    }

    /// After all writers: what nobody has is free, and free is what nobody has.
    pub(crate) fn check_free(&self) -> Result<(), Corrupt> {
        if self.free_series.iter().all(|id| self.series[*id as usize].refs == 0) {
            Ok(())
        } else {
            Err(Corrupt("a contribution to a series that is free"))
        }
    }
}

fn put_family(family: &Family, out: &mut Writer<'_>) {
    let Family {
        base,
        metric_type,
        suffixed,
        typed_by_rule,
        help,
        unit,
        unheld_since,
        // Found again.
        holders: _,
        wishes: _,
        rules: _,
        // With what is to be known of all windows.
        recording: _,
        series: _,
        merged_by_labels: _,
        version: _,
    } = family;
    base.put(out);
    metric_type.put(out);
    suffixed.put(out);
    typed_by_rule.put(out);
    help.put(out);
    unit.put(out);
    unheld_since.put(out);
}

fn take_family(from: &mut Reader<'_>, settings: &Settings) -> Result<Family, Corrupt> {
    let base: Arc<str> = Stored::take(from)?;
    let metric_type = Stored::take(from)?;
    let mut family = Family {
        rules: FamilyRules::of(settings, metric_type, &base),
        base,
        metric_type,
        suffixed: Stored::take(from)?,
        typed_by_rule: Stored::take(from)?,
        help: Stored::take(from)?,
        unit: Stored::take(from)?,
        unheld_since: Stored::take(from)?,
        holders: 0,
        wishes: BTreeMap::new(),
        recording: None,
        series: HashTable::new(),
        merged_by_labels: None,
        version: 0,
    };
    family.merged_by_labels = family.drops_labels(settings).then(HashTable::new);
    Ok(family)
}

fn put_series(series: &Series, free: bool, out: &mut Writer<'_>) {
    let Series { family, labels, grouped, written, job: _, hash: _, refs: _ } = series;
    match *family {
        _ if free => {
            out.number(FREE);
            return;
        }
        NO_FAMILY => out.number(ORPHAN),
        family => out.number(u64::from(family) + FIRST_FAMILY),
    }
    labels.put(out);
    grouped.put(out);
    written.put(out);
}
