//! What the model shows: merged series by family, every value computed from the contributions.

use super::{
    Bound, Contribution, Exact, Family, Labels, Model, Part, Parts, Shares, State, add, exactly,
    is_identified,
};
use sidecar_model::{Aggregation, LabelSet, MetricType};
use sidecar_store::{Departed, Rule, Settings};
use std::collections::BTreeMap;

/// By merged labels; buckets cumulative, the `+Inf` bucket is the count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExposedFamily {
    pub(crate) metric_type: MetricType,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) points: BTreeMap<Labels, Parts>,
}

/// Families with at least one value, by base name.
pub(crate) type Exposed = BTreeMap<String, ExposedFamily>;

/// A contribution that may take part, and where it comes from.
#[derive(Clone, Copy, Debug)]
struct Source<'a> {
    contribution: &'a Contribution,
    writer: From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Live { slot: u32, arrival: u64 },
    Departed,
    Anonymous { arrival: u64 },
    Accumulated,
}

impl Model {
    pub(crate) fn expose(&self) -> Exposed {
        let window = millis(self.settings.resume_window);
        let mut exposed = Exposed::new();
        for (name, family) in &self.families {
            if family.unheld_since.is_some_and(|since| self.now - since >= window) {
                continue;
            }
            let points = self.points(name, family);
            if !points.is_empty() {
                let shown = ExposedFamily {
                    metric_type: family.metric_type,
                    help: family.help.clone(),
                    unit: family.unit.clone(),
                    points,
                };
                exposed.insert(name.clone(), shown);
            }
        }
        exposed
    }

    fn points(&self, name: &str, family: &Family) -> BTreeMap<Labels, Parts> {
        let mut sources: BTreeMap<Labels, Vec<Source<'_>>> = BTreeMap::new();
        for (labels, source) in self.sources(name, family) {
            if !is_dropped(&self.settings, name, labels) {
                let merged = merged_labels(&self.settings, name, labels);
                sources.entry(merged).or_default().push(source);
            }
        }
        let mut totals: BTreeMap<Labels, Shares> = BTreeMap::new();
        for (labels, shares) in &family.departed {
            if !is_dropped(&self.settings, name, labels) {
                let merged = merged_labels(&self.settings, name, labels);
                add(totals.entry(merged.clone()).or_default(), shares);
                sources.entry(merged).or_default();
            }
        }
        let function = function(self, name);
        let mut points = BTreeMap::new();
        for (labels, sources) in sources {
            if function == Aggregation::All {
                self.all_of(&labels, &sources, &mut points);
                continue;
            }
            let total = totals.remove(&labels).unwrap_or_default();
            let live_only = self.drops_departed(name);
            let parts = match family.metric_type {
                t if t.is_composite() || (t.is_cumulative() && function == Aggregation::Sum) => {
                    summed(t, &sources, &total, live_only)
                }
                _ => aggregated(function, &sources),
            };
            if !parts.is_empty() {
                points.insert(labels, parts);
            }
        }
        points
    }

