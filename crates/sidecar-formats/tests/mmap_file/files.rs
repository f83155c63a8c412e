//! Files as clients write them, made from random applications, and a naive reading of them.

use crate::state::Series;
use proptest::prelude::*;
use serde_json::Value;
use sidecar_formats::mmap_file::FileKind;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One value of a file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: f64,
    pub(crate) time: f64,
}

impl Entry {
    pub(crate) fn new(key: impl Into<String>, value: f64) -> Entry {
        Entry { key: key.into(), value, time: 0.0 }
    }
}

/// The bytes that are used of a file with these entries.
pub(crate) fn file(entries: &[Entry], width: usize) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for entry in entries {
        let len = entry.key.len();
        bytes.extend(i32::try_from(len).unwrap().to_ne_bytes());
        bytes.extend(entry.key.as_bytes());
        bytes.extend(vec![b' '; 8 - (len + 4) % 8]);
        bytes.extend(entry.value.to_ne_bytes());
        if width == 16 {
            bytes.extend(entry.time.to_ne_bytes());
        }
    }
    let used = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    bytes
}

/// How keys were written over the years.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Spelling {
    Lists,
    WithoutHelp,
    WithHelp,
}

fn text(text: &str, ascii: bool) -> String {
    let json = serde_json::to_string(text).unwrap();
    if !ascii {
        return json;
    }
    let mut out = String::new();
    for char in json.chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        }
    }
    out
}

pub(crate) fn key(
    metric: &str,
    sample: &str,
    labels: &[(&str, &str)],
    spelling: Spelling,
    ascii: bool,
) -> String {
    let join = |texts: Vec<String>| texts.join(", ");
    let (metric, sample) = (text(metric, ascii), text(sample, ascii));
    if spelling == Spelling::Lists {
        let names = join(labels.iter().map(|(name, _)| text(name, ascii)).collect());
        let values = join(labels.iter().map(|(_, value)| text(value, ascii)).collect());
        return format!("[{metric}, {sample}, [{names}], [{values}]]");
    }
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let pair =
        |(name, value): (&str, &str)| format!("{}: {}", text(name, ascii), text(value, ascii));
    let labels = join(sorted.into_iter().map(pair).collect());
    match spelling {
        Spelling::WithHelp => {
            format!("[{metric}, {sample}, {{{labels}}}, {}]", text("Hé\"", ascii))
        }
        Spelling::WithoutHelp | Spelling::Lists => format!("[{metric}, {sample}, {{{labels}}}]"),
    }
}

/// An application's file.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) kind: FileKind,
    pub(crate) width: usize,
    pub(crate) entries: Vec<Entry>,
}

impl Application {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        file(&self.entries, self.width)
    }
}

const TEXTS: [&str; 8] = ["", "1", "x y", "é😀", "\"\\\n", "]}, [", "\u{7f}", "a\u{2028}b"];
const LABELS: [&str; 5] = ["a", "z", "pid", "_id", "kind"];
const BOUNDS: [&str; 5] = ["0.005", "1.0", "2.5", "1e+07", "+Inf"];

type Labels = Vec<(&'static str, &'static str)>;

/// Of each of three families the labels that it has.
fn label_names() -> impl Strategy<Value = Vec<Vec<&'static str>>> {
    prop::collection::vec(prop::sample::subsequence(LABELS.to_vec(), 0..3), 3)
}

fn keys_of(kind: FileKind, metric: &str, labels: &Labels, spell: (Spelling, bool)) -> Vec<String> {
    let key = |suffix: &str, labels: &[(&str, &str)]| {
        key(metric, &format!("{metric}{suffix}"), labels, spell.0, spell.1)
    };
    match kind {
        FileKind::Counter => vec![key("_total", labels)],
        FileKind::Gauge(_) | FileKind::Ruby => vec![key("", labels)],
        FileKind::Summary => vec![key("_count", labels), key("_sum", labels)],
        FileKind::Histogram => {
            let bucket = |bound: &&'static str| {
                let mut labels = labels.clone();
                labels.push(("le", bound));
                key("_bucket", &labels)
            };
            let mut keys = vec![key("_sum", labels)];
            keys.extend(BOUNDS.iter().map(bucket));
            keys
        }
    }
}

