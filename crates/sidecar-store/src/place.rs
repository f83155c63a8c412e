//! Where each accepted value goes: positions that the instance has, or new ones with their series
//! in the catalog.

use crate::apply::Apply;
use crate::bounds::same_bounds;
use crate::draft::{Draft, FamilyRef, GroupDraft, scalar_kind};
use crate::group::{Group, GroupState};
use crate::instance::{Body, Instance, Kind, Target, WriterRole};
use crate::maps::Map;
use crate::outcome::Reason;
use crate::stager::Clearing;
use crate::values::GroupWrite;
use sidecar_model::Aggregation;
use std::sync::Arc;

/// The gauge whose rise tells that a process began anew.
pub(crate) const PROCESS_START: &str = "process_start_time_seconds";

/// What is to be written, and where parsed samples went.
pub(crate) struct Writes {
    pub(crate) scalars: Vec<(u32, f64)>,
    pub(crate) groups: Vec<GroupWrite>,
    /// What deltas do with what is there, by position, where they say so.
    pub(crate) clearings: Map<u32, Clearing>,
    /// Position by rank among the writer's parsed samples; `u32::MAX`: none.
    pub(crate) placed: Vec<u32>,
    /// Positions from here on are new with this push.
    pub(crate) first_new: u32,
    /// Samples that are taken but say nothing.
    pub(crate) ignored: u64,
}

