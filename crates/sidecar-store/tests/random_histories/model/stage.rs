//! A push taken apart: which writer says what of which series of which family.

use super::groups::attribute;
use super::{Answer, Bound, Labels, Model, Part, Parts};
use crate::body::{Push, PushedFamily, PushedSample};
use sidecar_model::{Aggregation, MetricType, Role, base_name, role_of};
use sidecar_store::Settings;
use std::collections::BTreeMap;

/// A family of the push.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    pub(crate) name: String,
    pub(crate) metric_type: MetricType,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) items: Vec<Item>,
    /// Who sent the first of its deltas.
    pub(crate) delta_of: Option<String>,
    /// `_aggregate` labels in order, by writer.
    pub(crate) wishes: Vec<(Option<String>, Aggregation)>,
}

/// All that a push says of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// `None`: deltas.
    pub(crate) writer: Option<String>,
    pub(crate) labels: Labels,
    pub(crate) values: Parts,
    pub(crate) created: Option<f64>,
    /// As they stand in the body.
    pub(crate) samples: u64,
    /// One of the samples, if not the last, cannot be.
    pub(crate) bad: bool,
}

impl Model {
    pub(crate) fn stage(&self, push: &Push) -> Result<Vec<Staged>, String> {
        let mut staged: Vec<Staged> = Vec::new();
        for family in &push.families {
            let metric_type = self.effective_type(&family.name, family.metric_type);
            let at = open(&mut staged, family, &family.name, metric_type);
            for sample in &family.samples {
                let base = base_name(metric_type, &family.name);
                if let Some(role) = role_of(metric_type, base, &sample.name) {
                    staged[at].take(&self.settings, push, sample, role, family.delta)?;
                } else {
                    let metric_type = self.effective_type(&sample.name, MetricType::Unknown);
                    let nameless = PushedFamily::default();
                    let at = open(&mut staged, &nameless, &sample.name, metric_type);
                    staged[at].take(&self.settings, push, sample, Role::Value, family.delta)?;
                }
            }
        }
        self.stage_times(push, &mut staged);
        Ok(staged)
    }

    fn effective_type(&self, name: &str, pushed: MetricType) -> MetricType {
        let ruled = self
            .settings
            .rules
            .iter()
            .filter(|rule| rule.metric_type.is_some())
            .find(|rule| rule.matches.family(&[name, base_name(pushed, name)]));
        if let Some(metric_type) = ruled.and_then(|rule| rule.metric_type) {
            return metric_type;
        }
        let counts = pushed == MetricType::Unknown && name.ends_with("_total");
        if counts { MetricType::Counter } else { pushed }
    }
}

fn open(staged: &mut Vec<Staged>, family: &PushedFamily, name: &str, t: MetricType) -> usize {
    let name = base_name(t, name);
    if let Some(at) = staged.iter().position(|s| s.name == name && s.metric_type == t) {
        return at;
    }
    staged.push(Staged {
        name: name.to_owned(),
        metric_type: t,
        help: family.help.clone(),
        unit: family.unit.clone(),
        items: Vec::new(),
        delta_of: None,
        wishes: Vec::new(),
    });
    staged.len() - 1
}

