//! The scrape's side: every contribution exactly once into its merged series, then the results in
//! exposition order. Holds the catalog for reading, so that instances neither leave nor come back
//! meanwhile, and each instance only while its columns are run over.

use crate::aggregate::{Accumulator, Code, of_list};
use crate::bounds::{place_up, same_bounds};
use crate::catalog::{Catalog, Folded, NOT_MERGED};
use crate::exemplars::{self, Newest};
use crate::family::Family;
use crate::group::{Group, GroupState};
use crate::instance::{Body, Instance, Kind, State, WriterRole, tenths};
use crate::layout::{Cached, Layouts};
use crate::maps::Map;
use crate::natives::NativeSum;
use crate::settings::Settings;
use crate::store::Store;
use sidecar_model::{
    ABSENT, Aggregation, Bound, Exposition, Extras, FamilyExposition, MetricType, NativeHistogram,
    Tick, Total, is_absent,
};
use std::sync::Arc;

/// Buffers and layouts that are kept between collects.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    layouts: Layouts,
    /// By merged series: counters that are summed with departed totals. Apart, and half as wide as
    /// the others, since nearly all series are such.
    sums: Vec<Total>,
    /// By merged series, when there are others.
    scalars: Vec<Accumulator>,
    parts: Vec<Total>,
    composites: Vec<CompositeCount>,
    /// Values of functions that need them all: merged series, value.
    listed: Vec<(u32, f64)>,
    by_slot: Vec<SlotValue>,
    exemplars: Newest,
    /// By merged series.
    natives: Map<u32, NativeSum>,
    /// Of writers that are shown as they come: by merged series when it began to count.
    created: Map<u32, f64>,
    /// Of this collect, in tenths of a second.
    now: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct CompositeCount {
    contributors: u32,
    /// Contributors that are earlier lives with other bounds: their native part is in a later one's.
    frozen: u32,
    live: u32,
    sums: u32,
    counts: u32,
}

#[derive(Clone, Copy, Debug)]
struct SlotValue {
    merged: u32,
    slot: u32,
    changed: u64,
    value: f64,
}

/// How an instance stands while it is run over.
struct Standing {
    live: bool,
    /// It was heard since the daemon started: its gauges are a live process's.
    is_heard: bool,
    role: WriterRole,
    arrival: u64,
    slot: u32,
}

impl Standing {
    /// `departed: drop` shows the plain sum of live values; deltas are kept in bases alone.
    fn counts_bases(&self, code: Code) -> bool {
        code.keeps_departed() || self.role == WriterRole::Accumulator
    }
}

impl Store {
    /// One view of everything. Consistent for each instance: never half of one push.
    pub fn collect(&self, now: Tick) -> Exposition {
        let mut collector = self.collector.lock();
        let catalog = self.catalog.read();
        let settings = self.settings();
        collector.layouts.refresh(&catalog);
        collector.reset(&catalog);
        collector.now = tenths(now);
        self.for_each_instance(|instance| collector.scan(&catalog, instance));
        collector.scan(&catalog, &self.accumulator);
        collector.add_folded(&catalog);
        collector.emit(&catalog, &settings, now)
    }
}

/// Whether the family is shown at all: somebody live holds it, or has until lately.
pub(crate) fn is_exposed(family: &Family, settings: &Settings, now: Tick) -> bool {
    family.holders > 0 || now.since(family.unheld_since) < settings.resume_window
}

impl Collector {
    fn reset(&mut self, catalog: &Catalog) {
        self.sums.clear();
        self.sums.resize(catalog.merged.len(), Total::ABSENT);
        self.scalars.clear();
        if self.layouts.has_accumulators {
            self.scalars.resize(catalog.merged.len(), Accumulator::default());
        }
        self.parts.clear();
        self.parts.resize(self.layouts.n_parts, Total::ZERO);
        self.composites.clear();
        if self.layouts.n_parts > 0 {
            self.composites.resize(catalog.merged.len(), CompositeCount::default());
        }
        self.listed.clear();
        self.by_slot.clear();
        self.exemplars.clear();
        self.created.clear();
        self.natives.clear();
    }

