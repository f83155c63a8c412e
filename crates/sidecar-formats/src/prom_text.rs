//! Prometheus text format 0.0.4.

mod decode;
mod encode;
mod families;

pub use decode::decode;
pub use encode::{TextEncoder, TextPage};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
