//! What can be wrong with a line, and the words for it.

use crate::error::{DecodeError, line_and_column};
use sidecar_model::{Problem, ProblemKind};

/// What is wrong, without the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// What is no line of the format, or stands where it may not.
    #[error("{0}")]
    Syntax(&'static str),
    #[error("not UTF-8")]
    NotUtf8,
    #[error("expected a metric name: letters, digits, _ and :, or any characters in quotes")]
    BadName,
    #[error("the sample has no metric name")]
    NameMissing,
    #[error("a second metric name")]
    SecondName,
    #[error(
        "unknown metric type: use one of counter gauge histogram summary unknown untyped info stateset gaugehistogram"
    )]
    UnknownType,
    #[error("a second TYPE for this metric")]
    SecondType,
    #[error("TYPE behind samples of this metric")]
    LateType,
    #[error("a second HELP for this metric")]
    SecondHelp,
    #[error("a help text with an unknown escape")]
    BadHelp,
    #[error("{0}")]
    BadUnit(&'static str),
    #[error("expected a label name: letters, digits and _, or any characters in quotes")]
    BadLabelName,
    #[error("the label name __name__ is reserved")]
    ReservedLabel,
    #[error("the same label name twice")]
    DuplicateLabel,
    #[error("{0}")]
    BadLabels(&'static str),
    #[error("a label value without an end, or with an unknown escape")]
    BadLabelValue,
    #[error("a value must be a decimal number, NaN, +Inf or -Inf, and fit a 64-bit float")]
    BadValue,
    /// A number that this sample cannot have.
    #[error("{0}")]
    WrongValue(&'static str),
    #[error("{0}")]
    BadBound(&'static str),
    #[error("{0}")]
    BadQuantile(&'static str),
    #[error("{0}")]
    BadTimestamp(&'static str),
    #[error("samples with timestamps are refused here")]
    TimestampNotAllowed,
    #[error("{0}")]
    BadExemplar(&'static str),
    #[error("{0}")]
    Sink(Problem),
}

impl Reason {
    const fn code(self, syntax: &'static str) -> &'static str {
        match self {
            Reason::Syntax(_) => syntax,
            Reason::NotUtf8 => "bad_utf8",
            Reason::BadName | Reason::NameMissing | Reason::SecondName => "bad_name",
            Reason::UnknownType | Reason::SecondType | Reason::LateType => "bad_type",
            Reason::SecondHelp | Reason::BadHelp => "bad_help",
            Reason::BadUnit(_) => "bad_unit",
            Reason::BadLabelName | Reason::ReservedLabel => "bad_label_name",
            Reason::DuplicateLabel => "duplicate_label",
            Reason::BadLabels(_) => "bad_labels",
            Reason::BadLabelValue => "bad_label_value",
            Reason::BadValue | Reason::WrongValue(_) => "bad_value",
            Reason::BadBound(_) => "bad_bound",
            Reason::BadQuantile(_) => "bad_quantile",
            Reason::BadTimestamp(_) => "bad_timestamp",
            Reason::TimestampNotAllowed => "timestamp_not_allowed",
            Reason::BadExemplar(_) => "bad_exemplar",
            Reason::Sink(problem) => problem.kind.code(),
        }
    }
}

/// Something wrong at a place in the bytes; boxed, since good bodies make none.
#[derive(Debug)]
pub(crate) struct Fault {
    reason: Reason,
    offset: usize,
    /// The label that is at fault.
    label: Option<String>,
}

pub(crate) type Read<T> = Result<T, Box<Fault>>;

/// Bytes of a label name that a message repeats.
const MAX_LABEL_BYTES: usize = 200;

impl Fault {
    #[cold]
    pub(crate) fn at<T>(reason: Reason, offset: usize) -> Read<T> {
        Err(Box::new(Fault { reason, offset, label: None }))
    }

    pub(crate) fn with_label(mut self: Box<Self>, name: &str) -> Box<Self> {
        let end = name.floor_char_boundary(MAX_LABEL_BYTES);
        self.label = Some(name.get(..end).unwrap_or_default().to_owned());
        self
    }

    /// `syntax`: the code of what is no line of the format.
    #[cold]
    pub(crate) fn explain(&self, body: &[u8], syntax: &'static str) -> DecodeError {
        let (line, column) = line_and_column(body, self.offset);
        let label = self.label.as_ref().map(|name| format!(": label {name:?}")).unwrap_or_default();
        let reason = self.reason;
        DecodeError {
            code: reason.code(syntax),
            at: format!("line {line}"),
            message: format!("{reason}{label} (line {line}, column {column})"),
        }
    }
}

/// What the sink said of the sample that begins at `offset` and was written with these labels.
#[cold]
pub(crate) fn refused<T, N: AsRef<str>, V>(
    problem: Problem,
    offset: usize,
    labels: &[(N, V)],
) -> Read<T> {
    let label = problem.label.and_then(|index| labels.get(index));
    let label = label.filter(|_| problem.kind != ProblemKind::EmptyLabelName);
    let fault: Read<T> = Fault::at(Reason::Sink(problem), offset);
    fault.map_err(|fault| match label {
        Some((name, _)) => fault.with_label(name.as_ref()),
        None => fault,
    })
}
