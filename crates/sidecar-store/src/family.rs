//! A metric family: its type for as long as somebody live holds it, its function, its rules, and
//! the sample names it can print.

use crate::catalog::Merged;
use crate::maps::Seed;
use crate::settings::{Bounds, Departed, Settings, UnknownPast};
use crate::window::{Recording, reach};
use hashbrown::HashTable;
use sidecar_model::{Aggregation, LabelSet, MetricType, Tick, Window, plain_metric_name};
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) base: Arc<str>,
    pub(crate) metric_type: MetricType,
    /// Samples carry the type's suffix (`_total`, `_info`).
    pub(crate) suffixed: bool,
    /// A rule gave it its type.
    pub(crate) typed_by_rule: bool,
    pub(crate) help: Arc<str>,
    pub(crate) unit: Arc<str>,
    /// Live instances that ever wrote it.
    pub(crate) holders: u32,
    /// Since when nobody live holds it; means nothing while somebody does.
    pub(crate) unheld_since: Tick,
    /// What live instances want its function to be, the oldest wish first.
    pub(crate) wishes: BTreeMap<u64, Aggregation>,
    pub(crate) rules: FamilyRules,
    /// Where the function is a window, as [`Windowing`](crate::window::Windowing) has noted it.
    pub(crate) recording: Option<Recording>,
    /// Series as pushed, by their labels.
    pub(crate) series: HashTable<u32>,
    /// Only where a rule drops labels: else each series is merged alone.
    pub(crate) merged_by_labels: Option<HashTable<u32>>,
    pub(crate) version: u64,
}

/// What the rules say of a whole family.
#[derive(Clone, Debug, Default)]
pub(crate) struct FamilyRules {
    pub(crate) aggregate: Option<Aggregation>,
    pub(crate) decay: Option<Duration>,
    pub(crate) departed: Departed,
    pub(crate) unknown_past: Option<UnknownPast>,
    pub(crate) bounds: Bounds,
    /// Indices of the rules that match the name and drop labels or series.
    shaping: Vec<usize>,
}

impl FamilyRules {
    pub(crate) fn of(settings: &Settings, metric_type: MetricType, base: &str) -> FamilyRules {
        let names = matched_names(metric_type, base);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found = FamilyRules::default();
        let (mut departed, mut bounds) = (None, None);
        for (at, rule) in settings.rules.iter().enumerate() {
            if !rule.matches.family(&names) {
                continue;
            }
            if rule.drop || !rule.drop_labels.is_empty() {
                found.shaping.push(at);
            }
            let aggregate = rule.aggregate.filter(|f| f.allowed_for(metric_type));
            found.aggregate = found.aggregate.or(aggregate);
            found.decay = found.decay.or(rule.decay);
            found.unknown_past = found.unknown_past.or(rule.unknown_past);
            departed = departed.or(rule.departed);
            bounds = bounds.or(rule.bounds);
        }
        found.departed = departed.unwrap_or_default();
        found.bounds = bounds.unwrap_or_default();
        found
    }
}

/// The names that a rule's glob is tried on: the family's with and without its suffix.
fn matched_names(metric_type: MetricType, base: &str) -> Vec<String> {
    match metric_type {
        MetricType::Counter => vec![base.to_owned(), format!("{base}_total")],
        MetricType::Info => vec![base.to_owned(), format!("{base}_info")],
        MetricType::Gauge
        | MetricType::Histogram
        | MetricType::Summary
        | MetricType::Unknown
        | MetricType::StateSet
        | MetricType::GaugeHistogram => vec![base.to_owned()],
    }
}

/// The type that a rule gives the family of this name.
pub(crate) fn type_by_rule(settings: &Settings, name: &str) -> Option<MetricType> {
    let base = name.strip_suffix("_total").or_else(|| name.strip_suffix("_info")).unwrap_or(name);
    settings
        .rules
        .iter()
        .filter(|rule| rule.metric_type.is_some() && rule.matches.family(&[name, base]))
        .find_map(|rule| rule.metric_type)
        .filter(|by_rule| !by_rule.is_composite())
}

