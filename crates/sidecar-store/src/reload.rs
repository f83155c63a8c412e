//! New settings: families whose type changes by rule end, everything else is merged anew.

use crate::catalog::{Catalog, in_order};
use crate::family::{Family, type_by_rule};
use crate::instance::{Body, Instance, Kind, WriterRole};
use crate::maps::Set;
use crate::store::Store;
use sidecar_model::Tick;
use std::sync::Arc;

impl Store {
    pub(crate) fn reload_all(&self, catalog: &mut Catalog, _now: Tick) {
        let settings = self.settings();
        let is_retyped = |family: &Family| match type_by_rule(&settings, &family.sample_name()) {
            Some(by_rule) => by_rule != family.metric_type,
            None => family.typed_by_rule,
        };
        let mut retyped = in_order(catalog.families.keys());
        retyped.retain(|id| catalog.families.get(id).is_some_and(is_retyped));
        for family in &retyped {
            catalog.remove_family(*family);
        }
        let retyped: Set<u32> = retyped.into_iter().collect();
        catalog.apply_rules(&settings);
        let mut instances = self.all_instances();
        instances.push(Arc::clone(&self.accumulator));
        for instance in instances {
            let mut body = instance.body.lock();
            rejoin(catalog, &instance, &mut body, &retyped);
        }
    }
}

/// Counts an instance's contributions into the merged series anew, and makes it learn its shape
/// anew: a header may mean something else now.
fn rejoin(catalog: &mut Catalog, instance: &Instance, body: &mut Body, retyped: &Set<u32>) {
    let identified = instance.role == WriterRole::Identified;
    if !retyped.is_empty() {
        body.held.retain(|held| !retyped.contains(&held.family));
        let gone: Vec<bool> = (0..body.positions())
            .map(|at| {
                let position = u32::try_from(at).unwrap_or(u32::MAX);
                let created = body.targets[at].kind() == Kind::Created;
                !created && crate::draft::family_of_position(catalog, body, position).is_none()
            })
            .collect();
        body.compact(catalog, instance.role, |_, at| gone[at]);
    }
    body.shape = Arc::default();
    body.generation = body.generation.wrapping_add(1);
    body.gauge_due = Tick::default();
    for target in &body.targets {
        let scalar = matches!(target.kind(), Kind::Gauge | Kind::Cumulative);
        if scalar
            && identified
            && let Some(merged) = catalog.merged_mut(target.index())
        {
            merged.identified += 1;
        }
    }
    for group in &body.groups {
        let bounds = Arc::clone(&group.bounds);
        catalog.join_bounds(group.series, &bounds);
        if identified && let Some(merged) = catalog.merged_mut(group.series) {
            merged.identified += 1;
        }
    }
}
