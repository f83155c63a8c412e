//! Bytes to and from the model: pure functions, one folder per format, one file per direction.
//!
//! Owns the only number text ([`number`]) and the only escaping ([`escape`]). Keeps no state but
//! what an encoder has rendered, opens nothing, knows no time, and answers every input: nothing
//! here may panic, whatever the bytes are.

#![warn(clippy::indexing_slicing)]

mod error;
pub mod escape;
pub mod ingest_json;
mod lines;
pub mod mmap_file;
pub mod number;
pub mod open_metrics;
mod page;
pub mod prom_text;
pub mod protobuf;
mod quoted;
mod renaming;
mod rendered;
mod seen_names;

pub use error::DecodeError;
pub use page::{Encoded, Page};
pub use rendered::prints_one_of;

/// So much at most is read for no sample without a [`sidecar_model::Sink::pause`], but for one text.
const PAUSE_BYTES: usize = 64 * 1024;

/// What becomes of the timestamps that samples are pushed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// They are checked and left out: an exposed timestamp would defeat the scraper's staleness.
    #[default]
    Drop,
    /// The body is refused, as the Pushgateway does.
    Reject,
}
