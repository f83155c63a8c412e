//! Deleting series by what they are called: from every writer, with all that was counted in them.

use crate::catalog::Catalog;
use crate::family::Family;
use crate::instance::{Kind, State, WriterRole};
use crate::maps::Set;
use crate::store::Store;
use crate::upkeep::release_unused;
use crate::view::Selector;
use sidecar_model::Tick;
use std::sync::Arc;

impl Store {
    /// Deletes every series that one of the selectors matches, by the labels that it is exposed with;
    /// a histogram or summary whole. Whoever pushes one again begins it anew. How many there were.
    pub fn delete_series(&self, selectors: &[Selector], now: Tick) -> usize {
        let mut catalog = self.catalog.write();
        let hit = matched(&catalog, selectors);
        if hit.is_empty() {
            return 0;
        }
        let mut writers = self.all_instances();
        writers.push(Arc::clone(&self.accumulator));
        for writer in writers {
            let mut body = writer.body.lock();
            if matches!(body.state, State::New | State::Gone) {
                continue;
            }
            body.watch.forget();
            body.compact(&mut catalog, writer.role, |body, at| {
                let target = body.targets[at];
                match target.kind() {
                    Kind::Gauge | Kind::Cumulative => hit.contains(&target.index()),
                    Kind::Part => hit.contains(&body.groups[target.index() as usize].series),
                    Kind::Created => false,
                }
            });
            if writer.role != WriterRole::Identified {
                release_unused(&mut catalog, &mut body, now, &[]);
            }
        }
        for series in &hit {
            catalog.remove_folded(*series);
        }
        hit.len()
    }
}

fn matched(catalog: &Catalog, selectors: &[Selector]) -> Set<u32> {
    let mut hit = Set::default();
    for family in catalog.families.values() {
        let names = names(family);
        for series in &family.series {
            let labels = match catalog.merged_id(*series) {
                Some(merged) => &catalog.merged[merged as usize].labels,
                None => &catalog.series[*series as usize].labels,
            };
            let matches = |selector: &Selector| names.iter().any(|n| selector.matches(n, labels));
            if selectors.iter().any(matches) {
                hit.insert(*series);
            }
        }
    }
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
