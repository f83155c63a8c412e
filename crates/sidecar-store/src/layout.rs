//! What the exposition looks like, apart from its numbers: kept from scrape to scrape and remade
//! only for families in which a series came or went.

use crate::aggregate::Code;
use crate::catalog::{Catalog, NO_FAMILY};
use crate::family::Family;
use crate::maps::Map;
use sidecar_model::{Aggregation, FamilyLayout, MetricType, Point, PointKind, is_absent};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Layouts {
    version: u64,
    next_id: u64,
    /// Families in name order.
    pub(crate) order: Vec<u32>,
    cached: Map<u32, Cached>,
    /// By merged series.
    pub(crate) codes: Vec<Code>,
    /// Some merged series are more than a sum with departed totals.
    pub(crate) has_accumulators: bool,
    /// By merged series: where the parts of a composite begin among all parts.
    pub(crate) parts_at: Vec<u32>,
    pub(crate) n_parts: usize,
}

#[derive(Debug)]
pub(crate) struct Cached {
    version: u64,
    pub(crate) layout: Arc<FamilyLayout>,
    /// Merged series in the layout's order.
    pub(crate) merged: Vec<u32>,
    pub(crate) function: Aggregation,
    /// When each merged series began to count; empty: of none is it known.
    pub(crate) created: Vec<f64>,
    /// For `all`: the last layout by instance.
    pub(crate) by_slot: Option<BySlot>,
}

/// A layout in which each live instance has its own point.
#[derive(Debug)]
pub(crate) struct BySlot {
    /// Merged series and slot, sorted; no slot: `u32::MAX`.
    keys: Vec<(u32, u32)>,
    /// Index into the keys for each point.
    pub(crate) order: Vec<u32>,
    pub(crate) layout: Arc<FamilyLayout>,
}

impl Layouts {
    pub(crate) fn get(&self, family: u32) -> Option<&Cached> {
        self.cached.get(&family)
    }

    /// Brings everything up to the catalog's version.
    pub(crate) fn refresh(&mut self, catalog: &Catalog) {
        if self.version == catalog.version {
            return;
        }
        self.version = catalog.version;
        self.cached.retain(|id, _| catalog.families.contains_key(id));
        self.codes.resize(catalog.merged.len(), Code::Hidden);
        let mut order: Vec<(&str, u32)> =
            catalog.families.iter().map(|(id, f)| (&*f.base, *id)).collect();
        order.sort_unstable();
        self.order = order.into_iter().map(|(_, id)| id).collect();
        for id in self.order.clone() {
            let Some(family) = catalog.families.get(&id) else { continue };
            if self.cached.get(&id).is_none_or(|cached| cached.version != family.version) {
                self.renew(catalog, id, family);
            }
        }
        self.has_accumulators = self.codes.iter().any(|code| code.needs_accumulator());
        self.place_parts(catalog);
    }

    fn renew(&mut self, catalog: &Catalog, id: u32, family: &Family) {
        let merged = catalog.merged_in_order(family);
        let function = family.function();
        let code = Code::of(family.metric_type, function, family.keeps_departed());
        for at in &merged {
            self.codes[*at as usize] = code;
        }
        let points = merged.iter().map(|at| point(catalog, family, *at)).collect();
        let layout = self.layout_of(family, points);
        let dated = merged.iter().any(|at| !is_absent(catalog.merged[*at as usize].created));
        let created = merged.iter().filter(|_| dated);
        let created = created.map(|at| catalog.merged[*at as usize].created).collect();
        let version = family.version;
        let cached = Cached { version, layout, merged, function, created, by_slot: None };
        self.cached.insert(id, cached);
    }

    fn layout_of(&mut self, family: &Family, points: Vec<Point>) -> Arc<FamilyLayout> {
        self.next_id += 1;
        Arc::new(FamilyLayout {
            id: self.next_id,
            name: Arc::clone(&family.base),
            metric_type: family.metric_type,
            suffixed: family.suffixed,
            help: Arc::clone(&family.help),
            unit: Arc::clone(&family.unit),
            points,
        })
    }

    fn place_parts(&mut self, catalog: &Catalog) {
        self.parts_at.clear();
        self.n_parts = 0;
        if catalog.merged.iter().all(|m| m.bounds.is_none()) {
            return;
        }
        self.parts_at.resize(catalog.merged.len(), u32::MAX);
        for (at, merged) in catalog.merged.iter().enumerate() {
            let Some(bounds) = &merged.bounds else { continue };
            if merged.family != NO_FAMILY {
                self.parts_at[at] = u32::try_from(self.n_parts).unwrap_or(u32::MAX);
                self.n_parts += bounds.len() + 2;
            }
        }
    }

    /// The layout of an `all` family whose instances contribute under these keys (sorted).
    pub(crate) fn by_slot(
        &mut self,
        catalog: &Catalog,
        family: u32,
        keys: Vec<(u32, u32)>,
        worker_label: &str,
    ) -> Option<&BySlot> {
        let known = self.cached.get(&family)?.by_slot.as_ref();
        if known.is_none_or(|known| known.keys != keys) {
            let mut points: Vec<(Point, u32)> = Vec::with_capacity(keys.len());
            for (at, (merged, slot)) in keys.iter().enumerate() {
                let labels = &catalog.merged[*merged as usize].labels;
                let labels = match *slot {
                    u32::MAX => labels.clone(),
                    slot => labels.with(worker_label, &slot.to_string()),
                };
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                points.push((Point { labels, kind: PointKind::Scalar }, at));
            }
            points.sort_by(|a, b| a.0.labels.cmp(&b.0.labels));
            let order = points.iter().map(|(_, at)| *at).collect();
            let points = points.into_iter().map(|(point, _)| point).collect();
            let layout = self.layout_of(catalog.families.get(&family)?, points);
            self.cached.get_mut(&family)?.by_slot = Some(BySlot { keys, order, layout });
        }
        self.cached.get(&family)?.by_slot.as_ref()
    }
}

fn point(catalog: &Catalog, family: &Family, merged: u32) -> Point {
    let merged = &catalog.merged[merged as usize];
    let bounds = || merged.bounds.clone().unwrap_or_else(|| Arc::from([]));
    let kind = match family.metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => PointKind::Histogram(bounds()),
        MetricType::Summary => PointKind::Summary(bounds()),
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Unknown
        | MetricType::Info
        | MetricType::StateSet => PointKind::Scalar,
    };
    Point { labels: merged.labels.clone(), kind }
}