impl Staged {
    fn take(
        &mut self,
        settings: &Settings,
        push: &Push,
        sample: &PushedSample,
        role: Role,
        delta: bool,
    ) -> Result<(), String> {
        let group = push.group.as_ref();
        let delta = delta || group.is_some_and(|group| group.delta);
        if delta && !sample.value.is_finite() {
            return Err("bad_value".to_owned());
        }
        let mut labels: Labels =
            sample.labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        let id = attribute(settings, group, &mut labels, delta);
        let wish = match labels.remove("_aggregate") {
            Some(text) => Some(text.parse::<Aggregation>().map_err(|_| "bad_aggregation")?),
            None => None,
        };
        if wish.is_some_and(|wish| !wish.allowed_for(self.metric_type)) {
            return Err("bad_aggregation".to_owned());
        }
        let mut number =
            |name: &str| Bound(labels.remove(name).map_or(f64::NAN, |text| parse(&text)));
        let part = match role {
            Role::Value => Some(Part::Value),
            Role::Bucket => Some(Part::Bucket(number("le"))),
            Role::Quantile => Some(Part::Quantile(number("quantile"))),
            Role::Sum => Some(Part::Sum),
            Role::Count => Some(Part::Count),
            Role::Created => None,
        };
        if delta {
            self.delta_of.get_or_insert_with(|| id.clone());
        }
        let writer = (!delta).then_some(id);
        let same = |item: &Item| item.writer == writer && item.labels == labels;
        let at = self.items.iter().position(same).unwrap_or_else(|| {
            self.items.push(Item {
                writer: writer.clone(),
                labels: labels.clone(),
                ..Item::default()
            });
            self.items.len() - 1
        });
        let metric_type = self.metric_type;
        let item = &mut self.items[at];
        item.samples += 1;
        self.wishes.extend(wish.map(|wish| (writer, wish)));
        let counts = metric_type == MetricType::Counter && part == Some(Part::Value);
        item.bad |= counts && (!sample.value.is_finite() || sample.value < 0.0);
        match part {
            Some(part) => drop(item.values.insert(part, sample.value)),
            None => item.created = Some(sample.value),
        }
        Ok(())
    }

    pub(crate) fn wish_of(&self, writer: Option<&str>) -> Option<Aggregation> {
        self.wishes.iter().find(|(w, _)| w.as_deref() == writer).map(|(_, wish)| *wish)
    }

    /// Why the values as they stand in the push cannot be; buckets become non-cumulative.
    pub(crate) fn check_values(&mut self) -> Option<&'static str> {
        let metric_type = self.metric_type;
        let mut reasons = Vec::new();
        for item in &mut self.items {
            reasons.extend(item.bad.then_some("bad_value"));
            reasons.extend(check(metric_type, &mut item.values));
        }
        reasons.into_iter().next()
    }
}

fn check(metric_type: MetricType, values: &mut Parts) -> Option<&'static str> {
    let counted = |part: &Part| match part {
        Part::Value => metric_type == MetricType::Counter,
        Part::Bucket(_) | Part::Count => true,
        Part::Quantile(_) | Part::Sum => false,
    };
    let bad = |value: f64| !value.is_finite() || value < 0.0;
    if values.iter().any(|(part, value)| counted(part) && bad(*value)) {
        return Some("bad_value");
    }
    let histogram = matches!(metric_type, MetricType::Histogram | MetricType::GaugeHistogram);
    if !histogram || values.is_empty() {
        return None;
    }
    let mut buckets: BTreeMap<Bound, f64> = BTreeMap::new();
    for (part, value) in values.iter() {
        if let Part::Bucket(bound) = part {
            buckets.insert(*bound, *value);
        }
    }
    let infinite = Bound(f64::INFINITY);
    match (buckets.get(&infinite), values.get(&Part::Count)) {
        (None, None) => return Some("incomplete_histogram"),
        (None, Some(count)) => drop(buckets.insert(infinite, *count)),
        (Some(bucket), Some(count)) if bucket != count => return Some("count_mismatch"),
        (Some(_), _) => {}
    }
    let sum = values.get(&Part::Sum).copied();
    values.clear();
    values.extend(sum.map(|sum| (Part::Sum, sum)));
    let mut below = 0.0;
    for (bound, value) in buckets {
        if value < below {
            return Some("falling_buckets");
        }
        values.insert(Part::Bucket(bound), value - below);
        below = value;
    }
    None
}

fn parse(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

impl Answer {
    pub(crate) fn refuse(&mut self, family: &str, code: &'static str) {
        self.refused.entry(family.to_owned()).or_insert(code);
    }
}
