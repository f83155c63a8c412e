//! What compaction keeps of dead workers in the directory itself: their gauges, merged, and what is
//! known of who held which file. One file with a checksum, replaced as a whole.
//!
//! Pure: bytes in, bytes out. `kept/file.rs` reads and writes it. A worker whose gauges have joined
//! is listed until its files are gone for good, so that no crash adds it twice. Counters are never in
//! here: the store has them.

pub(super) mod file;
pub(super) mod shown;

use super::processes::{Namespace, Process};
use crc32c::crc32c;
use serde::{Deserialize, Serialize};
use sidecar_formats::mmap_file::{FileKind, GaugeMode, Key, Stamped};
use sidecar_formats::number;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

const VERSION: u32 = 1;
/// What stands before the checksum; nothing behind it is covered.
const BEFORE_SUM: &str = ",\"crc32c\":\"";
const BEFORE_STATE: &str = "{\"version\":";
/// Beyond it no worker's gauges join any more: its files stay.
const SERIES_AT_MOST: usize = 200_000;

/// How gauges of dead workers become one value. The other modes go with their worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeptMode {
    Min,
    Max,
    Sum,
    MostRecent,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// By name and mode, as different applications' versions may disagree.
    families: BTreeMap<(String, KeptMode), KeptFamily>,
    series: usize,
    /// Workers, by pid and begin, whose gauges are in here and whose files may still be there.
    pub joined: BTreeSet<String>,
    pub seen: Seen,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct KeptFamily {
    help: String,
    series: BTreeMap<KeptSeries, Point>,
}

/// A sample's name and its labels, sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeptSeries {
    name: String,
    labels: Vec<(String, String)>,
}

/// A value and, of the mode `mostrecent`, when it was set.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    value: f64,
    time: f64,
}

/// Who was seen to hold files of which worker. Without a namespace nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Where the processes' numbers mean something.
    pub namespace: Option<Namespace>,
    /// By pid and begin.
    pub workers: BTreeMap<String, SeenWorker>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenWorker {
    pub processes: BTreeSet<Process>,
    /// It had a file of a live mode.
    pub live: bool,
}

/// One gauge of a worker, as it is in its file.
#[derive(Clone, Debug)]
pub(super) struct GaugeSample {
    pub family: String,
    pub help: String,
    pub mode: KeptMode,
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
    pub time: f64,
}

/// What is kept of one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeptSample {
    pub mode: KeptMode,
    /// As a client writes it, so that it is the same series as in its files.
    pub key: Vec<u8>,
    pub value: f64,
    /// 0 but for the mode `mostrecent`.
    pub time: f64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum KeptError {
    /// Of a later program: it must not be touched.
    #[error("it has the format {0}, which this program does not know")]
    Version(u32),
    #[error("it is damaged")]
    Damaged,
}

/// There is no room for more series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {SERIES_AT_MOST} series of gauges would be kept")]
pub(super) struct KeptFull;

impl KeptMode {
    /// `None`: such gauges go with their process.
    pub(super) fn of(mode: GaugeMode) -> Option<KeptMode> {
        match mode {
            GaugeMode::Min => Some(KeptMode::Min),
            GaugeMode::Max => Some(KeptMode::Max),
            GaugeMode::Sum => Some(KeptMode::Sum),
            GaugeMode::MostRecent => Some(KeptMode::MostRecent),
            GaugeMode::All
            | GaugeMode::LiveAll
            | GaugeMode::LiveMin
            | GaugeMode::LiveMax
            | GaugeMode::LiveSum
            | GaugeMode::LiveMostRecent => None,
        }
    }

    pub(super) fn kind(self) -> FileKind {
        FileKind::Gauge(match self {
            KeptMode::Min => GaugeMode::Min,
            KeptMode::Max => GaugeMode::Max,
            KeptMode::Sum => GaugeMode::Sum,
            KeptMode::MostRecent => GaugeMode::MostRecent,
        })
    }
}

impl GaugeSample {
    /// `None`: the key is none.
    pub(super) fn new(mode: KeptMode, stamped: Stamped<'_>) -> Option<GaugeSample> {
        let Key { metric, sample, labels, help } = Key::parse(stamped.key)?;
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into(), value.into());
        Some(GaugeSample {
            family: metric.into(),
            help: help.into(),
            mode,
            name: sample.into(),
            labels: labels.into_iter().map(owned).collect(),
            value: stamped.value,
            time: stamped.timestamp,
        })
    }
}

impl Kept {
    /// The gauges of one worker join, all or none; once only.
    pub(super) fn join(&mut self, worker: &str, samples: &[GaugeSample]) -> Result<(), KeptFull> {
        if self.joined.contains(worker) {
            return Ok(());
        }
        // Too much by what is known already, which is no harm.
        if self.series + samples.len() > SERIES_AT_MOST {
            return Err(KeptFull);
        }
        for sample in samples {
            self.add(sample);
        }
        self.joined.insert(worker.to_owned());
        self.seen.workers.remove(worker);
        Ok(())
    }

    /// In the order of names, then of labels.
    pub(super) fn samples(&self) -> impl Iterator<Item = KeptSample> {
        self.families.iter().flat_map(|((metric, mode), family)| {
            family.series.iter().map(|(series, point)| KeptSample {
                mode: *mode,
                key: key_text(metric, &series.name, &series.labels, &family.help),
                value: point.value,
                time: point.time,
            })
        })
    }

