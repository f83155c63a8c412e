//! An `Idempotency-Key` while its body is being applied.

use crate::http::Problem;
use sidecar_model::Tick;
use sidecar_store::{KeyState, Outcome, PushKey, Room, Store};

/// A key that is in flight; unless its push was applied it is freed, on whichever way out.
#[derive(Debug)]
pub(super) struct Key<'a> {
    store: &'a Store,
    key: &'a str,
    /// A hash of the body.
    body: u64,
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
        let body = store.hash(body);
        match store.begin_key(key, body, now, room) {
            KeyState::Fresh => Ok(Begun::Now(Key { store, key, body })),
            KeyState::Done(outcome) => Ok(Begun::Before(outcome)),
            KeyState::InFlight => Err(Problem::KeyInFlight),
            KeyState::OtherBody => Err(Problem::KeyReused),
            KeyState::TooMany => Err(Problem::TooManyKeys),
            KeyState::OutOfMemory => Err(Problem::MemoryLimit),
        }
    }

    /// What the push is to say of it.
    pub(super) fn of_push(&self) -> PushKey<'_> {
        PushKey { key: self.key, body: self.body }
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        self.store.release_key(self.key);
    }
}
