//! The store's door: who locks what, in which order. The catalog's lock comes before any
//! instance's; one instance is locked at a time; none is held while decoding or encoding.

use crate::apply::{Apply, Commit, Place};
use crate::catalog::Catalog;
use crate::change::Recording;
use crate::collect::Collector;
use crate::counters::Counters;
use crate::exemplars::of_known;
use crate::facts::Facts;
use crate::faults::{self, Step};
use crate::grouping::{GroupKey, Grouping};
use crate::hash::stable_hash;
use crate::instance::{Body, Instance, State, WriterRole, from_tenths, tenths};
use crate::journal::JournalFull;
use crate::keys::Keys;
use crate::maps::{Map, Seed, Set};
use crate::outcome::{KeyState, Outcome, PushMeta, Replaces};
use crate::record::{KnownPush, Record, Replay};
use crate::settings::Settings;
use crate::shape::StepRef;
use crate::stager::{Room, Stager};
use crate::stored::Writer;
use crate::upkeep::Round;
use parking_lot::{Mutex, RwLock};
use sidecar_model::Tick;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Decoding again this often means that positions keep moving; then nothing remembered is used.
const DECODES_WITH_MEMORY: u32 = 2;

/// All state of one application.
#[derive(Debug)]
pub struct Store {
    seed: Seed,
    settings: RwLock<Arc<Settings>>,
    pub(crate) catalog: RwLock<Catalog>,
    instances: RwLock<Map<Box<str>, Arc<Instance>>>,
    /// Plain groups, by the text of their key.
    groups: RwLock<Map<Box<str>, Arc<Instance>>>,
    pub(crate) accumulator: Arc<Instance>,
    pub(crate) sequence: AtomicU64,
    /// The last number that an instance was given.
    pub(crate) numbers: AtomicU64,
    /// The catalog's count of it.
    pub(crate) windows_changed: Arc<AtomicU64>,
    pub(crate) recording: Recording,
    /// While what was is read back.
    pub(crate) replay: Mutex<Option<Replay>>,
    facts: Mutex<Set<Arc<Facts>>>,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) collector: Mutex<Collector>,
    pub(crate) round: Mutex<Round>,
    pub(crate) counters: Counters,
}

impl Store {
    pub fn new(settings: Settings, _now: Tick) -> Store {
        let seed = Seed::default();
        let catalog = Catalog::new(seed.clone());
        Store {
            windows_changed: Arc::clone(&catalog.windowing.changes),
            settings: RwLock::new(Arc::new(settings)),
            catalog: RwLock::new(catalog),
            instances: RwLock::new(Map::with_hasher(seed.clone())),
            groups: RwLock::new(Map::with_hasher(seed.clone())),
            accumulator: Arc::new(Instance::new("", WriterRole::Accumulator)),
            sequence: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            recording: Recording::default(),
            replay: Mutex::default(),
            facts: Mutex::new(Set::with_hasher(seed.clone())),
            keys: Mutex::new(Keys::new(seed.clone())),
            collector: Mutex::default(),
            round: Mutex::default(),
            counters: Counters::default(),
            seed,
        }
    }

    /// Decodes one body and applies it. `decode` offers the body's families to the stager; it is
    /// called again when somebody else moved what it was resolved against, so it must be pure.
    /// Its error is handed through with nothing applied.
    pub fn push<E>(
        &self,
        meta: &PushMeta<'_>,
        now: Tick,
        mut decode: impl FnMut(&mut Stager<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let now = from_tenths(tenths(now));
        let mut decodes = 0;
        loop {
            let mut stager = Stager::new(self, meta, decodes >= DECODES_WITH_MEMORY);
            decode(&mut stager)?;
            // Its names and labels fit every limit but one that refuses everything.
            stager.add_push_times().unwrap_or_default();
            decodes += 1;
            faults::reach(Step::Decoded);
            if let Commit::Done(outcome) = self.commit(stager, meta, now) {
                return Ok(outcome);
            }
        }
    }

    fn commit(&self, mut stager: Stager<'_>, meta: &PushMeta<'_>, now: Tick) -> Commit {
        if let Some(outcome) = self.commit_known(&mut stager, meta, now) {
            return Commit::Done(outcome);
        }
        let mut catalog = self.change();
        Apply::run(self, &mut catalog, stager, meta, now, Place::Next)
    }

    /// The common push: one live instance, a shape it had before, nothing unusual. `None`: it
    /// needs the catalog.
    fn commit_known(
        &self,
        stager: &mut Stager<'_>,
        meta: &PushMeta<'_>,
        now: Tick,
    ) -> Option<Outcome> {
        let instance = Arc::clone(stager.known_writer(meta)?);
        let _beside_others = self.beside_others();
        let mut body = instance.body.lock();
        if !self.is_usual(stager, meta, &body) {
            return None;
        }
        if let (Some((_, n)), Some(pushed)) = (&body.sequence, meta.sequence)
            && pushed.n <= *n
        {
            self.counters.late_pushes.add(1);
            return Some(Outcome { late: true, ..Outcome::default() });
        }
        let writes = body.known_writes(&stager.known)?;
        let exemplars = of_known(&stager.exemplars, &stager.known);
        let push = KnownPush {
            number: self.next_sequence(),
            written: tenths(now),
            ttl: meta.ttl,
            n: meta.sequence.map(|sequence| sequence.n),
            times: meta.times,
        };
        let record = |out: &mut Writer<'_>| {
            push.put_with(&instance, &body, &writes.values, &exemplars, out);
        };
        let Ok(recorded) = self.record(record) else {
            return Some(Outcome { journal_full: true, ..Outcome::default() });
        };
        self.take_known(&mut body, push, &writes.values);
        for (position, exemplar) in &exemplars {
            body.note_exemplar(*position, push.number, exemplar);
        }
        if let Some(primary) = stager.primary.as_mut().filter(|_| !stager.links.is_empty()) {
            primary.shape = Arc::default();
            body.learn_order(&stager.links);
        }
        drop(body);
        self.counters.non_finite_sums.add(writes.non_finite_sums);
        Some(Outcome { samples: stager.known.len() as u64, recorded, ..Outcome::default() })
    }

