//! The way of a file's values into a sink: all of them, or what changed. What the sink remembers is
//! followed; only what it does not know is parsed.

use super::file_name::FileKind;
use super::key::Outline;
use super::layout::{Entry, Layout, Marks, Values};
use super::ruby::{self, Labels, Metric};
use super::text::resolved;
use crate::DecodeError;
use sidecar_model::{FamilyHeader, Problem, ProblemKind, SampleParts, Sink};
use std::borrow::Cow;

/// What the samples of a file are given beside the labels that they have.
#[derive(Clone, Copy, Debug)]
pub struct Extra<'a> {
    /// The same for all samples; a sample's own label of such a name becomes `exported_<name>`.
    pub labels: &'a [(String, String)],
    /// The instance, for the label `_id`.
    pub id: &'a str,
    /// For the label `pid` of gauges that are shown for each process.
    pub pid: &'a str,
}

#[derive(Clone, Copy, Debug)]
pub enum Offer<'v> {
    All,
    /// What is not as it was then. A histogram's or summary's label set counts as one.
    Changed(&'v Values),
}

/// What became of what was offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Samples that the sink refused: its limits on names and labels. All others are taken in.
    pub refused: usize,
    /// The first of them.
    pub first: Option<DecodeError>,
}

impl Layout {
    /// Offers the values to `sink`. The files of one instance are always offered in the same order, all
    /// of them in each push: so the sink knows what comes next, also when it is left out.
    ///
    /// Of a gauge whose newest value counts nothing is offered; see [`Layout::newest`].
    pub fn offer<'a, S: Sink>(
        &'a self,
        bytes: &'a [u8],
        extra: &'a Extra<'a>,
        offer: Offer<'_>,
        sink: &mut S,
    ) -> Result<Offered, DecodeError> {
        if matches!(self.kind, FileKind::Gauge(mode) if mode.is_newest()) {
            return Ok(Offered::default());
        }
        let mut way = Way::new(self.kind, bytes, extra, sink);
        way.metric = self.metric.as_ref();
        let last = match offer {
            Offer::All => None,
            Offer::Changed(last) => self.last(last),
        };
        let mut start = 0;
        for end in &self.family_ends {
            let end = *end as usize;
            let family = self.entries.get(start..end).unwrap_or_default();
            way.family = Family::Closed(family.first().copied());
            match last.and_then(|last| last.get(start..end)) {
                None => way.all(family)?,
                Some(last) => way.changed(family, last)?,
            }
            start = end;
        }
        Ok(way.offered)
    }
}

/// One pass over a file.
pub(super) struct Way<'a, 's, S> {
    kind: FileKind,
    /// Of Ruby's client.
    metric: Option<&'a Metric>,
    bytes: &'a [u8],
    extra: &'a Extra<'a>,
    sink: &'s mut S,
    family: Family,
    /// A place in the sink's memory has been found.
    is_on_track: bool,
    scratch: Vec<u8>,
    labels: Vec<(&'a str, &'a str)>,
    parts: SampleParts<'a>,
    pub(super) offered: Offered,
}

/// The family whose samples come.
#[derive(Clone, Copy, Debug)]
enum Family {
    /// Not told to the sink yet; its first entry.
    Closed(Option<Entry>),
    Open,
    /// Its header was refused.
    Refused,
}

impl<'a, 's, S: Sink> Way<'a, 's, S> {
    pub(super) fn new(
        kind: FileKind,
        bytes: &'a [u8],
        extra: &'a Extra<'a>,
        sink: &'s mut S,
    ) -> Way<'a, 's, S> {
        Way {
            kind,
            metric: None,
            bytes,
            extra,
            sink,
            family: Family::Closed(None),
            is_on_track: false,
            scratch: Vec::new(),
            labels: Vec::new(),
            parts: SampleParts::default(),
            offered: Offered::default(),
        }
    }

    fn all(&mut self, family: &[Entry]) -> Result<(), DecodeError> {
        let mut below = 0.0;
        for entry in family {
            self.send(*entry, &mut below)?;
        }
        Ok(())
    }

    fn changed(&mut self, family: &[Entry], last: &[u64]) -> Result<(), DecodeError> {
        match self.kind {
            FileKind::Counter | FileKind::Gauge(_) => self.changed_values(family, last),
            FileKind::Histogram | FileKind::Summary | FileKind::Ruby => {
                self.changed_sets(family, last)
            }
        }
    }

    /// Of a family whose label sets have one value each.
    fn changed_values(&mut self, family: &[Entry], last: &[u64]) -> Result<(), DecodeError> {
        for (entry, last) in family.iter().zip(last) {
            if differs(self.bytes, *entry, *last) || !self.pass_over(*entry) {
                self.send(*entry, &mut 0.0)?;
            }
        }
        Ok(())
    }

