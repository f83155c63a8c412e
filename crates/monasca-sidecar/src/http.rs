//! What every route shares: which route a request asks for, its query, its body within the limits,
//! the answer's body, and which error gets which status.
//!
//! Knows nothing of metrics; the modules that do are called by `app`.

pub(crate) mod answer;
mod aside;
pub(crate) mod body;
mod entry;
mod grouping;
mod habit;
pub(crate) mod negotiate;
pub(crate) mod problem;
pub(crate) mod progress;
pub(crate) mod query;
pub(crate) mod router;

pub(crate) use answer::{Answer, Body, Pages};
pub(crate) use aside::Aside;
pub(crate) use entry::Entry;
pub(crate) use problem::Problem;
pub(crate) use progress::Progress;