/// Label sets of three families, made in any order. The last one may not be made to its end.
pub(crate) fn application(kinds: Vec<FileKind>) -> impl Strategy<Value = Application> {
    let spell = (
        prop::sample::select(vec![Spelling::Lists, Spelling::WithoutHelp, Spelling::WithHelp]),
        any::<bool>(),
    );
    let sets = prop::collection::vec((0_usize..3, prop::collection::vec(0..TEXTS.len(), 2)), 0..12);
    let values = prop::collection::vec((0_u32..1000, prop::sample::select(vec![0.0, 1.7e9])), 80);
    (prop::sample::select(kinds), label_names(), sets, spell, any::<bool>(), values, 0_usize..3)
        .prop_map(|(kind, names, sets, spell, stamped, values, cut)| {
            let mut entries: Vec<Entry> = vec![];
            for (family, texts) in sets {
                let texts = texts.iter().map(|at| TEXTS[*at]);
                let labels: Labels = names[family].iter().copied().zip(texts).collect();
                for key in keys_of(kind, ["m", "m_n", "é"][family], &labels, spell) {
                    if entries.iter().all(|known| known.key != key) {
                        let (value, time) = values[entries.len()];
                        entries.push(Entry { key, value: f64::from(value), time });
                    }
                }
            }
            entries.truncate(entries.len().saturating_sub(cut));
            Application { kind, width: if stamped { 16 } else { 8 }, entries }
        })
}

/// Another value for each entry that `changes` names.
pub(crate) fn with_changes(application: &Application, changes: &[(usize, u32)]) -> Application {
    let mut changed = application.clone();
    for (at, value) in changes {
        let count = changed.entries.len().max(1);
        if let Some(entry) = changed.entries.get_mut(at % count) {
            entry.value = f64::from(*value);
        }
    }
    changed
}

fn parts(key: &str) -> (String, String, BTreeMap<String, String>, String) {
    let parts: Vec<Value> = serde_json::from_str(key).unwrap();
    let string = |value: &Value| value.as_str().unwrap().to_owned();
    let strings = |value: &Value| value.as_array().unwrap().iter().map(string).collect::<Vec<_>>();
    let labels = match parts[2].as_object() {
        Some(map) => map.iter().map(|(name, value)| (name.clone(), string(value))).collect(),
        None => strings(&parts[2]).into_iter().zip(strings(&parts[3])).collect(),
    };
    let help = parts.get(3).filter(|help| help.is_string()).map(string).unwrap_or_default();
    (string(&parts[0]), string(&parts[1]), labels, help)
}

/// What the application says, read as slowly and plainly as can be. Labels are sorted, and without
/// those that every sample is given.
pub(crate) fn naive(application: &Application) -> BTreeMap<Series, u64> {
    let mut helps = BTreeMap::new();
    let mut values: BTreeMap<Series, f64> = BTreeMap::new();
    let mut buckets: BTreeMap<Series, Vec<(f64, String, f64)>> = BTreeMap::new();
    for entry in &application.entries {
        let (metric, sample, mut labels, help) = parts(&entry.key);
        let help = helps.entry(metric.clone()).or_insert(help).clone();
        let asked = match application.kind {
            FileKind::Gauge(mode) => {
                mode.aggregation().map(|a| format!(" {a}")).unwrap_or_default()
            }
            FileKind::Counter | FileKind::Histogram | FileKind::Summary | FileKind::Ruby => {
                String::new()
            }
        };
        let header = format!("{} {metric}{asked} {help:?}", application.kind.metric_type());
        let le = labels.remove("le");
        let series = (header, sample, labels.into_iter().collect());
        match le {
            None => {
                values.insert(series, entry.value);
            }
            Some(le) => {
                buckets.entry(series).or_default().push((le.parse().unwrap(), le, entry.value))
            }
        }
    }
    if application.kind == FileKind::Histogram {
        let complete = |(header, name, labels): &Series| {
            let bucket = (header.clone(), name.replace("_sum", "_bucket"), labels.clone());
            buckets.get(&bucket).is_some_and(|set| set.iter().any(|b| b.0 == f64::INFINITY))
        };
        values.retain(|series, _| complete(series));
    }
    for ((header, name, labels), mut set) in buckets {
        set.sort_by(|a, b| a.0.total_cmp(&b.0));
        if set.last().unwrap().0 == f64::INFINITY {
            let mut below = 0.0;
            for (_, le, value) in set {
                below += value;
                let mut labels = labels.clone();
                labels.push(("le".to_owned(), le));
                labels.sort();
                values.insert((header.clone(), name.clone(), labels), below);
            }
        }
    }
    values.into_iter().map(|(series, value)| (series, value.to_bits())).collect()
}