    fn changed_sets(&mut self, family: &[Entry], last: &[u64]) -> Result<(), DecodeError> {
        let mut start = 0;
        for set in family.chunk_by(|_, next| !next.marks.has(Marks::FIRST)) {
            let of_set = last.get(start..start + set.len()).unwrap_or_default();
            start += set.len();
            let mut values = set.iter().zip(of_set);
            if values.any(|(entry, last)| differs(self.bytes, *entry, *last))
                || !set.iter().all(|entry| self.pass_over(*entry))
            {
                self.all(set)?;
            }
        }
        Ok(())
    }

    /// Tells the sink that it is left out. False: the sink does not know yet what comes here, and has
    /// to be given it to find its place.
    #[inline]
    fn pass_over(&mut self, entry: Entry) -> bool {
        if !entry.marks.has(Marks::LEFT_OUT) {
            self.is_on_track |= self.sink.skip(usize::from(entry.key_len));
        }
        self.is_on_track
    }

    /// `below`: how many of the label set's observations are in the buckets so far.
    #[inline]
    fn send(&mut self, entry: Entry, below: &mut f64) -> Result<(), DecodeError> {
        if entry.marks.has(Marks::FIRST) {
            *below = 0.0;
        }
        if entry.marks.has(Marks::LEFT_OUT) {
            return Ok(());
        }
        if entry.marks.has(Marks::TOTAL) {
            return self.give_total(entry.key(self.bytes), *below);
        }
        let Some(bits) = entry.value_bits(self.bytes) else { return Ok(()) };
        let mut value = f64::from_bits(bits);
        if entry.marks.has(Marks::BUCKET) {
            *below += value;
            value = *below;
        }
        self.give(entry.key(self.bytes), value)
    }

    /// Opens the family if need be, and gives the sample to the sink.
    #[inline]
    pub(super) fn give(&mut self, key: &'a [u8], value: f64) -> Result<(), DecodeError> {
        if let Family::Closed(first) = self.family {
            self.open(first.map_or(key, |first| first.key(self.bytes)))?;
        }
        if matches!(self.family, Family::Refused) {
            self.offered.refused += 1;
            return Ok(());
        }
        if self.sink.next_sample_len() == key.len() && self.sink.is_next_sample(key) {
            self.sink.value(value);
            self.is_on_track = true;
            return Ok(());
        }
        self.give_fresh(key, value)
    }
}

