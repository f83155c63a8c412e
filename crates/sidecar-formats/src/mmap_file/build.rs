//! Makes a layout: reads all keys of a file once, and puts its values into the order in which they
//! are offered.

use super::file_name::FileKind;
use super::key::Outline;
use super::layout::{Entry, Form, Marks, Walk, Width};
use super::ruby::{self, Labels, Metric};
use super::{FileError, MAX_KEYS};
use hashbrown::HashTable;
use sidecar_model::MetricType;
use std::hash::{BuildHasher, Hasher};

type Seed = foldhash::quality::RandomState;

/// The values of a file in the order in which they are offered, and where each family ends.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    pub(super) entries: Box<[Entry]>,
    pub(super) family_ends: Box<[u32]>,
}

/// Reads the file as one whose values are of this width.
pub(super) fn read(
    bytes: &[u8],
    kind: FileKind,
    metric: Option<&Metric>,
    width: Width,
    seed: &Seed,
) -> Result<Ordered, FileError> {
    let mut builder = Builder {
        kind,
        metric,
        labels: Labels::new(),
        found: Vec::new(),
        families: Families { names: Vec::new(), table: HashTable::new(), last: 0, seed },
        sets: LabelSets { list: Vec::new(), table: HashTable::new(), last: 0, seed },
    };
    let form = if metric.is_some() { Form::Ruby } else { Form::Python };
    let mut walk = Walk::new(bytes, width, form);
    let mut labels = Vec::new();
    loop {
        let at = walk.at();
        let Some((key, value_at)) = walk.next()? else { break };
        if builder.found.len() == MAX_KEYS {
            return Err(FileError::TooManyKeys { at });
        }
        builder.add(key, value_at, &mut labels).ok_or(FileError::BadKey { at })?;
    }
    Ok(builder.finish())
}

struct Builder<'a> {
    kind: FileKind,
    metric: Option<&'a Metric>,
    /// Of Ruby's keys.
    labels: Labels<'a>,
    found: Vec<Found>,
    families: Families<'a>,
    sets: LabelSets<'a>,
}

/// An entry and what decides about its place.
#[derive(Clone, Copy, Debug)]
struct Found {
    entry: Entry,
    family: u32,
    /// Its label set, `le` left out; in the order of the file.
    set: u32,
    part: Part,
    /// Of a bucket.
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Value,
    Bucket,
    /// The number of observations, which the last bucket tells too.
    Count,
}

impl<'a> Builder<'a> {
    /// `None`: the key is none.
    fn add(
        &mut self,
        key: &'a [u8],
        value_at: usize,
        labels: &mut Vec<(&'a str, &'a str)>,
    ) -> Option<()> {
        if let Some(metric) = self.metric {
            return self.add_ruby(metric, key, value_at);
        }
        let outline = Outline::parse(key, labels)?;
        let family = self.families.find(outline.metric);
        let (set, part, bound) = match self.kind {
            FileKind::Histogram => self.place_in_histogram(family, &outline, labels)?,
            FileKind::Summary => (self.sets.find(family, labels), Part::Value, 0.0),
            FileKind::Counter | FileKind::Gauge(_) | FileKind::Ruby => {
                (u32::try_from(self.found.len()).ok()?, Part::Value, 0.0)
            }
        };
        let entry = Entry {
            value_at: u32::try_from(value_at).ok()?,
            key_len: u16::try_from(key.len()).ok()?,
            marks: Marks::default(),
        };
        self.found.push(Found { entry, family, set, part, bound });
        Some(())
    }

    /// All parts of a label set are there, whatever keys there are: a bucket that has none is empty.
    fn add_ruby(&mut self, metric: &Metric, key: &'a [u8], value_at: usize) -> Option<()> {
        ruby::parse(key, &mut self.labels)?;
        let le = self.labels.iter().position(|(name, _)| name == "le");
        let (part, bound) = match metric.part(&mut self.labels) {
            ruby::Part::Bucket => {
                let (_, text) = self.labels.remove(le?);
                (Part::Bucket, ruby::bound(&text)?)
            }
            ruby::Part::Value | ruby::Part::Sum | ruby::Part::Count => (Part::Value, 0.0),
        };
        let set = self.sets.find(0, &mut self.labels);
        if bound == f64::INFINITY {
            self.sets.complete(set);
        }
        let entry = Entry {
            value_at: u32::try_from(value_at).ok()?,
            key_len: u16::try_from(key.len()).ok()?,
            marks: Marks::PADDED,
        };
        self.found.push(Found { entry, family: 0, set, part, bound });
        Some(())
    }

    fn place_in_histogram(
        &mut self,
        family: u32,
        outline: &Outline<'a>,
        labels: &mut Vec<(&'a str, &'a str)>,
    ) -> Option<(u32, Part, f64)> {
        let Some(at) = labels.iter().position(|(name, _)| *name == "le") else {
            let part = if outline.sample.ends_with("_count") { Part::Count } else { Part::Value };
            return Some((self.sets.find(family, labels), part, 0.0));
        };
        let (_, text) = labels.remove(at);
        let bound: f64 = text.trim().parse().ok().filter(|bound: &f64| !bound.is_nan())?;
        let set = self.sets.find(family, labels);
        if bound == f64::INFINITY {
            self.sets.complete(set);
        }
        Some((set, Part::Bucket, bound))
    }

