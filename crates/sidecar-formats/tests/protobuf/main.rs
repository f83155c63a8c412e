//! The protobuf format: what bodies mean, what pages hold, and what must hold for both.

#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "wire forms of small numbers"
)]

mod bodies;
mod decode;
mod encode;
mod expositions;
mod golden;
#[path = "../ingest_json/golden_files.rs"]
mod golden_files;
mod properties;
mod recorder;
mod writer;
