//! What a stager does for a group: who pushes is known beforehand, and the group shows when it was
//! pushed.

use super::Stager;
use crate::outcome::PushTimes;
use crate::shape::NO_STEP;
use sidecar_model::{Aggregation, FamilyHeader, MetricType, Problem, SampleParts, Sink};
use std::borrow::Cow;

/// When a group was last pushed, and last refused; 0: never. As the Pushgateway calls and tells it.
const PUSH_TIME: &str = "push_time_seconds";
const PUSH_TIME_HELP: &str =
    "Last Unix time when changing this group in the Pushgateway succeeded.";
const PUSH_FAILURE_TIME: &str = "push_failure_time_seconds";
const PUSH_FAILURE_HELP: &str =
    "Last Unix time when changing this group in the Pushgateway failed.";

impl Stager<'_> {
    /// Of a group it is known who pushes, so that the body is followed from its first byte.
    pub(super) fn begin_group(&mut self) {
        let Some(grouping) = &self.grouping else { return };
        let writer = grouping.writer.clone();
        self.writers.push(writer.clone());
        self.choose_primary(&writer);
        self.cursor = self.primary.as_ref().map_or(NO_STEP, |p| p.shape.first());
    }

    /// Behind the last family: the times that a group shows of itself.
    pub(crate) fn add_push_times(&mut self) -> Result<(), Problem> {
        let Some(times) = self.times else { return Ok(()) };
        let known = self.primary.as_ref().map_or((0.0, 0.0), |primary| primary.times);
        let (done, failed) = match times {
            PushTimes::Done(at) => (at, known.1),
            PushTimes::Failed(at) => (known.0, at),
        };
        for (name, help, value) in
            [(PUSH_TIME, PUSH_TIME_HELP, done), (PUSH_FAILURE_TIME, PUSH_FAILURE_HELP, failed)]
        {
            let raw = name.as_bytes();
            if self.next_header_len() != raw.len() || !self.follow_header(raw) {
                self.open_family(Some(raw), &time_family(name, help))?;
            }
            if self.next_sample_len() == raw.len() && self.is_next_sample(raw) {
                self.value(value);
            } else {
                self.sample(Some(raw), &mut SampleParts::default(), value)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn is_push_time(family: &str) -> bool {
    matches!(family, PUSH_TIME | PUSH_FAILURE_TIME)
}

/// Of merged groups the latest time is shown.
fn time_family<'a>(name: &'a str, help: &'a str) -> FamilyHeader<'a> {
    FamilyHeader {
        name: Cow::Borrowed(name),
        metric_type: MetricType::Gauge,
        help: Cow::Borrowed(help),
        aggregation: Some(Aggregation::Max),
        ..FamilyHeader::default()
    }
}
