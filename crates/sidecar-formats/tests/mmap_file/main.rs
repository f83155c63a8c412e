//! The files of the Python client's multiprocess mode: what clients wrote, and what must hold for
//! every file.

#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod files;
mod golden;
#[path = "../ingest_json/golden_files.rs"]
mod golden_files;
mod hostile;
mod names;
mod properties;
mod ruby;
mod state;
