//! Names of families and labels as every format gives them: what a type puts behind a family's
//! name, how labels are kept apart when characters that a page cannot carry are replaced, and which
//! points become equal to another then.
//!
//! Writes nothing: how a name stands on a page is the format's.

use hashbrown::HashSet;
use sidecar_model::{
    Escaping, FamilyLayout, LabelSet, MetricType, Point, PointKind, escape_label_name,
    is_plain_label_name,
};

/// The name of a family's samples, as it is in every format.
pub(crate) fn sample_name(layout: &FamilyLayout) -> String {
    format!("{}{}", layout.name, type_suffix(layout))
}

/// The name that a counter's or info's samples have behind the family's.
pub(crate) fn type_suffix(layout: &FamilyLayout) -> &'static str {
    match layout.metric_type {
        MetricType::Counter if layout.suffixed => "_total",
        MetricType::Info if layout.suffixed => "_info",
        MetricType::Counter
        | MetricType::Info
        | MetricType::Gauge
        | MetricType::Histogram
        | MetricType::Summary
        | MetricType::Unknown
        | MetricType::StateSet
        | MetricType::GaugeHistogram => "",
    }
}

/// The labels that the point's samples have besides its own, and the one that stands for the name.
pub(crate) fn reserved(kind: &PointKind) -> &'static [&'static str] {
    match kind {
        PointKind::Scalar => &["__name__"],
        PointKind::Histogram(_) => &["__name__", "le"],
        PointKind::Summary(_) => &["__name__", "quantile"],
    }
}

/// Whether a label of this name keeps it.
fn keeps(name: &str, reserved: &[&str], escaping: Escaping) -> bool {
    !reserved.contains(&name) && (escaping == Escaping::AllowUtf8 || is_plain_label_name(name))
}

/// Whether all labels keep their names.
pub(crate) fn keeps_all(labels: &LabelSet, reserved: &[&str], escaping: Escaping) -> bool {
    labels.iter().all(|(name, _)| keeps(name, reserved, escaping))
}

/// The labels under the names that are shown, in the order of these; a name that is taken gets
/// underscores until it is free, and one that may stay as it is keeps its own.
pub(crate) fn renamed(
    labels: &LabelSet,
    reserved: &[&str],
    escaping: Escaping,
) -> Vec<(String, String)> {
    let mut taken: Vec<(String, String)> = Vec::new();
    let (kept, other): (Vec<_>, Vec<_>) =
        labels.iter().partition(|(name, _)| keeps(name, reserved, escaping));
    for (name, value) in kept.into_iter().chain(other) {
        let mut name = escape_label_name(name, escaping).into_owned();
        while reserved.contains(&name.as_str()) || taken.iter().any(|(other, _)| *other == name) {
            name.push('_');
        }
        taken.push((name, value.to_owned()));
    }
    taken.sort();
    taken
}

/// Points that new names make equal to another.
pub(crate) struct Collisions(HashSet<usize, foldhash::fast::RandomState>);

impl Collisions {
    pub(crate) fn of(layout: &FamilyLayout, escaping: Escaping) -> Collisions {
        let keeps_all = |point: &Point| keeps_all(&point.labels, reserved(&point.kind), escaping);
        let mut hidden = HashSet::default();
        let odd: Vec<(usize, &Point)> =
            layout.points.iter().enumerate().filter(|(_, point)| !keeps_all(point)).collect();
        if odd.is_empty() {
            return Collisions(hidden);
        }
        // Only points with names that change can come to equal another: the others go first.
        let mut seen: HashSet<LabelSet, foldhash::fast::RandomState> =
            layout.points.iter().filter(|p| keeps_all(p)).map(|p| p.labels.clone()).collect();
        for (index, point) in odd {
            let labels = LabelSet::new(renamed(&point.labels, reserved(&point.kind), escaping));
            if !labels.is_ok_and(|labels| seen.insert(labels)) {
                hidden.insert(index);
            }
        }
        Collisions(hidden)
    }

    pub(crate) fn hides(&self, index: usize) -> bool {
        !self.0.is_empty() && self.0.contains(&index)
    }
}
