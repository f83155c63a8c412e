//! The `jobs` of the file: what the pushes of some jobs have of their own.

use super::JobSettings;
use super::field::{self, Zero};
use super::file::{Content, Node};
use super::resolve::Problems;
use super::rules::glob;
use sidecar_store::Glob;

const KEYS: [&str; 3] = ["match", "ttl", "temporality"];

/// Reads the list; entries with errors are left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<JobSettings> {
    let nodes = problems.list(node, "jobs");
    nodes.iter().enumerate().map(|(at, node)| job(node, &format!("jobs[{at}]"), problems)).collect()
}

fn job(node: &Node, path: &str, problems: &mut Problems) -> JobSettings {
    let mut job = JobSettings { job: Glob::new(""), ttl: None, temporality: None };
    let entries = problems.entries(node, path);
    for entry in &entries {
        let key = format!("{path}.{}", entry.name);
        if !KEYS.contains(&entry.name.as_str()) {
            problems.unknown(entry, path, KEYS.into_iter());
            continue;
        }
        let Some(text) = problems.text(&entry.value, &key) else { continue };
        let read = match entry.name.as_str() {
            "match" => glob(text).map(|glob| job.job = glob),
            "ttl" => field::time(text, Zero::Allowed).map(|ttl| job.ttl = Some(ttl)),
            _ => field::temporality(text).map(|found| job.temporality = Some(found)),
        };
        if let Err(message) = read {
            problems.at(entry.value.place, &key, message);
        }
    }
    let is_map = matches!(node.content, Content::Map(_));
    if is_map && !entries.iter().any(|entry| entry.name == "match") {
        problems.at(node.place, path, "has no match: a glob for the job's name");
    } else if is_map && entries.len() < 2 {
        problems.at(node.place, path, "sets nothing: give ttl, temporality or both");
    } else if matches!(node.content, Content::Empty) {
        problems.at(node.place, path, "is empty");
    }
    job
}