impl<'a, S: Sink> Way<'a, '_, S> {
    /// Opens the family that begins with this key.
    fn open(&mut self, first: &'a [u8]) -> Result<(), DecodeError> {
        self.write_header(first);
        self.family = Family::Open;
        let raw = &self.scratch;
        if self.sink.next_header_len() == raw.len() && self.sink.follow_header(raw) {
            return Ok(());
        }
        let (name, help, metric_type) = match self.metric {
            Some(metric) => (Cow::Borrowed(&*metric.name), Cow::default(), metric.metric_type),
            None => match Outline::parse(first, &mut self.labels) {
                Some(Outline { metric, help, .. }) => {
                    (resolved(metric), resolved(help), self.kind.metric_type())
                }
                None => {
                    self.family = Family::Refused;
                    return Ok(());
                }
            },
        };
        let aggregation = match self.kind {
            FileKind::Gauge(mode) => mode.aggregation(),
            FileKind::Counter | FileKind::Histogram | FileKind::Summary | FileKind::Ruby => None,
        };
        let header =
            FamilyHeader { name, metric_type, help, aggregation, ..FamilyHeader::default() };
        if let Err(problem) = self.sink.header(Some(&self.scratch), &header) {
            self.family = Family::Refused;
            // Its samples are counted, one by one.
            self.refuse(first, problem)?;
        }
        Ok(())
    }

    /// All that decides what the family and its samples mean, beside the samples' keys.
    fn write_header(&mut self, first: &[u8]) {
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.push(self.kind.byte());
        let labels = self.extra.labels.iter();
        for text in labels.flat_map(|(name, value)| [name, value]) {
            scratch.extend_from_slice(text.as_bytes());
            scratch.push(0);
        }
        match self.metric {
            None => scratch.extend_from_slice(first),
            Some(Metric { name, metric_type }) => {
                scratch.extend_from_slice(name.as_bytes());
                scratch.extend_from_slice(metric_type.as_str().as_bytes());
            }
        }
    }

    #[inline(never)]
    fn give_fresh(&mut self, key: &'a [u8], value: f64) -> Result<(), DecodeError> {
        if !self.fill(key) {
            // The file is another one than it was.
            self.offered.refused += 1;
            return Ok(());
        }
        let taken = self.sink.sample(Some(key), &mut self.parts, value);
        self.note(key, taken)
    }

    /// The number of observations that a label set has in all, for which the file has no key: it goes by
    /// one of the set's own, made another one.
    fn give_total(&mut self, key: &'a [u8], value: f64) -> Result<(), DecodeError> {
        if matches!(self.family, Family::Refused) {
            self.offered.refused += 1;
            return Ok(());
        }
        self.scratch.clear();
        self.scratch.push(b'#');
        self.scratch.extend_from_slice(key.get(1..).unwrap_or_default());
        if self.sink.next_sample_len() == key.len() && self.sink.is_next_sample(&self.scratch) {
            self.sink.value(value);
            return Ok(());
        }
        let Some(metric) = self.metric.filter(|_| self.fill(key)) else { return Ok(()) };
        self.parts.name = Some(Cow::Owned(format!("{}_count", metric.name)));
        self.parts.labels.retain(|(name, _)| name != "le");
        let taken = self.sink.sample(Some(&self.scratch), &mut self.parts, value);
        self.note(key, taken)
    }

    fn note(&mut self, key: &'a [u8], taken: Result<(), Problem>) -> Result<(), DecodeError> {
        match taken {
            Ok(()) => {
                self.is_on_track = true;
                Ok(())
            }
            Err(problem) => {
                self.offered.refused += 1;
                self.refuse(key, problem)
            }
        }
    }

    /// Parses the key. False: it is none.
    fn fill(&mut self, key: &'a [u8]) -> bool {
        let mut labels = std::mem::take(&mut self.parts.labels);
        let name = match self.metric {
            Some(metric) => ruby::parse(key, &mut labels).map(|()| ruby_name(metric, &mut labels)),
            None => Outline::parse(key, &mut self.labels).map(|outline| {
                let resolve = |(name, text): &(&'a str, &'a str)| (resolved(name), resolved(text));
                labels.clear();
                labels.extend(self.labels.iter().map(resolve));
                resolved(outline.sample)
            }),
        };
        let is_key = name.is_some();
        self.parts.name = name;
        self.rename(&mut labels);
        let extra = self.extra;
        let given = extra.labels.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let pid = has_pid(self.kind).then_some(("pid", extra.pid));
        for (name, text) in given.chain(pid).chain([("_id", extra.id)]) {
            labels.push((Cow::Borrowed(name), Cow::Borrowed(text)));
        }
        self.parts.labels = labels;
        is_key
    }

    /// Labels of the application's own that would be taken for ours.
    #[inline]
    fn rename(&self, labels: &mut Labels<'a>) {
        let is_ours = |name: &str| {
            matches!(name, "_id" | "_aggregate")
                || (name == "pid" && has_pid(self.kind))
                || self.extra.labels.iter().any(|(ours, _)| ours == name)
        };
        for at in 0..labels.len() {
            let Some((name, _)) = labels.get(at).filter(|(name, _)| is_ours(name)) else {
                continue;
            };
            let mut other = format!("exported_{name}");
            while is_ours(&other) || labels.iter().any(|(taken, _)| *taken == other) {
                other.insert_str(0, "exported_");
            }
            if let Some((name, _)) = labels.get_mut(at) {
                *name = Cow::Owned(other);
            }
        }
    }

    /// What is only one sample's fault costs that one alone.
    #[cold]
    fn refuse(&mut self, key: &'a [u8], problem: Problem) -> Result<(), DecodeError> {
        let error = self.explain(key, problem);
        if matches!(problem.kind, ProblemKind::OutOfMemory | ProblemKind::SeveralIds) {
            return Err(error);
        }
        self.offered.first.get_or_insert(error);
        Ok(())
    }

    fn explain(&mut self, key: &'a [u8], problem: Problem) -> DecodeError {
        self.labels.clear();
        let metric = match self.metric {
            Some(metric) => &*metric.name,
            None => Outline::parse(key, &mut self.labels).map_or("", |outline| outline.metric),
        };
        let label = problem.label.and_then(|index| self.labels.get(index));
        let label = label.filter(|_| problem.kind != ProblemKind::EmptyLabelName);
        let label = label.map(|(name, _)| format!(": label {:?}", shortened(name)));
        DecodeError {
            code: problem.kind.code(),
            at: format!("metric {:?}", shortened(metric)),
            message: format!("{}{}", problem.kind, label.unwrap_or_default()),
        }
    }

    /// The next key is the first of another family.
    pub(super) fn begin_family(&mut self) {
        self.family = Family::Closed(None);
    }
}

fn ruby_name<'a>(metric: &'a Metric, labels: &mut Labels<'_>) -> Cow<'a, str> {
    match metric.part(labels).suffix() {
        "" => Cow::Borrowed(&*metric.name),
        suffix => Cow::Owned(format!("{}{suffix}", metric.name)),
    }
}

#[inline]
fn differs(bytes: &[u8], entry: Entry, last: u64) -> bool {
    entry.value_bits(bytes).is_some_and(|now| now != last)
}

fn has_pid(kind: FileKind) -> bool {
    matches!(kind, FileKind::Gauge(mode) if mode.has_pid())
}

/// Bytes of a name that a message repeats.
const MAX_NAME_BYTES: usize = 200;

fn shortened(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default()
}
