//! What time alone does.

use super::expose::{merged_labels, millis};
use super::groups::{is_identified, is_plain};
use super::{ANONYMOUS, Labels, Model, State, Writer};
use sidecar_store::Settings;
use std::collections::BTreeSet;
use std::time::Duration;

impl Model {
    pub(crate) fn tick(&mut self, ms: u64) {
        self.now += ms;
    }

    pub(crate) fn upkeep(&mut self) {
        self.note_writes();
        self.decay_values();
        self.decay_instances();
        self.fold_departed();
        let retain = millis(self.settings.retain);
        let now = self.now;
        self.remembered.retain(|_, r| now - r.since < retain);
        self.mark_unheld();
        self.families.retain(|_, f| f.unheld_since.is_none_or(|since| now - since < retain));
        self.forget_series();
        self.mark_unheld();
        self.keep_company();
    }

    /// Gauges, whatever the anonymous writer said, and deltas that were told to.
    fn decay_values(&mut self) {
        let (now, settings, types) = (self.now, self.settings.clone(), self.types());
        for (id, writer) in &mut self.writers {
            writer.series.retain(|(name, _), contribution| {
                let in_company = contribution.held.is_some();
                let cumulative = types.get(name).is_some_and(|t| t.is_cumulative());
                let stays = is_plain(id) || (cumulative && (is_identified(id) || in_company));
                let decay = contribution
                    .ttl
                    .or_else(|| ruled_decay(&settings, name).map(millis))
                    .unwrap_or(millis(settings.decay));
                stays || now - contribution.written < decay
            });
        }
        self.release_unused_of_anonymous();
        for (name, family) in &mut self.families {
            family.accumulated.retain(|_, contribution| {
                let decay = contribution.ttl.or_else(|| ruled_decay(&settings, name).map(millis));
                decay.is_none_or(|decay| now - contribution.written < decay)
            });
            if family.accumulated.is_empty() {
                family.accumulates = false;
                family.accumulated_wish = None;
            }
        }
    }

    /// Without an id a writer holds what it has, and is there as long as it has something.
    fn release_unused_of_anonymous(&mut self) {
        let Some(writer) = self.writers.get_mut(ANONYMOUS) else { return };
        let series = &writer.series;
        let used = |name: &String| series.keys().any(|(n, _)| n == name);
        writer.holds.retain(&used);
        writer.wishes.retain(|name, _| used(name));
        if writer.series.is_empty() {
            self.writers.remove(ANONYMOUS);
        }
    }

    fn decay_instances(&mut self) {
        let live = self.writers.iter().filter(|(_, w)| w.state == State::Live);
        let silent: Vec<String> = live
            .filter(|(id, w)| is_identified(id) && self.now - w.heard >= self.decay_of(w))
            .map(|(id, _)| id.clone())
            .collect();
        for id in silent {
            self.leave(&id);
        }
        self.expire_groups();
    }

    fn decay_of(&self, writer: &Writer) -> u64 {
        let own = writer.ttl.unwrap_or(millis(self.settings.decay));
        let ruled = writer.holds.iter().filter_map(|name| ruled_decay(&self.settings, name));
        ruled.map(millis).max().unwrap_or(0).max(own)
    }

    fn fold_departed(&mut self) {
        let window = millis(self.settings.resume_window);
        let due: Vec<String> = self
            .writers
            .iter()
            .filter(|(_, w)| match w.state {
                State::Live => false,
                State::Departed { since } => self.now - since >= window,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.fold(&id);
        }
    }

    /// When somebody live wrote each series. What deltas have added up to knows no silence.
    pub(super) fn note_writes(&mut self) {
        self.forget_writes_of_nobody();
        for (id, writer) in &self.writers {
            if writer.state != State::Live {
                continue;
            }
            for ((name, labels), contribution) in &writer.series {
                let Some(family) = self.families.get_mut(name) else { continue };
                let written = family.written.entry(labels.clone()).or_default();
                // A plain group knows no silence.
                let latest = if is_plain(id) { self.now } else { contribution.written };
                *written = latest.max(*written);
            }
        }
        for family in self.families.values_mut() {
            for labels in family.accumulated.keys() {
                family.written.insert(labels.clone(), self.now);
            }
        }
    }

    fn forget_writes_of_nobody(&mut self) {
        for (name, family) in &mut self.families {
            let key = |labels: &Labels| (name.clone(), labels.clone());
            let (departed, accumulated) = (&family.departed, &family.accumulated);
            family.written.retain(|labels, _| {
                departed.contains_key(labels)
                    || accumulated.contains_key(labels)
                    || self.writers.values().any(|w| w.series.contains_key(&key(labels)))
            });
        }
    }

    /// Merged series that nobody live wrote for `retain`.
    fn forget_series(&mut self) {
        let (now, retain) = (self.now, millis(self.settings.retain));
        let mut forgotten: BTreeSet<(String, Labels)> = BTreeSet::new();
        for (name, family) in &self.families {
            let merged = |labels: &Labels| merged_labels(&self.settings, name, labels);
            let fresh: BTreeSet<Labels> = family
                .written
                .iter()
                .filter(|(_, written)| now - **written < retain)
                .map(|(labels, _)| merged(labels))
                .collect();
            let stale = family.written.keys().map(merged).filter(|labels| !fresh.contains(labels));
            forgotten.extend(stale.map(|labels| (name.clone(), labels)));
        }
        let settings = self.settings.clone();
        let is_forgotten = |name: &str, labels: &Labels| {
            forgotten.contains(&(name.to_owned(), merged_labels(&settings, name, labels)))
        };
        for (name, family) in &mut self.families {
            family.departed.retain(|labels, _| !is_forgotten(name, labels));
            family.written.retain(|labels, _| !is_forgotten(name, labels));
        }
        for writer in self.writers.values_mut() {
            writer.series.retain(|(name, labels), _| !is_forgotten(name, labels));
        }
        self.release_unused_of_anonymous();
    }
}

fn ruled_decay(settings: &Settings, name: &str) -> Option<Duration> {
    let names = [name.to_owned(), format!("{name}_total"), format!("{name}_info")];
    settings
        .rules
        .iter()
        .filter(|rule| rule.matches.family(&names.each_ref().map(String::as_str)))
        .find_map(|rule| rule.decay)
}
