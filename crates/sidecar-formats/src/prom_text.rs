//! Prometheus text format 0.0.4.

mod encode;
mod render;

pub use encode::{TextEncoder, TextPage};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
