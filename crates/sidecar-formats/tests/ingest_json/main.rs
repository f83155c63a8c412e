//! The decoder of `/v1/ingest`: golden files, and what must hold for every body.

mod bodies;
mod golden;
mod properties;
mod recorder;
