//! What a family's layout looks like in protobuf without the numbers: the header, and the labels of
//! each point.

use super::fields::{family, kind, label, metric};
use super::put;
use crate::renaming::{Collisions, keeps_all, renamed, reserved, sample_name};
use sidecar_model::{
    Escaping, FamilyLayout, LabelSet, MetricType, Point, PointKind, escape_metric_name,
    is_plain_metric_name,
};

/// Instead of a length: the point is left out.
const HIDDEN: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Rendered {
    head: Vec<u8>,
    /// The labels of all points, one after the other, as fields of a metric.
    labels: Vec<u8>,
    lens: Vec<u32>,
    metric_type: MetricType,
    all_scalars: bool,
    /// Names that the family's series get where the page is read; none when it has no name.
    names: Vec<String>,
    escaped: bool,
    left_out: usize,
}

impl Rendered {
    pub(super) fn new(layout: &FamilyLayout, escaping: Escaping) -> Rendered {
        let written = sample_name(layout);
        let name = escape_metric_name(&written, escaping);
        let mut rendered = Rendered {
            head: head(&name, layout),
            labels: Vec::new(),
            lens: Vec::with_capacity(layout.points.len()),
            metric_type: layout.metric_type,
            all_scalars: layout.points.iter().all(|p| matches!(p.kind, PointKind::Scalar)),
            names: names(&name, layout.metric_type),
            escaped: escaping != Escaping::AllowUtf8 && !is_plain_metric_name(&written),
            left_out: 0,
        };
        let collisions = Collisions::of(layout, escaping);
        for (index, point) in layout.points.iter().enumerate() {
            let start = rendered.labels.len();
            write_point_labels(point, escaping, &mut rendered.labels);
            let len = u32::try_from(rendered.labels.len() - start).unwrap_or(HIDDEN);
            if len == HIDDEN || collisions.hides(index) {
                rendered.labels.truncate(start);
                rendered.left_out += 1;
                rendered.lens.push(HIDDEN);
            } else {
                rendered.lens.push(len);
            }
        }
        rendered.labels.shrink_to_fit();
        rendered
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The points' labels, of which each takes so many bytes; `None`: the point is left out.
    pub(super) fn labels(&self) -> &[u8] {
        &self.labels
    }

    pub(super) fn lens(&self) -> impl Iterator<Item = Option<usize>> {
        self.lens.iter().map(|len| if *len == HIDDEN { None } else { usize::try_from(*len).ok() })
    }

    pub(super) fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    pub(super) fn all_scalars(&self) -> bool {
        self.all_scalars
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn is_escaped(&self) -> bool {
        self.escaped
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn points(&self) -> usize {
        self.lens.len()
    }
}

/// The field of a metric that holds its value, and the type of its family.
pub(super) const fn field_and_kind(metric_type: MetricType) -> (u32, u64) {
    match metric_type {
        MetricType::Counter => (metric::COUNTER, kind::COUNTER),
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => (metric::GAUGE, kind::GAUGE),
        MetricType::Histogram => (metric::HISTOGRAM, kind::HISTOGRAM),
        MetricType::GaugeHistogram => (metric::HISTOGRAM, kind::GAUGE_HISTOGRAM),
        MetricType::Summary => (metric::SUMMARY, kind::SUMMARY),
        MetricType::Unknown => (metric::UNTYPED, kind::UNTYPED),
    }
}

fn head(name: &str, layout: &FamilyLayout) -> Vec<u8> {
    let mut head = Vec::new();
    put::bytes(family::NAME, name.as_bytes(), &mut head);
    if !layout.help.is_empty() {
        put::bytes(family::HELP, layout.help.as_bytes(), &mut head);
    }
    put::int(family::TYPE, field_and_kind(layout.metric_type).1, &mut head);
    if !layout.unit.is_empty() {
        put::bytes(family::UNIT, layout.unit.as_bytes(), &mut head);
    }
    head
}

fn names(name: &str, metric_type: MetricType) -> Vec<String> {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &["", "_bucket", "_sum", "_count"],
        MetricType::Summary => &["", "_sum", "_count"],
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Info
        | MetricType::StateSet
        | MetricType::Unknown => &[""],
    };
    let suffixes = if name.is_empty() { &[] } else { suffixes };
    suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
}

fn write_point_labels(point: &Point, escaping: Escaping, out: &mut Vec<u8>) {
    write_labels(&point.labels, reserved(&point.kind), escaping, out);
}

/// Appends the labels as fields of a metric or exemplar, which have one number.
pub(super) fn write_labels(
    labels: &LabelSet,
    reserved: &[&str],
    escaping: Escaping,
    out: &mut Vec<u8>,
) {
    let mut write = |name: &str, value: &str| {
        put::nested(metric::LABEL, out, |out| {
            put::bytes(label::NAME, name.as_bytes(), out);
            put::bytes(label::VALUE, value.as_bytes(), out);
        });
    };
    if keeps_all(labels, reserved, escaping) {
        labels.iter().for_each(|(name, value)| write(name, value));
    } else {
        renamed(labels, reserved, escaping).iter().for_each(|(name, value)| write(name, value));
    }
}
