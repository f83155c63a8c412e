//! What goes when memory is short: whole merged series that nobody writes any more, the longest
//! unwritten first. A total is never lowered: while a series is exposed its departed total stays, and
//! it goes whole, not before everybody who had it is gone for `resume_window`.

use crate::catalog::{Catalog, NO_FAMILY, in_order};
use crate::collect::is_exposed;
use crate::family::Family;
use crate::instance::{Body, Instance, Kind, State, WriterRole, from_tenths};
use crate::record::Record;
use crate::settings::Settings;
use crate::store::Store;
use crate::upkeep::release_unused;
use sidecar_model::Tick;
use std::sync::Arc;

/// Of the merged series that may go, one in so many goes at a time.
const SHARE: usize = 4;
const LEAST: usize = 10_000;

/// What an idempotency key or a forgotten id costs at least.
const ID_BYTES: u64 = 100;
/// What a family costs at least.
const FAMILY_BYTES: u64 = 300;
/// What a contribution costs at least, besides its series' labels.
const CONTRIBUTION_BYTES: u64 = 100;

impl Store {
    /// Memory is short: lets some of what nobody writes any more go. How many merged series went; zero:
    /// there is nothing more to let go.
    pub fn relieve(&self, now: Tick) -> usize {
        let mut catalog = self.change();
        if self.tell(&Record::Relieve, now).is_err() {
            return 0;
        }
        let instances = self.all_instances();
        let settings = self.settings();
        let held = self.held(&catalog, &instances);
        // When it was written last, and its first series: numbers of merged ones are a process's own.
        let mut latest: Vec<Option<(u32, usize)>> = vec![None; catalog.merged.len()];
        for (series, merged) in catalog.merged_of.iter().enumerate() {
            let (entry, at) = (&catalog.series[series], *merged as usize);
            if entry.family != NO_FAMILY && held.get(at) == Some(&false) {
                let (written, first) = latest[at].unwrap_or((0, series));
                latest[at] = Some((written.max(entry.written), first));
            }
        }
        let may_go = |at: usize, written: u32| {
            let family = catalog.merged.get(at).and_then(|m| catalog.families.get(&m.family));
            let window = settings.resume_window;
            now.since(from_tenths(written)) >= window
                || family.is_some_and(|family| !is_exposed(family, &settings, now))
        };
        let mut unheld: Vec<(u32, usize, usize)> = latest
            .iter()
            .enumerate()
            .filter_map(|(at, known)| known.map(|(written, first)| (written, first, at)))
            .filter(|(written, _, at)| may_go(*at, *written))
            .collect();
        unheld.sort_unstable();
        unheld.truncate((unheld.len() / SHARE).max(LEAST));
        let mut goes = vec![false; catalog.merged.len()];
        for (_, _, at) in &unheld {
            goes[*at] = true;
        }
        let gone: Vec<bool> = catalog
            .merged_of
            .iter()
            .map(|merged| goes.get(*merged as usize).copied().unwrap_or(false))
            .collect();
        drop_series(&instances, &mut catalog, &gone, now);
        catalog.drop_empty_families(&settings, now);
        self.counters.relieved.add(unheld.len() as u64);
        unheld.len()
    }

    /// By merged series: a live writer has it, one that is remembered and may come back to it, or deltas
    /// have added up to it.
    fn held(&self, catalog: &Catalog, instances: &[Arc<Instance>]) -> Vec<bool> {
        let mut held = vec![false; catalog.merged.len()];
        for instance in instances.iter().chain([&self.accumulator]) {
            let body = instance.body.lock();
            if matches!(body.state, State::New | State::Gone) {
                continue;
            }
            for target in &body.targets {
                let merged = catalog.merged_id(body.series_of(*target));
                if let Some(held) = merged.and_then(|merged| held.get_mut(merged as usize)) {
                    *held = true;
                }
            }
        }
        held
    }

    /// What the state takes at least; `None`: it is being changed right now.
    pub fn least_bytes(&self) -> Option<u64> {
        let catalog = self.catalog.try_read()?;
        let families = catalog.families.len() as u64 * FAMILY_BYTES;
        // Whoever begins a key may be asking.
        let keys = self.keys.try_lock()?.len();
        let ids = (keys + catalog.forgotten.len()) as u64 * ID_BYTES;
        let contributions = catalog.contributions * CONTRIBUTION_BYTES;
        Some(families + ids + contributions + catalog.label_bytes)
    }
}

impl Catalog {
    /// Families that are no longer exposed and have no series any more.
    fn drop_empty_families(&mut self, settings: &Settings, now: Tick) {
        let empty = |(_, family): &(&u32, &Family)| {
            !is_exposed(family, settings, now) && family.series.is_empty()
        };
        let mut empty: Vec<u32> = self.families.iter().filter(empty).map(|(id, _)| *id).collect();
        empty.sort_unstable();
        for family in empty {
            self.remove_family(family);
        }
    }
}

/// Lets go of series with all contributions and departed totals; `gone`: by series.
pub(crate) fn drop_series(
    instances: &[Arc<Instance>],
    catalog: &mut Catalog,
    gone: &[bool],
    now: Tick,
) {
    if !gone.contains(&true) {
        return;
    }
    let is_gone = |series: u32| gone.get(series as usize).copied().unwrap_or(false);
    let mut folded = in_order(catalog.folded.keys());
    folded.retain(|series| is_gone(*series));
    for series in folded {
        catalog.remove_folded(series);
    }
    for instance in instances {
        let identified = instance.role == WriterRole::Identified;
        let mut body = instance.body.lock();
        body.compact(catalog, instance.role, |body, at| is_gone_at(body, at, &is_gone));
        if !identified {
            release_unused(catalog, &mut body, now, &[], |_| true);
        }
    }
}

fn is_gone_at(body: &Body, at: usize, is_gone: &dyn Fn(u32) -> bool) -> bool {
    let target = body.targets[at];
    match target.kind() {
        Kind::Gauge | Kind::Cumulative | Kind::Part => is_gone(body.series_of(target)),
        Kind::Created => false,
    }
}
