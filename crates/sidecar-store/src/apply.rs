//! The commit of a push that touches shared state: something new, a return, a restart, a final
//! push, a writer without an id, deltas. Under the catalog lock, in push order: first everything
//! is checked (`draft.rs`), then what passed is written, then goes what it takes the place of
//! (`settle.rs`). A panic before all is written takes all of it back (`undo.rs`).

use crate::catalog::Catalog;
use crate::draft::{Declared, Draft, Drafter, family_of_position};
use crate::faults::{self, Committing, Step};
use crate::forgotten::ForgottenId;
use crate::instance::{
    Body, Instance, Kind, Past, Stamp, State, WriterRole, duration_tenths, keep_last, repeated,
    tenths,
};
use crate::journal::{JournalFull, Position};
use crate::maps::Set;
use crate::outcome::{Outcome, PushKey, PushMeta, Reason, Refused};
use crate::place::Writes;
use crate::record::{Record, put_push};
use crate::settings::{Settings, UnknownPast};
use crate::settle::Written;
use crate::stager::{ACCUMULATOR, Stager};
use crate::store::Store;
use crate::undo::Undo;
use crate::values::Manner;
use sidecar_model::Tick;
use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// What a commit came to.
#[derive(Debug)]
pub(crate) enum Commit {
    Done(Outcome),
    /// Positions moved since the body was decoded: decode again.
    Moved,
}

/// Where a push stands in the order of pushes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It comes now: it gets the next number, and is recorded.
    Next,
    /// It comes out of the journal.
    Replayed { number: u64, position: Position },
}

/// A staged push on its way into the store, with the catalog locked.
pub(crate) struct Apply<'a> {
    pub(crate) store: &'a Store,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) stager: Stager<'a>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) meta: &'a PushMeta<'a>,
    pub(crate) now: Tick,
    place: Place,
    pub(crate) outcome: Outcome,
    /// The families in the outcome.
    refused: Set<Box<str>>,
    pub(crate) declared: Declared,
    /// Families that give way when all is written.
    pub(crate) leaving: Vec<u32>,
    /// The push is of another life of its process: what was counted before joins the bases.
    pub(crate) begins_anew: bool,
    /// A histogram or summary came with other bounds.
    pub(crate) retired_groups: bool,
    /// What takes the push back, by writer; while a writer's share is written the last one is its.
    pub(crate) undo: Vec<Undo>,
    /// Whose share is written.
    pub(crate) written: Vec<Written>,
}

impl<'a> Apply<'a> {
    pub(crate) fn run(
        store: &'a Store,
        catalog: &'a mut Catalog,
        stager: Stager<'a>,
        meta: &'a PushMeta<'a>,
        now: Tick,
        place: Place,
    ) -> Commit {
        let settings = store.settings();
        if !Arc::ptr_eq(&settings, &stager.settings) || stager.has_moved() {
            return Commit::Moved;
        }
        let mut apply = Apply {
            store,
            catalog,
            stager,
            settings,
            meta,
            now,
            place,
            outcome: Outcome::default(),
            refused: Set::with_hasher(store.seed().clone()),
            declared: Declared::default(),
            leaving: Vec::new(),
            begins_anew: false,
            retired_groups: false,
            undo: Vec::new(),
            written: Vec::new(),
        };
        if apply.is_late() {
            store.counters.late_pushes.add(1);
            apply.outcome.late = true;
            return Commit::Done(apply.answer());
        }
        if (meta.strict || apply.settings.strict) && apply.withhold() {
            return Commit::Done(apply.outcome);
        }
        if apply.all_or_nothing() { Commit::Done(apply.answer()) } else { Commit::Moved }
    }

    /// A bug is not to leave half of a push: what was written before a panic is taken back. False:
    /// nothing is written, since the body's order decides and is not known.
    fn all_or_nothing(&mut self) -> bool {
        match catch_unwind(AssertUnwindSafe(|| self.all_writers())) {
            Ok(done) => {
                self.settle_all();
                done
            }
            Err(panic) => {
                self.take_back();
                resume_unwind(panic)
            }
        }
    }