    fn scan(&mut self, catalog: &Catalog, instance: &Instance) {
        let body = instance.body.lock();
        let live = match body.state {
            State::Live => true,
            State::Departed { .. } => false,
            State::New | State::Gone => return,
        };
        let standing = Standing {
            live,
            is_heard: !body.unheard,
            role: instance.role,
            arrival: body.arrival,
            slot: body.slot.unwrap_or(u32::MAX),
        };
        self.scan_scalars(catalog, &body, &standing);
        body.offer_exemplars(catalog, &mut self.exemplars);
        if standing.role.shows_as_it_comes() {
            self.scan_created(catalog, &body);
        }
        for group in &body.groups {
            self.add_group(catalog, &body, group, &standing);
        }
    }

    fn scan_scalars(&mut self, catalog: &Catalog, body: &Body, standing: &Standing) {
        for (at, (target, value)) in body.targets.iter().zip(&body.values).enumerate() {
            let kind = target.kind();
            let counted = match kind {
                Kind::Cumulative => true,
                Kind::Gauge => standing.live && standing.is_heard,
                Kind::Part | Kind::Created => false,
            };
            if !counted || is_absent(*value) {
                continue;
            }
            let merged = catalog.merged_of[target.index() as usize];
            if merged == NOT_MERGED {
                continue;
            }
            let code = self.layouts.codes[merged as usize];
            if !standing.live && !code.keeps_departed() {
                continue;
            }
            if code == Code::Sum && standing.role == WriterRole::Identified {
                self.sums[merged as usize].join(*value);
                continue;
            }
            if code == Code::Window {
                self.observe(catalog, body, at, merged);
                continue;
            }
            let value = match standing.role {
                WriterRole::Anonymous | WriterRole::Group if code.is_sum() => {
                    held_value(catalog, body, at, merged)
                }
                // What was added up is in the bases, which sums take in below.
                WriterRole::Accumulator if !code.is_sum() => body.share(at).value(),
                WriterRole::Identified
                | WriterRole::Anonymous
                | WriterRole::Group
                | WriterRole::Accumulator => *value,
            };
            if code == Code::Sum {
                self.sums[merged as usize].join(value);
                continue;
            }
            match code {
                Code::List => self.listed.push((merged, value)),
                Code::All => {
                    let changed = body.changed[at];
                    self.by_slot.push(SlotValue { merged, slot: standing.slot, changed, value });
                }
                Code::Hidden
                | Code::Sum
                | Code::SumOfLive
                | Code::Mean
                | Code::Min
                | Code::Max
                | Code::Count
                | Code::First
                | Code::Last
                | Code::Window
                | Code::Composite
                | Code::CompositeOfLive => {
                    let accumulator = &mut self.scalars[merged as usize];
                    accumulator.take(code, value, body.changed[at], standing.arrival);
                }
            }
        }
        self.scan_bases(catalog, body, standing);
    }

    /// What the position was pushed lately, under the window that its family has now.
    fn observe(&mut self, catalog: &Catalog, body: &Body, at: usize, merged: u32) {
        let family = catalog.families.get(&catalog.merged[merged as usize].family);
        let recording = family.and_then(|family| family.recording);
        if let Some(ring) = recording.and_then(|of| body.windows.ring(at, of)) {
            ring.add_to(&mut self.scalars[merged as usize], self.now);
        }
    }

    fn scan_created(&mut self, catalog: &Catalog, body: &Body) {
        for (at, target) in body.targets.iter().enumerate() {
            let Some(series) = body.dated_by(*target) else { continue };
            if let Some(merged) = catalog.merged_id(series)
                && catalog.merged[merged as usize].identified == 0
            {
                self.created.insert(merged, body.values[at]);
            }
        }
    }

    fn scan_bases(&mut self, catalog: &Catalog, body: &Body, standing: &Standing) {
        for (position, base) in &body.bases {
            let target = body.targets[*position as usize];
            if target.kind() != Kind::Cumulative {
                continue;
            }
            let merged = catalog.merged_of[target.index() as usize];
            if merged == NOT_MERGED {
                continue;
            }
            let code = self.layouts.codes[merged as usize];
            if code == Code::Sum {
                self.sums[merged as usize].join_total(*base);
            } else if code.is_sum() && standing.counts_bases(code) {
                self.scalars[merged as usize].add_base(*base);
            }
        }
    }

