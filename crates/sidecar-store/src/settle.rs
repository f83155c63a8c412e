//! Behind the values of a push: what is learned from it, and what goes because of it. The push is
//! taken by then, so a panic here is no refusal: the rest is done, and the push is answered.

use crate::apply::Apply;
use crate::catalog::Catalog;
use crate::draft::FamilyDraft;
use crate::faults::{self, Committing, Step};
use crate::group::GroupState;
use crate::instance::{Body, Instance, Kind, Past, Stamp, WriterRole};
use crate::place::Writes;
use crate::values::Findings;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// One writer's share of a push whose values are written.
pub(crate) struct Written {
    pub(crate) writer: u32,
    pub(crate) instance: Arc<Instance>,
    pub(crate) families: Vec<FamilyDraft>,
    /// Of the families; `None` for the refused.
    pub(crate) ids: Vec<Option<u32>>,
    pub(crate) writes: Writes,
    /// By position, where the push replaces what it has not.
    pub(crate) kept: Option<Vec<bool>>,
    pub(crate) stamp: Stamp,
    pub(crate) past: Past,
    pub(crate) findings: Findings,
    pub(crate) non_finite_sums: u64,
    pub(crate) begins_anew: bool,
    pub(crate) retired_groups: bool,
}

impl Apply<'_> {
    /// The push is in. In the order of its writers.
    pub(crate) fn settle_all(&mut self) {
        self.undo.clear();
        for id in self.leaving.clone() {
            self.catalog.remove_family(id);
        }
        for (n, written) in std::mem::take(&mut self.written).into_iter().enumerate() {
            self.stager.writer_done(n);
            if catch_unwind(AssertUnwindSafe(|| self.settle(&written))).is_err() {
                self.store.doubt();
                written.instance.body.lock().under_way = false;
            }
        }
    }

    fn settle(&mut self, written: &Written) {
        let Written { writer, instance, families, ids, writes, stamp, past, .. } = written;
        let mut body = Committing(instance.body.lock());
        if !body.windows.is_empty() {
            body.windows.record(&writes.scalars, stamp.written);
        }
        if instance.role == WriterRole::Identified && *past != Past::Baseline {
            self.date_merged(&body, writes);
        }
        self.stager.note_exemplars(&mut body, *writer, writes, stamp.sequence);
        self.store.counters.resets.add(written.findings.resets);
        self.store.counters.non_finite_sums.add(written.non_finite_sums);
        self.store.counters.shared_ids.add(u64::from(written.findings.proved_shared));
        self.begins_anew = written.begins_anew;
        self.write_natives(&mut body, *writer, families, instance.role, *past);
        faults::reach(Step::Settling);
        if *writer == 0 && instance.role != WriterRole::Accumulator {
            self.remember(&mut body, writes);
        }
        if written.retired_groups {
            // Its bytes may come again, and would lead to positions that are no longer written.
            body.shape = Arc::default();
            body.generation = body.generation.wrapping_add(1);
        }
        if let Some(kept) = &written.kept {
            self.replace(instance, &mut body, kept);
        }
        self.clear_families(instance, &mut body, writes, families, ids);
        self.purge(instance, &mut body);
        body.under_way = false;
        if self.meta.is_final && instance.role == WriterRole::Identified {
            body.ended = true;
            drop(body);
            self.store.depart_instance(self.catalog, instance, self.now);
            if self.meta.sequence.is_some() {
                self.store.fold_instance(self.catalog, instance, self.now);
            }
        }
    }

    /// A merged series whose first contribution this push brought began to count when that did.
    fn date_merged(&mut self, body: &Body, writes: &Writes) {
        for (position, value) in &writes.scalars {
            let target = body.targets[*position as usize];
            if let Some(series) = body.dated_by(target)
                && target.index() >= writes.first_new
            {
                self.catalog.date(series, *value);
            }
        }
    }

    /// Positions of families that gave way, and replaced groups, go.
    fn purge(&mut self, instance: &Instance, body: &mut Body) {
        let replaced = body.groups.iter().any(|g| g.state == GroupState::Dead);
        if self.leaving.is_empty() && !replaced {
            return;
        }
        body.held.retain(|held| !self.leaving.contains(&held.family));
        let gone: Vec<bool> =
            (0..body.positions()).map(|at| counts_nowhere(self.catalog, body, at)).collect();
        body.compact(self.catalog, instance.role, |_, at| gone[at]);
    }
}

/// The position's family gave way, or its group was replaced.
fn counts_nowhere(catalog: &Catalog, body: &Body, at: usize) -> bool {
    let target = body.targets[at];
    let series = match target.kind() {
        Kind::Gauge | Kind::Cumulative => target.index(),
        Kind::Part => {
            let group = &body.groups[target.index() as usize];
            if group.state == GroupState::Dead {
                return true;
            }
            group.series
        }
        Kind::Created => return false,
    };
    catalog.family_of(series).is_none()
}