    /// What was answered is remembered under the push's key, with what it changed or, when that was
    /// nothing, by itself.
    fn answer(self) -> Outcome {
        let mut outcome = self.outcome;
        let Some(PushKey { key, body }) = self.meta.key.filter(|_| !outcome.is_refusal()) else {
            return outcome;
        };
        if outcome.recorded == Position::default() {
            let record = Record::Key { key: key.into(), body, outcome: outcome.clone() };
            match self.store.tell(&record, self.now) {
                Ok(position) => outcome.recorded = position,
                Err(JournalFull) => return Outcome { journal_full: true, ..Outcome::default() },
            }
        }
        self.store.keys.lock().finish(key, body, &outcome, self.now);
        outcome
    }

    /// Before the first write: gives the push its number and records it.
    fn begin(&mut self) -> Result<Stamp, JournalFull> {
        let (sequence, recorded) = match self.place {
            Place::Next => {
                let number = self.store.next_sequence();
                let (stager, meta, now) = (&self.stager, self.meta, self.now);
                let recorded = self.store.record(|out| put_push(stager, meta, number, now, out))?;
                (number, recorded)
            }
            Place::Replayed { number, position } => (number, position),
        };
        self.outcome.recorded = recorded;
        let ttl = self.meta.ttl.map_or(0, duration_tenths);
        Ok(Stamp { sequence, written: tenths(self.now), ttl })
    }

    // ---- before anything is written

    /// A repeated or overtaken push, or one of an epoch that has ended.
    fn is_late(&self) -> bool {
        let (Some(sequence), Some(id)) = (self.meta.sequence, self.stager.writers.first()) else {
            return false;
        };
        let behind = |known: &Option<(Box<str>, u64)>, ended: bool| {
            known
                .as_ref()
                .is_some_and(|(epoch, n)| **epoch == *sequence.epoch && (ended || sequence.n <= *n))
        };
        if let Some(instance) = self.store.find_writer(id, self.stager.is_plain_group(0)) {
            let body = instance.body.lock();
            return behind(&body.sequence, body.ended);
        }
        self.catalog.forgotten.get(&**id).is_some_and(|known| behind(&known.sequence, known.ended))
    }

    /// Strict: drafts every writer; true, with the refusals noted, when one family is refused.
    fn withhold(&mut self) -> bool {
        let mut refusals = Vec::new();
        for writer in self.writers() {
            let (_, draft) = self.draft(writer);
            refusals.extend(draft.refusals(self.catalog));
        }
        self.declared.clear();
        self.note(refusals);
        self.outcome.withheld = !self.outcome.refused.is_empty();
        self.outcome.withheld
    }

    fn writers(&self) -> Vec<u32> {
        let mut writers: Vec<u32> =
            (0..u32::try_from(self.stager.writers.len()).unwrap_or(u32::MAX)).collect();
        if self.stager.has_parsed_of(ACCUMULATOR) {
            writers.push(ACCUMULATOR);
        }
        writers
    }

    fn draft(&mut self, writer: u32) -> (Arc<Instance>, Draft) {
        let instance = self.instance_of(writer);
        let known = if writer == 0 { self.stager.known.as_slice() } else { &[] };
        let mut body = instance.body.lock();
        let limits = &self.settings.limits;
        let full = match instance.role {
            _ if body.state != State::New => None,
            WriterRole::Identified | WriterRole::Group if self.stager.is_short() => {
                Some(Reason::MemoryLimit)
            }
            WriterRole::Identified if self.catalog.live_instances >= limits.instances as u64 => {
                Some(Reason::InstanceLimit)
            }
            WriterRole::Group if self.catalog.groups >= limits.groups as u64 => {
                Some(Reason::GroupLimit)
            }
            WriterRole::Identified | WriterRole::Group
                if self.catalog.jobs.is_full(self.stager.job_of(writer), &self.settings) =>
            {
                Some(Reason::JobInstanceLimit)
            }
            WriterRole::Identified
            | WriterRole::Group
            | WriterRole::Anonymous
            | WriterRole::Accumulator => None,
        };
        let mut draft = Drafter {
            stager: &self.stager,
            catalog: self.catalog,
            settings: &self.settings,
            declared: &mut self.declared,
            leaving: &self.leaving,
            writer,
            known,
            written_families: OnceCell::new(),
        }
        .draft(&mut body);
        drop(body);
        if let Some(reason) = full {
            draft.refuse_all(&reason);
        }
        (instance, draft)
    }

