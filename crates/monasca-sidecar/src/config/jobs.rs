//! The `jobs` of the file: what the pushes of some jobs have of their own.

use super::JobSettings;
use super::field::{self, Zero};
use super::file::{Content, Node};
use super::resolve::Problems;
use super::rules::{glob, labels};
use sidecar_store::Glob;

const KEYS: [&str; 7] = [
    "match",
    "ttl",
    "temporality",
    "instance_labels",
    "max_series",
    "max_instances",
    "max_samples_per_second",
];

/// Reads the list; entries with errors are left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<JobSettings> {
    let nodes = problems.list(node, "jobs");
    nodes.iter().enumerate().map(|(at, node)| job(node, &format!("jobs[{at}]"), problems)).collect()
}

/// What of it the store needs to know.
pub(super) fn of_store(jobs: &[JobSettings]) -> Vec<sidecar_store::JobSettings> {
    jobs.iter()
        .map(|of| sidecar_store::JobSettings {
            job: of.job.clone(),
            instance_labels: of.instance_labels.clone(),
            max_series: of.max_series,
            max_instances: of.max_instances,
        })
        .collect()
}

fn job(node: &Node, path: &str, problems: &mut Problems) -> JobSettings {
    let mut job = JobSettings::of(Glob::new(""));
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
            "max_series" => field::count(text).map(|most| job.max_series = Some(most)),
            "max_instances" => field::count(text).map(|most| job.max_instances = Some(most)),
            "max_samples_per_second" => {
                field::count(text).map(|most| job.max_samples_per_second = Some(most))
            }
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
        let settings = KEYS.iter().filter(|key| **key != "match").copied();
        let settings: Vec<&str> = settings.collect();
        let message = format!("sets nothing: give one of {}", settings.join(", "));
        problems.at(node.place, path, message);
    } else if matches!(node.content, Content::Empty) {
        problems.at(node.place, path, "is empty");
    }
    job
}
