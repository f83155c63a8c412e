//! Metric types, and which sample names belong to a family of each.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricType {
    Counter,
    Gauge,
    Histogram,
    Summary,
    #[default]
    Unknown,
    Info,
    StateSet,
    GaugeHistogram,
}

impl MetricType {
    /// Values are totals since a start: a fall is a restart and a departed instance's share stays.
    pub const fn is_cumulative(self) -> bool {
        matches!(self, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
    }

    /// Several samples of one label set make one value.
    pub const fn is_composite(self) -> bool {
        matches!(self, MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary)
    }

    /// OpenMetrics spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::Unknown => "unknown",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
            MetricType::GaugeHistogram => "gaugehistogram",
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no metric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown metric type: use one of counter gauge histogram summary unknown untyped info stateset gaugehistogram"
)]
pub struct UnknownType;

impl FromStr for MetricType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Ok(match text {
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            "histogram" => MetricType::Histogram,
            "summary" => MetricType::Summary,
            "unknown" | "untyped" => MetricType::Unknown,
            "info" => MetricType::Info,
            "stateset" => MetricType::StateSet,
            "gaugehistogram" => MetricType::GaugeHistogram,
            _ => return Err(UnknownType),
        })
    }
}

/// What part of its family a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one value of a counter, gauge, unknown, info or stateset.
    Value,
    /// A cumulative bucket; its bound is the label `le`.
    Bucket,
    Sum,
    Count,
    /// A summary's quantile; the label `quantile`.
    Quantile,
    /// Unix seconds at which the value began to count.
    Created,
}

/// The family's name without the suffix that its type puts on samples: `x` for the counter
/// `x_total` and the info `x_info`.
pub fn base_name(metric_type: MetricType, family: &str) -> &str {
    let suffix = match metric_type {
        MetricType::Counter => "_total",
        MetricType::Info => "_info",
        MetricType::Gauge
        | MetricType::Histogram
        | MetricType::Summary
        | MetricType::Unknown
        | MetricType::StateSet
        | MetricType::GaugeHistogram => return family,
    };
    match family.strip_suffix(suffix) {
        Some(base) if !base.is_empty() => base,
        Some(_) | None => family,
    }
}

/// The part that `sample` is of the family with the base name `base`; `None`: not of this family.
pub fn role_of(metric_type: MetricType, base: &str, sample: &str) -> Option<Role> {
    let suffix = sample.strip_prefix(base)?;
    match (metric_type, suffix) {
        (MetricType::Counter, "" | "_total") => Some(Role::Value),
        (MetricType::Info, "" | "_info") => Some(Role::Value),
        (MetricType::Gauge | MetricType::Unknown | MetricType::StateSet, "") => Some(Role::Value),
        (MetricType::Summary, "") => Some(Role::Quantile),
        (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket") => Some(Role::Bucket),
        (MetricType::Histogram | MetricType::Summary, "_sum") => Some(Role::Sum),
        (MetricType::Histogram | MetricType::Summary, "_count") => Some(Role::Count),
        (MetricType::GaugeHistogram, "_gsum" | "_sum") => Some(Role::Sum),
        (MetricType::GaugeHistogram, "_gcount" | "_count") => Some(Role::Count),
        (MetricType::Counter | MetricType::Histogram | MetricType::Summary, "_created") => {
            Some(Role::Created)
        }
        _ => None,
    }
}