    /// The writer's instance; an unknown one is made but not yet registered.
    fn instance_of(&self, writer: u32) -> Arc<Instance> {
        if writer == ACCUMULATOR {
            return Arc::clone(&self.store.accumulator);
        }
        let id = self.stager.writers.get(writer as usize).map_or("", |id| id);
        let plain_group = self.stager.is_plain_group(writer);
        let role = match (plain_group, id.is_empty()) {
            (true, _) => WriterRole::Group,
            (false, true) => WriterRole::Anonymous,
            (false, false) => WriterRole::Identified,
        };
        self.store.find_writer(id, plain_group).unwrap_or_else(|| Arc::new(Instance::new(id, role)))
    }

    pub(crate) fn note(&mut self, refusals: Vec<(String, Reason)>) {
        for (family, reason) in refusals {
            if self.refused.insert(family.as_str().into()) {
                self.outcome.refused.push(Refused { family, reason });
            }
        }
    }

    /// Whether something of a group's push is refused, and of all its writers nothing is taken but
    /// the times: those are not a push's then. Notes what is refused.
    fn takes_nothing(&mut self) -> bool {
        self.declared.clear();
        let mut refusals = Vec::new();
        let mut taken = false;
        for writer in self.writers() {
            let (instance, draft) = self.draft(writer);
            refusals.extend(draft.refusals(self.catalog));
            let only_times =
                writer == 0 && draft.has_only_times(self.catalog, &instance.body.lock());
            taken |= draft.order_matters || !(only_times || draft.is_empty());
        }
        self.declared.clear();
        let takes_nothing = !taken && !refusals.is_empty();
        if takes_nothing {
            self.note(refusals);
        }
        takes_nothing
    }

    // ---- the commit

    /// Writes all values of the push; what is to go because of them is still there.
    fn all_writers(&mut self) -> bool {
        let mut stamp: Option<Stamp> = None;
        let mut written = Vec::new();
        let mut first = None;
        if self.meta.times.is_some() {
            let (instance, draft) = self.draft(0);
            let only_times = draft.has_only_times(self.catalog, &instance.body.lock());
            if !only_times {
                first = Some((instance, draft));
            } else if self.takes_nothing() {
                return true;
            }
        }
        for (n, writer) in self.writers().into_iter().enumerate() {
            self.stager.writer_done(n);
            let (instance, draft) = first.take().unwrap_or_else(|| self.draft(writer));
            if draft.order_matters {
                return false;
            }
            self.note(draft.refusals(self.catalog));
            if !draft.is_empty() {
                let Ok(begun) = stamp.map_or_else(|| self.begin(), Ok) else {
                    self.outcome = Outcome { journal_full: true, ..Outcome::default() };
                    return true;
                };
                stamp = Some(begun);
                written.push(writer);
                self.commit(writer, &instance, draft, begun);
            }
        }
        // Deltas have no instance; their push's sequence is kept with the one that sent them.
        if let Some(stamp) = stamp.filter(|_| written == [ACCUMULATOR])
            && self.meta.sequence.is_some()
        {
            let instance = self.instance_of(0);
            self.commit(0, &instance, Draft::default(), stamp);
        }
        self.store.counters.duplicate_samples.add(self.outcome.duplicates);
        true
    }

