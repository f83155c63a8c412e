//! Records: what is told to the journal before it is done, and doing it again from what was told.
//!
//! The store is a deterministic state machine: the same records from the same state give the same
//! state. A record says what was asked for, not what became of it, but for two: a push is kept as it
//! was staged (behind the decoder and the shape memory, both of which may differ in another
//! process), and a push of a known shape as the positions that it changed.

mod known;
mod push;

use crate::begin::{Begin, Share};
use crate::catalog::Catalog;
use crate::grouping::GroupKey;
use crate::instance::{Instance, State, WriterRole, tenths};
use crate::journal::{JournalFull, Position};
use crate::maps::Map;
use crate::outcome::Outcome;
use crate::settings::Settings;
use crate::store::Store;
use crate::stored::{Corrupt, Reader, Stored, Writer};
pub(crate) use known::KnownPush;
pub(crate) use push::put_push;
use sidecar_model::Tick;
use std::sync::Arc;

/// A push of a known shape, see `known.rs`.
const KNOWN: u8 = 1;
/// A push as it was staged, see `push.rs`.
const PUSH: u8 = 2;

/// A record that is no push.
#[derive(Debug)]
pub(crate) enum Record {
    Upkeep,
    Depart {
        id: Box<str>,
    },
    Erase {
        id: Box<str>,
    },
    DeleteGroups {
        keys: Vec<GroupKey>,
        erase: bool,
    },
    /// Series by number: what a selector matches is a function that cannot be written.
    DeleteSeries {
        series: Vec<u32>,
    },
    Clear,
    Reload {
        settings: Settings,
    },
    /// What was answered to a push with a key that changed nothing else.
    Key {
        key: Box<str>,
        body: u64,
        outcome: Outcome,
    },
    Relieve,
    Retire {
        id: Box<str>,
    },
    /// An instance begins with the series of another one.
    Begin {
        id: Box<str>,
        like: Box<str>,
        share: Share,
        /// Its place in the order of pushes.
        number: u64,
    },
    /// A process took over.
    Resume {
        settings: Settings,
    },
}

impl Record {
    fn put(&self, now: Tick, out: &mut Writer<'_>) {
        out.byte(match self {
            Record::Upkeep => 3,
            Record::Depart { .. } => 4,
            Record::Erase { .. } => 5,
            Record::DeleteGroups { .. } => 6,
            Record::DeleteSeries { .. } => 7,
            Record::Clear => 8,
            Record::Reload { .. } => 9,
            Record::Key { .. } => 10,
            Record::Resume { .. } => 11,
            Record::Relieve => 12,
            Record::Retire { .. } => 13,
            Record::Begin { .. } => 14,
        });
        now.put(out);
        match self {
            Record::Upkeep | Record::Clear | Record::Relieve => {}
            Record::Depart { id } | Record::Erase { id } | Record::Retire { id } => id.put(out),
            Record::DeleteGroups { keys, erase } => {
                keys.put(out);
                erase.put(out);
            }
            Record::Begin { id, like, share, number } => {
                id.put(out);
                like.put(out);
                share.put(out);
                number.put(out);
            }
            Record::DeleteSeries { series } => series.put(out),
            Record::Reload { settings } | Record::Resume { settings } => settings.put(out),
            Record::Key { key, body, outcome } => {
                key.put(out);
                body.put(out);
                outcome.put(out);
            }
        }
    }

    fn take(kind: u8, from: &mut Reader<'_>) -> Result<Record, Corrupt> {
        Ok(match kind {
            3 => Record::Upkeep,
            4 => Record::Depart { id: Stored::take(from)? },
            5 => Record::Erase { id: Stored::take(from)? },
            6 => Record::DeleteGroups { keys: Stored::take(from)?, erase: Stored::take(from)? },
            7 => Record::DeleteSeries { series: Stored::take(from)? },
            8 => Record::Clear,
            9 => Record::Reload { settings: Stored::take(from)? },
            10 => Record::Key {
                key: Stored::take(from)?,
                body: Stored::take(from)?,
                outcome: Stored::take(from)?,
            },
            11 => Record::Resume { settings: Stored::take(from)? },
            12 => Record::Relieve,
            13 => Record::Retire { id: Stored::take(from)? },
            14 => Record::Begin {
                id: Stored::take(from)?,
                like: Stored::take(from)?,
                share: Stored::take(from)?,
                number: Stored::take(from)?,
            },
            _ => return Err(Corrupt("a kind of record that is not known")),
        })
    }
}

/// What only a replay needs.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Registered instances.
    pub(crate) by_number: Map<u64, Arc<Instance>>,
    pub(crate) latest: Tick,
}

