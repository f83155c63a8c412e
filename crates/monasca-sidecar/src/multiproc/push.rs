//! A worker's push: all of its values or what changed, and what the store made of it.

use super::Tools;
use super::file::WorkerFile;
use super::worker::{Owes, Shared, Worker};
use sidecar_formats::DecodeError;
use sidecar_formats::mmap_file::{Extra, Offer, Offered};
use sidecar_store::{ENDLESS, Outcome, PushMeta, Replaces, Room, Sequence};
use std::time::Duration;

/// What was refused is offered again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

impl Worker {
    /// Pushes what the store has not got of what was read.
    pub(super) fn push(&mut self, shared: &mut Shared<'_>, leaving: &mut Vec<String>) {
        let tools = shared.tools;
        let Some(id) = self.id().map(str::to_owned) else { return };
        if self.standing.is_some() && tools.store.standing(&id) != self.standing {
            self.owes.all = true;
        }
        if !self.shown().any(|file| file.offers() > 0) {
            // What a file that cannot be read has had stays.
            if !self.files.iter().any(WorkerFile::is_faulty) && self.standing.take().is_some() {
                leaving.push(id);
                self.owes.all = true;
            }
            return;
        }
        let now = tools.clock.elapsed();
        match self.again_at {
            Some(at) if now >= at => self.owes.all = true,
            Some(_) if self.standing.is_none() => return,
            Some(_) | None => {}
        }
        let is_changed = self.shown().any(|file| file.difference.changed > 0);
        if !self.owes.all && !is_changed {
            return;
        }
        if let Some(before) = self.owes.handover.take() {
            if !self.hand_over(&before, &id, shared) {
                self.owes.handover = Some(before);
                return;
            }
            leaving.push(before);
        }
        let begins = self.standing.is_none();
        if begins {
            self.begin(&id, shared);
        }
        if let Some(outcome) = self.push_values(&id, shared) {
            for file in self.shown_mut() {
                file.keep(shared.buffer);
            }
            self.owes = Owes::default();
            let had = self.again_at.take();
            if !outcome.refused.is_empty() {
                self.note_refusals(had.is_none(), &outcome, &id, now);
            }
            self.standing = tools.store.standing(&id);
            if begins
                && outcome.refused.is_empty()
                && !self.files.iter().any(WorkerFile::leaves_out)
                && let (Some(standing), Some(layouts)) = (self.standing, self.layouts())
            {
                shared.models.add(&id, standing, &layouts);
            }
        }
    }

    /// Nothing of it is in the store: with the series of another one the push takes little.
    fn begin(&self, id: &str, shared: &Shared<'_>) {
        let Some(layouts) = self.layouts() else { return };
        let Tools { store, clock, admission, .. } = shared.tools;
        let ticket = admission.memory.ticket();
        let room = ticket.as_ref().map(|ticket| ticket as &dyn Room);
        shared.models.begin(id, &layouts, room, (store, clock.now()));
    }

    /// What the worker's instance before this one has counted is brought up to date there, and enters here
    /// as counted. False: it could not be, or not all of it can be read.
    fn hand_over(&self, before: &str, id: &str, shared: &Shared<'_>) -> bool {
        let files: Vec<_> = self.counted_totals().map(|file| (file, Offer::All)).collect();
        if files.iter().any(|(file, _)| file.is_faulty()) {
            return false;
        }
        let is_taken = |id: &str, sequence: Option<Sequence<'_>>| {
            let meta = PushMeta { sequence, ..meta(id) };
            let extra = Extra { labels: shared.labels, id, pid: &self.pid };
            let pushed = push_files(&files, &meta, &extra, shared);
            pushed.is_ok_and(|pushed| !pushed.outcome.is_refusal())
        };
        // To the store `acked` says that the past of this instance has been counted.
        is_taken(before, None) && is_taken(id, Some(Sequence { epoch: id, n: 1, acked: 1 }))
    }

    /// `None`: nothing was taken.
    fn push_values(&mut self, id: &str, shared: &Shared<'_>) -> Option<Outcome> {
        let replaces = if self.owes.replaces { Replaces::Everything } else { Replaces::Nothing };
        let meta = PushMeta { replaces, ..meta(id) };
        let extra = Extra { labels: shared.labels, id, pid: &self.pid };
        let files = self.shown().map(|file| match self.owes.all {
            true => (file, Offer::All),
            false => (file, Offer::Changed(&file.values)),
        });
        let files: Vec<_> = files.collect();
        let now = shared.tools.clock.elapsed();
        match push_files(&files, &meta, &extra, shared) {
            Ok(Pushed { outcome, .. }) if outcome.journal_full => None,
            Ok(Pushed { outcome, .. }) if outcome.is_refusal() => {
                let is_new = self.again_at.is_none();
                self.note_refusals(is_new, &outcome, id, now);
                shared.tools.count_refusals(&outcome);
                None
            }
            Ok(Pushed { outcome, left_out }) => {
                shared.tools.telemetry.samples.add(outcome.samples);
                shared.tools.count_refusals(&outcome);
                for (file, offered) in self.shown_mut().zip(&left_out) {
                    file.note_left_out(offered, shared);
                }
                Some(outcome)
            }
            Err(DecodeError { code, .. }) => {
                shared.tools.telemetry.refusals.add(code, 1);
                self.again_at = Some(now + AGAIN_AFTER);
                None
            }
        }
    }

    fn note_refusals(&mut self, is_new: bool, outcome: &Outcome, id: &str, now: Duration) {
        self.again_at = Some(now + AGAIN_AFTER);
        if let Some(first) = outcome.refused.first().filter(|_| is_new) {
            let (families, code) = (outcome.refused.len(), first.reason.code());
            tracing::warn!(id, families, code, family = first.family, "families are refused");
        }
    }
}

struct Pushed {
    outcome: Outcome,
    /// Of each file what was not taken in for a fault of single samples.
    left_out: Vec<Offered>,
}

/// What all pushes of ours say of themselves.
fn meta(id: &str) -> PushMeta<'_> {
    PushMeta { writer: Some(id), ttl: Some(ENDLESS), ..PushMeta::default() }
}

fn push_files(
    files: &[(&WorkerFile, Offer<'_>)],
    meta: &PushMeta<'_>,
    extra: &Extra<'_>,
    shared: &Shared<'_>,
) -> Result<Pushed, DecodeError> {
    let Tools { store, clock, admission, .. } = shared.tools;
    let ticket = admission.memory.ticket();
    let room = ticket.as_ref().map(|ticket| ticket as &dyn Room);
    let mut left_out = vec![Offered::default(); files.len()];
    let outcome = store.push(&PushMeta { room, ..*meta }, clock.now(), |stager| {
        for ((file, offer), left_out) in files.iter().zip(&mut left_out) {
            if let Some((layout, bytes)) = file.content(shared.buffer) {
                *left_out = layout.offer(bytes, extra, *offer, stager)?;
            }
        }
        if let Some(ticket) = &ticket {
            ticket.settle(stager.new_bytes());
        }
        Ok::<(), DecodeError>(())
    })?;
    Ok(Pushed { outcome, left_out })
}

impl Tools {
    pub(super) fn count_refusals(&self, outcome: &Outcome) {
        for refused in &outcome.refused {
            self.telemetry.refusals.add(refused.reason.code(), 1);
        }
    }
}
