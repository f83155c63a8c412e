//! The encoder of text 0.0.4: golden files, and what must hold for every exposition.
#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod build;
mod checker;
mod golden;
mod properties;
