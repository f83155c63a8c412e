//! What docs/merging.md says, written down as plainly as possible: maps of writers to contributions, no
//! shape, no position, no lock, everything computed anew for each question.

mod apply;
mod exact;
mod expose;
mod groups;
mod relief;
mod stage;
mod upkeep;

pub(crate) use exact::Exact;
pub(crate) use expose::{Exposed, ExposedFamily};
pub(crate) use groups::{Key, is_identified};
pub(crate) use stage::Item;

use sidecar_model::{Aggregation, MetricType};
use sidecar_store::Settings;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;
pub(crate) type Parts = BTreeMap<Part, f64>;
pub(crate) type Shares = BTreeMap<Part, Exact>;
/// Base name of the family, labels as pushed.
pub(crate) type SeriesKey = (String, Labels);

/// A float that can be a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound(pub(crate) f64);

/// One number of a contribution. Buckets are not cumulative; a histogram's count is their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Value,
    Bucket(Bound),
    Quantile(Bound),
    Sum,
    Count,
}

/// What one writer last said of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contribution {
    pub(crate) values: Parts,
    pub(crate) base: Shares,
    pub(crate) created: Option<f64>,
    pub(crate) written: u64,
    pub(crate) ttl: Option<u64>,
    /// Number of the push that changed the value; 0: no news yet.
    pub(crate) changed: u64,
    /// Of the anonymous writer: its running maximum since there is company.
    pub(crate) held: Option<Parts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live,
    Departed { since: u64 },
}

/// What an instance's first values count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    Full,
    /// It counted before it was known here: nothing.
    Baseline,
    /// What the settings say.
    AsSet,
}

#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) state: State,
    pub(crate) slot: u32,
    /// What its first values counted for, while that process lives.
    pub(crate) past: Past,
    pub(crate) arrival: u64,
    pub(crate) sequence: Option<(String, u64)>,
    /// Its latest push was final: that epoch does not come back.
    pub(crate) ended: bool,
    pub(crate) heard: u64,
    pub(crate) ttl: Option<u64>,
    pub(crate) holds: BTreeSet<String>,
    pub(crate) series: BTreeMap<SeriesKey, Contribution>,
    pub(crate) wishes: BTreeMap<String, (u64, Aggregation)>,
    pub(crate) process_start: Option<f64>,
    /// What fell in the latest push, with the values before.
    pub(crate) fallen: BTreeMap<SeriesKey, Parts>,
    /// A new epoch or a later start came with the fall.
    pub(crate) fall_explained: bool,
    pub(crate) swaps: u32,
    pub(crate) shared: bool,
    /// Of a group.
    pub(crate) key: Option<Key>,
    /// When its last push was taken, and the last that was not.
    pub(crate) times: (f64, f64),
}

/// An id whose values are in the departed totals.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) sequence: Option<(String, u64)>,
    /// The epoch ended with a final push.
    pub(crate) ended: bool,
    pub(crate) since: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) metric_type: MetricType,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) departed: BTreeMap<Labels, Shares>,
    pub(crate) accumulated: BTreeMap<Labels, Contribution>,
    /// Deltas hold it.
    pub(crate) accumulates: bool,
    pub(crate) accumulated_wish: Option<(u64, Aggregation)>,
    /// When the last live writer that holds it went.
    pub(crate) unheld_since: Option<u64>,
    /// When a live instance last wrote a series.
    pub(crate) written: BTreeMap<Labels, u64>,
}

/// Not 0, which some might take for never.
pub(crate) const START: u64 = 1_000_000;

/// The anonymous writer's id.
pub(crate) const ANONYMOUS: &str = "";

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    /// Pushes applied.
    pub(crate) number: u64,
    pub(crate) wishes: u64,
    pub(crate) families: BTreeMap<String, Family>,
    pub(crate) writers: BTreeMap<String, Writer>,
    pub(crate) remembered: BTreeMap<String, Remembered>,
}

/// What became of a push.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) samples: u64,
    /// Base name and code.
    pub(crate) refused: BTreeMap<String, &'static str>,
    pub(crate) late: bool,
    pub(crate) withheld: bool,
}