    /// One writer's share: everything that is checked is written. What the push takes the place of
    /// stays until all is written.
    fn commit(&mut self, writer: u32, instance: &Arc<Instance>, draft: Draft, stamp: Stamp) {
        faults::reach(Step::Drafted);
        let mut body = Committing(instance.body.lock());
        self.undo.push(Undo::begin(instance, &mut body));
        let entered = self.enter(writer, instance, &mut body, stamp);
        faults::reach(Step::Entered);
        self.begins_anew = self.is_new_epoch(&body)
            || body.begins_later(&draft, &self.stager)
            || (entered == Entered::Back && body.falls_short(&draft, &self.stager));
        let past = self.past(entered, &mut body, &draft);
        let families = self.take_families(instance, &mut body, &draft);
        faults::reach(Step::Held);
        let mut writes = self.place((writer, instance), &mut body, &draft, &families);
        faults::reach(Step::Placed);
        self.count_samples(&draft, &mut writes, body.positions());
        if stamp.ttl > 0 && body.ttls.is_empty() {
            body.ttls = vec![0; body.positions()];
        }
        let manner = Manner {
            role: instance.role,
            stamp,
            new_epoch: self.is_new_epoch(&body),
            returns: entered == Entered::Back,
            begins_anew: self.begins_anew,
        };
        let by_family = families_baseline(self.catalog, &body, &self.settings, past);
        let is_baseline = |at: u32| {
            past == Past::Baseline || by_family.get(at as usize).copied().unwrap_or(false)
        };
        body.settle_windows(self.catalog, writes.first_new as usize);
        self.undo_of(|undo, _| undo.keep_values(&body, &writes, manner));
        let findings = body.write_all(self.catalog, &writes, manner, &is_baseline);
        let kept = self.kept(instance, &body, &writes, &families);
        if let Some(kept) = &kept {
            self.let_go(instance, &mut body, kept, &families);
        }
        body.applied = stamp.sequence;
        body.unheard = false;
        self.note_push(&mut body, writer);
        faults::reach(Step::Written);
        self.written.push(Written {
            writer,
            instance: Arc::clone(instance),
            families: draft.families,
            ids: families,
            writes,
            kept,
            stamp,
            past,
            findings,
            non_finite_sums: draft.non_finite_sums,
            begins_anew: self.begins_anew,
            retired_groups: std::mem::take(&mut self.retired_groups),
        });
    }

    /// Of a series that stands in the push twice the last one counts.
    fn count_samples(&mut self, draft: &Draft, writes: &mut Writes, positions: usize) {
        let duplicates = repeated(&writes.scalars, positions);
        self.outcome.duplicates += duplicates;
        self.outcome.samples += writes.scalars.len() as u64;
        self.outcome.samples += draft.groups.iter().map(|g| g.samples).sum::<u64>();
        self.outcome.samples += writes.ignored;
        if duplicates > 0 {
            keep_last(&mut writes.scalars, positions);
        }
    }

    /// What takes back the share that is being written.
    pub(crate) fn undo_of(&mut self, note: impl FnOnce(&mut Undo, &Catalog)) {
        if let Some(undo) = self.undo.last_mut() {
            note(undo, self.catalog);
        }
    }

