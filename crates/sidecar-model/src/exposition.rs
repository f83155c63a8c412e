//! What a collect hands to an encoder: for each family a layout, shared and unchanged between
//! scrapes as long as no series comes or goes, and the numbers of this scrape.

use crate::{LabelSet, MetricType, NativeHistogram};
use std::sync::Arc;

/// A value that is not there now: its line is left out. No input can be this NaN, since every NaN
/// that comes in is replaced by the standard one.
pub const ABSENT: f64 = f64::from_bits(0x7ff8_0000_ab5e_0001);

#[inline]
pub const fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// One consistent view of everything, families in name order.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    pub families: Vec<FamilyExposition>,
}

#[derive(Clone, Debug)]
pub struct FamilyExposition {
    pub layout: Arc<FamilyLayout>,
    /// The points' values, one after the other, each point as long as [`Point::len`] says.
    pub values: Vec<f64>,
    pub extras: Extras,
}

/// What only some formats carry.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// By index among the family's values (a counter's value, a histogram's bucket), ascending.
    pub exemplars: Vec<(u32, Arc<Exemplar>)>,
    /// For each point when it began to count, in Unix seconds, or [`ABSENT`]; empty: none is known.
    pub created: Vec<f64>,
    /// By index of the point, ascending.
    pub natives: Vec<(u32, Arc<NativeHistogram>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub labels: LabelSet,
    pub value: f64,
    /// Unix seconds.
    pub timestamp: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct FamilyLayout {
    /// Two layouts with the same id are the same layout (an encoder may keep what it rendered).
    pub id: u64,
    /// Without `_total` and `_info`.
    pub name: Arc<str>,
    pub metric_type: MetricType,
    /// A counter's or info's samples carry the suffix (`_total`, `_info`); those pushed without
    /// keep their name.
    pub suffixed: bool,
    pub help: Arc<str>,
    pub unit: Arc<str>,
    /// In label order.
    pub points: Vec<Point>,
}

/// One label set of a family.
#[derive(Clone, Debug)]
pub struct Point {
    pub labels: LabelSet,
    pub kind: PointKind,
}

#[derive(Clone, Debug)]
pub enum PointKind {
    /// One value.
    Scalar,
    /// Cumulative buckets in bound order, the last one `+Inf`, which is also the count; then the
    /// sum. An absent first bucket: the whole point is absent. An absent sum: not known.
    Histogram(Arc<[Bound]>),
    /// Quantiles in order, then sum, then count, each of which may be absent.
    Summary(Arc<[Bound]>),
}

impl Point {
    /// How many values the point has.
    pub fn len(&self) -> usize {
        match &self.kind {
            PointKind::Scalar => 1,
            PointKind::Histogram(bounds) => bounds.len() + 1,
            PointKind::Summary(quantiles) => quantiles.len() + 2,
        }
    }

    pub fn is_empty(&self) -> bool {
        false
    }
}

/// An upper bound or a quantile, with the text it first arrived with (formats that have a rule of
/// their own go by the number).
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub value: f64,
    pub text: Box<str>,
}
