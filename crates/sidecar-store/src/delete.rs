//! Deleting series by what they are called: from every writer, with all that was counted in them.

use crate::catalog::Catalog;
use crate::family::Family;
use crate::instance::{Kind, State, WriterRole};
use crate::journal::JournalFull;
use crate::maps::Set;
use crate::record::Record;
use crate::store::Store;
use crate::upkeep::release_unused;
use crate::view::Selector;
use sidecar_model::Tick;
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
