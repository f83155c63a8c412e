//! Snapshots: the whole state as bytes, canonical and with a version, and a store made of them.
//!
//! What is found again from the rest is left out (tables, references, sizes), and so is what belongs
//! to a process (seeds, what was learned of the bytes of pushes, what a scrape keeps).

use crate::catalog::Catalog;
use crate::instance::{Body, Instance, WriterRole};
use crate::journal::Position;
use crate::keys::Keys;
use crate::maps::Map;
use crate::record::Replay;
use crate::settings::Settings;
use crate::store::Store;
use crate::stored::{Corrupt, Reader, Stored, Writer};
use crate::upkeep::Round;
use sidecar_model::Tick;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MAGIC: &[u8] = b"msstate";
const VERSION: u8 = 1;
/// No counter of the store gets near to it.
const LARGEST_NUMBER: u64 = 1 << 62;

impl Store {
    /// The state in pieces, and up to which record it is. Pushes of known shapes go on, each waiting
    /// for the copy of its own instance at most; everything else waits until the last piece is taken,
    /// so `sink` must not wait for a disk. Records behind the position that are in the state already
    /// are seen as such by [`Store::replay`].
    pub fn snapshot(&self, now: Tick, sink: &mut dyn FnMut(&[u8])) -> Position {
        let round = self.round.lock();
        let catalog = self.catalog.read();
        let position = self.recorded();
        let mut out = Writer::into(sink);
        out.raw(MAGIC);
        out.byte(VERSION);
        now.put(&mut out);
        position.put(&mut out);
        self.settings().put(&mut out);
        catalog.put(&mut out);
        self.keys.lock().put(&mut out);
        self.accumulator.body.lock().put(&mut out);
        let instances = self.all_instances();
        out.length(instances.len());
        for instance in &instances {
            out.number(instance.number());
            instance.role.put(&mut out);
            instance.id.put(&mut out);
            instance.body.lock().put(&mut out);
            out.spill();
        }
        catalog.put_windowing(&mut out);
        round.put(&mut out);
        self.numbers.load(Ordering::Relaxed).put(&mut out);
        self.sequence.load(Ordering::Relaxed).put(&mut out);
        out.finish();
        position
    }

    /// The store that a snapshot was made of, and up to which record. Records behind it come to
    /// [`Store::replay`], then [`Store::finish_restore`] is called.
    pub fn restore(bytes: &[u8]) -> Result<(Store, Position), Corrupt> {
        let mut from = Reader::new(bytes);
        if from.raw(MAGIC.len())? != MAGIC {
            return Err(Corrupt("not a snapshot"));
        }
        if from.byte()? != VERSION {
            return Err(Corrupt("a version that is not known"));
        }
        let now = Tick::take(&mut from)?;
        let position = Position::take(&mut from)?;
        let settings = Settings::take(&mut from)?;
        let mut store = Store::new(settings, now);
        let mut catalog = Catalog::take(&mut from, store.seed().clone(), &store.settings())?;
        *store.keys.get_mut() = Keys::take(&mut from, store.seed().clone())?;
        let mut accumulator = Body::take(&mut from)?;
        catalog.count_in(WriterRole::Accumulator, &mut accumulator, &store.settings())?;
        *store.accumulator.body.lock() = accumulator;
        let by_number = store.take_instances(&mut from, &mut catalog)?;
        catalog.check_free()?;
        catalog.take_windowing(&mut from)?;
        store.windows_changed = Arc::clone(&catalog.windowing.changes);
        *store.catalog.get_mut() = catalog;
        let accumulator = Arc::clone(&store.accumulator);
        *store.round.get_mut() = Round::take(&mut from, &accumulator, &by_number)?;
        let (numbers, sequence) = (from.number()?, from.number()?);
        from.end()?;
        if numbers > LARGEST_NUMBER || sequence > LARGEST_NUMBER {
            return Err(Corrupt("a number that is too large"));
        }
        *store.numbers.get_mut() = numbers;
        *store.sequence.get_mut() = sequence;
        *store.replay.get_mut() = Some(Replay { by_number, latest: now });
        store.note_recorded(position);
        Ok((store, position))
    }

    fn take_instances(
        &self,
        from: &mut Reader<'_>,
        catalog: &mut Catalog,
    ) -> Result<Map<u64, Arc<Instance>>, Corrupt> {
        let mut last = 0;
        let mut by_number = Map::default();
        for _ in 0..from.count(1)? {
            let number = from.number()?;
            let role = WriterRole::take(from)?;
            let id = <Box<str>>::take(from)?;
            let mut body = Body::take(from)?;
            let is_anonymous = role == WriterRole::Anonymous;
            if number <= last || role == WriterRole::Accumulator || id.is_empty() != is_anonymous {
                return Err(Corrupt("who writes"));
            }
            last = number;
            catalog.count_in(role, &mut body, &self.settings())?;
            let instance = Arc::new(Instance::stored(id, role, number, body));
            if self.find_writer(&instance.id, role == WriterRole::Group).is_some() {
                return Err(Corrupt("a writer twice"));
            }
            self.register(&instance);
            by_number.insert(number, instance);
        }
        Ok(by_number)
    }

    /// A number that was given to a push before is not given again.
    pub(crate) fn see_sequence(&self, number: u64) -> Result<(), Corrupt> {
        if number > LARGEST_NUMBER {
            return Err(Corrupt("a number that is too large"));
        }
        self.sequence.fetch_max(number, Ordering::Relaxed);
        Ok(())
    }
}
