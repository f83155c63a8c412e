//! What a family's header says, owned and shared: many instances send the same header.

use sidecar_model::{Aggregation, FamilyHeader, MetricType, Temporality, base_name};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    /// As written.
    pub(crate) name: Box<str>,
    /// After rules, and after the name of an unknown family (`*_total` is a counter).
    pub(crate) metric_type: MetricType,
    pub(crate) help: Box<str>,
    pub(crate) unit: Box<str>,
    pub(crate) temporality: Temporality,
    pub(crate) aggregation: Option<Aggregation>,
}

impl Facts {
    pub(crate) fn new(header: &FamilyHeader<'_>, metric_type: MetricType) -> Facts {
        Facts {
            name: header.name.as_ref().into(),
            metric_type,
            help: header.help.as_ref().into(),
            unit: header.unit.as_ref().into(),
            temporality: header.temporality,
            aggregation: header.aggregation,
        }
    }

    /// A family of its own for a sample that does not belong to the family it came in.
    pub(crate) fn stray(sample: &str, temporality: Temporality, rule: Option<MetricType>) -> Facts {
        Facts {
            name: sample.into(),
            metric_type: effective_type(MetricType::Unknown, sample, rule),
            help: "".into(),
            unit: "".into(),
            temporality,
            aggregation: None,
        }
    }

    pub(crate) fn base(&self) -> &str {
        base_name(self.metric_type, &self.name)
    }
}

/// A rule's type, else the pushed one, where an unknown `*_total` is a counter.
pub(crate) fn effective_type(
    pushed: MetricType,
    name: &str,
    rule: Option<MetricType>,
) -> MetricType {
    match (rule, pushed) {
        (Some(by_rule), _) => by_rule,
        (None, MetricType::Unknown) if name.len() > "_total".len() && name.ends_with("_total") => {
            MetricType::Counter
        }
        (None, other) => other,
    }
}
