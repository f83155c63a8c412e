//! The directories of Python's multiprocess mode: `multiproc.dirs`, a path or a map for each.

use super::field::{Wrong, label, read_each};
use super::file::{Content, Node};
use super::resolve::Problems;
use std::path::PathBuf;
use std::time::Duration;

const KEYS: [&str; 3] = ["path", "job", "labels"];

/// What is read besides pushes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MultiprocSettings {
    pub(crate) directories: Vec<MultiprocDirectory>,
    /// A scrape reads again what was read at least so long ago.
    pub(crate) interval: Duration,
    pub(crate) limits: MultiprocLimits,
    /// Files of dead workers are folded and deleted.
    pub(crate) compact: bool,
    /// How often it is looked who lives.
    pub(crate) compact_interval: Duration,
}

/// Of each directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MultiprocLimits {
    pub(crate) files: usize,
    pub(crate) file_bytes: usize,
    /// All files together, as far as they are filled.
    pub(crate) total_bytes: usize,
}

/// One `PROMETHEUS_MULTIPROC_DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MultiprocDirectory {
    pub(crate) path: PathBuf,
    /// Added to every series, `job` among them; each name once.
    pub(crate) labels: Vec<(String, String)>,
}

impl Default for MultiprocSettings {
    fn default() -> MultiprocSettings {
        let limits = MultiprocLimits { files: 100_000, file_bytes: 64 << 20, total_bytes: 1 << 30 };
        MultiprocSettings {
            directories: Vec::new(),
            interval: Duration::ZERO,
            limits,
            compact: false,
            compact_interval: Duration::from_secs(10),
        }
    }
}

/// Of a flag or a variable: paths.
pub(super) fn of_paths(texts: &[&str]) -> Result<Vec<MultiprocDirectory>, Wrong> {
    let paths = read_each(texts, path)?;
    Ok(paths.into_iter().map(|path| MultiprocDirectory { path, labels: Vec::new() }).collect())
}

/// Of the file; `None`: it has errors.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Vec<MultiprocDirectory>> {
    let nodes = match &node.content {
        Content::List(nodes) => nodes.as_slice(),
        Content::Empty | Content::Text(_) | Content::Map(_) => std::slice::from_ref(node),
    };
    let mut directories: Vec<MultiprocDirectory> = Vec::with_capacity(nodes.len());
    let mut all = true;
    for (at, node) in nodes.iter().enumerate() {
        let key = format!("multiproc.dirs[{at}]");
        let Some(directory) = directory(node, &key, problems) else {
            all = false;
            continue;
        };
        if directories.iter().any(|other| other.path == directory.path) {
            problems.at(node.place, &key, "the directory is given twice");
            all = false;
        }
        directories.push(directory);
    }
    all.then_some(directories)
}

fn directory(node: &Node, key: &str, problems: &mut Problems) -> Option<MultiprocDirectory> {
    if !matches!(node.content, Content::Map(_)) {
        let text = problems.text(node, key)?;
        let path = path(text).map_err(|message| problems.at(node.place, key, message)).ok()?;
        return Some(MultiprocDirectory { path, labels: Vec::new() });
    }
    let mut found = None;
    let mut labels = Vec::new();
    let mut valid = true;
    let entries = problems.entries(node, key);
    for entry in &entries {
        let inner = format!("{key}.{}", entry.name);
        match entry.name.as_str() {
            "path" => match problems.text(&entry.value, &inner).map(path) {
                Some(Ok(path)) => found = Some(path),
                Some(Err(message)) => problems.at(entry.value.place, &inner, message),
                None => {}
            },
            "job" => valid &= add("job", &entry.value, &inner, &mut labels, problems),
            "labels" => {
                for entry in problems.entries(&entry.value, &inner) {
                    let inner = format!("{inner}.{}", entry.name);
                    valid &= add(&entry.name, &entry.value, &inner, &mut labels, problems);
                }
            }
            _ => {
                problems.unknown(entry, key, KEYS.into_iter());
                valid = false;
            }
        }
    }
    if !entries.iter().any(|entry| entry.name == "path") {
        problems.at(node.place, key, "has no path");
    }
    found.filter(|_| valid).map(|path| MultiprocDirectory { path, labels })
}

/// One label for every series of the directory; whether it may stand there.
fn add(
    name: &str,
    value: &Node,
    key: &str,
    labels: &mut Vec<(String, String)>,
    problems: &mut Problems,
) -> bool {
    let Some(value_text) = problems.text(value, key) else { return false };
    let wrong = match label(name) {
        Err(message) => Some(message),
        Ok(_) if labels.iter().any(|(other, _)| other == name) => {
            Some(format!("{name} is given twice"))
        }
        Ok(_) if name.starts_with("__") || OWN.contains(&name) => {
            Some(format!("{name} has a meaning of its own"))
        }
        Ok(_) => None,
    };
    if let Some(message) = wrong {
        problems.at(value.place, key, message);
        return false;
    }
    labels.push((name.to_owned(), value_text.to_owned()));
    true
}

/// Names that say something else than a label does.
const OWN: [&str; 5] = ["_id", "_aggregate", "le", "quantile", "pid"];

fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("a path cannot be empty".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests;
