//! The state as other eyes see it: families, instances, why a value is what it is, counts.

use sidecar_model::{Aggregation, LabelSet, MetricType};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct FamilyView {
    /// As printed in the text format.
    pub name: String,
    pub metric_type: MetricType,
    pub help: String,
    pub unit: String,
    pub aggregation: Aggregation,
    /// Live instances that ever wrote it.
    pub contributors: usize,
    /// Merged series.
    pub series: usize,
    /// Sources of one of its histograms have different bounds, or had.
    pub mixed_bounds: bool,
    /// Since the last live contributor left; zero while there is one.
    pub age: Duration,
}

#[derive(Clone, Debug)]
pub struct InstanceView {
    /// Empty: the anonymous writer.
    pub id: String,
    pub live: bool,
    pub slot: Option<u32>,
    pub families: usize,
    pub series: usize,
    /// Since it was last heard.
    pub age: Duration,
    pub decay: Duration,
    pub epoch: Option<String>,
    pub sequence: Option<u64>,
    /// Restarts seen under this id.
    pub restarts: u64,
    /// Two processes push under this id.
    pub shared: bool,
    /// Pushes come less often than its decay allows.
    pub slow: bool,
}

/// One sample of a merged series and where it comes from.
#[derive(Clone, Debug)]
pub struct SeriesView {
    /// Sample name.
    pub name: String,
    pub labels: LabelSet,
    pub metric_type: MetricType,
    pub aggregation: Aggregation,
    /// `None`: not exposed now.
    pub value: Option<f64>,
    /// Counted by instances that left and are forgotten.
    pub departed_total: Option<f64>,
    /// Counted by deltas.
    pub accumulated: Option<f64>,
    /// Of deltas under a window.
    pub accumulated_observed: Option<Observed>,
    pub contributions: Vec<ContributionView>,
}

#[derive(Clone, Debug)]
pub struct ContributionView {
    /// Empty: the anonymous writer.
    pub instance: String,
    pub live: bool,
    /// Labels as pushed.
    pub labels: LabelSet,
    pub value: f64,
    /// Added to the value: what earlier lives under this id counted, or less than zero for a
    /// baseline.
    pub base: f64,
    /// Since it was last written.
    pub age: Duration,
    /// Under a window: what of it counts now.
    pub observed: Option<Observed>,
}

/// Values that were pushed within a window, and what its function makes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    pub count: u64,
    pub value: f64,
}

/// Label conditions of `match[]`: all must hold. The name `__name__` stands for the sample name.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    pub matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
pub struct Matcher {
    pub label: String,
    pub value: Value,
    /// `!=` instead of `=`, `!~` instead of `=~`.
    pub negated: bool,
}

/// What a label's value must be; a label that is not there is empty.
#[derive(Clone)]
pub enum Value {
    Text(String),
    /// Any text that the function agrees to.
    Pattern(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Value {
    fn is(&self, text: &str) -> bool {
        match self {
            Value::Text(value) => value == text,
            Value::Pattern(matches) => matches(text),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => text.fmt(out),
            Value::Pattern(_) => out.write_str("a pattern"),
        }
    }
}

impl Selector {
    pub fn matches(&self, sample_name: &str, labels: &LabelSet) -> bool {
        self.matchers.iter().all(|m| {
            let value = if m.label == "__name__" {
                sample_name
            } else {
                labels.get(&m.label).unwrap_or("")
            };
            m.value.is(value) != m.negated
        })
    }
}

/// Counts since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub live_instances: u64,
    pub departed_instances: u64,
    /// Plain groups.
    pub groups: u64,
    pub forgotten_ids: u64,
    pub families: u64,
    pub merged_series: u64,
    pub contributions: u64,
    /// Series with a departed total.
    pub departed_totals: u64,
    pub idempotency_keys: u64,
    /// Restarts of counters and histograms that were seen.
    pub resets: u64,
    /// Departed instances that came back.
    pub resumes: u64,
    /// Instances that departed by silence, final push or request.
    pub departures: u64,
    /// Gauge contributions that decayed.
    pub decayed: u64,
    /// `_aggregate` labels that named another function than the family has.
    pub aggregation_conflicts: u64,
    /// Instances found to be two processes under one id.
    pub shared_ids: u64,
    /// Pushes that were repeated or overtaken.
    pub late_pushes: u64,
    /// Samples that stood twice in a body.
    pub duplicate_samples: u64,
    /// Sums that took no part because they were not finite.
    pub non_finite_sums: u64,
    /// Departed instances that were folded early because too many were remembered.
    pub early_folds: u64,
    /// Ids that were forgotten early because too many were remembered.
    pub early_forgotten: u64,
    /// Merged series that nobody wrote any more and that went because memory was short.
    pub relieved: u64,
}