    fn add_group(&mut self, catalog: &Catalog, body: &Body, group: &Group, standing: &Standing) {
        if group.state == GroupState::Dead {
            return;
        }
        let Some(merged) = catalog.merged_id(group.series) else { return };
        let code = self.layouts.codes[merged as usize];
        let is_cumulative = group.metric_type.is_cumulative();
        let counts = match standing.live {
            true => standing.is_heard || is_cumulative,
            false => code.keeps_departed() && is_cumulative,
        };
        let at = self.layouts.parts_at.get(merged as usize).copied().unwrap_or(u32::MAX);
        let Some(union) = &catalog.merged[merged as usize].bounds else { return };
        if !counts || at == u32::MAX || body.values[group.range()].iter().all(|v| is_absent(*v)) {
            return;
        }
        let in_company = standing.role.shows_as_it_comes()
            && !body.peaks.is_empty()
            && group.metric_type.is_cumulative()
            && catalog.merged[merged as usize].identified > 0;
        let values = if in_company { &body.peaks } else { &body.values };
        let is_summary = group.metric_type == MetricType::Summary;
        let same = same_bounds(&group.bounds, union);
        if is_summary {
            self.begin_quantiles(merged, union.len());
        }
        for (part, position) in group.range().enumerate() {
            let place = if same { part } else { place_up(&group.bounds, part, union) };
            let total = &mut self.parts[at as usize + place];
            if is_summary && part < group.sum_at() {
                if standing.live && standing.is_heard && group.state == GroupState::Live {
                    *total = Total::from_value(body.values[position]);
                }
                continue;
            }
            let value = values.get(position).copied().unwrap_or(ABSENT);
            if !is_absent(value) {
                total.add(value);
            }
            if !body.bases.is_empty()
                && standing.counts_bases(code)
                && let Some(base) = u32::try_from(position).ok().and_then(|p| body.bases.get(&p))
            {
                total.add_total(*base);
            }
        }
        let range = group.range();
        let present = |part: usize| u32::from(!is_absent(values[range.start + part]));
        if let Some(native) = body.natives.get(&group.series)
            && group.state == GroupState::Live
            && let Some(share) = native.share(standing.counts_bases(code))
        {
            self.add_native(merged, &share);
        }
        let counted = &mut self.composites[merged as usize];
        counted.contributors += 1;
        counted.frozen += u32::from(group.state == GroupState::Frozen);
        counted.live += u32::from(standing.live && group.state == GroupState::Live);
        counted.sums += present(group.sum_at());
        counted.counts += present(group.count_at());
    }

    fn add_native(&mut self, merged: u32, share: &NativeHistogram) {
        match self.natives.get_mut(&merged) {
            Some(sum) => sum.add(share),
            None => {
                self.natives.insert(merged, NativeSum::of(share.clone()));
            }
        }
    }

    /// A quantile is there when its one contributor says it.
    fn begin_quantiles(&mut self, merged: u32, n_quantiles: usize) {
        let at = self.layouts.parts_at[merged as usize] as usize;
        if self.composites[merged as usize].contributors == 0 {
            self.parts[at..at + n_quantiles].fill(Total::ABSENT);
        }
    }

    fn add_folded(&mut self, catalog: &Catalog) {
        for (series, folded) in &catalog.folded {
            let Some(merged) = catalog.merged_id(*series) else { continue };
            if !self.layouts.codes[merged as usize].keeps_departed() {
                continue;
            }
            match folded {
                Folded::Scalar(total) => self.sums[merged as usize].join_total(*total),
                Folded::Composite { bounds, parts } => {
                    self.add_folded_composite(catalog, merged, bounds, parts);
                    if let Some(native) = catalog.folded_natives.get(series) {
                        self.add_native(merged, native);
                    }
                }
            }
        }
    }

    fn add_folded_composite(
        &mut self,
        catalog: &Catalog,
        merged: u32,
        bounds: &Arc<[Bound]>,
        parts: &[Total],
    ) {
        let at = self.layouts.parts_at.get(merged as usize).copied().unwrap_or(u32::MAX);
        let Some(union) = &catalog.merged[merged as usize].bounds else { return };
        if at == u32::MAX {
            return;
        }
        for (part, share) in parts.iter().enumerate() {
            if !share.is_zero() && !share.is_absent() {
                self.parts[at as usize + place_up(bounds, part, union)].add_total(*share);
            }
        }
        let said = |part: usize| u32::from(parts.get(part).is_some_and(|p| !p.is_absent()));
        let counted = &mut self.composites[merged as usize];
        counted.contributors += 1;
        counted.sums += said(bounds.len());
        counted.counts += said(bounds.len() + 1);
    }

