//! An instance that begins with the series of another one, without values: its first push is one of a
//! known shape then, and the two share what they remember of it.
//!
//! For writers of which it is known that they have the same series, as the workers of one application
//! mostly have.

use crate::catalog::Catalog;
use crate::group::GroupState;
use crate::instance::{Body, Held, Instance, Kind, Past, State, WriterRole, from_tenths, tenths};
use crate::journal::JournalFull;
use crate::record::Record;
use crate::settings::{Settings, UnknownPast};
use crate::stager::{Grant, Room};
use crate::store::Store;
use crate::stored::stored_choice;
use sidecar_model::{ABSENT, Tick};
use std::sync::Arc;

/// What one series takes.
const POSITION_BYTES: usize = 64;

/// Which series of the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Everything,
    /// Counters, histograms and summaries.
    Totals,
}

stored_choice!(Share { Everything = 0, Totals = 1 });

#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    pub id: &'a str,
    /// A live instance.
    pub like: &'a str,
    pub share: Share,
    /// Whom to ask for the memory.
    pub room: Option<&'a dyn Room>,
}

impl Store {
    /// Makes a live instance of this id that has the series of another one. False: there is none, it is
    /// known already, or that needs a decision that only its push can bring about; push as if this had
    /// not been asked for.
    pub fn begin_like(&self, begin: &Begin<'_>, now: Tick) -> Result<bool, JournalFull> {
        let now = from_tenths(tenths(now));
        let settings = self.settings();
        let mut catalog = self.change();
        let Some(like) = self.model(&catalog, begin, &settings) else { return Ok(false) };
        let number = self.next_sequence();
        let record = Record::Begin {
            id: begin.id.into(),
            like: begin.like.into(),
            share: begin.share,
            number,
        };
        self.tell(&record, now)?;
        self.begin(&mut catalog, &like, begin, (number, now));
        Ok(true)
    }

    /// `number` and `now` as they were recorded.
    pub(crate) fn begin_again(&self, begin: &Begin<'_>, (number, now): (u64, Tick)) -> bool {
        let mut catalog = self.change();
        let Some(like) = self.model(&catalog, begin, &self.settings()) else { return false };
        self.begin(&mut catalog, &like, begin, (number, now));
        true
    }

    /// The other instance, if its like can begin now.
    fn model(
        &self,
        catalog: &Catalog,
        begin: &Begin<'_>,
        settings: &Settings,
    ) -> Option<Arc<Instance>> {
        let is_known =
            self.find_instance(begin.id).is_some() || catalog.forgotten.contains_key(begin.id);
        let by_rule = settings.rules.iter().any(|rule| rule.unknown_past.is_some());
        if is_known || begin.id.is_empty() || by_rule || settings.unknown_past != UnknownPast::Full
        {
            return None;
        }
        let like = self.find_instance(begin.like)?;
        let body = like.body.lock();
        let is_plain = like.role == WriterRole::Identified
            && body.state == State::Live
            && body.key.is_none()
            && body.start_time.is_none()
            && body.groups.iter().all(|group| group.state == GroupState::Live)
            && body.targets.iter().all(|target| target.kind() != Kind::Created)
            && body.held.iter().all(|held| catalog.families.contains_key(&held.family));
        let fits = is_plain && has_room(catalog, &body, settings);
        let bytes = body.positions() * POSITION_BYTES;
        drop(body);
        let is_granted = begin.room.is_none_or(|room| room.hold(bytes) == Grant::Everything);
        (fits && is_granted).then_some(like)
    }

    fn begin(
        &self,
        catalog: &mut Catalog,
        like: &Instance,
        begin: &Begin<'_>,
        (number, now): (u64, Tick),
    ) {
        let model = like.body.lock();
        let positions = model.positions();
        let job = model.job.as_ref().map_or("", |job| &*job.name);
        let mut body = Body {
            state: State::Live,
            heard: now,
            arrival: number,
            applied: number,
            slot: Some(catalog.take_slot()),
            job: Some(catalog.jobs.arrive(job, &self.settings())),
            past: Past::AsSet,
            shape: Arc::clone(&model.shape),
            values: vec![ABSENT; positions],
            changed: vec![0; positions],
            written: vec![0; positions],
            targets: model.targets.clone(),
            groups: model.groups.clone(),
            group_of: model.group_of.clone(),
            held: model.held.iter().map(|held| self.hold_like(catalog, held)).collect(),
            ..Body::default()
        };
        drop(model);
        count_in(catalog, &body);
        if begin.share == Share::Totals {
            body.compact(catalog, WriterRole::Identified, |body, at| !body.is_cumulative_at(at));
        }
        body.settle_windows(catalog, 0);
        catalog.live_instances += 1;
        let instance = Instance::stored(begin.id.into(), WriterRole::Identified, 0, body);
        self.register(&Arc::new(instance));
    }

    /// One more holds the family, and wishes what the other does.
    fn hold_like(&self, catalog: &mut Catalog, held: &Held) -> Held {
        let wish = held.wish.map(|(_, function)| (catalog.number_wish(), function));
        let Some(family) = catalog.families.get_mut(&held.family) else {
            return Held { family: held.family, wish: None };
        };
        family.holders += 1;
        if let Some((number, function)) = wish {
            let before = family.function();
            if !family.wishes.is_empty() && before != function {
                self.counters.aggregation_conflicts.add(1);
            }
            family.wishes.insert(number, function);
            if family.function() != before {
                catalog.touch(held.family);
            }
        }
        Held { family: held.family, wish }
    }
}

/// Whether another instance like this one is within every limit.
fn has_room(catalog: &Catalog, body: &Body, settings: &Settings) -> bool {
    let limits = &settings.limits;
    let contributions = usize::try_from(catalog.contributions).unwrap_or(usize::MAX);
    let job = body.job.as_ref().map_or("", |job| &*job.name);
    catalog.live_instances < limits.instances as u64
        && body.positions() <= limits.series_per_instance
        && body.positions() <= limits.series.saturating_sub(contributions)
        && !settings.limits_series_of_jobs()
        && !catalog.jobs.is_full(job, settings)
}

fn count_in(catalog: &mut Catalog, body: &Body) {
    for target in &body.targets {
        if matches!(target.kind(), Kind::Gauge | Kind::Cumulative) {
            catalog.count(target.index(), 1);
            catalog.add_ref(target.index(), WriterRole::Identified);
        }
    }
    for group in &body.groups {
        catalog.count(group.series, group.len() as u64);
        catalog.add_ref(group.series, WriterRole::Identified);
    }
}
