//! What a family's layout looks like in the text formats without the numbers: rendered once, so
//! that a scrape is copy and number text.
//!
//! Owns the lines up to their values; which values may be printed, and their text, is the
//! encoders'.

mod family;
mod kept;
mod labels;
mod names;

pub(crate) use family::{PointLines, Rendered};
pub(crate) use kept::{Kept, Shown};
pub use names::prints_one_of;

use sidecar_model::Escaping;

/// What the lines depend on besides the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) dialect: Dialect,
    pub(crate) escaping: Escaping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Prometheus,
    OpenMetrics,
}
