//! What can be wrong with a body, and the words for it.

use sidecar_model::{Problem, SpanError};

/// What is wrong, without the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("a length goes beyond the end of what it is in")]
    Truncated,
    #[error("a varint of more than 64 bits")]
    LongVarint,
    #[error("a field number or wire type that does not exist")]
    BadTag,
    #[error("a field that has another wire type than its own")]
    WrongWireType,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("an unknown metric type: use one of 0 to 5")]
    UnknownType,
    #[error("no {0} in a metric whose family is one")]
    ValueMissing(&'static str),
    #[error("two {0} messages in one metric")]
    ValueTwice(&'static str),
    #[error("a sample must not have a timestamp")]
    Timestamp,
    #[error("native histogram: {0}")]
    Native(&'static str),
    #[error("native histogram: more than {max} buckets or spans", max = super::MAX_NATIVE_BUCKETS)]
    TooManyBuckets,
    #[error("native histogram: {0}")]
    Spans(SpanError),
    #[error("{0}")]
    Sink(Problem),
}

impl Reason {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Reason::Truncated
            | Reason::LongVarint
            | Reason::BadTag
            | Reason::WrongWireType
            | Reason::NotUtf8
            | Reason::ValueMissing(_)
            | Reason::ValueTwice(_)
            | Reason::Native(_)
            | Reason::TooManyBuckets
            | Reason::Spans(_) => "bad_protobuf",
            Reason::UnknownType => "bad_type",
            Reason::Timestamp => "timestamp_not_allowed",
            Reason::Sink(problem) => problem.kind.code(),
        }
    }
}

pub(super) type Read<T> = Result<T, Reason>;
