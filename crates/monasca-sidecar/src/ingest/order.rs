//! What a push asks for, besides its body.

use super::format::Format;
use super::marks::Marks;
use sidecar_formats::Timestamps;
use sidecar_model::Temporality;
use sidecar_store::{GroupKey, PushMeta, PushTimes, Replaces};

#[derive(Debug)]
pub(super) struct Order {
    pub(super) format: Format,
    pub(super) timestamps: Timestamps,
    pub(super) marks: Marks,
    pub(super) group: Option<GroupKey>,
    pub(super) replaces: Replaces,
}

impl Order {
    /// A push of JSON, which says itself who writes.
    pub(super) fn of_json(marks: Marks) -> Order {
        Order {
            format: Format::Json,
            timestamps: Timestamps::Drop,
            marks,
            group: None,
            replaces: Replaces::Nothing,
        }
    }

    /// `unix_seconds`: now, by the wall clock.
    pub(super) fn meta(&self, unix_seconds: f64) -> PushMeta<'_> {
        PushMeta {
            group: self.group.as_ref(),
            replaces: self.replaces,
            times: self.has_times().then_some(PushTimes::Done(unix_seconds)),
            ..self.marks.meta()
        }
    }

    /// The same group, with nothing but the time at which its push was refused.
    pub(super) fn failure(&self, unix_seconds: f64) -> PushMeta<'_> {
        PushMeta {
            group: self.group.as_ref(),
            times: Some(PushTimes::Failed(unix_seconds)),
            ttl: self.marks.meta().ttl,
            ..PushMeta::default()
        }
    }

    /// Deltas have no group, only its labels.
    pub(super) fn has_times(&self) -> bool {
        self.group.is_some() && !self.is_delta()
    }

    pub(super) fn is_delta(&self) -> bool {
        self.marks.temporality == Some(Temporality::Delta)
    }
}
