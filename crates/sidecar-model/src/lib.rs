//! What a metric is: names, label sets, families, aggregation, temporality, ticks, and the two
//! contracts between the crates beside it: [`Sink`] (decoder to store) and [`Exposition`] (store
//! to encoder).
//!
//! Never does I/O, reads a clock, or knows a protocol's spelling of anything.

mod aggregation;
mod exposition;
mod label;
mod metric_type;
mod name;
mod native;
mod sink;
mod tick;
mod total;
mod window;

pub use aggregation::{Aggregation, UnknownAggregation};
pub use exposition::{
    ABSENT, Bound, Exemplar, Exposition, Extras, FamilyExposition, FamilyLayout, Point, PointKind,
    is_absent,
};
pub use label::{LabelSet, LabelSetError};
pub use metric_type::{MetricType, Role, UnknownType, base_name, role_of};
pub use name::{
    Escaping, UnknownEscaping, escape_label_name, escape_metric_name, is_plain_label_name,
    is_plain_metric_name, plain_label_name, plain_metric_name, unescape_name,
};
pub use native::{NativeHistogram, Span, SpanError};
pub use sink::{ExemplarParts, FamilyHeader, Mark, Problem, ProblemKind, SampleParts, Sink};
pub use tick::Tick;
pub use total::Total;
pub use window::{MAX_WINDOW_SECONDS, Window, WindowFunction};

/// Whether a value is a total so far or an amount to add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    #[default]
    Cumulative,
    Delta,
}
