use crate::{
    FamilyView, InstanceView, KeyState, Outcome, PushMeta, Selector, SeriesView, Settings, Stager,
    Stats,
};
use sidecar_model::{Exposition, Tick};

#[derive(Debug)]
pub struct Store {}

impl Store {
    pub fn new(_settings: Settings, _now: Tick) -> Store { Store {} }
    /// Decodes and applies one body. `decode` may be called more than once.
    pub fn push<E>(&self, _meta: &PushMeta<'_>, _now: Tick, mut decode: impl FnMut(&mut Stager) -> Result<(), E>) -> Result<Outcome, E> {
        decode(&mut Stager {})?;
        Ok(Outcome::default())
    }
    /// `key`: scope and key; `body`: a hash of the body.
    pub fn begin_key(&self, _key: &str, _body: u64, _now: Tick) -> KeyState { KeyState::Fresh }
    pub fn finish_key(&self, _key: &str, _outcome: &Outcome, _now: Tick) {}
    pub fn release_key(&self, _key: &str) {}
    pub fn collect(&self, _now: Tick) -> Exposition { Exposition::default() }
    /// Decay, departures, forgetting; call it about every second. Bounded work; true: more is due.
    pub fn upkeep(&self, _now: Tick) -> bool { false }
    pub fn clear(&self, _now: Tick) {}
    /// Goodbye of an instance; false: unknown. `erase`: its share goes too.
    pub fn depart(&self, _id: &str, _now: Tick) -> bool { false }
    pub fn erase(&self, _id: &str, _now: Tick) -> bool { false }
    pub fn reload(&self, _settings: Settings, _now: Tick) {}
    pub fn families(&self, _now: Tick) -> Vec<FamilyView> { vec![] }
    pub fn instances(&self, _now: Tick) -> Vec<InstanceView> { vec![] }
    pub fn series(&self, _selectors: &[Selector], _limit: usize, _now: Tick) -> Vec<SeriesView> { vec![] }
    pub fn stats(&self) -> Stats { Stats::default() }
    /// Hash of bytes under the store's seed (for idempotency bodies).
    pub fn hash(&self, _bytes: &[u8]) -> u64 { 0 }
}
