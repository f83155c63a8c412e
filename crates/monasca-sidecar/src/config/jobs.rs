//! The `jobs` of the file: what the pushes of some jobs have of their own.

use super::JobSettings;
use super::field::{self, Zero};
use super::file::{Content, Node};
use super::resolve::Problems;
use super::rules::{glob, labels};
use sidecar_store::{Glob, JobInstances};

const KEYS: [&str; 4] = ["match", "ttl", "temporality", "instance_labels"];

/// Reads the list; entries with errors are left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<JobSettings> {
    let nodes = problems.list(node, "jobs");
    nodes.iter().enumerate().map(|(at, node)| job(node, &format!("jobs[{at}]"), problems)).collect()
}

/// What names instances in the groups of these jobs.
pub(super) fn instances(jobs: &[JobSettings]) -> Vec<JobInstances> {
    let naming = jobs.iter().filter(|job| !job.instance_labels.is_empty());
    naming
        .map(|JobSettings { job, instance_labels, .. }| JobInstances {
            job: job.clone(),
            instance_labels: instance_labels.clone(),
        })
        .collect()
}

fn job(node: &Node, path: &str, problems: &mut Problems) -> JobSettings {
    let mut job = JobSettings {
        job: Glob::new(""),
        ttl: None,
        temporality: None,
        instance_labels: Vec::new(),
    };
    let entries = problems.entries(node, path);
    for entry in &entries {
        let key = format!("{path}.{}", entry.name);
        if !KEYS.contains(&entry.name.as_str()) {
            problems.unknown(entry, path, KEYS.into_iter());
            continue;
        }
        if entry.name == "instance_labels" {
            job.instance_labels = labels(&entry.value, &key, field::own_label, problems);
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
        problems.at(node.place, path, "sets nothing: give ttl, temporality or instance_labels");
    } else if matches!(node.content, Content::Empty) {
        problems.at(node.place, path, "is empty");
    }
    job
}
