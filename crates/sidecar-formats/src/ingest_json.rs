//! The JSON of `/v1/ingest`: an array of families, each with its samples.

mod decode;
mod error;
mod family;
mod sample;
mod scan;

pub use decode::decode;

/// Nesting of a body, the outer array included. Families and samples need 5; the rest is for
/// fields nobody knows, which are skipped.
pub const MAX_DEPTH: u32 = 32;
