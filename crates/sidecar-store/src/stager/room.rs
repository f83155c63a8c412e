//! The memory that the new samples of a body take: asked for while they are staged, so that a
//! body of new things cannot take more than there is.

use super::Stager;
use sidecar_model::{FamilyHeader, LabelSet, Problem, ProblemKind};
use std::fmt;

/// What one new sample takes at most, besides its labels: staged, and as a new series with all
/// that points at it.
const SAMPLE_BYTES: usize = 512;
/// Labels are staged, kept with the series, and once more where rules merge it.
const LABEL_COPIES: usize = 3;
/// A family owns several names, each as written and as escaped.
const NAME_COPIES: usize = 8;
/// New samples after which memory is asked for the second time; then at each doubling.
const FIRST_LOOK: usize = 64;
const FIRST_LOOK_BYTES: usize = 16 * 1024;
/// Samples of one push that are staged in any case: known series may be written in a new way.
const ALWAYS_STAGED: usize = 512;

/// Who counts the memory of one push.
pub trait Room: fmt::Debug {
    /// Whether the push may take this much in all, and for what.
    fn hold(&self, bytes: usize) -> Grant;
}

/// What there is memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Everything,
    /// For known series, but for nothing new.
    Known,
    Nothing,
}

/// What one body has asked for.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Names and texts of new headers, as often as they are kept.
    header_bytes: usize,
    samples: usize,
    label_bytes: usize,
    pub(super) is_short: bool,
}

impl Stager<'_> {
    /// Nothing new of this body is taken: there is no memory for it.
    pub(crate) fn is_short(&self) -> bool {
        self.held.is_short
    }

    /// Samples so far, to be asked when the body is decoded.
    pub fn samples(&self) -> usize {
        self.known.len() + self.parsed.len() + self.natives.len()
    }

    /// What the new samples of the decoded body take at most.
    pub fn new_bytes(&self) -> usize {
        self.staged_things() * SAMPLE_BYTES
            + self.arena.len() * LABEL_COPIES
            + self.held.header_bytes
    }

    /// Everything in it stood in the instance's last push, written in the same way.
    pub fn is_update(&self) -> bool {
        self.parsed.is_empty() && self.natives.is_empty()
    }

    /// The job of who pushes: of the grouping key, else as known, else of the first series.
    pub fn job(&self) -> String {
        if let Some(grouping) = &self.grouping {
            return grouping.job.to_string();
        }
        let known = self.primary.as_ref().and_then(|primary| {
            let body = primary.instance.as_ref()?.body.lock();
            Some(body.job.as_ref()?.name.to_string())
        });
        known.unwrap_or_else(|| {
            let first = self.parsed.first().map(|sample| self.labels_of(sample));
            job_in(first).to_owned()
        })
    }

    /// The job of one of the body's writers.
    pub(crate) fn job_of(&self, writer: u32) -> &str {
        if let Some(grouping) = &self.grouping {
            return &grouping.job;
        }
        let first = self.parsed_of(writer).next();
        job_in(first.map(|(_, sample)| self.labels_of(sample)))
    }

    fn staged_things(&self) -> usize {
        self.parsed.len() + self.headers.len()
    }

    /// The same for a header that the instance has not pushed before.
    pub(super) fn hold_header(&mut self, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        self.held.header_bytes +=
            header.name.len() * NAME_COPIES + header.help.len() + header.unit.len();
        self.hold_memory()
    }

    /// Asks for the memory of the samples up to the next look.
    pub(super) fn hold_memory(&mut self) -> Result<(), Problem> {
        let Some(room) = self.room else { return Ok(()) };
        let (samples, label_bytes) =
            (self.staged_things(), self.arena.len() + self.held.header_bytes / LABEL_COPIES);
        if samples < self.held.samples && label_bytes < self.held.label_bytes {
            return Ok(());
        }
        self.held.samples = (samples * 2).max(FIRST_LOOK);
        self.held.label_bytes = (label_bytes * 2).max(FIRST_LOOK_BYTES);
        let bytes = self.held.samples * SAMPLE_BYTES + self.held.label_bytes * LABEL_COPIES;
        match room.hold(bytes) {
            Grant::Everything => Ok(()),
            Grant::Nothing if samples >= ALWAYS_STAGED => {
                Err(Problem { kind: ProblemKind::OutOfMemory, label: None })
            }
            Grant::Known | Grant::Nothing => {
                self.held.is_short = true;
                Ok(())
            }
        }
    }
}

fn job_in(labels: Option<&[u8]>) -> &str {
    labels.and_then(|labels| LabelSet::value_in(labels, "job")).unwrap_or("")
}
