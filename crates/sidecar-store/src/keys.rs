//! Idempotency keys: which pushes are being applied, and what was answered to those that were.

use crate::maps::{Map, Seed};
use crate::outcome::{KeyState, Outcome};
use crate::stager::{Grant, Room};
use crate::stored::{Corrupt, Reader, Writer, stored};
use sidecar_model::Tick;
use std::time::Duration;

/// What a key takes, with the outcome that it remembers.
const KEY_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct Keys {
    known: Map<Box<str>, Key>,
}

#[derive(Debug)]
struct Key {
    body: u64,
    since: Tick,
    /// `None`: in flight.
    outcome: Option<Outcome>,
}

stored!(Key { body, since, outcome });

impl Keys {
    pub(crate) fn new(seed: Seed) -> Keys {
        Keys { known: Map::with_hasher(seed) }
    }

    pub(crate) fn begin(
        &mut self,
        key: &str,
        body: u64,
        now: Tick,
        (limit, room): (usize, Option<&dyn Room>),
    ) -> KeyState {
        if let Some(known) = self.known.get(key) {
            return match &known.outcome {
                _ if known.body != body => KeyState::OtherBody,
                Some(outcome) => KeyState::Done(outcome.clone()),
                None => KeyState::InFlight,
            };
        }
        if self.known.len() >= limit {
            return KeyState::TooMany;
        }
        if room.is_some_and(|room| room.hold(KEY_BYTES + key.len()) != Grant::Everything) {
            return KeyState::OutOfMemory;
        }
        self.known.insert(key.into(), Key { body, since: now, outcome: None });
        KeyState::Fresh
    }

    pub(crate) fn finish(&mut self, key: &str, body: u64, outcome: &Outcome, now: Tick) {
        let answered = Key { body, since: now, outcome: Some(outcome.clone()) };
        self.known.insert(key.into(), answered);
    }

    /// Nothing was applied; of an answered key nothing changes.
    pub(crate) fn release(&mut self, key: &str) {
        if self.known.get(key).is_some_and(|known| known.outcome.is_none()) {
            self.known.remove(key);
        }
    }

    /// Those that were answered: what is in flight ends with its process.
    pub(crate) fn put(&self, out: &mut Writer<'_>) {
        out.sorted(self.known.iter().filter(|(_, key)| key.outcome.is_some()));
    }

    pub(crate) fn take(from: &mut Reader<'_>, seed: Seed) -> Result<Keys, Corrupt> {
        let mut keys = Keys::new(seed);
        keys.known.extend(from.sorted::<Box<str>, Key>()?);
        if keys.known.values().all(|key| key.outcome.is_some()) {
            Ok(keys)
        } else {
            Err(Corrupt("a key in flight"))
        }
    }

    /// Forgets answered keys of pushes that are `window` ago.
    pub(crate) fn expire(&mut self, now: Tick, window: Duration) {
        self.known.retain(|_, key| key.outcome.is_none() || now.since(key.since) < window);
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn clear(&mut self) {
        self.known.retain(|_, key| key.outcome.is_none());
    }
}