/// Every name that the family can print or be called by, as written and as escaped.
pub(crate) fn owned_names(metric_type: MetricType, base: &str, suffixed: bool) -> Vec<String> {
    let suffixes: &[&str] = match metric_type {
        MetricType::Counter if suffixed => &["", "_total"],
        MetricType::Info if suffixed => &["", "_info"],
        MetricType::Histogram => &["", "_bucket", "_sum", "_count"],
        MetricType::Summary => &["", "_sum", "_count"],
        MetricType::GaugeHistogram => &["", "_bucket", "_sum", "_count", "_gsum", "_gcount"],
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Unknown
        | MetricType::Info
        | MetricType::StateSet => &[""],
    };
    let mut names: Vec<String> = suffixes.iter().map(|s| format!("{base}{s}")).collect();
    let escaped: Vec<String> = names
        .iter()
        .map(|name| plain_metric_name(name).into_owned())
        .filter(|name| !names.contains(name))
        .collect();
    names.extend(escaped);
    names
}

impl Family {
    pub(crate) fn new(
        base: &str,
        metric_type: MetricType,
        suffixed: bool,
        rules: FamilyRules,
        now: Tick,
    ) -> Family {
        let merged_by_labels = (!rules.shaping.is_empty()).then(HashTable::new);
        Family {
            base: base.into(),
            metric_type,
            suffixed,
            typed_by_rule: false,
            help: "".into(),
            unit: "".into(),
            holders: 0,
            unheld_since: now,
            wishes: BTreeMap::new(),
            rules,
            recording: None,
            series: HashTable::new(),
            merged_by_labels,
            version: 0,
        }
    }

    pub(crate) fn function(&self) -> Aggregation {
        self.wishes
            .values()
            .next()
            .copied()
            .or(self.rules.aggregate)
            .unwrap_or(Aggregation::default_for(self.metric_type))
    }

    pub(crate) fn window(&self) -> Option<Window> {
        self.recording.map(|recording| recording.window)
    }

    /// How long a rule lets what is not written live, or how long it counts in a window.
    pub(crate) fn decay(&self) -> Option<Duration> {
        self.rules.decay.or(self.window().map(reach))
    }

    /// Cumulative shares of instances that left count.
    pub(crate) fn keeps_departed(&self) -> bool {
        self.rules.departed == Departed::Keep
    }

    /// Of its merged histograms only the bounds are shown that all sources have.
    pub(crate) fn intersects_bounds(&self) -> bool {
        self.rules.bounds == Bounds::Intersect && self.metric_type != MetricType::Summary
    }

    /// The name its samples carry (those without another suffix).
    pub(crate) fn sample_name(&self) -> String {
        match self.metric_type {
            MetricType::Counter if self.suffixed => format!("{}_total", self.base),
            MetricType::Info if self.suffixed => format!("{}_info", self.base),
            MetricType::Counter
            | MetricType::Gauge
            | MetricType::Histogram
            | MetricType::Summary
            | MetricType::Unknown
            | MetricType::Info
            | MetricType::StateSet
            | MetricType::GaugeHistogram => self.base.to_string(),
        }
    }

    pub(crate) fn drops_labels(&self, settings: &Settings) -> bool {
        self.shaping(settings).any(|rule| !rule.drop_labels.is_empty())
    }

    fn shaping<'s>(
        &self,
        settings: &'s Settings,
    ) -> impl Iterator<Item = &'s crate::settings::Rule> {
        self.rules.shaping.iter().filter_map(|at| settings.rules.get(*at))
    }

    /// The labels under which a series is exposed; `None`: a rule drops it.
    pub(crate) fn merged_labels(&self, labels: &LabelSet, settings: &Settings) -> Option<LabelSet> {
        let mut merged = labels.clone();
        for rule in self.shaping(settings).filter(|rule| rule.matches.labels(labels)) {
            if rule.drop {
                return None;
            }
            merged = merged.without(|name| rule.drop_labels.iter().any(|d| d == name));
        }
        Some(merged)
    }

    pub(crate) fn find_merged(
        &self,
        seed: &Seed,
        merged: &[Merged],
        labels: &LabelSet,
    ) -> Option<u32> {
        let table = self.merged_by_labels.as_ref()?;
        let hash = seed.hash_one(labels.as_bytes());
        table.find(hash, |m| merged[*m as usize].labels == *labels).copied()
    }
}
