//! Where the values of one file are, in the order in which they are offered: families as they first
//! appear, in them label sets as they first appear; of a histogram the sum, then the buckets by bound.
//!
//! A layout keeps offsets, eight bytes for each value, and no bytes of the file. So every method is
//! given the file again, and what does not agree with the layout then is passed over, never trusted.

use super::build::{self, Ordered};
use super::file_name::FileKind;
use super::ruby::Metric;
use super::{FileError, HEAD_BYTES, MAX_KEY_BYTES};
use sidecar_model::MetricType;
use std::hash::{BuildHasher, Hasher};

/// How much stands behind a key: the value, and since `prometheus_client` 0.18 its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Value = 8,
    Stamped = 16,
}

/// Whether the blanks behind a key are counted in its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Python,
    Ruby,
}

impl Form {
    /// How many blanks stand behind a key of this length: 1 to 8, so that its value is aligned, or
    /// none that are not counted.
    #[inline]
    const fn padding(self, key_len: usize) -> usize {
        match self {
            Form::Python => padding(key_len),
            Form::Ruby => 0,
        }
    }
}

/// One value of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) value_at: u32,
    pub(super) key_len: u16,
    pub(super) marks: Marks,
}

/// What an entry is in its label set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u16);

impl Marks {
    /// The first of its label set.
    pub(super) const FIRST: Marks = Marks(1);
    /// It counts what is in one bucket alone.
    pub(super) const BUCKET: Marks = Marks(2);
    /// Not offered: its label set is not complete yet, or the value follows from others.
    pub(super) const LEFT_OUT: Marks = Marks(4);
    /// The blanks behind the key are part of it.
    pub(super) const PADDED: Marks = Marks(8);
    /// No value of the file's own, but how many observations its label set's buckets have in all. Its
    /// key and value are those of the set's first entry.
    pub(super) const TOTAL: Marks = Marks(16);

    #[inline]
    pub(super) const fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    #[inline]
    #[must_use]
    pub(super) const fn with(self, mark: Marks) -> Marks {
        Marks(self.0 | mark.0)
    }
}

impl Entry {
    /// The key in the bytes of the file; empty where the file is shorter than it was.
    #[inline]
    pub(super) fn key(self, bytes: &[u8]) -> &[u8] {
        let start = self.key_at();
        bytes.get(start..start + usize::from(self.key_len)).unwrap_or_default()
    }

    #[inline]
    fn key_at(self) -> usize {
        let len = usize::from(self.key_len);
        let padding = if self.marks.has(Marks::PADDED) { 0 } else { padding(len) };
        (self.value_at as usize).saturating_sub(len + padding)
    }

    #[inline]
    pub(super) fn value_bits(self, bytes: &[u8]) -> Option<u64> {
        let at = self.value_at as usize;
        bytes.get(at..at + 8)?.first_chunk().map(|bits| u64::from_ne_bytes(*bits))
    }
}

#[inline]
const fn padding(key_len: usize) -> usize {
    8 - (key_len + 4) % 8
}

/// Where the values of one file are. Files with the same keys at the same places can share one.
#[derive(Debug)]
pub struct Layout {
    pub(super) kind: FileKind,
    pub(super) width: Width,
    /// Of Ruby's client.
    pub(super) metric: Option<Metric>,
    used: usize,
    /// In the order in which they are offered.
    pub(super) entries: Box<[Entry]>,
    /// Where in `entries` each family ends.
    pub(super) family_ends: Box<[u32]>,
    left_out: usize,
    keys_hash: u64,
    seed: foldhash::quality::RandomState,
}

/// The values of one file as they were last time; eight bytes for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Bits, in the order of the layout that they belong to.
    pub(super) bits: Vec<u64>,
    keys_hash: u64,
}

/// What is new in a file whose layout is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub changed: usize,
    /// A cumulative value is lower than it was: it may have been read while it was being written.
    pub fell: bool,
}

impl Layout {
    /// `bytes`: the file's start, as far as it is used.
    pub fn new(bytes: &[u8], kind: FileKind) -> Result<Layout, FileError> {
        Layout::of_file(bytes, kind, "")
    }

    /// `metric`: as the file's name has it, of Ruby's client.
    pub fn of_file(bytes: &[u8], kind: FileKind, metric: &str) -> Result<Layout, FileError> {
        let seed = foldhash::quality::RandomState::default();
        let of_width = |width| {
            let metric = match kind {
                FileKind::Ruby => Some(Metric::of(metric, bytes, width)?),
                FileKind::Counter
                | FileKind::Histogram
                | FileKind::Summary
                | FileKind::Gauge(_) => None,
            };
            let read = build::read(bytes, kind, metric.as_ref(), width, &seed)?;
            Ok((width, metric, read))
        };
        // What was written with times cannot be read as if there were none, or the other way round:
        // a time would be the length of a key. A file without entries is both.
        let read = of_width(Width::Stamped).or_else(|error: FileError| {
            of_width(Width::Value)
                .map_err(|old: FileError| if old.at() > error.at() { old } else { error })
        });
        let (width, metric, Ordered { entries, family_ends }) = read?;
        let left_out = entries.iter().filter(|entry| entry.marks.has(Marks::LEFT_OUT)).count();
        let mut layout = Layout {
            kind,
            width,
            metric,
            used: bytes.len(),
            entries,
            family_ends,
            left_out,
            keys_hash: 0,
            seed,
        };
        layout.keys_hash = layout.hash_keys(bytes).unwrap_or_default();
        Ok(layout)
    }

    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// As its samples are offered. Of Ruby's client what the keys tell: buckets, sums and counts of
    /// histograms and summaries, `_total` in the metric's name, a label `pid` of a gauge that is shown
    /// for each process; else unknown.
    pub fn metric_type(&self) -> MetricType {
        self.metric.as_ref().map_or(self.kind.metric_type(), |metric| metric.metric_type)
    }

