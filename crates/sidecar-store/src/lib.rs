//! The merge engine: who contributed what, and what the merged value is.
//!
//! Synchronous, and a deterministic state machine: the same pushes, ticks and settings in the same
//! order give the same state. `now` is always an argument. Never does I/O, reads a clock, or knows
//! a format.

mod outcome;
mod settings;
mod stager;
mod store;
mod view;

pub use outcome::{KeyState, Outcome, PushMeta, Reason, Refused, Sequence};
pub use settings::{Departed, Glob, Limits, Match, Rule, Settings, UnknownPast};
pub use stager::Stager;
pub use store::Store;
pub use view::{
    ContributionView, FamilyView, InstanceView, Matcher, Selector, SeriesView, Stats,
};
