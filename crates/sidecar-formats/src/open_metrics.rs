//! OpenMetrics text 1.0.

mod decode;
mod encode;
mod legal;

pub use decode::decode;
pub use encode::{OpenMetricsEncoder, OpenMetricsPage};
