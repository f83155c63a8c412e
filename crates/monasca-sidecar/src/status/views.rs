//! The store's views as JSON: times in seconds, numbers that JSON cannot carry as text.

use serde::{Serialize, Serializer};
use sidecar_model::LabelSet;
use sidecar_store::{ContributionView, ENDLESS, FamilyView, InstanceView, SeriesView};

#[derive(Serialize)]
pub(super) struct Family<'a> {
    name: &'a str,
    r#type: &'static str,
    help: &'a str,
    unit: &'a str,
    aggregation: String,
    contributors: usize,
    series: usize,
    mixed_bounds: bool,
    age_seconds: f64,
}

impl<'a> Family<'a> {
    pub(super) fn of(view: &'a FamilyView) -> Family<'a> {
        Family {
            name: &view.name,
            r#type: view.metric_type.as_str(),
            help: &view.help,
            unit: &view.unit,
            aggregation: view.aggregation.to_string(),
            contributors: view.contributors,
            series: view.series,
            mixed_bounds: view.mixed_bounds,
            age_seconds: view.age.as_secs_f64(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Instance<'a> {
    id: &'a str,
    live: bool,
    slot: Option<u32>,
    families: usize,
    series: usize,
    age_seconds: f64,
    /// `None`: it stays however long it is silent.
    decay_seconds: Option<f64>,
    epoch: Option<&'a str>,
    sequence: Option<u64>,
    restarts: u64,
    shared: bool,
    slow: bool,
}

impl<'a> Instance<'a> {
    pub(super) fn of(view: &'a InstanceView) -> Instance<'a> {
        Instance {
            id: &view.id,
            live: view.live,
            slot: view.slot,
            families: view.families,
            series: view.series,
            age_seconds: view.age.as_secs_f64(),
            decay_seconds: (view.decay != ENDLESS).then_some(view.decay.as_secs_f64()),
            epoch: view.epoch.as_deref(),
            sequence: view.sequence,
            restarts: view.restarts,
            shared: view.shared,
            slow: view.slow,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Series<'a> {
    name: &'a str,
    labels: Labels<'a>,
    r#type: &'static str,
    aggregation: String,
    value: Option<Number>,
    departed_total: Option<Number>,
    accumulated: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accumulated_observed: Option<Observed>,
    contributions: Vec<Contribution<'a>>,
}

impl<'a> Series<'a> {
    pub(super) fn of(view: &'a SeriesView) -> Series<'a> {
        Series {
            name: &view.name,
            labels: Labels(&view.labels),
            r#type: view.metric_type.as_str(),
            aggregation: view.aggregation.to_string(),
            value: view.value.map(Number::of),
            departed_total: view.departed_total.map(Number::of),
            accumulated: view.accumulated.map(Number::of),
            accumulated_observed: view.accumulated_observed.map(Observed::of),
            contributions: view.contributions.iter().map(Contribution::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct Contribution<'a> {
    instance: &'a str,
    live: bool,
    labels: Labels<'a>,
    value: Number,
    base: Number,
    age_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<Observed>,
}

/// Under a window: how many values count now, and what they come to.
#[derive(Serialize)]
struct Observed {
    count: u64,
    value: Number,
}

impl Observed {
    fn of(view: sidecar_store::Observed) -> Observed {
        Observed { count: view.count, value: Number::of(view.value) }
    }
}

impl<'a> Contribution<'a> {
    fn of(view: &'a ContributionView) -> Contribution<'a> {
        Contribution {
            instance: &view.instance,
            live: view.live,
            labels: Labels(&view.labels),
            value: Number::of(view.value),
            base: Number::of(view.base),
            age_seconds: view.age.as_secs_f64(),
            observed: view.observed.map(Observed::of),
        }
    }
}

struct Labels<'a>(&'a LabelSet);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(&'static str),
}

impl Number {
    fn of(value: f64) -> Number {
        if value.is_nan() {
            Number::Other("NaN")
        } else if value == f64::INFINITY {
            Number::Other("+Inf")
        } else if value == f64::NEG_INFINITY {
            Number::Other("-Inf")
        } else {
            Number::Finite(value)
        }
    }
}

/// How many series a request deleted.
#[derive(Debug, Serialize)]
pub(super) struct Deleted {
    pub(super) deleted: usize,
}