    fn sources<'a>(&'a self, name: &str, family: &'a Family) -> Vec<(&'a Labels, Source<'a>)> {
        let mut sources = Vec::new();
        for (id, writer) in &self.writers {
            let from = match writer.state {
                State::Departed { .. } => From::Departed,
                State::Live if !is_identified(id) => From::Anonymous { arrival: writer.arrival },
                State::Live => From::Live { slot: writer.slot, arrival: writer.arrival },
            };
            for ((family, labels), contribution) in &writer.series {
                if family == name {
                    sources.push((labels, Source { contribution, writer: from }));
                }
            }
        }
        for (labels, contribution) in &family.accumulated {
            sources.push((labels, Source { contribution, writer: From::Accumulated }));
        }
        sources
    }

    fn all_of(&self, labels: &Labels, sources: &[Source<'_>], out: &mut BTreeMap<Labels, Parts>) {
        let mut by_slot: BTreeMap<Option<u32>, Vec<(u64, f64)>> = BTreeMap::new();
        for source in sources {
            let slot = match source.writer {
                From::Live { slot, .. } => Some(slot),
                From::Anonymous { .. } | From::Accumulated => None,
                From::Departed => continue,
            };
            let news = (source.contribution.changed, value_of(source));
            by_slot.entry(slot).or_default().push(news);
        }
        for (slot, values) in by_slot {
            let latest = values.iter().max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            let shown = latest.map_or(f64::NAN, |(_, value)| *value);
            let labels = match slot {
                Some(slot) => with_worker(labels, &self.settings.worker_label, slot),
                None => labels.clone(),
            };
            out.insert(labels, Parts::from([(Part::Value, shown)]));
        }
    }

    fn drops_departed(&self, name: &str) -> bool {
        let mut rules = rules_of(&self.settings, name);
        rules.find_map(|rule| rule.departed) == Some(Departed::Drop)
    }

    /// Contributions without an id in company run at their maximum.
    pub(crate) fn keep_company(&mut self) {
        let shown_as_they_come: Vec<String> =
            self.writers.keys().filter(|id| !is_identified(id)).cloned().collect();
        for id in shown_as_they_come {
            self.keep_company_of(&id);
        }
    }

    fn keep_company_of(&mut self, id: &str) {
        let mut held: Vec<(String, Labels)> = Vec::new();
        let Some(own) = self.writers.get(id) else { return };
        for (name, labels) in own.series.keys() {
            let Some(family) = self.families.get(name) else { continue };
            let target = merged_labels(&self.settings, name, labels);
            let is_target = |labels: &Labels| {
                merged_labels(&self.settings, name, labels) == target
                    && !is_dropped(&self.settings, name, labels)
            };
            let company = family.departed.keys().any(&is_target)
                || self.writers.iter().any(|(id, writer)| {
                    is_identified(id)
                        && writer.series.keys().any(|(n, labels)| n == name && is_target(labels))
                });
            if company
                && !is_dropped(&self.settings, name, labels)
                && family.metric_type.is_cumulative()
            {
                held.push((name.clone(), labels.clone()));
            }
        }
        let Some(own) = self.writers.get_mut(id) else { return };
        for (key, contribution) in &mut own.series {
            if held.contains(key) {
                let mut most = contribution.values.clone();
                if let Some(before) = &contribution.held {
                    super::apply::hold(&mut most, before);
                }
                contribution.held = Some(most);
            } else {
                contribution.held = None;
            }
        }
    }
}

/// The family's function now.
pub(super) fn function(model: &Model, name: &str) -> Aggregation {
    let Some(family) = model.families.get(name) else { return Aggregation::Sum };
    let wishes = model.writers.values().filter_map(|w| w.wishes.get(name).copied());
    let first = wishes.chain(family.accumulated_wish).min_by_key(|(number, _)| *number);
    if let Some((_, wish)) = first {
        return wish;
    }
    rules_of(&model.settings, name)
        .find_map(|rule| rule.aggregate)
        .filter(|function| function.allowed_for(family.metric_type))
        .unwrap_or(Aggregation::default_for(family.metric_type))
}

// ---- rules

fn rules_of<'a>(settings: &'a Settings, name: &str) -> impl Iterator<Item = &'a Rule> {
    let names = [name.to_owned(), format!("{name}_total"), format!("{name}_info")];
    settings.rules.iter().filter(move |rule| {
        rule.matches.family(&names.each_ref().map(String::as_str)) && rule.matches.labels.is_empty()
    })
}

fn series_rules<'a>(
    settings: &'a Settings,
    name: &str,
    labels: &Labels,
) -> impl Iterator<Item = &'a Rule> {
    let names = [name.to_owned(), format!("{name}_total"), format!("{name}_info")];
    let pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let set = LabelSet::new(pairs).unwrap();
    settings.rules.iter().filter(move |rule| {
        rule.matches.family(&names.each_ref().map(String::as_str)) && rule.matches.labels(&set)
    })
}

fn is_dropped(settings: &Settings, name: &str, labels: &Labels) -> bool {
    series_rules(settings, name, labels).any(|rule| rule.drop)
}

