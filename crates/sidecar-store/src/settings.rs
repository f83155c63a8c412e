//! What the store is told: times, limits, rules. Plain values; the binary's configuration resolves
//! into them, and a reload hands over a new set.

use sidecar_model::{Aggregation, LabelSet, MetricType};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence after which an instance has departed and a gauge is gone.
    pub decay: Duration,
    /// How long a departed instance's values are remembered, so that it can return.
    pub resume_window: Duration,
    /// How long a departed instance's id and a family's departed total are remembered.
    pub retain: Duration,
    /// Labels besides `_id` that name the instance.
    pub instance_labels: Vec<String>,
    /// What some jobs have of their own; of several that match, for each setting the first that has
    /// it counts.
    pub jobs: Vec<JobSettings>,
    /// The label that `all` shows the slot under.
    pub worker_label: String,
    /// Refuse a whole push when one of its families is refused.
    pub strict: bool,
    pub unknown_past: UnknownPast,
    pub limits: Limits,
    pub rules: Vec<Rule>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            decay: Duration::from_secs(60),
            resume_window: Duration::from_secs(3600),
            retain: Duration::from_secs(24 * 3600),
            instance_labels: Vec::new(),
            jobs: Vec::new(),
            worker_label: "worker".to_owned(),
            strict: false,
            unknown_past: UnknownPast::Full,
            limits: Limits::default(),
            rules: Vec::new(),
        }
    }
}

impl Settings {
    /// What else, besides `_id`, names the instance in the groups of this job.
    pub(crate) fn instance_labels_of(&self, job: &str) -> Vec<String> {
        let naming = |of: &&JobSettings| !of.instance_labels.is_empty() && of.job.matches(job);
        let own = self.jobs.iter().find(naming).map_or(&[][..], |of| &of.instance_labels);
        self.instance_labels.iter().chain(own).cloned().collect()
    }
}

/// What jobs whose name matches have of their own, each by itself.
#[derive(Clone, Debug)]
pub struct JobSettings {
    pub job: Glob,
    /// What else names the instance in their groups.
    pub instance_labels: Vec<String>,
    /// Contributions to series with this label `job`.
    pub max_series: Option<usize>,
    /// Live instances and plain groups.
    pub max_instances: Option<usize>,
}

/// What an unknown instance's first totals count for when its push does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownPast {
    #[default]
    Full,
    Baseline,
}

#[derive(Clone, Debug)]
pub struct Limits {
    pub name_bytes: usize,
    pub label_name_bytes: usize,
    pub label_value_bytes: usize,
    pub help_bytes: usize,
    pub labels_per_series: usize,
    pub series_per_instance: usize,
    pub instances: usize,
    /// Plain groups.
    pub groups: usize,
    /// Departed instances whose values are remembered; beyond it the longest gone is folded early.
    pub departed_instances: usize,
    /// Contributions of all instances together.
    pub series: usize,
    pub idempotency_keys: usize,
    /// Of instances whose values are forgotten.
    pub forgotten_ids: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            name_bytes: 1024,
            label_name_bytes: 1024,
            label_value_bytes: 8 * 1024,
            help_bytes: 8 * 1024,
            labels_per_series: 64,
            series_per_instance: 500_000,
            instances: 100_000,
            groups: 500_000,
            departed_instances: 100_000,
            series: 5_000_000,
            idempotency_keys: 100_000,
            forgotten_ids: 500_000,
        }
    }
}

/// One rule. Of several that match, for each setting the first that has it counts; what they drop
/// adds up.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub matches: Match,
    /// Family-wide: only in a rule that matches by name alone.
    pub aggregate: Option<Aggregation>,
    /// Family-wide: only in a rule that matches by name alone. Not of several samples (histogram,
    /// summary).
    pub metric_type: Option<MetricType>,
    /// Family-wide: only in a rule that matches by name alone.
    pub decay: Option<Duration>,
    /// Family-wide: only in a rule that matches by name alone.
    pub departed: Option<Departed>,
    /// Family-wide: only in a rule that matches by name alone.
    pub unknown_past: Option<UnknownPast>,
    /// Family-wide: only in a rule that matches by name alone.
    pub bounds: Option<Bounds>,
    pub drop_labels: Vec<String>,
    /// Leave the series out of the exposition.
    pub drop: bool,
}

/// What happens to the cumulative share of an instance that departs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Departed {
    #[default]
    Keep,
    Drop,
}

/// Which bounds a merged histogram shows when its sources have different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bounds {
    /// All; one that appears later starts at what is counted below it already.
    #[default]
    Union,
    /// Those that every source has: a bound may go, none appears.
    Intersect,
}

/// All parts that are given must match. The name is the family's, with or without its suffix.
#[derive(Clone, Debug, Default)]
pub struct Match {
    pub name: Option<Glob>,
    pub labels: Vec<(String, Glob)>,
}

impl Match {
    pub fn family(&self, names: &[&str]) -> bool {
        self.name.as_ref().is_none_or(|glob| names.iter().any(|name| glob.matches(name)))
    }

    pub fn labels(&self, labels: &LabelSet) -> bool {
        self.labels.iter().all(|(name, glob)| glob.matches(labels.get(name).unwrap_or("")))
    }
}

/// Text with `*` (any run) and `?` (any one character).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    pub fn new(pattern: &str) -> Glob {
        Glob(pattern.chars().collect())
    }

    pub(crate) fn pattern(&self) -> String {
        self.0.iter().collect()
    }

    /// Linear in `text` times the pattern's stars.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let pattern = &self.0;
        let (mut at, mut seen) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while seen < text.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at + 1, seen));
                    at += 1;
                }
                Some(c) if *c == '?' || Some(c) == text.get(seen) => {
                    at += 1;
                    seen += 1;
                }
                Some(_) | None => match star {
                    Some((after, from)) => {
                        at = after;
                        seen = from + 1;
                        star = Some((after, from + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern.get(at..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn globs_match_runs_and_single_characters() {
        for (pattern, text, expected) in [
            ("http_*", "http_requests", true),
            ("*_total", "a_total", true),
            ("*_total", "a_totals", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }
}
