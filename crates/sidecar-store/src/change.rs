//! Changes of the state in the order of their records. What touches the catalog is alone; pushes of
//! known shapes go on beside each other, each recorded while its instance is locked.

use crate::catalog::Catalog;
use crate::journal::{Journal, JournalFull, Position};
use crate::outcome::PushMeta;
use crate::stager::Stager;
use crate::store::Store;
use crate::stored::Writer;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The journal that a store tells of its changes, once it has one.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    journal: OnceLock<Arc<dyn Journal>>,
    /// Held for reading by pushes of known shapes, for writing by everything else. A change of the
    /// catalog visits instances one after the other: a push that came to one of them in between would
    /// be recorded behind a change that it was before. Not used without a journal.
    order: RwLock<()>,
    /// The latest record.
    latest: AtomicU64,
}

/// The catalog, locked for a change that is recorded.
pub(crate) struct Change<'s> {
    store: &'s Store,
    /// The latest record when it began.
    before: u64,
    catalog: RwLockWriteGuard<'s, Catalog>,
    _alone: Option<RwLockWriteGuard<'s, ()>>,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // What was told is not what was done.
        if std::thread::panicking() && self.store.told() != self.before {
            self.store.doubt();
        }
    }
}

impl Deref for Change<'_> {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }
}

impl Store {
    /// From now on every change is told to the journal before it is made. Behind
    /// [`Store::restore`] and [`Store::replay`], before [`Store::finish_restore`].
    pub fn set_journal(&self, journal: Arc<dyn Journal>) {
        self.recording.journal.get_or_init(|| journal);
    }

    pub(crate) fn change(&self) -> Change<'_> {
        let catalog = self.catalog.write();
        let alone = self.recording.journal.get().map(|_| self.recording.order.write());
        Change { store: self, before: self.told(), catalog, _alone: alone }
    }

    fn told(&self) -> u64 {
        self.recording.latest.load(Ordering::Relaxed)
    }

    /// The state is no longer what the records say.
    pub(crate) fn doubt(&self) {
        if let Some(journal) = self.recording.journal.get() {
            journal.doubt();
        }
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.recording.journal.get().is_some()
    }

    /// Whether what is staged would wait for others if it were committed now: a push of a known shape for a
    /// change that is being recorded, any other for whoever has the catalog.
    pub fn is_busy_for(&self, stager: &Stager<'_>, meta: &PushMeta<'_>) -> bool {
        let is_usual = match stager.known_writer(meta).map(|writer| writer.body.try_lock()) {
            Some(Some(body)) => self.is_usual(stager, meta, &body),
            Some(None) => return true,
            None => false,
        };
        match is_usual {
            true => self.is_recorded() && self.recording.order.is_locked_exclusive(),
            false => self.catalog.is_locked(),
        }
    }

    /// For a push of a known shape, before it locks its instance.
    pub(crate) fn beside_others(&self) -> Option<RwLockReadGuard<'_, ()>> {
        self.recording.journal.get().map(|_| self.recording.order.read())
    }

    /// Records what is about to be changed: with the catalog locked by [`Store::change`], or the one
    /// instance locked behind [`Store::beside_others`].
    pub(crate) fn record(
        &self,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<Position, JournalFull> {
        let Some(journal) = self.recording.journal.get() else { return Ok(Position::default()) };
        let mut out = Writer::new();
        write(&mut out);
        let position = journal.append(out.as_bytes())?;
        self.note_recorded(position);
        Ok(position)
    }

    pub(crate) fn note_recorded(&self, position: Position) {
        self.recording.latest.fetch_max(position.0, Ordering::Relaxed);
    }

    /// The latest record. All up to it is in the state; with the catalog locked for reading, no more
    /// comes behind it but pushes of known shapes.
    pub(crate) fn recorded(&self) -> Position {
        // Whoever has recorded a push has applied it, too, when the order is let go.
        let _alone = self.recording.order.write();
        Position(self.told())
    }
}