    /// Whether the writer of [`Stager::known_writer`] is as it was when the push was read, and nothing needs
    /// the catalog.
    pub(crate) fn is_usual(&self, stager: &Stager<'_>, meta: &PushMeta<'_>, body: &Body) -> bool {
        let is_next = match (&body.sequence, meta.sequence) {
            (_, None) => true,
            (Some((epoch, _)), Some(pushed)) => **epoch == *pushed.epoch,
            (None, Some(_)) => false,
        };
        is_next
            && body.state == State::Live
            && !body.under_way
            && stager.primary.as_ref().is_some_and(|known| known.generation == body.generation)
            && body.watch.is_quiet()
            && body.peaks_are_idle()
            && body.windows.is_settled(self.windows_changed.load(Ordering::Acquire))
            && (meta.replaces == Replaces::Nothing || stager.known.len() == body.positions())
    }

    /// The record is told, so a bug in between is no way back: what is missing is done.
    fn take_known(&self, body: &mut Body, push: KnownPush, writes: &[(u32, f64)]) {
        let mut take = || catch_unwind(AssertUnwindSafe(|| body.take_known(push, writes)));
        if take().is_err()
            && let Err(panic) = take()
        {
            self.doubt();
            resume_unwind(panic);
        }
    }

    /// Forgets everything, ids too.
    pub fn clear(&self, now: Tick) -> Result<(), JournalFull> {
        let mut catalog = self.change();
        self.tell(&Record::Clear, now)?;
        self.clear_all(&mut catalog);
        self.keys.lock().clear();
        Ok(())
    }

    /// Goodbye of an instance: gauges go, what it counted stays. False: nobody of that id.
    pub fn depart(&self, id: &str, now: Tick) -> Result<bool, JournalFull> {
        let mut catalog = self.change();
        let Some(instance) = self.find_instance(id) else { return Ok(false) };
        self.tell(&Record::Depart { id: id.into() }, now)?;
        self.depart_instance(&mut catalog, &instance, now);
        Ok(true)
    }

    /// Goodbye of an instance that cannot come back: what it counted joins the departed totals at once,
    /// so that no scrape has to run over it any more. Its id stays known. False: nobody of that id.
    pub fn retire(&self, id: &str, now: Tick) -> Result<bool, JournalFull> {
        let mut catalog = self.change();
        let Some(instance) = self.find_instance(id) else { return Ok(false) };
        self.tell(&Record::Retire { id: id.into() }, now)?;
        self.depart_instance(&mut catalog, &instance, now);
        self.fold_instance(&mut catalog, &instance, now);
        Ok(true)
    }

    /// Whether the key names no instance.
    pub fn is_plain_group(&self, key: &GroupKey) -> bool {
        Grouping::new(key, &self.settings()).is_plain
    }

    /// Goodbye of an instance, and the series it counted in restart at zero. False: nobody of
    /// that id whose values are remembered.
    pub fn erase(&self, id: &str, now: Tick) -> Result<bool, JournalFull> {
        let mut catalog = self.change();
        let Some(instance) = self.find_instance(id) else { return Ok(false) };
        self.tell(&Record::Erase { id: id.into() }, now)?;
        self.erase_instance(&mut catalog, &instance, now);
        Ok(true)
    }

