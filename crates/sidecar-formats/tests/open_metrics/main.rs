//! The encoder of OpenMetrics: golden files, and what must hold for every exposition.
#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

#[path = "../prom_text/build.rs"]
mod build;
mod checker;
mod golden;
mod properties;
