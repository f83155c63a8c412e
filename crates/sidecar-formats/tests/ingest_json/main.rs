//! The decoder of `/v1/ingest`: golden files, and what must hold for every body.

#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod bodies;
mod golden;
mod golden_files;
mod properties;
mod recorder;
