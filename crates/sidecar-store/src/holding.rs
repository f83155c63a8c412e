//! Families as a push makes, holds and describes them, and what its samples wish of them.

use crate::apply::Apply;
use crate::draft::{Draft, FamilyDraft, holds};
use crate::instance::{Body, Held, Instance, WriterRole};
use sidecar_model::Aggregation;
use std::sync::Arc;

impl Apply<'_> {
    /// A returning instance holds again what it ever wrote and is still there.
    pub(crate) fn hold_again(&mut self, body: &mut Body) {
        body.held.retain(|held| self.catalog.families.contains_key(&held.family));
        for held in &mut body.held {
            held.wish = None;
            if let Some(family) = self.catalog.families.get_mut(&held.family) {
                family.holders += 1;
            }
        }
    }

    /// Makes and holds the drafted families; their ids, `None` for the refused.
    pub(crate) fn take_families(
        &mut self,
        instance: &Instance,
        body: &mut Body,
        draft: &Draft,
    ) -> Vec<Option<u32>> {
        let mut ids = Vec::with_capacity(draft.families.len());
        for family in &draft.families {
            if family.refused.is_some() {
                ids.push(None);
                continue;
            }
            let id = self.make_family(family, body);
            let is_news = self.hold(body, id);
            self.describe(id, family, is_news);
            ids.push(Some(id));
        }
        let process_start = |f: &FamilyDraft| &*f.base == crate::place::PROCESS_START;
        if instance.role == WriterRole::Identified && draft.families.iter().any(process_start) {
            body.start_time = None;
        }
        ids
    }

    /// The drafted family, which is made unless it is there. What is in its way loses its names to it,
    /// and leaves when all is written.
    fn make_family(&mut self, family: &FamilyDraft, body: &mut Body) -> u32 {
        for id in &family.leaving {
            if holds(body, *id) {
                body.watch.forget();
            }
            if !self.leaving.contains(id) {
                self.leaving.push(*id);
            }
        }
        let FamilyDraft { metric_type, base, suffixed, .. } = family;
        match family.existing {
            Some(id) => {
                self.undo_of(|undo, catalog| undo.note_family(catalog, id));
                self.catalog.set_suffixed(id, *suffixed);
                id
            }
            None => {
                let (settings, now) = (&self.settings, self.now);
                let id = self.catalog.add_family(*metric_type, base, *suffixed, settings, now);
                self.undo_of(|undo, _| undo.made.push(id));
                id
            }
        }
    }

    /// True: the instance did not hold it before.
    fn hold(&mut self, body: &mut Body, id: u32) -> bool {
        if let Err(at) = body.held.binary_search_by_key(&id, |h| h.family) {
            body.held.insert(at, Held { family: id, wish: None });
            if let Some(family) = self.catalog.families.get_mut(&id) {
                family.holders += 1;
            }
            self.undo_of(|undo, _| undo.held.push(id));
            return true;
        }
        false
    }

    /// Help and unit of a header in a spelling that is new, or of a family that is.
    fn describe(&mut self, id: u32, draft: &FamilyDraft, is_news: bool) {
        let header = &self.stager.headers[draft.header as usize];
        if !header.is_unremembered() && !is_news {
            return;
        }
        let facts = Arc::clone(&header.facts);
        let Some(family) = self.catalog.families.get_mut(&id) else { return };
        let mut changed = false;
        if !facts.help.is_empty() && *facts.help != *family.help {
            family.help = (*facts.help).into();
            changed = true;
        }
        if !facts.unit.is_empty() && *facts.unit != *family.unit {
            family.unit = (*facts.unit).into();
            changed = true;
        }
        if changed {
            self.catalog.touch(id);
        }
    }

    pub(crate) fn wish(&mut self, body: &mut Body, id: u32, wish: Option<Aggregation>) {
        let Some(function) = wish else { return };
        let Ok(at) = body.held.binary_search_by_key(&id, |h| h.family) else { return };
        if body.held[at].wish.is_some_and(|(_, known)| known == function) {
            return;
        }
        let Some(family) = self.catalog.families.get(&id) else { return };
        let before = family.function();
        if !family.wishes.is_empty() && before != function {
            self.store.counters.aggregation_conflicts.add(1);
        }
        if body.held[at].wish.is_some() {
            return;
        }
        self.undo_of(|undo, _| undo.wishes.push(id));
        let number = self.catalog.number_wish();
        body.held[at].wish = Some((number, function));
        if let Some(family) = self.catalog.families.get_mut(&id) {
            family.wishes.insert(number, function);
            if family.function() != before {
                self.catalog.touch(id);
            }
        }
    }
}
