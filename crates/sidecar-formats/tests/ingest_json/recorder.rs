//! A sink that writes down what it gets, and may remember an earlier body as a store would.

use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, MetricType, NativeHistogram, Problem, ProblemKind,
    SampleParts, Sink,
};
use std::fmt::Write;

/// What one body said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) families: Vec<Family>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) header: FamilyText,
    pub(crate) samples: Vec<Sample>,
}

/// The debug text of a [`FamilyHeader`], which owns nothing.
pub(crate) type FamilyText = String;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: u64,
}

/// What can be followed: raw bytes (empty: none were given) and what they meant.
#[derive(Clone, Debug, Default)]
struct Remembered {
    raw: Vec<u8>,
    header: FamilyText,
    metric_type: MetricType,
    samples: Vec<(Vec<u8>, Sample)>,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The body before; empty: nothing is remembered.
    memory: Vec<Remembered>,
    /// Place in it: family, and sample of it.
    family: usize,
    sample: usize,
    got: Recorded,
    seen: Vec<Remembered>,
    /// Samples taken in without a parse, of those that still count.
    pub(crate) followed: usize,
}

impl Recorder {
    /// What it was told; and the same sink, empty, that remembers it.
    pub(crate) fn finish(self) -> (Recorded, Recorder) {
        (self.got, Recorder { memory: self.seen, ..Recorder::default() })
    }

    fn remembered(&self) -> Option<&(Vec<u8>, Sample)> {
        self.memory.get(self.family)?.samples.get(self.sample)
    }

    fn open(&mut self, family: Remembered) {
        self.got.families.push(Family { header: family.header.clone(), samples: vec![] });
        self.seen.push(Remembered { samples: vec![], ..family });
        self.sample = 0;
    }

    fn take(&mut self, raw: Vec<u8>, sample: Sample) {
        self.got.families.last_mut().unwrap().samples.push(sample.clone());
        self.seen.last_mut().unwrap().samples.push((raw, sample));
    }
}

/// A bound on a sample's labels, so that refusals of samples are seen too.
const MAX_LABELS: usize = 6;

impl Sink for Recorder {
    fn most_labels(&self) -> usize {
        2 * MAX_LABELS
    }

    fn next_header_len(&self) -> usize {
        self.memory.get(self.got.families.len()).map_or(0, |family| family.raw.len())
    }

    fn follow_header(&mut self, raw: &[u8]) -> bool {
        self.family = self.got.families.len();
        let Some(family) = self.memory.get(self.family).cloned() else { return false };
        let known = family.raw == raw;
        if known {
            self.open(family);
        }
        known
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        if header.name.is_empty() {
            return Err(Problem { kind: ProblemKind::EmptyName, label: None });
        }
        if header.aggregation.is_some_and(|a| !a.allowed_for(header.metric_type)) {
            return Err(Problem { kind: ProblemKind::AggregationNotAllowed, label: None });
        }
        // A parsed header leads on to the family of the same name, if there is one.
        self.family = self.got.families.len();
        self.open(Remembered {
            raw: raw.unwrap_or_default().to_vec(),
            header: format!("{header:?}"),
            metric_type: header.metric_type,
            samples: vec![],
        });
        Ok(())
    }

    fn next_sample_len(&self) -> usize {
        // Samples are known only where their family means the same as then.
        let same = self.memory.get(self.family).map(|family| &family.header)
            == self.got.families.last().map(|family| &family.header);
        self.remembered().filter(|_| same).map_or(0, |(raw, _)| raw.len())
    }

    fn is_next_sample(&self, raw: &[u8]) -> bool {
        self.remembered().is_some_and(|(known, _)| known == raw)
    }

    fn value(&mut self, value: f64) {
        let (raw, sample) = self.remembered().unwrap().clone();
        self.take(raw, Sample { value: value.to_bits(), ..sample });
        self.sample += 1;
        self.followed += 1;
    }

    fn skip(&mut self, raw_len: usize) -> bool {
        let skipped = raw_len != 0 && self.next_sample_len() == raw_len;
        self.sample += usize::from(skipped);
        skipped
    }

    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        if let Some(label) = sample.labels.iter().position(|(name, _)| name.starts_with("__")) {
            return Err(Problem { kind: ProblemKind::ReservedLabelName, label: Some(label) });
        }
        if sample.labels.len() > MAX_LABELS {
            return Err(Problem { kind: ProblemKind::TooManyLabels, label: None });
        }
        let delta = self.got.families.last().unwrap().header.contains("Delta");
        if delta && !value.is_finite() {
            return Err(Problem { kind: ProblemKind::BadDelta, label: None });
        }
        let labels = sample.labels.drain(..).map(|(n, v)| (n.into(), v.into())).collect();
        let name = sample.name.take().map(Into::into);
        self.take(
            raw.unwrap_or_default().to_vec(),
            Sample { name, labels, value: value.to_bits() },
        );
        self.sample += 1;
        Ok(())
    }

    fn exemplar(&mut self, _: &ExemplarParts<'_>) {}

    fn native(&mut self, _: &mut SampleParts<'_>, _: NativeHistogram) -> Result<(), Problem> {
        Ok(())
    }

    fn mark(&self) -> Mark {
        let families = self.got.families.len();
        Mark { known: self.followed, parsed: 0, headers: families }
    }

    fn rewind(&mut self, mark: Mark) {
        self.got.families.truncate(mark.headers);
        self.seen.truncate(mark.headers);
        self.followed = mark.known;
    }
}

impl Recorder {
    /// What the body said, and which raw bytes may be remembered, as text.
    pub(crate) fn rendered(&self) -> String {
        let mut out = String::new();
        for (family, seen) in self.got.families.iter().zip(&self.seen) {
            let raw = String::from_utf8_lossy(&seen.raw);
            writeln!(out, "{}\n  type {}, raw {raw:?}", family.header, seen.metric_type).unwrap();
            for (sample, (raw, _)) in family.samples.iter().zip(&seen.samples) {
                let Sample { name, labels, value } = sample;
                let (value, raw) = (f64::from_bits(*value), String::from_utf8_lossy(raw));
                writeln!(out, "  {name:?} {labels:?} {value:?}, raw {raw:?}").unwrap();
            }
        }
        out
    }
}
