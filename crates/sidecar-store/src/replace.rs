//! What a push replaces: of what its writer had before, the part that it leaves out.

use crate::apply::Apply;
use crate::draft::FamilyDraft;
use crate::instance::{Body, Instance, Kind, WriterRole};
use crate::outcome::{PushTimes, Replaces};
use crate::place::Writes;
use crate::upkeep::{mark_written, release_unused};

impl Apply<'_> {
    /// By position: what the push had to have to keep it stays out. Of an instance only gauges go, its
    /// cumulative values being a part of the totals. `None`: nothing is replaced.
    pub(crate) fn kept(
        &self,
        instance: &Instance,
        body: &Body,
        writes: &Writes,
        families: &[Option<u32>],
    ) -> Option<Vec<bool>> {
        if instance.role == WriterRole::Accumulator {
            // Deltas beside a group's samples are nobody's.
            return None;
        }
        let mut kept = match self.meta.replaces {
            Replaces::Nothing => return None,
            Replaces::SameFamilies | Replaces::Everything => written(body, writes),
        };
        if self.meta.replaces == Replaces::SameFamilies {
            let mut replaced: Vec<u32> = families.iter().flatten().copied().collect();
            replaced.extend(self.families_of(body, &kept));
            replaced.sort_unstable();
            self.keep_others(body, &replaced, &mut kept);
        }
        if instance.role == WriterRole::Identified {
            for (at, kept) in kept.iter_mut().enumerate() {
                *kept |= body.is_cumulative_at(at);
            }
        }
        Some(kept)
    }

    /// What a group does not keep anything of it no longer holds: who comes behind it in the same
    /// push may have the name.
    pub(crate) fn let_go(
        &mut self,
        instance: &Instance,
        body: &mut Body,
        kept: &[bool],
        families: &[Option<u32>],
    ) {
        if instance.role == WriterRole::Group {
            let had = body.held.clone();
            release_unused(self.catalog, body, self.now, families, |at| {
                kept.get(at).copied().unwrap_or(true)
            });
            self.undo_of(|undo, _| undo.note_let_go(had));
        }
    }

    /// Behind the write: what is not kept goes.
    pub(crate) fn replace(&mut self, instance: &Instance, body: &mut Body, kept: &[bool]) {
        if kept.contains(&false) {
            mark_written(self.catalog, instance.role, body, self.now);
            body.compact(self.catalog, instance.role, |_, at| {
                !kept.get(at).copied().unwrap_or(true)
            });
        }
    }

    /// Behind the write: of families that deltas replace whole, what the push has not goes.
    pub(crate) fn clear_families(
        &mut self,
        instance: &Instance,
        body: &mut Body,
        writes: &Writes,
        drafts: &[FamilyDraft],
        families: &[Option<u32>],
    ) {
        let replaced = drafts.iter().zip(families).filter(|(family, _)| family.replaced);
        let mut replaced: Vec<u32> = replaced.filter_map(|(_, id)| *id).collect();
        if replaced.is_empty() {
            return;
        }
        replaced.sort_unstable();
        let mut kept = written(body, writes);
        self.keep_others(body, &replaced, &mut kept);
        body.compact(self.catalog, instance.role, |_, at| !kept[at]);
    }

    /// Families of which something is kept.
    fn families_of(&self, body: &Body, kept: &[bool]) -> Vec<u32> {
        let positions = (0..body.positions()).filter(|at| kept[*at]);
        let of = |at: usize| {
            let position = u32::try_from(at).unwrap_or(u32::MAX);
            crate::draft::family_of_position(self.catalog, body, position)
        };
        positions.filter_map(of).collect()
    }

    /// Keeps all positions of families that are not among `replaced`.
    fn keep_others(&self, body: &Body, replaced: &[u32], kept: &mut [bool]) {
        for (at, kept) in kept.iter_mut().enumerate() {
            let position = u32::try_from(at).unwrap_or(u32::MAX);
            let family = crate::draft::family_of_position(self.catalog, body, position);
            *kept |= family.is_none_or(|id| replaced.binary_search(&id).is_err());
        }
    }
}

/// By position: the push wrote it, or the value that it dates.
fn written(body: &Body, writes: &Writes) -> Vec<bool> {
    let mut written = vec![false; body.positions()];
    for (position, _) in &writes.scalars {
        if let Some(written) = written.get_mut(*position as usize) {
            *written = true;
        }
    }
    for write in &writes.groups {
        let range = body.groups[write.group as usize].range();
        written[range].fill(true);
    }
    for at in 0..written.len() {
        if body.targets[at].kind() == Kind::Created {
            written[at] |= written[body.targets[at].index() as usize];
        }
    }
    written
}

impl Body {
    pub(crate) fn note_times(&mut self, times: Option<PushTimes>) {
        match times {
            None => {}
            Some(PushTimes::Done(at)) => self.times.0 = at,
            Some(PushTimes::Failed(at)) => self.times.1 = at,
        }
    }

    /// Nothing has to be kept at a maximum.
    pub(crate) fn peaks_are_idle(&self) -> bool {
        self.peaks.is_empty()
    }
}
