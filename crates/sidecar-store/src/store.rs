//! The store's door: who locks what, in which order. The catalog's lock comes before any
//! instance's; one instance is locked at a time; none is held while decoding or encoding.

use crate::apply::{Apply, Commit};
use crate::catalog::Catalog;
use crate::collect::Collector;
use crate::counters::Counters;
use crate::facts::Facts;
use crate::faults::{self, Step};
use crate::grouping::{GroupKey, Grouping};
use crate::instance::{Instance, Stamp, State, WriterRole, duration_tenths, from_tenths, tenths};
use crate::keys::Keys;
use crate::maps::{Map, Seed, Set};
use crate::outcome::{KeyState, Outcome, PushMeta, Replaces};
use crate::settings::Settings;
use crate::shape::StepRef;
use crate::stager::{Room, Stager};
use crate::upkeep::Round;
use parking_lot::{Mutex, RwLock};
use sidecar_model::Tick;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
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
    sequence: AtomicU64,
    /// The catalog's count of it.
    windows_changed: Arc<AtomicU64>,
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
        let mut catalog = self.catalog.write();
        Apply::run(self, &mut catalog, stager, meta, now)
    }

    /// The common push: one live instance, a shape it had before, nothing unusual. `None`: it
    /// needs the catalog.
    fn commit_known(
        &self,
        stager: &mut Stager<'_>,
        meta: &PushMeta<'_>,
        now: Tick,
    ) -> Option<Outcome> {
        if !stager.repeats_known_shape() || meta.is_final {
            return None;
        }
        let primary = stager.primary.as_mut()?;
        let instance = primary.instance.as_ref()?;
        if !matches!(instance.role, WriterRole::Identified | WriterRole::Group) {
            return None;
        }
        let mut body = instance.body.lock();
        let usual = body.state == State::Live
            && body.generation == primary.generation
            && body.watch.is_quiet()
            && body.peaks_are_idle()
            && body.windows.is_settled(self.windows_changed.load(Ordering::Acquire))
            && (meta.replaces == Replaces::Nothing || stager.known.len() == body.positions());
        if !usual {
            return None;
        }
        match (&mut body.sequence, meta.sequence) {
            (Some((epoch, n)), Some(pushed)) if **epoch == *pushed.epoch => {
                if pushed.n <= *n {
                    self.counters.late_pushes.add(1);
                    return Some(Outcome { late: true, ..Outcome::default() });
                }
            }
            (_, None) => {}
            (Some(_) | None, Some(_)) => return None,
        }
        if meta.ttl.is_some() && body.ttls.is_empty() {
            body.ttls = vec![0; body.positions()];
        }
        let ttl = meta.ttl.map_or(0, duration_tenths);
        let stamp = Stamp { sequence: 0, written: tenths(now), ttl };
        let mut number = 0;
        let applied = body.apply_known(&stager.known, stamp, || {
            number = self.next_sequence();
            number
        })?;
        body.note_known_exemplars(&stager.exemplars, &stager.known, number);
        if let (Some((_, n)), Some(pushed)) = (&mut body.sequence, meta.sequence) {
            *n = pushed.n;
        }
        body.heard = body.heard.max(now);
        body.ttl = meta.ttl;
        body.note_times(meta.times);
        if let Some(ttl) = meta.ttl {
            body.gauge_due = body.gauge_due.min(now.after(ttl));
        }
        if !stager.links.is_empty() {
            primary.shape = Arc::default();
            body.learn_order(&stager.links);
        }
        drop(body);
        self.counters.non_finite_sums.add(applied.non_finite_sums);
        Some(Outcome { samples: stager.known.len() as u64, ..Outcome::default() })
    }

    /// Forgets everything, ids too.
    pub fn clear(&self, _now: Tick) {
        let mut catalog = self.catalog.write();
        self.clear_all(&mut catalog);
        self.keys.lock().clear();
    }

    /// Goodbye of an instance: gauges go, what it counted stays. False: nobody of that id.
    pub fn depart(&self, id: &str, now: Tick) -> bool {
        let mut catalog = self.catalog.write();
        let Some(instance) = self.find_instance(id) else { return false };
        self.depart_instance(&mut catalog, &instance, now);
        true
    }

    /// Whether the key names no instance.
    pub fn is_plain_group(&self, key: &GroupKey) -> bool {
        Grouping::new(key, &self.settings()).is_plain
    }

    /// Goodbye of a group. A plain one is gone with all it had; one with an id departs as an
    /// instance does, and with `erase` takes its share along. Both where settings made one the other.
    /// False: no such group.
    pub fn delete_group(&self, key: &GroupKey, erase: bool, now: Tick) -> bool {
        let mut catalog = self.catalog.write();
        let text = key.text();
        let plain = self.find_group(&text);
        if let Some(group) = &plain {
            self.remove_group(&mut catalog, group, now);
        }
        let of_key = |instance: &Arc<Instance>| instance.body.lock().key.is_some();
        let Some(instance) = self.find_instance(&text).filter(of_key) else {
            return plain.is_some();
        };
        if erase {
            self.erase_instance(&mut catalog, &instance, now);
        } else {
            self.depart_instance(&mut catalog, &instance, now);
        }
        true
    }

    /// Goodbye of every group whose key has all labels of `key`. How many there were.
    pub fn delete_groups_below(&self, key: &GroupKey, erase: bool, now: Tick) -> usize {
        let below: BTreeSet<GroupKey> = self
            .all_instances()
            .iter()
            .filter_map(|instance| instance.body.lock().key.clone())
            .filter(|other| key.labels().iter().all(|label| other.labels().contains(label)))
            .collect();
        below.iter().filter(|key| self.delete_group(key, erase, now)).count()
    }

    /// Goodbye of an instance, and the series it counted in restart at zero. False: nobody of
    /// that id whose values are remembered.
    pub fn erase(&self, id: &str, now: Tick) -> bool {
        let mut catalog = self.catalog.write();
        let Some(instance) = self.find_instance(id) else { return false };
        self.erase_instance(&mut catalog, &instance, now);
        true
    }

    /// Other settings from now on: everything is merged anew, no contribution changes.
    pub fn reload(&self, settings: Settings, now: Tick) {
        let mut catalog = self.catalog.write();
        *self.settings.write() = Arc::new(settings);
        self.reload_all(&mut catalog, now);
    }

    // ---- idempotency

    /// `key`: scope and key; `body`: a hash of the body.
    pub fn begin_key(&self, key: &str, body: u64, now: Tick, room: Option<&dyn Room>) -> KeyState {
        let limit = self.settings().limits.idempotency_keys;
        self.keys.lock().begin(key, body, now, (limit, room))
    }

    pub fn finish_key(&self, key: &str, outcome: &Outcome, now: Tick) {
        self.keys.lock().finish(key, outcome, now);
    }

    pub fn release_key(&self, key: &str) {
        self.keys.lock().release(key);
    }

    /// Hash of bytes under the store's seed.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(bytes);
        hasher.finish()
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

    /// Plain groups too.
    pub(crate) fn all_instances(&self) -> Vec<Arc<Instance>> {
        let mut all: Vec<_> = self.instances.read().values().cloned().collect();
        all.extend(self.groups.read().values().cloned());
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
