//! The merge engine: who contributed what, and what the merged value is.
//!
//! Synchronous, and a deterministic state machine: the same pushes, ticks and settings in the same
//! order give the same state. `now` is always an argument. Never does I/O, reads a clock, or knows
//! a format.

mod accumulate;
mod aggregate;
mod apply;
mod begin;
mod bounds;
mod by_writer;
mod catalog;
mod change;
mod collect;
mod counters;
mod delete;
mod draft;
mod exemplars;
mod facts;
mod family;
mod faults;
mod forgotten;
mod gather;
mod group;
mod group_view;
mod grouping;
mod hash;
mod holding;
mod inspect;
mod instance;
mod jobs;
mod journal;
mod keys;
mod layout;
mod lifecycle;
mod limit;
mod maps;
mod natives;
mod outcome;
mod pace;
mod place;
mod record;
mod relief;
mod reload;
mod remember;
mod replace;
mod settings;
mod settle;
mod shape;
mod snapshot;
mod stager;
mod standing;
mod store;
mod stored;
mod undo;
mod upkeep;
mod values;
mod view;
mod window;

pub use begin::{Begin, Share};
pub use group_view::{GroupFamilyView, GroupValue, GroupView};
pub use grouping::GroupKey;
pub use jobs::JobView;
pub use journal::{Journal, JournalFull, Position};
pub use outcome::{
    KeyState, Outcome, PushKey, PushMeta, PushTimes, Reason, Refused, Replaces, Sequence,
};
pub use pace::Pace;
pub use settings::{
    Bounds, Departed, Glob, JobSettings, Limits, Match, Rule, Settings, UnknownPast,
};
pub use stager::{Grant, Room, Stager};
pub use standing::{ENDLESS, Standing};
pub use store::Store;
pub use stored::Corrupt;
pub use view::{
    ContributionView, FamilyView, InstanceView, Matcher, Observed, Selector, SeriesView, Stats,
    Value,
};