    fn finish(mut self) -> Ordered {
        let order = |found: &Found| (found.family, found.set, found.part);
        let place = |a: &Found, b: &Found| {
            order(a).cmp(&order(b)).then_with(|| a.bound.total_cmp(&b.bound))
        };
        // Stable: what is the same keeps the order of the file.
        if !self.found.is_sorted_by(|a, b| place(a, b).is_le()) {
            self.found.sort_by(place);
        }
        let mut ordered =
            Order { sets: &self.sets, family: 0, entries: Vec::new(), family_ends: Vec::new() };
        ordered.entries.reserve_exact(self.found.len());
        for set in self.found.chunk_by(|a, b| a.set == b.set && a.family == b.family) {
            match self.metric {
                None => ordered.add_set(set, self.kind == FileKind::Histogram),
                Some(metric) => ordered.add_ruby_set(set, metric),
            }
        }
        ordered.end_family();
        Ordered {
            entries: ordered.entries.into_boxed_slice(),
            family_ends: ordered.family_ends.into_boxed_slice(),
        }
    }
}

/// The entries as they are offered, set by set.
struct Order<'a> {
    sets: &'a LabelSets<'a>,
    family: u32,
    entries: Vec<Entry>,
    family_ends: Vec<u32>,
}

impl Order<'_> {
    /// A histogram's without its last bucket is being made: it is left out until it is there.
    fn add_set(&mut self, set: &[Found], is_histogram: bool) {
        let Some(first) = set.first() else { return };
        if first.family != self.family {
            self.end_family();
            self.family = first.family;
        }
        let is_incomplete = is_histogram && !self.sets.is_complete(first.set);
        for (at, found) in set.iter().enumerate() {
            let mut marks = found.entry.marks;
            if at == 0 {
                marks = marks.with(Marks::FIRST);
            }
            if found.part == Part::Bucket {
                marks = marks.with(Marks::BUCKET);
            }
            if is_incomplete || found.part == Part::Count {
                marks = marks.with(Marks::LEFT_OUT);
            }
            self.entries.push(Entry { marks, ..found.entry });
        }
    }

    /// Where no observation was above the highest bound there is no bucket for it.
    fn add_ruby_set(&mut self, set: &[Found], metric: &Metric) {
        self.add_set(set, false);
        if let Some(first) = set.first()
            && metric.metric_type == MetricType::Histogram
            && !self.sets.is_complete(first.set)
        {
            let marks = first.entry.marks.with(Marks::TOTAL);
            self.entries.push(Entry { marks, ..first.entry });
        }
    }

    fn end_family(&mut self) {
        let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        if end > self.family_ends.last().copied().unwrap_or(0) {
            self.family_ends.push(end);
        }
    }
}
/// The families by name, numbered as they appear. Most entries are of the family before.
struct Families<'a> {
    names: Vec<&'a str>,
    table: HashTable<u32>,
    last: u32,
    seed: &'a Seed,
}

impl<'a> Families<'a> {
    fn find(&mut self, name: &'a str) -> u32 {
        let names = &mut self.names;
        if names.get(self.last as usize).is_some_and(|last| *last == name) {
            return self.last;
        }
        let hash = |name: &str| {
            let mut hasher = self.seed.build_hasher();
            hasher.write(name.as_bytes());
            hasher.finish()
        };
        let at = |family: u32| names.get(family as usize).copied().unwrap_or_default();
        self.last = match self.table.find(hash(name), |family| at(*family) == name) {
            Some(family) => *family,
            None => {
                let family = u32::try_from(names.len()).unwrap_or(u32::MAX);
                self.table.insert_unique(hash(name), family, |family| hash(at(*family)));
                names.push(name);
                family
            }
        };
        self.last
    }
}

/// The label sets of histograms and summaries, told apart by a hash of 64 bits with a seed that
/// nobody knows. Most entries are of the set before.
struct LabelSets<'a> {
    list: Vec<LabelSet>,
    table: HashTable<u32>,
    last: u32,
    seed: &'a Seed,
}

#[derive(Clone, Copy, Debug)]
struct LabelSet {
    hash: u64,
    is_complete: bool,
}

impl LabelSets<'_> {
    fn find<S: AsRef<str> + Ord>(&mut self, family: u32, labels: &mut [(S, S)]) -> u32 {
        if !labels.is_sorted() {
            labels.sort_unstable();
        }
        let mut hasher = self.seed.build_hasher();
        hasher.write_u32(family);
        for (name, value) in &*labels {
            let (name, value) = (name.as_ref(), value.as_ref());
            hasher.write_usize(name.len());
            hasher.write(name.as_bytes());
            hasher.write_usize(value.len());
            hasher.write(value.as_bytes());
        }
        let hash = hasher.finish();
        let list = &mut self.list;
        if list.get(self.last as usize).is_some_and(|last| last.hash == hash) {
            return self.last;
        }
        let at = |set: u32| list.get(set as usize).map_or(0, |set| set.hash);
        self.last = match self.table.find(hash, |set| at(*set) == hash) {
            Some(set) => *set,
            None => {
                let set = u32::try_from(list.len()).unwrap_or(u32::MAX);
                self.table.insert_unique(hash, set, |set| at(*set));
                list.push(LabelSet { hash, is_complete: false });
                set
            }
        };
        self.last
    }

    /// There is a bucket for everything.
    fn complete(&mut self, set: u32) {
        if let Some(set) = self.list.get_mut(set as usize) {
            set.is_complete = true;
        }
    }

    fn is_complete(&self, set: u32) -> bool {
        self.list.get(set as usize).is_some_and(|set| set.is_complete)
    }
}
