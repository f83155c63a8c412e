//! The `rules` of the file: which series they match and what they set.
//!
//! What concerns a whole family may stand only in a rule that matches by name alone: two series of
//! one family must not disagree about it.

use super::field::{self, Zero};
use super::file::{Content, Entry, Node};
use super::resolve::Problems;
use sidecar_model::{Aggregation, MetricType};
use sidecar_store::{Bounds, Departed, Glob, Match, Rule};

const MAX_GLOB_BYTES: usize = 1024;

const FAMILY_WIDE: [&str; 6] = ["aggregate", "type", "decay", "departed", "unknown_past", "bounds"];

/// The keys of a rule; the first says where it applies, the others what it sets.
const KEYS: [&str; 9] = [
    "match",
    "aggregate",
    "type",
    "decay",
    "departed",
    "unknown_past",
    "bounds",
    "drop_labels",
    "drop",
];

/// Reads the list of rules; those with errors are left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<Rule> {
    let nodes = problems.list(node, "rules");
    let rules = nodes.iter().enumerate();
    rules.map(|(index, node)| rule(node, &format!("rules[{index}]"), problems)).collect()
}

fn rule(node: &Node, path: &str, problems: &mut Problems) -> Rule {
    let mut rule = Rule::default();
    let entries = problems.entries(node, path);
    for entry in &entries {
        let key = format!("{path}.{}", entry.name);
        match entry.name.as_str() {
            "match" => rule.matches = matches(&entry.value, &key, problems),
            "drop_labels" => rule.drop_labels = labels(&entry.value, &key, field::label, problems),
            _ => setting(&mut rule, entry, path, problems),
        }
    }
    if !matches!(node.content, Content::Map(_)) {
        if matches!(node.content, Content::Empty) {
            problems.at(node.place, path, "is empty");
        }
        return rule;
    }
    if !entries.iter().any(|entry| entry.name == "match") {
        problems.at(node.place, path, "has no match; `match: {name: \"*\"}` is every family");
    }
    let tried = entries.iter().any(|entry| entry.name != "match" && sets(entry));
    if !tried {
        problems.at(node.place, path, format!("sets nothing: give one of {}", settings()));
    }
    family_wide(&rule, &entries, path, problems);
    rule
}

/// One of the settings that are a single value.
fn setting(rule: &mut Rule, entry: &Entry, path: &str, problems: &mut Problems) {
    if !KEYS.contains(&entry.name.as_str()) {
        return problems.unknown(entry, path, KEYS.into_iter());
    }
    let key = format!("{path}.{}", entry.name);
    let Some(text) = problems.text(&entry.value, &key) else { return };
    let outcome = match entry.name.as_str() {
        "aggregate" => keep(&mut rule.aggregate, named::<Aggregation>(text)),
        "type" => keep(&mut rule.metric_type, single_valued(text)),
        "decay" => keep(&mut rule.decay, field::time(text, Zero::Refused)),
        "departed" => keep(&mut rule.departed, departed(text)),
        "unknown_past" => keep(&mut rule.unknown_past, field::unknown_past(text)),
        "bounds" => keep(&mut rule.bounds, bounds(text)),
        _ => field::switch(text).map(|drop| rule.drop = drop),
    };
    if let Err(message) = outcome {
        problems.at(entry.value.place, &key, message);
    }
}

/// A histogram or summary is made of several samples; a name alone does not make one.
fn single_valued(text: &str) -> Result<MetricType, String> {
    let metric_type = named::<MetricType>(text)?;
    if metric_type.is_composite() {
        return Err(format!("{metric_type} cannot be given by rule: its samples must say so"));
    }
    Ok(metric_type)
}

fn keep<T>(slot: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    *slot = Some(value?);
    Ok(())
}

/// A name of the model; its error lists the allowed ones.
fn named<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

fn departed(text: &str) -> Result<Departed, String> {
    match text {
        "keep" => Ok(Departed::Keep),
        "drop" => Ok(Departed::Drop),
        _ => Err(format!("{text:?}: use keep or drop")),
    }
}

fn bounds(text: &str) -> Result<Bounds, String> {
    match text {
        "union" => Ok(Bounds::Union),
        "intersect" => Ok(Bounds::Intersect),
        _ => Err(format!("{text:?}: use union or intersect")),
    }
}