    /// Other settings from now on: everything is merged anew, no contribution changes.
    pub fn reload(&self, settings: Settings, now: Tick) -> Result<(), JournalFull> {
        let mut catalog = self.change();
        let record = Record::Reload { settings };
        self.tell(&record, now)?;
        if let Record::Reload { settings } = record {
            self.set_settings(settings);
            self.reload_all(&mut catalog, now);
        }
        Ok(())
    }

    // ---- idempotency

    /// `key`: scope and key; `body`: a hash of the body.
    pub fn begin_key(&self, key: &str, body: u64, now: Tick, room: Option<&dyn Room>) -> KeyState {
        let limit = self.settings().limits.idempotency_keys;
        self.keys.lock().begin(key, body, now, (limit, room))
    }

    pub fn release_key(&self, key: &str) {
        self.keys.lock().release(key);
    }

    /// Hash of bytes, the same in every process.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        stable_hash(bytes)
    }

    // ---- for the other files of this crate

    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn find_instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.instances.read().get(id).cloned()
    }

    pub(crate) fn find_group(&self, key: &str) -> Option<Arc<Instance>> {
        self.groups.read().get(key).cloned()
    }

    /// The writer of this id, plain groups being apart from all others.
    pub(crate) fn find_writer(&self, id: &str, is_plain_group: bool) -> Option<Arc<Instance>> {
        if is_plain_group { self.find_group(id) } else { self.find_instance(id) }
    }

    fn writers(&self, role: WriterRole) -> &RwLock<Map<Box<str>, Arc<Instance>>> {
        if role == WriterRole::Group { &self.groups } else { &self.instances }
    }

    pub(crate) fn register(&self, instance: &Arc<Instance>) {
        if instance.number() == 0 {
            instance.set_number(self.numbers.fetch_add(1, Ordering::Relaxed) + 1);
        }
        if let Some(replay) = &mut *self.replay.lock() {
            replay.by_number.insert(instance.number(), Arc::clone(instance));
        }
        let writers = self.writers(instance.role);
        writers.write().insert(instance.id.clone(), Arc::clone(instance));
    }

    pub(crate) fn unregister(&self, instance: &Instance) {
        self.writers(instance.role).write().remove(&*instance.id);
    }

    pub(crate) fn unregister_all(&self) {
        self.instances.write().clear();
        self.groups.write().clear();
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        *self.settings.write() = Arc::new(settings);
    }

    /// Plain groups too, in the order in which they came: what is done to each of them must not depend
    /// on the order of a table.
    pub(crate) fn all_instances(&self) -> Vec<Arc<Instance>> {
        let mut all: Vec<_> = self.instances.read().values().cloned().collect();
        all.extend(self.groups.read().values().cloned());
        all.sort_unstable_by_key(|instance| instance.number());
        all
    }

    /// Only with the catalog locked: instances come and go under its lock.
    pub(crate) fn for_each_instance(&self, mut visit: impl FnMut(&Arc<Instance>)) {
        self.instances.read().values().for_each(&mut visit);
        self.groups.read().values().for_each(&mut visit);
    }

    /// The shared copy of a header's facts.
    pub(crate) fn intern_facts(&self, facts: &Arc<Facts>) -> Arc<Facts> {
        Arc::clone(self.facts.lock().get_or_insert_with(facts, Arc::clone))
    }

    pub(crate) fn forget_facts(&self) {
        self.facts.lock().retain(|facts| Arc::strong_count(facts) > 1);
    }
}

impl Stager<'_> {
    /// The one writer of a push that repeats what it sent before and asks for nothing more.
    pub(crate) fn known_writer(&self, meta: &PushMeta<'_>) -> Option<&Arc<Instance>> {
        let is_plain = self.repeats_known_shape() && !meta.is_final && meta.key.is_none();
        let instance = self.primary.as_ref().filter(|_| is_plain)?.instance.as_ref()?;
        matches!(instance.role, WriterRole::Identified | WriterRole::Group).then_some(instance)
    }

    /// Nothing of the body is new, and all of it is one identified writer's.
    fn repeats_known_shape(&self) -> bool {
        self.parsed.is_empty()
            && self.natives.is_empty()
            && self.writers.len() == 1
            && self.headers.iter().all(|h| !h.is_unremembered())
            && !self.links.iter().any(|(_, to)| matches!(to, StepRef::New(_)))
    }

    /// Positions moved since the body was decoded.
    pub(crate) fn has_moved(&self) -> bool {
        let Some(primary) = &self.primary else { return false };
        let Some(instance) = &primary.instance else {
            return !self.known.is_empty();
        };
        let body = instance.body.lock();
        body.state == State::Gone || body.generation != primary.generation
    }
}
