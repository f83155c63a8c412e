//! What each plain group has, for the Pushgateway's own query.

use crate::catalog::Catalog;
use crate::group::GroupState;
use crate::instance::{Body, Kind, State, WriterRole};
use crate::store::Store;
use sidecar_model::{LabelSet, MetricType, is_absent};
use std::collections::BTreeMap;

/// A plain group as it was pushed.
#[derive(Clone, Debug)]
pub struct GroupView {
    pub labels: Vec<(String, String)>,
    /// Unix seconds of the last push that was taken; 0: none.
    pub pushed_at: f64,
    /// Unix seconds of the last push that was refused; 0: none.
    pub failed_at: f64,
    /// By name.
    pub families: Vec<GroupFamilyView>,
}

#[derive(Clone, Debug)]
pub struct GroupFamilyView {
    pub name: String,
    pub metric_type: MetricType,
    pub help: String,
    pub metrics: Vec<(LabelSet, GroupValue)>,
}

/// One value of a group, cumulative as it is exposed.
#[derive(Clone, Debug)]
pub enum GroupValue {
    Scalar(f64),
    /// Bounds or quantiles, sum, count.
    Composite(Vec<(f64, f64)>, Option<f64>, Option<f64>),
}

impl Store {
    /// All plain groups by key.
    pub fn groups(&self) -> Vec<GroupView> {
        let catalog = self.catalog.read();
        let mut views = Vec::new();
        self.for_each_instance(|instance| {
            let body = instance.body.lock();
            if instance.role == WriterRole::Group && body.state == State::Live {
                views.push(view_of(&catalog, &body));
            }
        });
        views.sort_by(|a, b| a.labels.cmp(&b.labels));
        views
    }
}

fn view_of(catalog: &Catalog, body: &Body) -> GroupView {
    let mut families: BTreeMap<String, GroupFamilyView> = BTreeMap::new();
    let mut add = |series: u32, value: GroupValue| {
        let Some((_, family)) = catalog.family_of(series) else { return };
        let name = family.sample_name();
        let entry = families.entry(name.clone()).or_insert_with(|| GroupFamilyView {
            name,
            metric_type: family.metric_type,
            help: family.help.to_string(),
            metrics: Vec::new(),
        });
        entry.metrics.push((catalog.series[series as usize].labels.clone(), value));
    };
    for (at, target) in body.targets.iter().enumerate() {
        if matches!(target.kind(), Kind::Gauge | Kind::Cumulative) {
            add(target.index(), GroupValue::Scalar(body.values[at]));
        }
    }
    for group in body.groups.iter().filter(|group| group.state == GroupState::Live) {
        let values = &body.values[group.range()];
        let is_summary = group.metric_type == MetricType::Summary;
        let mut below = 0.0;
        let parts = group.bounds.iter().zip(values).map(|(bound, value)| {
            below = if is_summary { *value } else { below + value };
            (bound.value, below)
        });
        let parts = parts.collect();
        let present = |at: usize| Some(values[at]).filter(|value| !is_absent(*value));
        let value =
            GroupValue::Composite(parts, present(group.sum_at()), present(group.count_at()));
        add(group.series, value);
    }
    let mut families: Vec<GroupFamilyView> = families.into_values().collect();
    for family in &mut families {
        family.metrics.sort_by(|a, b| a.0.cmp(&b.0));
    }
    GroupView {
        labels: body.key.as_ref().map(|key| key.labels().to_vec()).unwrap_or_default(),
        pushed_at: body.times.0,
        failed_at: body.times.1,
        families,
    }
}
