//! The contract between a decoder and what takes its samples in.
//!
//! A common push repeats the previous one with other numbers. So the sink remembers, for each
//! series of an instance, the length and hash of the raw bytes that led to its value, and what
//! came next. The decoder asks for that first (`next_*_len`, `follow_*`); on a match nothing is
//! scanned, and only the number is read. On a miss it parses and offers the parts.
//!
//! Raw bytes of a sample: from its first byte (`{` in JSON) to the first byte of its value,
//! exclusive. Raw bytes of a header: from the family's first byte to where its samples begin. The
//! parse of equal raw bytes must be equal, whatever stands before or after them.

use crate::{Aggregation, MetricType, NativeHistogram, Temporality};
use std::borrow::Cow;

/// A family as a decoder found it; nothing in it is validated but UTF-8.
#[derive(Clone, Debug, Default)]
pub struct FamilyHeader<'a> {
    pub name: Cow<'a, str>,
    pub metric_type: MetricType,
    pub help: Cow<'a, str>,
    pub unit: Cow<'a, str>,
    pub temporality: Temporality,
    /// The function that the family as a whole asks for; a sample's `_aggregate` label goes first.
    pub aggregation: Option<Aggregation>,
}

/// A sample as a decoder found it: labels in the order written, duplicates and all.
#[derive(Clone, Debug, Default)]
pub struct SampleParts<'a> {
    /// `None`: the family's name.
    pub name: Option<Cow<'a, str>>,
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// An exemplar as a decoder found it, checked by the rules of its format.
#[derive(Clone, Debug, Default)]
pub struct ExemplarParts<'a> {
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub value: f64,
    /// Unix seconds.
    pub timestamp: Option<f64>,
}

/// Why a header or sample cannot be taken in: the whole body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Problem {
    pub kind: ProblemKind,
    /// Index of the label that is at fault, in the order written.
    pub label: Option<usize>,
}

impl Problem {
    pub const TOO_MANY_LABELS: Problem = Problem { kind: ProblemKind::TooManyLabels, label: None };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    #[error("the name is empty")]
    EmptyName,
    #[error("the name is longer than the limit")]
    NameTooLong,
    #[error("the help text is longer than the limit")]
    HelpTooLong,
    #[error("the label name is empty")]
    EmptyLabelName,
    #[error("the label name is longer than the limit")]
    LabelNameTooLong,
    #[error("the label name begins with two underscores, which are reserved")]
    ReservedLabelName,
    #[error("the label value is longer than the limit")]
    LabelValueTooLong,
    #[error("the same label name twice")]
    DuplicateLabel,
    #[error("more labels than the limit")]
    TooManyLabels,
    #[error("{}", crate::aggregation::FUNCTIONS)]
    BadAggregation,
    #[error("this aggregation is not allowed for the family's type")]
    AggregationNotAllowed,
    #[error("a bucket needs a label le that is a number")]
    BadBound,
    #[error("a quantile sample needs a label quantile that is a number from 0 to 1")]
    BadQuantile,
    #[error("a delta must be a finite number")]
    BadDelta,
    #[error("Push-Sequence on a body with several ids")]
    SeveralIds,
    #[error("memory is short: so much that is new is not taken")]
    OutOfMemory,
}

impl ProblemKind {
    /// Stable code for answers, logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            ProblemKind::EmptyName | ProblemKind::NameTooLong => "bad_name",
            ProblemKind::HelpTooLong => "bad_help",
            ProblemKind::EmptyLabelName
            | ProblemKind::LabelNameTooLong
            | ProblemKind::ReservedLabelName => "bad_label_name",
            ProblemKind::LabelValueTooLong => "bad_label_value",
            ProblemKind::DuplicateLabel => "duplicate_label",
            ProblemKind::TooManyLabels => "too_many_labels",
            ProblemKind::BadAggregation | ProblemKind::AggregationNotAllowed => "bad_aggregation",
            ProblemKind::BadBound => "bad_bound",
            ProblemKind::BadQuantile => "bad_quantile",
            ProblemKind::BadDelta => "bad_value",
            ProblemKind::SeveralIds => "bad_sequence",
            ProblemKind::OutOfMemory => "memory_limit",
        }
    }
}

/// A place to come back to with [`Sink::rewind`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub known: usize,
    pub parsed: usize,
    pub headers: usize,
}

/// Takes in what a decoder reads. Order of calls: for each family a header (followed or parsed),
/// then its samples.
pub trait Sink {
    /// A decoder reads no more labels of a sample: it refuses it with [`Problem::TOO_MANY_LABELS`].
    fn most_labels(&self) -> usize {
        usize::MAX
    }

    /// What a decoder calls now and then while it reads much that is no sample: others may go first then.
    fn pause(&self) -> fn() {
        || {}
    }

    /// Length in bytes of the header that came at this place last time; 0: nothing remembered.
    fn next_header_len(&self) -> usize;

    /// Whether `raw` is that header; if so its family is open now.
    fn follow_header(&mut self, raw: &[u8]) -> bool;

    /// Opens a family. `raw`: its raw bytes when they may be remembered, which they may only when
    /// nothing behind the samples can change what they mean.
    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem>;

    /// Length in bytes of the sample that came at this place last time; 0: nothing remembered.
    fn next_sample_len(&self) -> usize;

    /// Whether `raw` is that sample. Only asked right before [`Sink::value`] or a fresh parse of
    /// the same bytes: it changes nothing.
    fn is_next_sample(&self, raw: &[u8]) -> bool;

    /// The value of the sample that [`Sink::is_next_sample`] has just agreed to; moves on.
    fn value(&mut self, value: f64);

    /// The sample that came at this place last time is not in this push, which keeps the order of that
    /// one: moves on behind it, if its raw bytes had this length, and says whether they had. Its family
    /// need not be open. A guess that was wrong costs time and nothing else, since what is expected next
    /// is compared before it is taken.
    fn skip(&mut self, raw_len: usize) -> bool;

    /// A sample that was not the expected one.
    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem>;

    /// An exemplar of the sample that was taken in last, known or not.
    fn exemplar(&mut self, exemplar: &ExemplarParts<'_>);

    /// The native buckets of a histogram with these labels. Its classic samples, of which there
    /// are at least the count and the sum, come before.
    fn native(
        &mut self,
        sample: &mut SampleParts<'_>,
        histogram: NativeHistogram,
    ) -> Result<(), Problem>;

    /// The current place.
    fn mark(&self) -> Mark;

    /// Forgets what was taken in since `mark`.
    fn rewind(&mut self, mark: Mark);
}
