//! Deleting series by what they are called, from every writer, with all that was counted in them; and
//! groups by their key. All of a request goes with one record, or nothing.

use crate::catalog::Catalog;
use crate::family::Family;
use crate::grouping::GroupKey;
use crate::instance::{Instance, Kind, State, WriterRole};
use crate::journal::JournalFull;
use crate::maps::Set;
use crate::record::Record;
use crate::store::Store;
use crate::upkeep::release_unused;
use crate::view::Selector;
use sidecar_model::Tick;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Store {
    /// Deletes every series that one of the selectors matches, by the labels that it is exposed with;
    /// a histogram or summary whole. Whoever pushes one again begins it anew. How many there were.
    pub fn delete_series(&self, selectors: &[Selector], now: Tick) -> Result<usize, JournalFull> {
        let mut catalog = self.change();
        let hit = matched(&catalog, selectors);
        if hit.is_empty() {
            return Ok(0);
        }
        let record = Record::DeleteSeries { series: hit };
        self.tell(&record, now)?;
        let Record::DeleteSeries { series } = record else { return Ok(0) };
        self.delete_all_of(&mut catalog, &series, now);
        Ok(series.len())
    }

    /// Goodbye of a group. A plain one is gone with all it had; one with an id departs as an
    /// instance does, and with `erase` takes its share along. Both where settings made one the other.
    /// False: no such group.
    pub fn delete_group(
        &self,
        key: &GroupKey,
        erase: bool,
        now: Tick,
    ) -> Result<bool, JournalFull> {
        Ok(self.delete_groups(vec![key.clone()], erase, now)? > 0)
    }

    /// Goodbye of every group whose key has all labels of `key`, or of none. How many there were.
    pub fn delete_groups_below(
        &self,
        key: &GroupKey,
        erase: bool,
        now: Tick,
    ) -> Result<usize, JournalFull> {
        let below: BTreeSet<GroupKey> = self
            .all_instances()
            .iter()
            .filter_map(|instance| instance.body.lock().key.clone())
            .filter(|other| key.labels().iter().all(|label| other.labels().contains(label)))
            .collect();
        self.delete_groups(below.into_iter().collect(), erase, now)
    }

    pub(crate) fn delete_groups(
        &self,
        mut keys: Vec<GroupKey>,
        erase: bool,
        now: Tick,
    ) -> Result<usize, JournalFull> {
        let mut catalog = self.change();
        keys.retain(|key| {
            let (plain, instance) = self.group_of(key);
            plain.is_some() || instance.is_some()
        });
        if keys.is_empty() {
            return Ok(0);
        }
        let record = Record::DeleteGroups { keys, erase };
        self.tell(&record, now)?;
        let Record::DeleteGroups { keys, .. } = record else { return Ok(0) };
        for key in &keys {
            let (plain, instance) = self.group_of(key);
            if let Some(group) = plain {
                self.remove_group(&mut catalog, &group, now);
            }
            match instance {
                Some(instance) if erase => self.erase_instance(&mut catalog, &instance, now),
                Some(instance) => self.depart_instance(&mut catalog, &instance, now),
                None => {}
            }
        }
        Ok(keys.len())
    }

    /// The plain group of this key, and the instance.
    fn group_of(&self, key: &GroupKey) -> (Option<Arc<Instance>>, Option<Arc<Instance>>) {
        let text = key.text();
        let of_key = |instance: &Arc<Instance>| instance.body.lock().key.is_some();
        (self.find_group(&text), self.find_instance(&text).filter(of_key))
    }

    /// `series` in order.
    pub(crate) fn delete_all_of(&self, catalog: &mut Catalog, series: &[u32], now: Tick) {
        let hit: Set<u32> = series.iter().copied().collect();
        let mut writers = self.all_instances();
        writers.push(Arc::clone(&self.accumulator));
        for writer in writers {
            let mut body = writer.body.lock();
            if matches!(body.state, State::New | State::Gone) {
                continue;
            }
            body.watch.forget();
            body.compact(catalog, writer.role, |body, at| {
                let target = body.targets[at];
                match target.kind() {
                    Kind::Gauge | Kind::Cumulative => hit.contains(&target.index()),
                    Kind::Part => hit.contains(&body.groups[target.index() as usize].series),
                    Kind::Created => false,
                }
            });
            if writer.role != WriterRole::Identified {
                release_unused(catalog, &mut body, now, &[], |_| true);
            }
        }
        for series in series {
            catalog.remove_folded(*series);
        }
    }
}

/// In order.
fn matched(catalog: &Catalog, selectors: &[Selector]) -> Vec<u32> {
    let mut hit = Vec::new();
    for family in catalog.families.values() {
        let names = names(family);
        for series in &family.series {
            let labels = match catalog.merged_id(*series) {
                Some(merged) => &catalog.merged[merged as usize].labels,
                None => &catalog.series[*series as usize].labels,
            };
            let matches = |selector: &Selector| names.iter().any(|n| selector.matches(n, labels));
            if selectors.iter().any(matches) {
                hit.push(*series);
            }
        }
    }
    hit.sort_unstable();
    hit
}

/// The family's name, and those of its samples.
fn names(family: &Family) -> Vec<String> {
    let mut names = vec![family.sample_name()];
    if family.metric_type.is_composite() {
        names
            .extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.base)));
    }
    names
}
