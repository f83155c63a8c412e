//! What OpenMetrics allows of a family's values and exemplars.

use crate::rendered::{PointLines, Shown};
use sidecar_model::{
    Bound, Escaping, Exemplar, MetricType, PointKind, escape_label_name, is_absent,
};
use std::borrow::Cow;

/// Most characters that an exemplar's labels have, names and values together.
const EXEMPLAR_CHARS: usize = 128;

/// Whether the family may be printed with its type. Counts that are no whole numbers, above all,
/// have no legal form in a histogram here: the parser of the Python client refuses them.
pub(super) fn fits_its_type(family: &Shown) -> bool {
    let rendered = &family.rendered;
    let Some(points) = rendered.point_lines() else {
        return scalars_fit(rendered.metric_type(), &family.values);
    };
    let mut first = 0;
    !rendered.has_odd_bounds()
        && points.iter().zip(&family.layout.points).all(|(lines, point)| {
            let values = lines.values_of(&family.values, first);
            first += lines.values();
            !lines.is_there(values) || point_fits(*lines, &point.kind, values)
        })
}

fn scalars_fit(metric_type: MetricType, values: &[f64]) -> bool {
    // Without an early end: it is checked on each scrape, and rarely fails.
    let all = |fits: fn(f64) -> bool| {
        values.iter().fold(true, |all, value| all & (fits(*value) | is_absent(*value)))
    };
    match metric_type {
        MetricType::Counter => all(|value| value >= 0.0),
        MetricType::Info => all(|value| value - 1.0 == 0.0),
        MetricType::StateSet => all(|value| (value == 0.0) | (value - 1.0 == 0.0)),
        MetricType::Gauge | MetricType::Unknown => true,
        // Composite, but without a point that is.
        MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary => {
            values.is_empty()
        }
    }
}

fn point_fits(lines: PointLines, kind: &PointKind, values: &[f64]) -> bool {
    match (lines, kind) {
        (PointLines::Histogram(buckets), PointKind::Histogram(bounds)) => {
            let (counts, sum) = values.split_at_checked(buckets).unwrap_or_default();
            let sum = sum.first().copied().filter(|sum| !is_absent(*sum));
            counts.iter().all(|count| is_count(*count))
                && counts.is_sorted()
                && (has_negative(bounds) || sum.is_none_or(|sum| sum >= 0.0))
                && sum.is_none_or(|sum| !sum.is_nan())
        }
        (PointLines::Summary(quantiles), PointKind::Summary(_)) => {
            let (values, rest) = values.split_at_checked(quantiles).unwrap_or_default();
            let [sum, count] = *rest else { return false };
            !values.iter().any(|value| *value < 0.0)
                && (is_absent(sum) || sum >= 0.0)
                && (is_absent(count) || is_count(count))
        }
        (PointLines::Scalar | PointLines::Histogram(_) | PointLines::Summary(_), _) => false,
    }
}

pub(super) fn is_count(value: f64) -> bool {
    value >= 0.0 && value - value.trunc() == 0.0
}

/// Whether observations may be negative, so that the sum can fall.
pub(super) fn has_negative(bounds: &[Bound]) -> bool {
    bounds.first().is_some_and(|bound| bound.value < 0.0)
}

/// Whether the value is in the bucket.
pub(super) fn is_in_bucket(value: f64, bounds: &[Bound], bucket: usize) -> bool {
    let below = bucket.checked_sub(1).and_then(|below| bounds.get(below));
    let above_last = below.is_none_or(|below| value > below.value);
    above_last && bounds.get(bucket).is_some_and(|bound| value <= bound.value)
}

/// The exemplar's labels as they may be printed; `None`: they may not. A name in quotation marks is
/// nothing that readers expect here, so names are always plain ones.
pub(super) fn exemplar_labels(
    exemplar: &Exemplar,
    escaping: Escaping,
) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let escaping = match escaping {
        Escaping::AllowUtf8 => Escaping::Underscores,
        Escaping::Underscores | Escaping::Dots | Escaping::Values => escaping,
    };
    let pairs = exemplar.labels.iter();
    let labels: Vec<_> =
        pairs.map(|(name, value)| (escape_label_name(name, escaping), value)).collect();
    let chars: usize =
        labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    let unique = labels.iter().enumerate().all(|(nth, (name, _))| {
        labels.iter().take(nth).all(|(other, _)| other != name) && name != "__name__"
    });
    (unique && chars <= EXEMPLAR_CHARS).then_some(labels)
}
