//! What can be wrong with a body, and the words for it.

use sidecar_model::Problem;

/// What is wrong, without the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("not JSON: {0}")]
    Json(&'static str),
    #[error("nested deeper than {max} levels", max = super::MAX_DEPTH)]
    TooDeep,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("an escape that stands for half a character")]
    LoneSurrogate,
    #[error("the body must be an array of families")]
    NotAnArray,
    #[error("a family must be an object")]
    NotAFamily,
    #[error("values must be an array of samples")]
    ValuesNotAnArray,
    #[error("a sample must be an object")]
    NotASample,
    #[error("a family needs a name")]
    NameMissing,
    #[error("a name must be a string")]
    NameNotText,
    #[error(
        "unknown metric type: use one of counter gauge histogram summary unknown untyped info stateset gaugehistogram"
    )]
    UnknownType,
    #[error("help must be a string")]
    HelpNotText,
    #[error("unit must be a string")]
    UnitNotText,
    #[error("temporality must be cumulative or delta")]
    UnknownTemporality,
    #[error(
        "unknown aggregator: use one of sum first min max average omit, or an aggregation function"
    )]
    UnknownAggregator,
    #[error("labels must be an object")]
    LabelsNotAnObject,
    #[error("a label value must be a string, a number or a boolean")]
    BadLabelValue,
    #[error("a sample needs a value")]
    ValueMissing,
    #[error("a value must be a number, NaN, +Inf or -Inf, and fit a 64-bit float")]
    BadValue,
    #[error("{0}")]
    Sink(Problem),
}

impl Reason {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Reason::Json(_) => "bad_json",
            Reason::TooDeep => "too_deep",
            Reason::NotUtf8 | Reason::LoneSurrogate => "bad_utf8",
            Reason::NotAnArray | Reason::NotAFamily => "bad_family",
            Reason::ValuesNotAnArray | Reason::NotASample => "bad_sample",
            Reason::NameMissing | Reason::NameNotText => "bad_name",
            Reason::UnknownType => "bad_type",
            Reason::HelpNotText => "bad_help",
            Reason::UnitNotText => "bad_unit",
            Reason::UnknownTemporality => "bad_temporality",
            Reason::UnknownAggregator => "bad_aggregation",
            Reason::LabelsNotAnObject => "bad_labels",
            Reason::BadLabelValue => "bad_label_value",
            Reason::ValueMissing | Reason::BadValue => "bad_value",
            Reason::Sink(problem) => problem.kind.code(),
        }
    }
}

/// Something wrong at a place in the bytes; boxed, since good bodies make none.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) offset: usize,
    /// The field of the family or sample, `labels.c` for a label.
    pub(super) field: Option<String>,
}

pub(super) type Read<T> = Result<T, Box<Fault>>;

/// Bytes of a field name that a place repeats.
const MAX_FIELD_BYTES: usize = 200;

impl Fault {
    /// Says in which field, unless it is already said.
    pub(super) fn in_field(mut self: Box<Self>, prefix: &str, name: &str) -> Box<Self> {
        self.field.get_or_insert_with(|| {
            let end = name.floor_char_boundary(MAX_FIELD_BYTES);
            format!("{prefix}{}", name.get(..end).unwrap_or_default())
        });
        self
    }
}
