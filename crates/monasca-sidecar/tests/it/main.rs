//! End to end: the built binary on a free port, spoken to in plain HTTP.
//!
//! What merged numbers mean is the store's to prove; here it is that each answer has its status,
//! code and headers, that limits hold, and that the process starts, reloads and stops in order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy sees a test only in #[test], not in its helpers"
)]

mod answers;
mod client;
mod lifecycle;
mod limits;
mod listeners;
mod state;
mod tidy;
