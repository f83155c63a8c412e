//! The state for other eyes: families, instances, and why a value is what it is.

use crate::aggregate::Accumulator;
use crate::bounds::place_up;
use crate::catalog::{Catalog, Folded, NO_FAMILY};
use crate::family::Family;
use crate::group::{Group, GroupState};
use crate::instance::{Body, Instance, Kind, State, WriterRole, from_tenths, tenths};
use crate::jobs::JobView;
use crate::store::Store;
use crate::upkeep::longest_by_rule;
use crate::view::{ContributionView, FamilyView, InstanceView, Selector, SeriesView, Stats};
use sidecar_model::{Exposition, LabelSet, MetricType, PointKind, Tick, Total, is_absent};
use std::sync::Arc;

/// One printed sample of a merged series.
struct Line {
    name: String,
    labels: LabelSet,
    merged: u32,
    /// Of a composite: the part among the merged bounds, then sum and count.
    part: Option<usize>,
    value: Option<f64>,
}

impl Store {
    /// All families in name order, those that are no longer exposed but remembered too.
    pub fn families(&self, now: Tick) -> Vec<FamilyView> {
        let catalog = self.catalog.read();
        let mut views: Vec<FamilyView> =
            catalog.families.values().map(|family| view_of(&catalog, family, now)).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// All instances by id: live ones, and departed ones whose values are remembered. Plain groups
    /// are none, see [`Store::groups`].
    pub fn instances(&self, now: Tick) -> Vec<InstanceView> {
        let catalog = self.catalog.read();
        let settings = self.settings();
        let mut views = Vec::new();
        self.for_each_instance(|instance| {
            let body = instance.body.lock();
            let plain_group = instance.role == WriterRole::Group;
            if plain_group || matches!(body.state, State::New | State::Gone) {
                return;
            }
            views.push(InstanceView {
                id: instance.id.to_string(),
                live: body.state == State::Live,
                slot: body.slot,
                families: body.held.len(),
                series: body.positions(),
                age: now.since(body.heard),
                decay: body.decay(settings.decay, longest_by_rule(&catalog, &body)),
                epoch: body.sequence.as_ref().map(|(epoch, _)| epoch.to_string()),
                sequence: body.sequence.as_ref().map(|(_, n)| *n),
                restarts: body.restarts,
                shared: body.watch.shared,
                slow: body.silences >= 2,
            });
        });
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// The samples that one of the selectors matches, at most `limit`, and where each comes from.
    pub fn series(&self, selectors: &[Selector], limit: usize, now: Tick) -> Vec<SeriesView> {
        let exposition = self.collect(now);
        let catalog = self.catalog.read();
        let mut lines = Vec::new();
        let mut ids: Vec<u32> = catalog.families.keys().copied().collect();
        ids.sort_by(|a, b| catalog.families[a].base.cmp(&catalog.families[b].base));
        for id in ids {
            self.lines_of(&catalog, id, &exposition, selectors, limit, &mut lines);
        }
        let mut instances = self.all_instances();
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        instances.push(Arc::clone(&self.accumulator));
        lines.into_iter().map(|line| explain(&catalog, &instances, line, now)).collect()
    }

    fn lines_of(
        &self,
        catalog: &Catalog,
        id: u32,
        exposition: &Exposition,
        selectors: &[Selector],
        limit: usize,
        lines: &mut Vec<Line>,
    ) {
        let Some(family) = catalog.families.get(&id) else { return };
        for merged in catalog.merged_in_order(family) {
            for mut line in possible_lines(catalog, family, merged) {
                if lines.len() >= limit {
                    return;
                }
                if selectors.iter().any(|s| s.matches(&line.name, &line.labels)) {
                    line.value = shown_value(exposition, catalog, family, &line);
                    lines.push(line);
                }
            }
        }
    }

    /// The jobs that somebody names.
    pub fn jobs(&self) -> Vec<JobView> {
        self.catalog.read().jobs.view()
    }

    pub fn stats(&self) -> Stats {
        let catalog = self.catalog.read();
        let counters = &self.counters;
        Stats {
            live_instances: catalog.live_instances,
            departed_instances: catalog.departed_instances,
            groups: catalog.groups,
            forgotten_ids: catalog.forgotten.len() as u64,
            families: catalog.families.len() as u64,
            merged_series: catalog.merged_count(),
            contributions: catalog.contributions,
            departed_totals: catalog.folded.len() as u64,
            idempotency_keys: self.keys.lock().len() as u64,
            resets: counters.resets.get(),
            resumes: counters.resumes.get(),
            departures: counters.departures.get(),
            decayed: counters.decayed.get(),
            aggregation_conflicts: counters.aggregation_conflicts.get(),
            shared_ids: counters.shared_ids.get(),
            late_pushes: counters.late_pushes.get(),
            duplicate_samples: counters.duplicate_samples.get(),
            non_finite_sums: counters.non_finite_sums.get(),
            early_folds: counters.early_folds.get(),
            early_forgotten: counters.early_forgotten.get(),
            relieved: counters.relieved.get(),
        }
    }
}

fn view_of(catalog: &Catalog, family: &Family, now: Tick) -> FamilyView {
    let age =
        if family.holders > 0 { std::time::Duration::ZERO } else { now.since(family.unheld_since) };
    let merged = catalog.merged_in_order(family);
    let is_mixed = |at: &u32| catalog.merged[*at as usize].mixed_bounds;
    FamilyView {
        name: family.sample_name(),
        metric_type: family.metric_type,
        help: family.help.to_string(),
        unit: family.unit.to_string(),
        aggregation: family.function(),
        contributors: family.holders as usize,
        series: merged.len(),
        mixed_bounds: family.metric_type != MetricType::Summary && merged.iter().any(is_mixed),
        age,
    }
}

/// The samples that a merged series prints.
fn possible_lines(catalog: &Catalog, family: &Family, merged: u32) -> Vec<Line> {
    let entry = &catalog.merged[merged as usize];
    let line = |suffix: &str, labels: LabelSet, part: Option<usize>| Line {
        name: format!("{}{suffix}", family.base),
        labels,
        merged,
        part,
        value: None,
    };
    let Some(bounds) = &entry.bounds else {
        let name = family.sample_name();
        return vec![Line { name, labels: entry.labels.clone(), merged, part: None, value: None }];
    };
    let (suffix, label) = match family.metric_type {
        MetricType::Summary => ("", "quantile"),
        MetricType::Histogram
        | MetricType::GaugeHistogram
        | MetricType::Counter
        | MetricType::Gauge
        | MetricType::Unknown
        | MetricType::Info
        | MetricType::StateSet => ("_bucket", "le"),
    };
    let mut lines: Vec<Line> = bounds
        .iter()
        .enumerate()
        .map(|(part, bound)| line(suffix, entry.labels.with(label, &bound.text), Some(part)))
        .collect();
    lines.push(line("_sum", entry.labels.clone(), Some(bounds.len())));
    lines.push(line("_count", entry.labels.clone(), Some(bounds.len() + 1)));
    lines
}

/// The line's value in the exposition; of `all` none, since there it is one line an instance.
fn shown_value(
    exposition: &Exposition,
    catalog: &Catalog,
    family: &Family,
    line: &Line,
) -> Option<f64> {
    let shown = exposition
        .families
        .iter()
        .find(|f| f.layout.name == family.base && f.layout.metric_type == family.metric_type)?;
    let labels = &catalog.merged[line.merged as usize].labels;
    let mut from = 0;
    for point in &shown.layout.points {
        if point.labels == *labels {
            let at = match (&point.kind, line.part) {
                (PointKind::Scalar, _) => 0,
                // The count is the last bucket.
                (PointKind::Histogram(bounds), Some(part)) if part == bounds.len() + 1 => {
                    bounds.len() - 1
                }
                (PointKind::Histogram(_) | PointKind::Summary(_), part) => part?,
            };
            return shown.values.get(from + at).copied().filter(|v| !is_absent(*v));
        }
        from += point.len();
    }
    None
}

fn explain(catalog: &Catalog, instances: &[Arc<Instance>], line: Line, now: Tick) -> SeriesView {
    let family = &catalog.families[&catalog.merged[line.merged as usize].family];
    let mut accumulated: Option<Total> = None;
    let mut deltas = Accumulator::default();
    let mut contributions = Vec::new();
    for instance in instances {
        let body = instance.body.lock();
        if matches!(body.state, State::New | State::Gone) {
            continue;
        }
        for found in contributions_of(catalog, &body, &line) {
            let ring =
                found.at.zip(family.recording).and_then(|(at, of)| body.windows.ring(at, of));
            if instance.role == WriterRole::Accumulator {
                let total = accumulated.get_or_insert(Total::ZERO);
                total.add(found.value);
                total.add_total(found.base);
                if let Some(ring) = ring {
                    ring.add_to(&mut deltas, tenths(now));
                }
                continue;
            }
            contributions.push(ContributionView {
                instance: instance.id.to_string(),
                live: body.state == State::Live,
                labels: catalog.series[found.series as usize].labels.clone(),
                value: found.value,
                base: found.base.value(),
                age: now.since(from_tenths(found.written)),
                observed: ring.and_then(|ring| ring.observed(tenths(now))),
            });
        }
    }
    SeriesView {
        metric_type: family.metric_type,
        aggregation: family.function(),
        value: line.value,
        departed_total: departed_total(catalog, &line).map(Total::value),
        accumulated: accumulated.map(Total::value),
        accumulated_observed: family.window().and_then(|w| deltas.observed(w.function())),
        contributions,
        name: line.name,
        labels: line.labels,
    }
}

struct Found {
    series: u32,
    /// Its position, where it is a value of its own.
    at: Option<usize>,
    value: f64,
    base: Total,
    written: u32,
}

fn contributions_of(catalog: &Catalog, body: &Body, line: &Line) -> Vec<Found> {
    let mut found = Vec::new();
    let base_at = |at: usize| {
        u32::try_from(at).ok().and_then(|p| body.bases.get(&p)).copied().unwrap_or(Total::ZERO)
    };
    if line.part.is_none() {
        for (at, target) in body.targets.iter().enumerate() {
            let scalar = matches!(target.kind(), Kind::Gauge | Kind::Cumulative);
            if scalar && catalog.merged_id(target.index()) == Some(line.merged) {
                found.push(Found {
                    series: target.index(),
                    at: Some(at),
                    value: body.values[at],
                    base: base_at(at),
                    written: body.written[at],
                });
            }
        }
    }
    for group in &body.groups {
        let same = catalog.merged_id(group.series) == Some(line.merged);
        if let Some(part) = line.part
            && same
            && group.state != GroupState::Dead
        {
            found.extend(part_of(catalog, body, group, part, line.merged));
        }
    }
    found
}

/// The part's value in this group, buckets cumulative again.
fn part_of(
    catalog: &Catalog,
    body: &Body,
    group: &Group,
    part: usize,
    merged: u32,
) -> Option<Found> {
    let union = catalog.merged[merged as usize].bounds.as_ref()?;
    let (mut value, mut base, mut any) = (Total::ZERO, Total::ZERO, false);
    let is_bucket = part < union.len() && group.metric_type != MetricType::Summary;
    for (own, at) in group.range().enumerate() {
        let placed = place_up(&group.bounds, own, union);
        if placed != part && !(is_bucket && placed < part) {
            continue;
        }
        if !is_absent(body.values[at]) {
            value.add(body.values[at]);
            any = true;
        }
        if let Some(more) = u32::try_from(at).ok().and_then(|p| body.bases.get(&p)) {
            base.add_total(*more);
            any = true;
        }
    }
    let written = body.written[group.first as usize];
    any.then(|| Found { series: group.series, at: None, value: value.value(), base, written })
}

fn departed_total(catalog: &Catalog, line: &Line) -> Option<Total> {
    let mut sum: Option<Total> = None;
    for (series, folded) in &catalog.folded {
        if catalog.merged_id(*series) != Some(line.merged) {
            continue;
        }
        let total = sum.get_or_insert(Total::ZERO);
        match (folded, line.part) {
            (Folded::Scalar(share), _) => total.add_total(*share),
            (Folded::Composite { bounds, parts }, Some(part)) => {
                let union = catalog.merged[line.merged as usize].bounds.as_ref()?;
                for (own, share) in parts.iter().enumerate() {
                    let placed = place_up(bounds, own, union);
                    if placed == part || (part < union.len() && placed < part) {
                        total.join_total(*share);
                    }
                }
            }
            (Folded::Composite { .. }, None) => {}
        }
    }
    sum
}

impl Catalog {
    pub(crate) fn merged_count(&self) -> u64 {
        self.merged.iter().filter(|m| m.family != NO_FAMILY).count() as u64
    }
}
