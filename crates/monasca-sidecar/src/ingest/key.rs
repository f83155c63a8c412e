//! An `Idempotency-Key` while its body is being applied.

use crate::http::Problem;
use sidecar_model::Tick;
use sidecar_store::{KeyState, Outcome, Room, Store};

/// A key that is in flight; unless finished it is freed, on whichever way out.
#[derive(Debug)]
pub(super) struct Key<'a> {
    store: &'a Store,
    /// `None`: finished.
    key: Option<&'a str>,
}

#[derive(Debug)]
pub(super) enum Begun<'a> {
    Now(Key<'a>),
    /// What the same body was answered the first time.
    Before(Outcome),
}

impl<'a> Key<'a> {
    pub(super) fn begin(
        store: &'a Store,
        key: &'a str,
        body: &[u8],
        now: Tick,
        room: Option<&dyn Room>,
    ) -> Result<Begun<'a>, Problem> {
        match store.begin_key(key, store.hash(body), now, room) {
            KeyState::Fresh => Ok(Begun::Now(Key { store, key: Some(key) })),
            KeyState::Done(outcome) => Ok(Begun::Before(outcome)),
            KeyState::InFlight => Err(Problem::KeyInFlight),
            KeyState::OtherBody => Err(Problem::KeyReused),
            KeyState::TooMany => Err(Problem::TooManyKeys),
            KeyState::OutOfMemory => Err(Problem::MemoryLimit),
        }
    }

    /// Remembers what is answered.
    pub(super) fn finish(mut self, outcome: &Outcome, now: Tick) {
        if let Some(key) = self.key.take() {
            self.store.finish_key(key, outcome, now);
        }
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.store.release_key(key);
        }
    }
}