    /// How many bytes of the file it was made from.
    pub fn used(&self) -> usize {
        self.used
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of them are not offered: a histogram's whose last bucket has not been made yet, and
    /// counts that its buckets tell.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Memory that it takes, without what an allocator adds.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.entries) + size_of_val(&*self.family_ends)
    }

    /// Whether another file of the same kind has exactly these keys, at the same places.
    pub fn fits(&self, bytes: &[u8], kind: FileKind) -> bool {
        kind == self.kind
            && bytes.len() == self.used
            && self.hash_keys(bytes) == Some(self.keys_hash)
    }

    /// The same for a file of this metric.
    pub fn fits_file(&self, bytes: &[u8], kind: FileKind, metric: &str) -> bool {
        metric == self.metric.as_ref().map_or("", |metric| &metric.name) && self.fits(bytes, kind)
    }

    /// What is new since `last`. `None`: where keys stood there are none of the same lengths now, so the
    /// file has other keys. A cheap check of what was the same file, not of another one.
    pub fn compare(&self, bytes: &[u8], last: &Values) -> Option<Difference> {
        if bytes.len() != self.used {
            return None;
        }
        let Some(last) = self.last(last) else {
            let agrees = self.entries.iter().all(|entry| has_length(*entry, bytes));
            let changed = self.len() - self.left_out;
            return agrees.then_some(Difference { changed, fell: false });
        };
        let mut changed = 0;
        let mut fell = false;
        for (entry, last) in self.entries.iter().zip(last) {
            if !has_length(*entry, bytes) {
                return None;
            }
            let now = entry.value_bits(bytes).unwrap_or(*last);
            if now != *last && !entry.marks.has(Marks::LEFT_OUT) {
                changed += 1;
                fell |= f64::from_bits(now) < f64::from_bits(*last);
            }
        }
        Some(Difference { changed, fell: fell && self.metric_type().is_cumulative() })
    }

    /// Keeps the values as what they were last time, when they have been taken in.
    pub fn keep(&self, bytes: &[u8], last: &mut Values) {
        last.bits.clear();
        last.bits.reserve_exact(self.entries.len());
        last.bits.extend(self.entries.iter().map(|entry| entry.value_bits(bytes).unwrap_or(0)));
        last.keys_hash = self.keys_hash;
    }

    /// The values of last time, if they are those of this layout.
    pub(super) fn last<'v>(&self, last: &'v Values) -> Option<&'v [u64]> {
        let same = last.keys_hash == self.keys_hash && last.bits.len() == self.entries.len();
        same.then_some(&last.bits)
    }

    fn hash_keys(&self, bytes: &[u8]) -> Option<u64> {
        let mut hasher = self.seed.build_hasher();
        for entry in &*self.entries {
            if !has_length(*entry, bytes) {
                return None;
            }
            hasher.write(entry.key(bytes));
        }
        Some(hasher.finish())
    }
}

#[inline]
fn has_length(entry: Entry, bytes: &[u8]) -> bool {
    let at = entry.key_at().saturating_sub(4);
    let len = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    len.is_some_and(|len| i32::from_ne_bytes(*len) == i32::from(entry.key_len))
}

/// The entries of a file one after the other, as they stand in it.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    width: Width,
    form: Form,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], width: Width, form: Form) -> Walk<'a> {
        Walk { bytes, at: HEAD_BYTES, width, form }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next key and where its value stands; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(&'a [u8], usize)>, FileError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let at = self.at;
        self.step().map(Some).ok_or(FileError::BadLength { at })
    }

    #[inline]
    fn step(&mut self) -> Option<(&'a [u8], usize)> {
        let rest = self.bytes.get(self.at..)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(i32::from_ne_bytes(*len)).ok()?;
        if len == 0 || len > MAX_KEY_BYTES {
            return None;
        }
        let (key, rest) = rest.split_at_checked(len)?;
        let padding = self.form.padding(len);
        let value_at = self.at + 4 + len + padding;
        if !value_at.is_multiple_of(8) || rest.len() < padding + self.width as usize {
            return None;
        }
        self.at = value_at + self.width as usize;
        Some((key, value_at))
    }
}
