//! A sink that writes down what it gets, and may remember an earlier body as a store would.

use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, ProblemKind, SampleParts, Sink,
};
use std::fmt::Write;

/// What one body said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) families: Vec<Family>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    /// The debug text of a [`FamilyHeader`], which owns nothing.
    pub(crate) header: String,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// Name, labels and the value's bits.
    Sample(Option<String>, Vec<(String, String)>, u64),
    /// Debug texts.
    Exemplar(String),
    Native(String),
}

/// What can be followed: raw bytes (empty: none were given) and what they meant.
#[derive(Clone, Debug, Default)]
struct Remembered {
    raw: Vec<u8>,
    header: String,
    samples: Vec<(Vec<u8>, Event)>,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    memory: Vec<Remembered>,
    family: usize,
    sample: usize,
    got: Recorded,
    seen: Vec<Remembered>,
    /// Samples and headers taken in without a parse.
    pub(crate) followed: usize,
    pub(crate) followed_headers: usize,
}

/// A bound on a sample's labels, so that refusals of samples are seen too.
const MAX_LABELS: usize = 6;

impl Recorder {
    /// What it was told; and the same sink, empty, that remembers it.
    pub(crate) fn finish(self) -> (Recorded, Recorder) {
        (self.got, Recorder { memory: self.seen, ..Recorder::default() })
    }

    pub(crate) fn rendered(&self) -> String {
        let mut out = String::new();
        for family in &self.got.families {
            writeln!(out, "{}", family.header).unwrap();
            for event in &family.events {
                match event {
                    Event::Sample(name, labels, value) => {
                        let value = f64::from_bits(*value);
                        writeln!(out, "  {} {labels:?} {value:?}", name.as_deref().unwrap_or("-"))
                    }
                    Event::Exemplar(text) | Event::Native(text) => writeln!(out, "    {text}"),
                }
                .unwrap();
            }
        }
        out
    }

    fn remembered(&self) -> Option<&(Vec<u8>, Event)> {
        self.memory.get(self.family)?.samples.get(self.sample)
    }

    fn open(&mut self, family: Remembered) {
        self.got.families.push(Family { header: family.header.clone(), events: vec![] });
        self.seen.push(Remembered { samples: vec![], ..family });
        self.sample = 0;
    }

    fn tell(&mut self, event: Event) {
        self.got.families.last_mut().unwrap().events.push(event);
    }
}

fn checked(sample: &SampleParts<'_>) -> Result<(), Problem> {
    if let Some(label) = sample.labels.iter().position(|(name, _)| name.starts_with("__")) {
        return Err(Problem { kind: ProblemKind::ReservedLabelName, label: Some(label) });
    }
    if sample.labels.len() > MAX_LABELS {
        return Err(Problem { kind: ProblemKind::TooManyLabels, label: None });
    }
    Ok(())
}

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
            self.followed_headers += 1;
            self.open(family);
        }
        known
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        if header.name.is_empty() {
            return Err(Problem { kind: ProblemKind::EmptyName, label: None });
        }
        self.family = self.got.families.len();
        self.open(Remembered {
            raw: raw.unwrap_or_default().to_vec(),
            header: format!(
                "{} {} help {:?} unit {:?} {:?}",
                header.metric_type, header.name, header.help, header.unit, header.temporality
            ),
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
        let (raw, mut event) = self.remembered().unwrap().clone();
        if let Event::Sample(_, _, bits) = &mut event {
            *bits = value.to_bits();
        }
        self.seen.last_mut().unwrap().samples.push((raw, event.clone()));
        self.tell(event);
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
        checked(sample)?;
        let labels = sample.labels.drain(..).map(|(n, v)| (n.into(), v.into())).collect();
        let event = Event::Sample(sample.name.take().map(Into::into), labels, value.to_bits());
        let raw = raw.unwrap_or_default().to_vec();
        self.seen.last_mut().unwrap().samples.push((raw, event.clone()));
        self.tell(event);
        self.sample += 1;
        Ok(())
    }

    fn exemplar(&mut self, exemplar: &ExemplarParts<'_>) {
        self.tell(Event::Exemplar(format!("{exemplar:?}")));
    }

    fn native(
        &mut self,
        sample: &mut SampleParts<'_>,
        histogram: NativeHistogram,
    ) -> Result<(), Problem> {
        checked(sample)?;
        self.tell(Event::Native(format!("{:?} {histogram:?}", sample.labels)));
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: self.followed, parsed: 0, headers: self.got.families.len() }
    }

    fn rewind(&mut self, mark: Mark) {
        self.got.families.truncate(mark.headers);
        self.seen.truncate(mark.headers);
        self.followed = mark.known;
    }
}