    // ---- results

    fn emit(&mut self, catalog: &Catalog, settings: &Settings, now: Tick) -> Exposition {
        self.listed.sort_unstable_by_key(|(merged, _)| *merged);
        self.settle_slots();
        let mut families = Vec::with_capacity(self.layouts.order.len());
        for id in self.layouts.order.clone() {
            let Some(family) = catalog.families.get(&id) else { continue };
            if !is_exposed(family, settings, now) {
                continue;
            }
            let by_slot = family.function() == Aggregation::All;
            let family = if by_slot {
                self.emit_by_slot(catalog, settings, id)
            } else {
                self.emit_merged(id)
            };
            families.extend(family);
        }
        Exposition { families }
    }

    fn emit_merged(&self, family: u32) -> Option<FamilyExposition> {
        let cached = self.layouts.get(family)?;
        if !cached.layout.metric_type.is_composite() {
            let values = self.scalars_of(cached);
            return Some(self.exposed(cached, values));
        }
        let n_values = cached.layout.points.iter().map(sidecar_model::Point::len).sum();
        let mut values = Vec::with_capacity(n_values);
        for (merged, point) in cached.merged.iter().zip(&cached.layout.points) {
            match &point.kind {
                sidecar_model::PointKind::Scalar => values.push(ABSENT),
                sidecar_model::PointKind::Histogram(bounds) => {
                    self.histogram(*merged, bounds.len(), &mut values);
                }
                sidecar_model::PointKind::Summary(bounds) => {
                    self.summary(*merged, bounds.len(), &mut values);
                }
            }
        }
        Some(self.exposed(cached, values))
    }

    /// Does not look at the points: there may be very many.
    fn scalars_of(&self, cached: &Cached) -> Vec<f64> {
        let Some(first) = cached.merged.first() else { return Vec::new() };
        // All series of a family are merged in one way.
        let code = self.layouts.codes[*first as usize];
        let merged = cached.merged.iter();
        match code {
            Code::Sum => merged.map(|at| self.sums[*at as usize].value()).collect(),
            Code::List => merged.map(|at| self.list_result(*at, cached.function)).collect(),
            Code::Window => {
                let Some(window) = cached.function.window() else { return Vec::new() };
                let result =
                    |at: &u32| self.scalars[*at as usize].result_of_window(window.function());
                merged.map(result).collect()
            }
            Code::Hidden
            | Code::SumOfLive
            | Code::Mean
            | Code::Min
            | Code::Max
            | Code::Count
            | Code::First
            | Code::Last
            | Code::All
            | Code::Composite
            | Code::CompositeOfLive => {
                merged.map(|at| self.scalars[*at as usize].result(code)).collect()
            }
        }
    }

    fn exposed(&self, cached: &Cached, values: Vec<f64>) -> FamilyExposition {
        let mut extras = Extras { created: self.created_of(cached), ..Extras::default() };
        self.natives_of(cached, &values, &mut extras.natives);
        let mut first = 0;
        let merged = if self.exemplars.is_empty() { &[] } else { cached.merged.as_slice() };
        for (merged, point) in merged.iter().zip(&cached.layout.points) {
            exemplars::of_merged(&self.exemplars, *merged, first, &mut extras.exemplars);
            first += point.len();
        }
        FamilyExposition { layout: Arc::clone(&cached.layout), values, extras }
    }

    /// Native histograms to which every contributor has added all that it counts. Their count and sum
    /// are those of the classic part, whose sum is exact.
    fn natives_of(
        &self,
        cached: &Cached,
        values: &[f64],
        natives: &mut Vec<(u32, Arc<NativeHistogram>)>,
    ) {
        if self.natives.is_empty() || !cached.layout.metric_type.is_composite() {
            return;
        }
        let mut rest = values;
        for (at, (merged, point)) in cached.merged.iter().zip(&cached.layout.points).enumerate() {
            let Some((own, behind)) = rest.split_at_checked(point.len()) else { return };
            rest = behind;
            let Some(sum) = self.natives.get(merged) else { continue };
            let counted = self.composites.get(*merged as usize).copied().unwrap_or_default();
            if sum.contributors == counted.contributors - counted.frozen
                && let [.., count, total] = own
                && let Some(native) = sum.beside(*count, *total)
                && let Ok(at) = u32::try_from(at)
            {
                natives.push((at, Arc::new(native)));
            }
        }
    }