impl Store {
    /// Records a change that is no push; the catalog is locked by [`Store::change`].
    pub(crate) fn tell(&self, record: &Record, now: Tick) -> Result<Position, JournalFull> {
        self.record(|out| record.put(now, out))
    }

    /// Does again what the record at `position` tells of. To be called with all records behind the
    /// snapshot in their order; some of them may be in the snapshot already.
    pub fn replay(&self, position: Position, record: &[u8]) -> Result<(), Corrupt> {
        if self.is_recorded() {
            return Err(Corrupt("a replay into a store that has begun"));
        }
        let mut from = Reader::new(record);
        self.replay.lock().get_or_insert_default();
        let now = match from.byte()? {
            KNOWN => self.replay_known(&mut from)?,
            PUSH => self.replay_push(position, &mut from)?,
            kind => {
                let now = Tick::take(&mut from)?;
                let record = Record::take(kind, &mut from)?;
                from.end()?;
                self.redo(position, record, now)?;
                now
            }
        };
        self.note_recorded(position);
        if let Some(replay) = &mut *self.replay.lock() {
            replay.latest = replay.latest.max(now);
        }
        Ok(())
    }

    /// Before [`Store::finish_restore`]: the latest tick of snapshot and records. The clock of the
    /// process that takes over goes on from here, so that ages count only time in which a daemon ran.
    pub fn latest(&self) -> Tick {
        self.replay.lock().as_ref().map_or(Tick::default(), |replay| replay.latest)
    }

    /// Behind the last record: gauges are hidden until their writer is heard again, counters
    /// live with a fresh decay, and `settings` are in force.
    pub fn finish_restore(&self, settings: Settings, now: Tick) -> Result<(), JournalFull> {
        let mut catalog = self.change();
        let record = Record::Resume { settings };
        self.tell(&record, now)?;
        if let Record::Resume { settings } = record {
            self.resume(&mut catalog, settings, now);
        }
        *self.replay.lock() = None;
        Ok(())
    }

    fn redo(&self, position: Position, record: Record, now: Tick) -> Result<(), Corrupt> {
        let done = match record {
            Record::Upkeep => {
                self.upkeep(now);
                Ok(())
            }
            Record::Depart { id } => self.depart(&id, now).map(drop),
            Record::Erase { id } => self.erase(&id, now).map(drop),
            Record::Retire { id } => self.retire(&id, now).map(drop),
            Record::Begin { id, like, share, number } => {
                self.see_sequence(number)?;
                let begin = Begin { id: &id, like: &like, share, room: None };
                if !self.begin_again(&begin, (number, now)) {
                    return Err(Corrupt("a beginning like somebody who is not there"));
                }
                Ok(())
            }
            Record::DeleteGroups { keys, erase } => self.delete_groups(keys, erase, now).map(drop),
            Record::DeleteSeries { series } => {
                let mut catalog = self.change();
                if series.iter().any(|id| catalog.series.len() <= *id as usize) {
                    return Err(Corrupt("a deleted series that was not there"));
                }
                self.delete_all_of(&mut catalog, &series, now);
                Ok(())
            }
            Record::Relieve => {
                self.relieve(now);
                Ok(())
            }
            Record::Clear => self.clear(now),
            Record::Reload { settings } => self.reload(settings, now),
            Record::Key { key, body, outcome } => {
                let outcome = Outcome { recorded: position, ..outcome };
                self.keys.lock().finish(&key, body, &outcome, now);
                Ok(())
            }
            Record::Resume { settings } => {
                self.resume(&mut self.change(), settings, now);
                Ok(())
            }
        };
        done.map_err(|JournalFull| Corrupt("a replay into a store that has begun"))
    }

    /// A plain group has no life to be heard, so it is shown as it was, and so is what deltas have
    /// added up to.
    fn resume(&self, catalog: &mut Catalog, settings: Settings, now: Tick) {
        if !settings.is_same(&self.settings()) {
            self.set_settings(settings);
            self.reload_all(catalog, now);
        }
        for instance in self.all_instances() {
            let mut body = instance.body.lock();
            let lives = matches!(instance.role, WriterRole::Identified | WriterRole::Anonymous);
            if body.state != State::Live || !lives {
                continue;
            }
            body.unheard = true;
            body.heard = body.heard.max(now);
            if instance.role == WriterRole::Anonymous {
                // Its counters decay one by one.
                for at in 0..body.positions() {
                    if body.is_cumulative_at(at) {
                        body.written[at] = tenths(now);
                    }
                }
            }
        }
    }
}