/// `drop: false` and an empty list are how the defaults are written: they set nothing.
fn sets(entry: &Entry) -> bool {
    match &entry.value.content {
        Content::Text(text) => entry.name != "drop" || text != "false",
        Content::List(nodes) => !nodes.is_empty(),
        // Wrong, and said so where it stands.
        Content::Empty => entry.name != "drop_labels",
        Content::Map(_) => true,
    }
}

fn settings() -> String {
    KEYS.get(1..).unwrap_or_default().join(", ")
}

fn family_wide(rule: &Rule, entries: &[&Entry], path: &str, problems: &mut Problems) {
    let by_labels = !rule.matches.labels.is_empty();
    for entry in entries.iter().filter(|_| by_labels) {
        if FAMILY_WIDE.contains(&entry.name.as_str()) {
            let key = format!("{path}.{}", entry.name);
            let message = "concerns a whole family: the rule must match by name alone";
            problems.at(entry.place, &key, message);
        }
    }
    if let (Some(aggregate), Some(metric_type)) = (rule.aggregate, rule.metric_type)
        && !aggregate.allowed_for(metric_type)
        && let Some(entry) = entries.iter().find(|entry| entry.name == "aggregate")
    {
        let message = format!("{aggregate} is not possible for the type {metric_type}");
        problems.at(entry.value.place, &format!("{path}.aggregate"), message);
    }
}

fn matches(node: &Node, path: &str, problems: &mut Problems) -> Match {
    let mut found = Match::default();
    let entries = problems.entries(node, path);
    for entry in &entries {
        let key = format!("{path}.{}", entry.name);
        match entry.name.as_str() {
            "name" => {
                found.name = problems
                    .text(&entry.value, &key)
                    .and_then(|text| checked(name_glob(text), &entry.value, &key, problems));
            }
            "labels" => found.labels = label_globs(&entry.value, &key, problems),
            _ => problems.unknown(entry, path, ["name", "labels"].into_iter()),
        }
    }
    if entries.is_empty() && matches!(node.content, Content::Map(_) | Content::Empty) {
        problems.at(node.place, path, "matches on nothing: give name, labels or both");
    }
    found
}

fn label_globs(node: &Node, path: &str, problems: &mut Problems) -> Vec<(String, Glob)> {
    let entries = problems.entries(node, path);
    if entries.is_empty() && matches!(node.content, Content::Map(_) | Content::Empty) {
        problems.at(node.place, path, "has no label: leave it out");
    }
    let mut globs = Vec::with_capacity(entries.len());
    for entry in entries {
        let key = format!("{path}.{}", entry.name);
        if let Err(message) = field::label(&entry.name) {
            problems.at(entry.place, &key, message);
        }
        let Some(text) = problems.text(&entry.value, &key) else { continue };
        if let Some(glob) = checked(glob(text), &entry.value, &key, problems) {
            globs.push((entry.name.clone(), glob));
        }
    }
    globs
}

fn checked<T>(
    read: Result<T, String>,
    node: &Node,
    path: &str,
    problems: &mut Problems,
) -> Option<T> {
    read.map_err(|message| problems.at(node.place, path, message)).ok()
}

/// A name never has these characters: whoever writes them means another pattern language.
fn name_glob(text: &str) -> Result<Glob, String> {
    if text.is_empty() {
        return Err("an empty glob matches no name".to_owned());
    }
    match text.chars().find(|c| "[]{}()|^$\\+".contains(*c)) {
        Some(c) => Err(format!("{text:?}: a glob knows only * and ?, not {c}")),
        None => glob(text),
    }
}

pub(super) fn glob(text: &str) -> Result<Glob, String> {
    if text.len() > MAX_GLOB_BYTES {
        return Err(format!("a glob has at most {MAX_GLOB_BYTES} bytes"));
    }
    Ok(Glob::new(text))
}

/// A list of label names, each of them once.
pub(super) fn labels(
    node: &Node,
    path: &str,
    legal: impl Fn(&str) -> Result<String, String>,
    problems: &mut Problems,
) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for node in problems.list(node, path) {
        let Some(text) = problems.text(node, path) else { continue };
        match legal(text) {
            Ok(label) if labels.contains(&label) => {
                problems.at(node.place, path, format!("{text:?} is given twice"));
            }
            Ok(label) => labels.push(label),
            Err(message) => problems.at(node.place, path, message),
        }
    }
    labels
}
