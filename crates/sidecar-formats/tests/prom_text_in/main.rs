//! The decoder of text 0.0.4 and 1.0.0: golden files, and what must hold for every body.

#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod bodies;
#[path = "../prom_text/build.rs"]
mod build;
mod edits;
mod golden;
#[path = "../ingest_json/golden_files.rs"]
mod golden_files;
mod properties;
#[path = "../ingest_json/recorder.rs"]
mod recorder;
mod round_trip;
