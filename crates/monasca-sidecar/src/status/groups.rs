//! The Pushgateway's own query: its JSON, in which every value is a text.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use sidecar_formats::number::write_value;
use sidecar_model::{LabelSet, MetricType};
use sidecar_store::{GroupFamilyView, GroupValue, GroupView};
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub(super) struct Listing<'a> {
    status: &'static str,
    data: Vec<Group<'a>>,
}

impl<'a> Listing<'a> {
    pub(super) fn of(groups: &'a [GroupView]) -> Listing<'a> {
        Listing { status: "success", data: groups.iter().map(Group).collect() }
    }
}

#[derive(Debug)]
struct Group<'a>(&'a GroupView);

impl Serialize for Group<'_> {
    /// Families stand beside the two other keys.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let group = self.0;
        let labels: BTreeMap<&str, &str> =
            group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("labels", &labels)?;
        map.serialize_entry("last_push_successful", &(group.pushed_at >= group.failed_at))?;
        for family in &group.families {
            map.serialize_entry(&family.name, &Family::of(family, group))?;
        }
        map.end()
    }
}

#[derive(Debug, Serialize)]
struct Family<'a> {
    time_stamp: String,
    #[serde(rename = "type")]
    metric_type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
    metrics: Vec<Metric<'a>>,
}

impl<'a> Family<'a> {
    fn of(family: &'a GroupFamilyView, group: &GroupView) -> Family<'a> {
        let is_summary = family.metric_type == MetricType::Summary;
        let metrics = family.metrics.iter();
        Family {
            time_stamp: rfc3339(group.pushed_at),
            metric_type: type_name(family.metric_type),
            help: &family.help,
            metrics: metrics.map(|(labels, value)| Metric::of(labels, value, is_summary)).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Metric<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantiles: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<String>,
}

impl<'a> Metric<'a> {
    fn of(labels: &'a LabelSet, value: &GroupValue, is_summary: bool) -> Metric<'a> {
        let labels = labels.iter().collect();
        let (value, parts, sum, count) = match value {
            GroupValue::Scalar(value) => (Some(text(*value)), None, None, None),
            GroupValue::Composite(parts, sum, count) => (None, Some(parts), *sum, *count),
        };
        let parts = parts
            .map(|parts| parts.iter().map(|(bound, value)| (text(*bound), text(*value))).collect());
        let (buckets, quantiles) = if is_summary { (None, parts) } else { (parts, None) };
        Metric { labels, value, buckets, quantiles, count: count.map(text), sum: sum.map(text) }
    }
}

fn text(value: f64) -> String {
    let mut text = Vec::new();
    write_value(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

const fn type_name(metric_type: MetricType) -> &'static str {
    match metric_type {
        MetricType::Counter => "COUNTER",
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => "GAUGE",
        MetricType::Histogram => "HISTOGRAM",
        MetricType::GaugeHistogram => "GAUGE_HISTOGRAM",
        MetricType::Summary => "SUMMARY",
        MetricType::Unknown => "UNTYPED",
    }
}

#[derive(Debug, Serialize)]
pub(super) struct About {
    status: &'static str,
    data: AboutData,
}

#[derive(Debug, Serialize)]
struct AboutData {
    build_information: BTreeMap<&'static str, &'static str>,
    flags: BTreeMap<&'static str, &'static str>,
    start_time: String,
}

impl About {
    pub(super) fn new(started_at: f64) -> About {
        let build_information =
            [("name", env!("CARGO_PKG_NAME")), ("version", env!("CARGO_PKG_VERSION"))].into();
        let start_time = rfc3339(started_at);
        let data = AboutData { build_information, flags: BTreeMap::new(), start_time };
        About { status: "success", data }
    }
}

/// Unix seconds as a date, in UTC.
fn rfc3339(unix_seconds: f64) -> String {
    let since = std::time::Duration::try_from_secs_f64(unix_seconds).unwrap_or_default();
    let time = std::time::UNIX_EPOCH + since;
    humantime::format_rfc3339_micros(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_dates() {
        assert_eq!(rfc3339(1.5), "1970-01-01T00:00:01.500000Z");
    }
}
