//! Bytes to and from the model: pure functions, one folder per format, one file per direction.
//!
//! Owns the only number text ([`number`]) and the only escaping ([`escape`]). Keeps no state but
//! what an encoder has rendered, opens nothing, knows no time, and answers every input: nothing
//! here may panic, whatever the bytes are.

#![warn(clippy::indexing_slicing)]

pub mod escape;
pub mod ingest_json;
pub mod number;
pub mod prom_text;