pub(super) fn merged_labels(settings: &Settings, name: &str, labels: &Labels) -> Labels {
    let dropping = series_rules(settings, name, labels).find(|rule| !rule.drop_labels.is_empty());
    let dropped = dropping.map_or(&[][..], |rule| &rule.drop_labels);
    labels
        .iter()
        .filter(|(n, _)| !dropped.contains(n))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

fn with_worker(labels: &Labels, worker: &str, slot: u32) -> Labels {
    let mut labels = labels.clone();
    if let Some(taken) = labels.remove(worker) {
        labels.insert(format!("exported_{worker}"), taken);
    }
    labels.insert(worker.to_owned(), slot.to_string());
    labels
}

// ---- sums

/// Counters, histograms and summaries.
fn summed(t: MetricType, sources: &[Source<'_>], total: &Shares, live_only: bool) -> Parts {
    let mut sum = Shares::new();
    let mut live = Vec::new();
    let mut any = false;
    if t.is_cumulative() && !live_only {
        add(&mut sum, total);
        any |= !total.is_empty();
    }
    for source in sources {
        let contribution = source.contribution;
        let share = match source.writer {
            From::Departed if live_only || !t.is_cumulative() => continue,
            From::Departed => contribution.share(),
            From::Live { .. } if live_only || !t.is_cumulative() => exactly(&contribution.values),
            From::Live { .. } => contribution.share(),
            From::Anonymous { .. } => {
                let mut share = Shares::new();
                if !live_only {
                    share.clone_from(&contribution.base);
                }
                add(
                    &mut share,
                    &exactly(contribution.held.as_ref().unwrap_or(&contribution.values)),
                );
                share
            }
            From::Accumulated => exactly(&contribution.values),
        };
        if source.writer != From::Departed {
            live.push(contribution);
        }
        any = true;
        add(&mut sum, &share);
    }
    if !any {
        return Parts::new();
    }
    let mut parts: Parts = sum.iter().map(|(part, sum)| (*part, sum.value())).collect();
    accumulate_buckets(&mut parts, &sum);
    if let [only] = live.as_slice() {
        let quantiles = only.values.iter().filter(|(part, _)| matches!(part, Part::Quantile(_)));
        parts.extend(quantiles.map(|(part, value)| (*part, *value)));
    }
    parts
}

fn accumulate_buckets(parts: &mut Parts, sum: &Shares) {
    let mut below = Exact::default();
    for (part, count) in sum {
        if let Part::Bucket(Bound(_)) = part {
            below += *count;
            parts.insert(*part, below.value());
        }
    }
}

// ---- functions

fn aggregated(function: Aggregation, sources: &[Source<'_>]) -> Parts {
    let live: Vec<&Source<'_>> = sources.iter().filter(|s| s.writer != From::Departed).collect();
    if live.is_empty() {
        return Parts::new();
    }
    let numbers: Vec<&&Source<'_>> = live.iter().filter(|s| !value_of(s).is_nan()).collect();
    if numbers.is_empty() {
        return Parts::from([(Part::Value, f64::NAN)]);
    }
    let values: Vec<f64> = numbers.iter().map(|s| value_of(s)).collect();
    let n = values.len() as f64;
    let mean = sum(&values) / n;
    let variance = || values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let most = |key: &dyn Fn(&Source<'_>) -> u64| {
        let top = numbers.iter().map(|s| key(s)).max();
        let tops = numbers.iter().filter(|s| Some(key(s)) == top);
        tops.map(|s| value_of(s)).fold(f64::NEG_INFINITY, f64::max)
    };
    let value = match function {
        Aggregation::Sum => sum(&values),
        Aggregation::Mean => mean,
        Aggregation::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        Aggregation::Max | Aggregation::All => {
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        }
        Aggregation::Count => n,
        Aggregation::First => most(&|s| u64::MAX - arrival(s)),
        Aggregation::Last => most(&|s| s.contribution.changed),
        Aggregation::StdDev => variance().sqrt(),
        Aggregation::StdVar => variance(),
        Aggregation::Percentile(percent) => quantile(&values, f64::from(percent) / 100.0),
        // No history asks for one: tests/windows.rs has a model of its own.
        Aggregation::Window(_) => f64::NAN,
    };
    Parts::from([(Part::Value, value)])
}

fn value_of(source: &Source<'_>) -> f64 {
    source.contribution.values[&Part::Value]
}

fn arrival(source: &Source<'_>) -> u64 {
    match source.writer {
        From::Live { arrival, .. } | From::Anonymous { arrival } => arrival,
        From::Accumulated | From::Departed => 0,
    }
}

fn sum(values: &[f64]) -> f64 {
    let plain: f64 = values.iter().sum();
    if !plain.is_finite() {
        return plain;
    }
    values.iter().fold(Exact::default(), |sum, v| sum + Exact::of(*v)).value()
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = q * (sorted.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(sorted.len() - 1);
    let weight = rank - rank.floor();
    if weight == 0.0 {
        return sorted[lower];
    }
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
