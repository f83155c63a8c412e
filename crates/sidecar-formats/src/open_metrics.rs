//! OpenMetrics text 1.0.

mod encode;
mod legal;

pub use encode::{OpenMetricsEncoder, OpenMetricsPage};