    fn add(&mut self, sample: &GaugeSample) {
        // One that was never set shows nothing, as with the client.
        let is_set = sample.time > 0.0;
        if sample.mode == KeptMode::MostRecent && !is_set {
            return;
        }
        let family = self.families.entry((sample.family.clone(), sample.mode)).or_default();
        if family.help.is_empty() {
            family.help.clone_from(&sample.help);
        }
        let mut labels = sample.labels.clone();
        labels.sort_unstable();
        let series = KeptSeries { name: sample.name.clone(), labels };
        let new = Point { value: sample.value, time: sample.time };
        match family.series.entry(series) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(new);
                self.series += 1;
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                known.get_mut().merge(sample.mode, new);
            }
        }
    }
}

impl Point {
    /// A value that is not a number takes no part, as in every aggregation.
    fn merge(&mut self, mode: KeptMode, other: Point) {
        self.value = match mode {
            KeptMode::Min => self.value.min(other.value),
            KeptMode::Max => self.value.max(other.value),
            KeptMode::Sum if self.value.is_nan() => other.value,
            KeptMode::Sum if other.value.is_nan() => self.value,
            KeptMode::Sum => self.value + other.value,
            KeptMode::MostRecent if other.time > self.time => other.value,
            KeptMode::MostRecent => self.value,
        };
        self.time = self.time.max(other.time);
    }
}

// ---- the file

#[derive(Serialize, Deserialize)]
struct FileState {
    version: u32,
    families: Vec<FileFamily>,
    joined: BTreeSet<String>,
    seen: Seen,
}

#[derive(Serialize, Deserialize)]
struct FileFamily {
    name: String,
    help: String,
    mode: KeptMode,
    series: Vec<FileSeries>,
}

/// Numbers as text, which has all that a float can be.
#[derive(Serialize, Deserialize)]
struct FileSeries {
    name: String,
    labels: Vec<(String, String)>,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

#[derive(Deserialize)]
struct OnlyVersion {
    version: u32,
}

impl Kept {
    pub(super) fn encode(&self) -> Vec<u8> {
        let families = self.families.iter().map(|((name, mode), family)| FileFamily {
            name: name.clone(),
            help: family.help.clone(),
            mode: *mode,
            series: family.series.iter().map(|(series, point)| point.to_file(series)).collect(),
        });
        let state = FileState {
            version: VERSION,
            families: families.collect(),
            joined: self.joined.clone(),
            seen: self.seen.clone(),
        };
        // Strings, numbers and maps with keys of strings have a text.
        let mut bytes = serde_json::to_vec(&state).unwrap_or_default();
        bytes.pop();
        let sum = crc32c(&bytes);
        bytes.extend_from_slice(format!("{BEFORE_SUM}{sum:08x}\"}}\n").as_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Kept, KeptError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeptError::Damaged)?;
        let (covered, sum) = text.rsplit_once(BEFORE_SUM).ok_or(KeptError::Damaged)?;
        let sum = sum.strip_suffix("\"}\n").ok_or(KeptError::Damaged)?;
        if format!("{:08x}", crc32c(covered.as_bytes())) != sum
            || !covered.starts_with(BEFORE_STATE)
        {
            return Err(KeptError::Damaged);
        }
        let whole = format!("{covered}}}");
        let damaged = |_| KeptError::Damaged;
        let OnlyVersion { version } = serde_json::from_str(&whole).map_err(damaged)?;
        if version != VERSION {
            return Err(KeptError::Version(version));
        }
        let state: FileState = serde_json::from_str(&whole).map_err(damaged)?;
        let mut kept = Kept { joined: state.joined, seen: state.seen, ..Kept::default() };
        for family in state.families {
            kept.take(family).ok_or(KeptError::Damaged)?;
        }
        Ok(kept)
    }

    fn take(&mut self, family: FileFamily) -> Option<()> {
        let mut series = BTreeMap::new();
        for one in family.series {
            let point = Point {
                value: number::parse_f64(one.value.as_bytes())?,
                time: one.time.map_or(Some(0.0), |time| number::parse_f64(time.as_bytes()))?,
            };
            let key = KeptSeries { name: one.name, labels: one.labels };
            if !key.labels.is_sorted() || series.insert(key, point).is_some() {
                return None;
            }
        }
        self.series += series.len();
        let kept = KeptFamily { help: family.help, series };
        self.families.insert((family.name, family.mode), kept).is_none().then_some(())
    }
}

impl Point {
    fn to_file(self, series: &KeptSeries) -> FileSeries {
        let text = |value: f64| {
            let mut out = Vec::new();
            number::write_value(value, &mut out);
            String::from_utf8(out).unwrap_or_default()
        };
        FileSeries {
            name: series.name.clone(),
            labels: series.labels.clone(),
            value: text(self.value),
            time: (self.time > 0.0).then(|| text(self.time)),
        }
    }
}

/// `json.dumps([metric, sample, labels, help], sort_keys=True)`.
fn key_text(metric: &str, sample: &str, labels: &[(String, String)], help: &str) -> Vec<u8> {
    let mut out = String::from("[");
    put_text(metric, &mut out);
    out.push_str(", ");
    put_text(sample, &mut out);
    out.push_str(", {");
    for (at, (name, value)) in labels.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        put_text(name, &mut out);
        out.push_str(": ");
        put_text(value, &mut out);
    }
    out.push_str("}, ");
    put_text(help, &mut out);
    out.push(']');
    out.into_bytes()
}

/// In ASCII alone.
fn put_text(text: &str, out: &mut String) {
    out.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'"') => out.push_str("\\\""),
            Ok(b'\\') => out.push_str("\\\\"),
            Ok(b'\n') => out.push_str("\\n"),
            Ok(b'\r') => out.push_str("\\r"),
            Ok(b'\t') => out.push_str("\\t"),
            Ok(8) => out.push_str("\\b"),
            Ok(12) => out.push_str("\\f"),
            Ok(byte @ b' '..=b'~') => out.push(char::from(byte)),
            Ok(_) | Err(_) => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out.push('"');
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is kept is exact")]
mod tests;
