//! A sample's labels on their way in: whose they are, what they ask for, and their canonical bytes.

use super::clearing::AskedWindow;
use super::{ACCUMULATOR, CLEARMODE, Stager};
use crate::facts::Facts;
use sidecar_model::{
    ABSENT, Aggregation, LabelSet, LabelSetError, Problem, ProblemKind, Role, SampleParts,
    UnknownAggregation,
};
use std::borrow::Cow;

impl Stager<'_> {
    /// The bound of a bucket or quantile, with its text kept in the arena.
    pub(super) fn bound(
        &mut self,
        role: Role,
        sample: &SampleParts<'_>,
    ) -> Result<(f64, (u32, u32)), Problem> {
        let (label, kind) = match role {
            Role::Bucket => ("le", ProblemKind::BadBound),
            Role::Quantile => ("quantile", ProblemKind::BadQuantile),
            Role::Value | Role::Sum | Role::Count | Role::Created => return Ok((ABSENT, (0, 0))),
        };
        let at = sample.labels.iter().position(|(name, _)| name == label);
        let problem = Problem { kind, label: at };
        let text = at.and_then(|at| sample.labels.get(at)).map_or("", |(_, v)| v.as_ref());
        let bound: f64 = text.trim().parse().map_err(|_| problem)?;
        let legal = match role {
            Role::Quantile => (0.0..=1.0).contains(&bound),
            Role::Value | Role::Bucket | Role::Sum | Role::Count | Role::Created => {
                !bound.is_nan() && bound > f64::NEG_INFINITY
            }
        };
        if !legal {
            return Err(problem);
        }
        // -0 and 0 are one bound.
        Ok((bound + 0.0, self.keep(text.as_bytes())))
    }

    /// Sorts the labels without the reserved ones and keeps their canonical bytes.
    pub(super) fn canonical(
        &mut self,
        writer: u32,
        role: Role,
        sample: &mut SampleParts<'_>,
    ) -> Result<(u32, u32), Problem> {
        let reserved: &[String] = match (&self.grouping, self.named) {
            (Some(grouping), _) => &grouping.instance_labels,
            (None, Some(_)) => &[],
            (None, None) => &self.settings.instance_labels,
        };
        let own = match role {
            Role::Bucket => "le",
            Role::Quantile => "quantile",
            Role::Value | Role::Sum | Role::Count | Role::Created => "",
        };
        sample.labels.retain(|(name, _)| {
            name != "_id"
                && name != "_aggregate"
                && *name != own
                && !reserved.iter().any(|r| r == name)
        });
        if let Some(grouping) = &self.grouping {
            grouping.attach(writer, sample);
        }
        if writer == ACCUMULATOR {
            sample.labels.retain(|(name, _)| name != CLEARMODE);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let written = match &self.grouping {
            None => LabelSet::write_canonical(&mut sample.labels, &mut scratch),
            Some(grouping) => {
                let kept = |name: &str| grouping.keeps_empty(writer, name);
                LabelSet::write_canonical_with_empty(&mut sample.labels, kept, &mut scratch)
            }
        };
        let kept = self.keep(&scratch);
        self.scratch = scratch;
        match written {
            Ok(()) => Ok(kept),
            Err(error) => Err(Problem { kind: label_problem(error), label: None }),
        }
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) -> (u32, u32) {
        let from = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        self.arena.extend_from_slice(bytes);
        (from, u32::try_from(self.arena.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn check_names(&self, sample: &SampleParts<'_>) -> Result<(), Problem> {
        let limits = &self.settings.limits;
        let problem = |kind, label| Err(Problem { kind, label });
        if let Some(name) = &sample.name {
            if name.is_empty() {
                return problem(ProblemKind::EmptyName, None);
            }
            if name.len() > limits.name_bytes {
                return problem(ProblemKind::NameTooLong, None);
            }
        }
        if sample.labels.len() > limits.labels_per_series {
            return problem(ProblemKind::TooManyLabels, None);
        }
        for (at, (name, value)) in sample.labels.iter().enumerate() {
            let kind = if name.is_empty() {
                ProblemKind::EmptyLabelName
            } else if name.starts_with("__") {
                ProblemKind::ReservedLabelName
            } else if name.len() > limits.label_name_bytes {
                ProblemKind::LabelNameTooLong
            } else if value.len() > limits.label_value_bytes {
                ProblemKind::LabelValueTooLong
            } else if sample.labels.iter().take(at).any(|(other, _)| other == name) {
                ProblemKind::DuplicateLabel
            } else {
                continue;
            };
            return problem(kind, Some(at));
        }
        Ok(())
    }
}

fn label_problem(error: LabelSetError) -> ProblemKind {
    match error {
        LabelSetError::DuplicateName => ProblemKind::DuplicateLabel,
        LabelSetError::TooLong => ProblemKind::LabelValueTooLong,
        LabelSetError::EmptyName => ProblemKind::EmptyLabelName,
    }
}

/// The id of a sample's writer: `_id`, and the configured instance labels that it has.
pub(crate) fn writer_id<'a>(
    sample: &'a SampleParts<'_>,
    instance_labels: &[String],
) -> Cow<'a, str> {
    let value = |wanted: &str| {
        sample.labels.iter().find(|(name, _)| name == wanted).map_or("", |(_, v)| v.as_ref())
    };
    let id = value("_id");
    let others = instance_labels.iter().map(|label| (label.as_str(), value(label)));
    let mut others = others.filter(|(_, value)| !value.is_empty()).peekable();
    // An id that looks like a joined one is joined too, so that no two writers share an id.
    let looks_joined = !instance_labels.is_empty() && id.contains(['=', ',']);
    if others.peek().is_none() && !looks_joined {
        return Cow::Borrowed(id);
    }
    let own = (!id.is_empty()).then_some(("_id", id));
    let part = |(label, value): (&str, &str)| {
        format!("{label}={}", value.replace('\\', "\\\\").replace(',', "\\,"))
    };
    Cow::Owned(own.into_iter().chain(others).map(part).collect::<Vec<_>>().join(","))
}

/// The function that the sample's `_aggregate` label, else its `clearmode`, else its family asks for.
pub(super) fn wish(
    facts: &Facts,
    sample: &SampleParts<'_>,
    asked: Option<AskedWindow>,
) -> Result<Option<Aggregation>, Problem> {
    let label = sample.labels.iter().position(|(name, _)| name == "_aggregate");
    let text = label.and_then(|at| sample.labels.get(at)).map_or("", |(_, value)| value.as_ref());
    let (wish, label) = match (text, asked) {
        ("", None) => return Ok(facts.aggregation),
        ("", Some(asked)) => (Ok(Aggregation::Window(asked.window)), asked.label),
        (text, _) => (text.parse(), label),
    };
    let problem = |kind| Problem { kind, label };
    let wish: Aggregation =
        wish.map_err(|_: UnknownAggregation| problem(ProblemKind::BadAggregation))?;
    if wish.allowed_for(facts.metric_type) {
        Ok(Some(wish))
    } else {
        Err(problem(ProblemKind::AggregationNotAllowed))
    }
}