impl Apply<'_> {
    /// Finds or makes a position for everything that is to be written.
    pub(crate) fn place(
        &mut self,
        (writer, instance): (u32, &Instance),
        body: &mut Body,
        draft: &Draft,
        families: &[Option<u32>],
    ) -> Writes {
        let mut writes = Writes {
            scalars: draft.known.clone(),
            groups: Vec::new(),
            clearings: Map::default(),
            placed: vec![u32::MAX; self.stager.count_parsed_of(writer)],
            first_new: u32::try_from(body.positions()).unwrap_or(u32::MAX),
            ignored: 0,
        };
        body.reserve(
            draft.scalars.len() + draft.groups.iter().map(|g| g.parts.len()).sum::<usize>(),
        );
        writes.scalars.reserve(draft.scalars.len());
        let start = draft.families.iter().position(|f| &*f.base == PROCESS_START);
        let mut last_wish: Option<(u32, Option<Aggregation>)> = None;
        for (n, scalar) in draft.scalars.iter().enumerate() {
            self.stager.sample_done(n);
            let Some(id) = families.get(scalar.family).copied().flatten() else { continue };
            let (value, wish, clearing) = {
                let sample = &self.stager.parsed[scalar.parsed];
                (sample.value, sample.wish, draft.clearing(scalar.family, sample.clearing))
            };
            if last_wish != Some((id, wish)) {
                self.wish(body, id, wish);
                last_wish = Some((id, wish));
            }
            let position = match scalar.position {
                Some(known) => known,
                None => match self.scalar_position(body, draft, scalar, id, instance.role) {
                    Some(new) => new,
                    None => continue,
                },
            };
            if Some(scalar.family) == start
                && self.stager.labels_of(&self.stager.parsed[scalar.parsed]).is_empty()
            {
                body.start_time = Some(position);
            }
            writes.placed[self.stager.rank(scalar.parsed)] = position;
            writes.scalars.push((position, value));
            // The last one counts, of what it does as of its value.
            if clearing != Clearing::ByType || !writes.clearings.is_empty() {
                writes.clearings.insert(position, clearing);
            }
        }
        for group in &draft.groups {
            let clearing = self.clearing_of(draft, group);
            self.place_group(body, &mut writes, (group, clearing), families, instance.role);
        }
        for created in &draft.created {
            let family = match created.family {
                FamilyRef::Drafted(at) => families.get(at).copied().flatten(),
                FamilyRef::Known(id) => Some(id),
            };
            self.place_created(body, &mut writes, created.parsed, family);
        }
        writes
    }

    fn scalar_position(
        &mut self,
        body: &mut Body,
        draft: &Draft,
        scalar: &crate::draft::ScalarDraft,
        id: u32,
        role: WriterRole,
    ) -> Option<u32> {
        let sample = &self.stager.parsed[scalar.parsed];
        let labels = self.stager.labels_of(sample);
        let found = scalar.series.filter(|series| self.catalog.is_of(*series, id));
        let Some(series) =
            found.or_else(|| self.catalog.intern_series(id, scalar.hash, labels, &self.settings))
        else {
            let family = draft.families[scalar.family].base.to_string();
            self.note(vec![(family, Reason::LabelConflict)]);
            return None;
        };
        let family = &draft.families[scalar.family];
        let target = Target::new(scalar_kind(family.metric_type), series);
        // The same series twice in one push has its position by now.
        if body.positions() > 0
            && let Some(known) = body.find(target)
        {
            return Some(known);
        }
        self.catalog.count(series, 1);
        self.catalog.add_ref(series, role);
        Some(body.add_position(target))
    }

    fn place_group(
        &mut self,
        body: &mut Body,
        writes: &mut Writes,
        (draft, clearing): (&GroupDraft, Clearing),
        families: &[Option<u32>],
        role: WriterRole,
    ) {
        let known = draft.group.filter(|at| {
            let group = &body.groups[*at as usize];
            group.state == GroupState::Live && same_bounds(&group.bounds, &draft.bounds)
        });
        let group = match known {
            Some(group) => group,
            None => match self.new_group(body, (draft, clearing), families, role) {
                Some(group) => group,
                None => return,
            },
        };
        let entry = &mut body.groups[group as usize];
        entry.pushed_parts = draft.pushed_parts;
        for (parsed, part) in &draft.parsed {
            writes.placed[self.stager.rank(*parsed)] = entry.first + part;
        }
        if let FamilyRef::Drafted(family) = draft.family
            && let (Some(id), Some(labels_of)) =
                (families.get(family).copied().flatten(), draft.labels_of)
        {
            let wish = self.stager.parsed[labels_of].wish;
            self.wish(body, id, wish);
        }
        let entry = &body.groups[group as usize];
        let parts = crate::bounds::spread_parts(&draft.bounds, &draft.parts, &entry.bounds);
        writes.groups.push(GroupWrite { group, parts, clearing });
    }

    /// What a histogram or summary of deltas does, in each of its samples or in one.
    fn clearing_of(&self, draft: &Draft, group: &GroupDraft) -> Clearing {
        let parsed = group.parsed.iter().map(|(at, _)| self.stager.parsed[*at].clearing);
        let own = parsed.max().unwrap_or_default();
        match group.family {
            FamilyRef::Drafted(at) => draft.clearing(at, own),
            FamilyRef::Known(_) => own,
        }
    }

    /// A group with other bounds than the instance's, or the first of its series.
    fn new_group(
        &mut self,
        body: &mut Body,
        (draft, clearing): (&GroupDraft, Clearing),
        families: &[Option<u32>],
        role: WriterRole,
    ) -> Option<u32> {
        let (family, series) = match (draft.family, draft.group) {
            (_, Some(group)) => {
                let series = body.groups[group as usize].series;
                (self.catalog.series[series as usize].family, series)
            }
            (FamilyRef::Drafted(at), None) => {
                let id = families.get(at).copied().flatten()?;
                let sample = &self.stager.parsed[draft.labels_of?];
                let labels = self.stager.labels_of(sample);
                let hash = self.catalog.hash(labels);
                let Some(series) = self.catalog.intern_series(id, hash, labels, &self.settings)
                else {
                    let family = self.catalog.families.get(&id)?.base.to_string();
                    self.note(vec![(family, Reason::LabelConflict)]);
                    return None;
                };
                (id, series)
            }
            (FamilyRef::Known(_), None) => return None,
        };
        let metric_type = self.catalog.families.get(&family)?.metric_type;
        let old = body.group_of.get(&series).copied();
        self.undo_of(|undo, catalog| undo.note_group(catalog, body, series, old));
        let replaces = clearing >= Clearing::Replace;
        let accumulates = role == WriterRole::Accumulator && !replaces;
        let mut bounds = Arc::clone(&draft.bounds);
        if let (Some(old), true) = (old, accumulates) {
            self.catalog.join_bounds(series, &bounds);
            bounds = crate::bounds::union(&body.groups[old as usize].bounds, &bounds);
            if same_bounds(&bounds, &body.groups[old as usize].bounds) {
                return Some(old);
            }
        }
        if old.is_some() && (role.shows_as_it_comes() || replaces) {
            self.catalog.forget_bounds(series);
        }
        let bounds = self.catalog.join_bounds(series, &bounds);
        let first = u32::try_from(body.positions()).unwrap_or(u32::MAX);
        let index = u32::try_from(body.groups.len()).unwrap_or(u32::MAX);
        let len = bounds.len() + 2;
        for _ in 0..len {
            body.add_position(Target::new(Kind::Part, index));
        }
        self.catalog.count(series, len as u64);
        self.catalog.add_ref(series, role);
        body.groups.push(Group {
            series,
            first,
            bounds,
            metric_type,
            pushed_parts: draft.pushed_parts,
            state: GroupState::Live,
        });
        body.group_of.insert(series, index);
        if let Some(old) = old {
            if accumulates {
                body.move_bases(old, index);
            } else if replaces {
                body.groups[old as usize].state = GroupState::Dead;
            } else {
                self.retired_groups = true;
                if role.shows_as_it_comes() && !self.catalog.has_company(series) {
                    // Shown as it comes.
                    body.groups[old as usize].state = GroupState::Dead;
                } else {
                    body.retire_group(old, (&draft.bounds, &draft.parts), self.begins_anew);
                }
            }
        }
        Some(index)
    }

    /// A creation time belongs to the value with the same labels; without one it says nothing.
    fn place_created(
        &mut self,
        body: &mut Body,
        writes: &mut Writes,
        parsed: usize,
        family: Option<u32>,
    ) {
        let sample = &self.stager.parsed[parsed];
        let value = sample.value;
        let series =
            family.and_then(|id| self.catalog.find_series(id, self.stager.labels_of(sample)));
        let dated = series.and_then(|series| {
            let scalar = body.find(Target::new(Kind::Cumulative, series));
            scalar.or_else(|| {
                body.group_of.get(&series).map(|group| body.groups[*group as usize].first)
            })
        });
        let (Some(series), Some(dated)) = (series, dated) else {
            writes.ignored += 1;
            return;
        };
        let target = Target::new(Kind::Created, dated);
        let position = body.find(target).unwrap_or_else(|| {
            self.catalog.count(series, 1);
            body.add_position(target)
        });
        writes.placed[self.stager.rank(parsed)] = position;
        writes.scalars.push((position, value));
    }
}
