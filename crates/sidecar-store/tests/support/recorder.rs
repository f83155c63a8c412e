//! A journal that keeps its records in memory.

use parking_lot::Mutex;
use sidecar_model::Tick;
use sidecar_store::{Journal, JournalFull, Position, Settings, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    records: Mutex<Vec<Vec<u8>>>,
    is_full: AtomicBool,
    /// How many more it takes, where a test says so.
    takes: Mutex<Option<usize>>,
}

impl Journal for Recorder {
    fn doubt(&self) {
        self.set_full(true);
    }

    fn append(&self, record: &[u8]) -> Result<Position, JournalFull> {
        let mut takes = self.takes.lock();
        if self.is_full.load(Ordering::Relaxed) || *takes == Some(0) {
            return Err(JournalFull);
        }
        *takes = takes.map(|left| left - 1);
        let mut records = self.records.lock();
        records.push(record.to_vec());
        Ok(Position(records.len() as u64))
    }
}

impl Recorder {
    /// A new store that tells it everything.
    pub(crate) fn store(settings: &Settings, now: Tick) -> (Arc<Recorder>, Store) {
        let recorder = Arc::new(Recorder::default());
        let store = Store::new(settings.clone(), now);
        store.set_journal(Arc::<Recorder>::clone(&recorder));
        store.finish_restore(settings.clone(), now).unwrap();
        (recorder, store)
    }

    #[allow(dead_code, reason = "not in every test")]
    pub(crate) fn take(&self, records: usize) {
        *self.takes.lock() = Some(records);
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// The records behind a position, each with its own.
    pub(crate) fn behind(&self, position: Position) -> Vec<(Position, Vec<u8>)> {
        let records = self.records.lock();
        let numbered = (1..).map(Position).zip(records.iter().cloned());
        numbered.filter(|(at, _)| *at > position).collect()
    }

    /// A store that was at `position`, brought up to here.
    pub(crate) fn replay(&self, store: &Store, position: Position) {
        for (at, record) in self.behind(position) {
            store.replay(at, &record).unwrap_or_else(|error| panic!("{at:?}: {error} {record:?}"));
        }
    }
}

pub(crate) fn snapshot(store: &Store, now: Tick) -> (Vec<u8>, Position) {
    let mut bytes = Vec::new();
    let position = store.snapshot(now, &mut |piece| bytes.extend_from_slice(piece));
    (bytes, position)
}
