//! What a push says of itself, and what the store answers.

use crate::grouping::GroupKey;
use crate::journal::Position;
use crate::pace::Pace;
use crate::stager::Room;
use sidecar_model::Temporality;
use std::time::Duration;

/// The one code of everything that is refused for want of memory.
const MEMORY_LIMIT: &str = sidecar_model::ProblemKind::OutOfMemory.code();

/// What a push says of itself besides its families.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushMeta<'a> {
    pub sequence: Option<Sequence<'a>>,
    /// The instance departs after this push.
    pub is_final: bool,
    /// Apply all of it or nothing.
    pub strict: bool,
    /// Decay of what this push writes.
    pub ttl: Option<Duration>,
    /// Overrides what the families say.
    pub temporality: Option<Temporality>,
    /// Who pushes, whatever the labels say: `instance_labels` are labels like others then.
    pub writer: Option<&'a str>,
    /// Who pushes, and labels for all samples.
    pub group: Option<&'a GroupKey>,
    pub replaces: Replaces,
    /// Whom to ask for the memory that new things take; without it there is enough. What it answered
    /// is an input of the push as the body is.
    pub room: Option<&'a dyn Room>,
    /// Whom to tell of the push's steps.
    pub pace: Option<&'a dyn Pace>,
    pub times: Option<PushTimes>,
    /// Kept with what the push comes to: it is there after a crash if and only if the push is.
    pub key: Option<PushKey<'a>>,
}

/// An `Idempotency-Key` that [`crate::Store::begin_key`] found fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushKey<'a> {
    /// Scope and key.
    pub key: &'a str,
    /// [`crate::Store::hash`] of the body.
    pub body: u64,
}

/// What of the writer's earlier pushes goes, if this push does not have it. Of an instance gauges
/// go; its cumulative values count on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replaces {
    #[default]
    Nothing,
    /// Of the families that the push has.
    SameFamilies,
    Everything,
}

/// The times that a group shows of itself, in Unix seconds by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PushTimes {
    /// `push_time_seconds` is this.
    Done(f64),
    /// `push_failure_time_seconds` is this.
    Failed(f64),
}

/// The header `Push-Sequence: <epoch>.<n>.<acked>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence<'a> {
    pub epoch: &'a str,
    pub n: u64,
    pub acked: u64,
}

/// What became of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Samples that were taken in.
    pub samples: u64,
    /// Families of which something was refused.
    pub refused: Vec<Refused>,
    /// Samples that stood in the body more than once: the last one counted.
    pub duplicates: u64,
    /// A repeated or overtaken push: nothing was applied, and need not be.
    pub late: bool,
    /// Strict, and something was refused: nothing was applied.
    pub withheld: bool,
    /// The journal takes no more: nothing was applied.
    pub journal_full: bool,
    /// The push's record in the journal; 0: there is none.
    pub recorded: Position,
}

impl Outcome {
    /// Something was refused and nothing was applied.
    pub fn is_refusal(&self) -> bool {
        self.withheld || self.journal_full || (self.samples == 0 && !self.refused.is_empty())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub family: String,
    pub reason: Reason,
}

/// Why a family, or the new series of a family, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the family is a {held}, not a {pushed}")]
    TypeConflict { held: sidecar_model::MetricType, pushed: sidecar_model::MetricType },
    #[error("the sample name {name} belongs to the family {owner}")]
    NameConflict { name: String, owner: String },
    #[error("a new series has the labels of another one but for characters in label names")]
    LabelConflict,
    #[error("the unit is {held}, not {pushed}")]
    UnitConflict { held: String, pushed: String },
    #[error("a counter, bucket or count must be finite and not negative")]
    BadValue,
    #[error("buckets must not fall from one bound to the next")]
    FallingBuckets,
    #[error("a histogram needs a bucket +Inf or a count")]
    IncompleteHistogram,
    #[error("the count differs from the bucket +Inf")]
    CountMismatch,
    #[error("another group has the same series")]
    DuplicateSeries,
    #[error("a new group beyond the limit of groups")]
    GroupLimit,
    #[error("new series beyond the limit of series per instance")]
    InstanceSeriesLimit,
    #[error("new series beyond the limit of series")]
    SeriesLimit,
    #[error("a new instance beyond the limit of instances")]
    InstanceLimit,
    #[error("new series beyond the limit of series of this job")]
    JobSeriesLimit,
    #[error("a new instance beyond the limit of instances of this job")]
    JobInstanceLimit,
    #[error("memory is short: nothing new is taken, updates are")]
    MemoryLimit,
}

impl Reason {
    /// Stable code for answers, logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::TypeConflict { .. } => "type_conflict",
            Reason::NameConflict { .. } => "name_conflict",
            Reason::LabelConflict => "label_conflict",
            Reason::UnitConflict { .. } => "unit_conflict",
            Reason::BadValue => "bad_value",
            Reason::FallingBuckets => "falling_buckets",
            Reason::IncompleteHistogram => "incomplete_histogram",
            Reason::CountMismatch => "count_mismatch",
            Reason::InstanceSeriesLimit => "instance_series_limit",
            Reason::SeriesLimit => "series_limit",
            Reason::InstanceLimit => "instance_limit",
            Reason::JobSeriesLimit => "job_series_limit",
            Reason::JobInstanceLimit => "job_instance_limit",
            Reason::MemoryLimit => MEMORY_LIMIT,
            Reason::DuplicateSeries => "duplicate_series",
            Reason::GroupLimit => "group_limit",
        }
    }

    /// A limit, not a fault of the push: it may be taken later.
    pub const fn is_limit(&self) -> bool {
        matches!(
            self,
            Reason::InstanceSeriesLimit
                | Reason::SeriesLimit
                | Reason::InstanceLimit
                | Reason::GroupLimit
                | Reason::JobSeriesLimit
                | Reason::JobInstanceLimit
                | Reason::MemoryLimit
        )
    }
}

/// What an `Idempotency-Key` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// First seen: push with it ([`PushMeta::key`]); call `release_key` when nothing was applied.
    Fresh,
    /// Applied before: answer this, apply nothing.
    Done(Outcome),
    InFlight,
    /// The key was used for another body.
    OtherBody,
    /// No room for another key.
    TooMany,
    /// No memory for another key.
    OutOfMemory,
}
