//! Prometheus's protobuf format: a body of `io.prometheus.client.MetricFamily` messages, each
//! behind its length. Written by hand: field numbers are in `fields`, nothing is generated.

mod composite;
mod decode;
mod encode;
mod error;
mod fields;
mod metric;
mod native;
mod points;
mod put;
mod render;
mod wire;

pub use decode::decode;
pub use encode::{ProtobufEncoder, ProtobufPage};

pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Native buckets of one histogram, and spans of them, for each sign.
pub const MAX_NATIVE_BUCKETS: usize = 10_000;