impl Model {
    pub(crate) fn new(settings: Settings) -> Model {
        Model {
            settings,
            now: START,
            number: 0,
            wishes: 0,
            families: BTreeMap::new(),
            writers: BTreeMap::new(),
            remembered: BTreeMap::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.families.clear();
        self.writers.clear();
        self.remembered.clear();
    }

    pub(crate) fn reload(&mut self, settings: Settings) {
        self.settings = settings;
        self.keep_company();
    }

    /// Goodbye; with its values remembered.
    pub(crate) fn depart(&mut self, id: &str) -> bool {
        let known = self.writers.contains_key(id);
        if self.is_live(id) {
            self.leave(id);
        }
        known
    }

    /// Goodbye for good: its shares are folded at once.
    pub(crate) fn retire(&mut self, id: &str) -> bool {
        let known = self.depart(id);
        self.fold(id);
        known
    }

    /// Goodbye, and whatever it counted in restarts at zero.
    pub(crate) fn erase(&mut self, id: &str) -> bool {
        if self.is_live(id) {
            self.leave(id);
        }
        let Some(gone) = self.writers.remove(id) else { return false };
        for (name, labels) in gone.series.keys() {
            self.restart_at_zero(name, labels);
        }
        self.remember(id, &gone);
        self.keep_company();
        true
    }

    fn restart_at_zero(&mut self, name: &str, labels: &Labels) {
        let merged = |labels: &Labels| expose::merged_labels(&self.settings, name, labels);
        let target = merged(labels);
        for writer in self.writers.values_mut() {
            for ((family, labels), contribution) in &mut writer.series {
                if family == name && merged(labels) == target {
                    contribution.base = negated(&contribution.values);
                    contribution.held =
                        contribution.held.as_ref().map(|_| contribution.values.clone());
                }
            }
        }
        if let Some(family) = self.families.get_mut(name) {
            family.departed.retain(|labels, _| merged(labels) != target);
            let hit = family.accumulated.iter_mut().filter(|(labels, _)| merged(labels) == target);
            for (part, value) in hit.flat_map(|(_, contribution)| &mut contribution.values) {
                *value = if part.is_cumulative() { 0.0 } else { *value };
            }
        }
    }

    pub(crate) fn is_live(&self, id: &str) -> bool {
        self.writers.get(id).is_some_and(|w| w.state == State::Live)
    }

    /// Live writers that hold the family, the accumulator as `None`.
    pub(crate) fn holders(&self, name: &str) -> Vec<Option<&str>> {
        let accumulates = self.families.get(name).is_some_and(|f| f.accumulates);
        self.writers
            .iter()
            .filter(|(_, w)| w.state == State::Live && w.holds.contains(name))
            .map(|(id, _)| Some(id.as_str()))
            .chain(accumulates.then_some(None))
            .collect()
    }

    pub(crate) fn mark_unheld(&mut self) {
        let names: Vec<String> = self.families.keys().cloned().collect();
        for name in names {
            let held = !self.holders(&name).is_empty();
            let now = self.now;
            let Some(family) = self.families.get_mut(&name) else { continue };
            if held {
                family.unheld_since = None;
            } else {
                family.unheld_since.get_or_insert(now);
            }
        }
    }

    /// Gauges go, shares stay.
    pub(crate) fn leave(&mut self, id: &str) {
        self.note_writes();
        let types = self.types();
        let Some(writer) = self.writers.get_mut(id) else { return };
        writer.state = State::Departed { since: self.now };
        writer.fallen.clear();
        writer.swaps = 0;
        writer.series.retain(|(name, _), _| types.get(name).is_some_and(|t| t.is_cumulative()));
        writer.wishes.clear();
        if !is_identified(id) {
            self.writers.remove(id);
        }
        self.mark_unheld();
    }

    pub(crate) fn remember(&mut self, id: &str, gone: &Writer) {
        let ended = gone.ended;
        let since = self.now;
        let sequence = gone.sequence.clone();
        self.remembered.insert(id.to_owned(), Remembered { sequence, ended, since });
    }

    /// Moves a departed instance's shares into the departed totals.
    pub(crate) fn fold(&mut self, id: &str) {
        let Some(gone) = self.writers.remove(id) else { return };
        for ((name, labels), contribution) in &gone.series {
            let Some(family) = self.families.get_mut(name) else { continue };
            let total = family.departed.entry(labels.clone()).or_default();
            add(total, &contribution.share());
            family.written.insert(labels.clone(), self.now);
        }
        self.remember(id, &gone);
    }

    pub(crate) fn types(&self) -> BTreeMap<String, MetricType> {
        self.families.iter().map(|(name, f)| (name.clone(), f.metric_type)).collect()
    }
}

impl Contribution {
    /// Base and value of what only rises.
    pub(crate) fn share(&self) -> Shares {
        let mut share = self.base.clone();
        add(&mut share, &exactly(&self.values));
        share
    }

    /// A new life: the old values join the base.
    pub(crate) fn restart(&mut self) {
        self.base = self.share();
        for (part, value) in &mut self.values {
            if part.is_cumulative() {
                *value = 0.0;
            }
        }
    }
}

/// What counts of `values`, without rounding.
pub(crate) fn exactly(values: &Parts) -> Shares {
    values
        .iter()
        .filter(|(part, value)| part.is_cumulative() && value.is_finite())
        .map(|(part, value)| (*part, Exact::of(*value)))
        .collect()
}

pub(crate) fn negated(values: &Parts) -> Shares {
    exactly(values).into_iter().map(|(part, value)| (part, -value)).collect()
}

pub(crate) fn add(total: &mut Shares, more: &Shares) {
    for (part, value) in more {
        *total.entry(*part).or_default() += *value;
    }
}

impl Part {
    fn is_cumulative(self) -> bool {
        !matches!(self, Part::Quantile(_))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Bound) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Bound) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Bound) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