    fn created_of(&self, cached: &Cached) -> Vec<f64> {
        let mut created = cached.created.clone();
        if self.created.is_empty() || !cached.layout.metric_type.is_cumulative() {
            return created;
        }
        for (at, merged) in cached.merged.iter().enumerate() {
            let Some(shown) = self.created.get(merged) else { continue };
            created.resize(cached.merged.len(), ABSENT);
            created[at] = *shown;
        }
        created
    }

    fn list_result(&self, merged: u32, function: Aggregation) -> f64 {
        let from = self.listed.partition_point(|(m, _)| *m < merged);
        let mut values: Vec<f64> = self
            .listed
            .iter()
            .skip(from)
            .take_while(|(m, _)| *m == merged)
            .map(|(_, value)| *value)
            .collect();
        of_list(function, &mut values)
    }

    fn parts_of(&self, merged: u32, len: usize) -> Option<(&[Total], CompositeCount)> {
        let at = *self.layouts.parts_at.get(merged as usize)? as usize;
        let counted = *self.composites.get(merged as usize)?;
        let parts = self.parts.get(at..at + len)?;
        (counted.contributors > 0).then_some((parts, counted))
    }

    fn histogram(&self, merged: u32, n_bounds: usize, values: &mut Vec<f64>) {
        let Some((parts, counted)) = self.parts_of(merged, n_bounds + 2) else {
            values.resize(values.len() + n_bounds + 1, ABSENT);
            return;
        };
        let mut below = Total::ZERO;
        for bucket in parts.iter().take(n_bounds) {
            below.add_total(*bucket);
            values.push(below.value());
        }
        values.push(if counted.sums > 0 { parts[n_bounds].value() } else { ABSENT });
    }

    fn summary(&self, merged: u32, n_quantiles: usize, values: &mut Vec<f64>) {
        let Some((parts, counted)) = self.parts_of(merged, n_quantiles + 2) else {
            values.resize(values.len() + n_quantiles + 2, ABSENT);
            return;
        };
        for quantile in parts.iter().take(n_quantiles) {
            values.push(if counted.live == 1 { quantile.value() } else { ABSENT });
        }
        let shown = |present: u32, part: usize| {
            if present > 0 { parts[part].value() } else { ABSENT }
        };
        values.push(shown(counted.sums, n_quantiles));
        values.push(shown(counted.counts, n_quantiles + 1));
    }

    /// One value for each merged series and slot: the one that was news last.
    fn settle_slots(&mut self) {
        self.by_slot.sort_unstable_by(|a, b| {
            (a.merged, a.slot)
                .cmp(&(b.merged, b.slot))
                .then(b.changed.cmp(&a.changed))
                .then(b.value.total_cmp(&a.value))
        });
        self.by_slot.dedup_by_key(|v| (v.merged, v.slot));
    }

    fn emit_by_slot(
        &mut self,
        catalog: &Catalog,
        settings: &Settings,
        family: u32,
    ) -> Option<FamilyExposition> {
        let mut merged = self.layouts.get(family)?.merged.clone();
        merged.sort_unstable();
        let mut found: Vec<SlotValue> = Vec::new();
        for merged in merged {
            let from = self.by_slot.partition_point(|v| v.merged < merged);
            let values = self.by_slot.iter().skip(from);
            found.extend(values.take_while(|v| v.merged == merged));
        }
        let keys = found.iter().map(|v| (v.merged, v.slot)).collect();
        let layout = self.layouts.by_slot(catalog, family, keys, &settings.worker_label)?;
        let values = layout.order.iter().map(|at| found[*at as usize].value).collect();
        Some(FamilyExposition {
            layout: Arc::clone(&layout.layout),
            values,
            extras: Extras::default(),
        })
    }
}

/// An anonymous cumulative value counts with its running maximum while it is in company.
fn held_value(catalog: &Catalog, body: &Body, at: usize, merged: u32) -> f64 {
    let cumulative = body.targets[at].kind() == Kind::Cumulative;
    if cumulative && catalog.merged[merged as usize].identified > 0 {
        body.peaks.get(at).copied().unwrap_or(body.values[at])
    } else {
        body.values[at]
    }
}