    fn take_back(&mut self) {
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            undo.take_back(self.store, self.catalog, self.now);
        }
        for id in &self.leaving {
            self.catalog.own_names(*id);
        }
    }

    /// What the writer's state tells of its latest push.
    fn note_push(&self, body: &mut Body, writer: u32) {
        body.heard = body.heard.max(self.now);
        body.ttl = self.meta.ttl;
        if writer == 0 {
            body.note_times(self.meta.times);
            if body.key.is_none() && !self.stager.is_delta() {
                body.key = self.meta.group.cloned();
            }
        }
        body.ended = false;
        body.gauge_due = Tick::default();
        if let Some(sequence) = self.meta.sequence {
            body.sequence = Some((sequence.epoch.into(), sequence.n));
        }
    }

    pub(crate) fn is_new_epoch(&self, body: &Body) -> bool {
        match (self.meta.sequence, &body.sequence) {
            (Some(pushed), Some((epoch, _))) => *pushed.epoch != **epoch,
            (Some(_), None) | (None, _) => false,
        }
    }

    /// Registers a new instance, brings a departed one back.
    fn enter(
        &mut self,
        writer: u32,
        instance: &Arc<Instance>,
        body: &mut Body,
        stamp: Stamp,
    ) -> Entered {
        match body.state {
            State::Live | State::Gone => return Entered::WasHere,
            State::New | State::Departed { .. } => {}
        }
        let returns = matches!(body.state, State::Departed { .. });
        body.state = State::Live;
        body.heard = self.now;
        if instance.role == WriterRole::Accumulator {
            return Entered::New(Past::Full);
        }
        body.arrival = stamp.sequence;
        if instance.role != WriterRole::Anonymous {
            let job = self.stager.job_of(writer);
            body.job = Some(self.catalog.jobs.arrive(job, &self.settings));
        }
        if instance.role == WriterRole::Group {
            self.catalog.groups += 1;
            self.store.register(instance);
            return Entered::New(Past::Full);
        }
        if instance.role == WriterRole::Identified {
            body.slot = Some(self.catalog.take_slot());
        }
        self.catalog.live_instances += 1;
        if returns {
            self.catalog.departed_instances -= 1;
            self.store.counters.resumes.add(1);
            self.hold_again(body);
            return Entered::Back;
        }
        self.store.register(instance);
        if instance.role == WriterRole::Anonymous {
            return Entered::New(Past::Full);
        }
        let known = self.catalog.forgotten.remove(&*instance.id);
        self.undo_of(|undo, _| undo.forgotten.clone_from(&known));
        Entered::New(match (known, self.meta.sequence) {
            (Some(known), _) => self.past_of_forgotten(&known),
            (None, Some(sequence)) if sequence.acked > 0 => Past::Baseline,
            (None, Some(_)) => Past::Full,
            (None, None) => Past::AsSet,
        })
    }

    /// What new values of this push count for. A registry may come in several pushes: while the
    /// process lives, one with nothing that was there before is another part of what it entered
    /// with, and counts as that did.
    fn past(&self, entered: Entered, body: &mut Body, draft: &Draft) -> Past {
        if self.begins_anew {
            body.past = Past::Full;
        } else if let Entered::New(past) = entered {
            body.past = past;
            return past;
        } else if body.past != Past::Full && draft.is_all_new() && self.has_more(body, draft) {
            return body.past;
        }
        Past::Full
    }

    /// The writer has something that the draft does not push out.
    fn has_more(&self, body: &Body, draft: &Draft) -> bool {
        let taken = || draft.families.iter().filter(|f| f.refused.is_none());
        let leaves = |id: &u32| taken().any(|f| f.leaving.contains(id));
        (0..u32::try_from(body.positions()).unwrap_or(u32::MAX))
            .filter_map(|at| family_of_position(self.catalog, body, at))
            .any(|id| !leaves(&id))
    }

    /// An id that is known while its values are forgotten: a new epoch counts in full.
    fn past_of_forgotten(&self, known: &ForgottenId) -> Past {
        match (&known.sequence, self.meta.sequence) {
            (Some((epoch, _)), Some(pushed)) if **epoch != *pushed.epoch => Past::Full,
            (Some(_) | None, _) => Past::Baseline,
        }
    }
}

/// By position: its first value counts for nothing because a rule says so of unknown pasts.
fn families_baseline(catalog: &Catalog, body: &Body, settings: &Settings, past: Past) -> Vec<bool> {
    let default = settings.unknown_past;
    let by_rule = settings.rules.iter().any(|rule| rule.unknown_past.is_some());
    let unset = default == UnknownPast::Full && !by_rule;
    if unset || past != Past::AsSet {
        return Vec::new();
    }
    let of = |series: u32| {
        catalog.family_of(series).and_then(|(_, f)| f.rules.unknown_past).unwrap_or(default)
            == UnknownPast::Baseline
    };
    body.targets
        .iter()
        .map(|target| match target.kind() {
            Kind::Gauge | Kind::Cumulative => of(target.index()),
            Kind::Part => of(body.groups[target.index() as usize].series),
            Kind::Created => false,
        })
        .collect()
}

/// How the writer stood when the push came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    WasHere,
    New(Past),
    /// It had departed.
    Back,
}

impl Draft {
    fn refuse_all(&mut self, reason: &Reason) {
        for family in &mut self.families {
            family.refused.get_or_insert_with(|| reason.clone());
        }
        self.scalars.clear();
        self.groups.clear();
        self.created.clear();
        self.known.clear();
    }
}
