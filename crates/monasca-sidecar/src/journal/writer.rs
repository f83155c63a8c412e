//! What has been appended and where it is by now: in memory, written, synced.
//!
//! `append` copies into a buffer for which a segment has space already. `flush` writes everything
//! that is pending: whoever comes first writes for all, the others wait and find it done. `sync`
//! makes durable what has been written. After an error of the disk nothing is believed any more:
//! the journal is broken until a snapshot has replaced what may be lost.
//!
//! Locks, in this order: `syncing`, `writing`, `state`. Only `state` is taken by `append`, and nobody
//! holds it while waiting for the disk.

use super::directory::{Directory, SegmentName};
use super::disk::write_all;
use super::record::{self, HEADER_BYTES};
use super::replay::{Kept, Remains};
use super::segment::{Segment, Space};
use super::turns::Turns;
use super::waiting::Waiting;
use super::{Broken, JournalState, ReopenError, Settings, SyncLevel};
use parking_lot::{Condvar, Mutex, MutexGuard};
use sidecar_store::{JournalFull, Position};
use std::collections::VecDeque;
use std::io;
use std::mem::take;

/// Others may take the prepared segment first.
const ATTEMPTS: usize = 16;
/// A buffer is used again unless it grew beyond this.
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    pub directory: Directory,
    pub settings: Settings,
    pub state: Mutex<State>,
    /// A segment is wanted.
    pub space_wanted: Condvar,
    /// A segment is ready, or there is no space.
    space_changed: Condvar,
    pub sync_wanted: Condvar,
    writing: Mutex<()>,
    syncing: Mutex<()>,
    pub waiting: Waiting,
    pub turns: Turns,
}

#[derive(Debug, Default)]
pub(super) struct State {
    last: u64,
    written: u64,
    synced: u64,
    pending: Vec<Chunk>,
    /// A buffer to be used again.
    spent: Vec<u8>,
    tail: Option<Tail>,
    spare: Option<Segment>,
    closed: VecDeque<Kept>,
    /// Written since their last sync.
    dirty: Vec<Segment>,
    next_number: u64,
    /// The longest segment that an append has asked for and not got.
    wanted_bytes: u64,
    /// Why there was no space the last time.
    pub full: Option<io::ErrorKind>,
    pub retry_asked: bool,
    pub sync_asked: bool,
    pub broken: Option<Broken>,
    pub closing: bool,
    syncs: u64,
    taken_bytes: u64,
    refused: u64,
}

#[derive(Debug)]
struct Tail {
    segment: Segment,
    /// Behind the last appended record.
    end: u64,
}

/// Records that lie one after the other in one segment.
#[derive(Debug)]
struct Chunk {
    segment: Segment,
    offset: u64,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        directory: Directory,
        settings: Settings,
        last: Position,
        remains: Remains,
    ) -> Writer {
        let state = State {
            last: last.0,
            written: last.0,
            synced: last.0,
            closed: remains.segments,
            next_number: remains.next_number,
            ..State::default()
        };
        Writer {
            directory,
            settings,
            state: Mutex::new(state),
            space_wanted: Condvar::new(),
            space_changed: Condvar::new(),
            sync_wanted: Condvar::new(),
            writing: Mutex::new(()),
            syncing: Mutex::new(()),
            waiting: Waiting::new(last),
            turns: Turns::new(),
        }
    }

    pub(super) fn append(&self, payload: &[u8]) -> Result<Position, JournalFull> {
        // Outside the lock: it reads all of the payload.
        let sum = record::payload_sum(payload);
        let length = u32::try_from(payload.len()).ok();
        let length = length.filter(|length| *length <= self.settings.largest_record_bytes);
        let mut state = self.state.lock();
        let position = length.and_then(|length| {
            self.make_room(&mut state, record::encoded_bytes(payload.len()))?;
            state.take_in(length, sum, payload)
        });
        match position {
            Some(_) => state.taken_bytes += payload.len() as u64,
            None => state.refused += 1,
        }
        position.ok_or(JournalFull)
    }

    fn make_room(&self, state: &mut MutexGuard<'_, State>, bytes: u64) -> Option<()> {
        for _ in 0..ATTEMPTS {
            if state.broken.is_some() || state.closing {
                return None;
            }
            if state.tail.as_ref().is_some_and(|tail| tail.takes(bytes)) {
                return Some(());
            }
            if let Some(segment) = state.spare.take_if(|spare| spare.takes(bytes)) {
                state.turn_to(segment);
                self.space_wanted.notify_one();
                return Some(());
            }
            state.wanted_bytes = state.wanted_bytes.max(HEADER_BYTES as u64 + bytes);
            // While the disk is full the thread tries again in its own time.
            if state.full.is_some() {
                return None;
            }
            self.space_wanted.notify_one();
            if self.space_changed.wait_for(state, self.settings.patience).timed_out() {
                return None;
            }
        }
        None
    }

    /// When this returns, all that was appended up to `through` survives the end of the process.
    pub(super) fn flush(&self, through: u64) -> Result<(), Broken> {
        if let Some(settled) = self.state.lock().settled(through) {
            return settled;
        }
        let _leader = self.writing.lock();
        let mut state = self.state.lock();
        // Whoever was the leader until now has written for us too.
        if let Some(settled) = state.settled(through) {
            return settled;
        }
        let through = state.last;
        let chunks = take(&mut state.pending);
        drop(state);
        for chunk in &chunks {
            write_all(&*chunk.segment.file, &chunk.bytes, chunk.offset)
                .map_err(|error| self.fail("write", &error))?;
        }
        let mut state = self.state.lock();
        state.wrote(chunks, through);
        Ok(())
    }

    /// Makes durable all that has been appended until now.
    pub(super) fn sync(&self) -> Result<(), Broken> {
        let _one = self.syncing.lock();
        let last = self.state.lock().last;
        self.flush(last)?;
        let mut state = self.state.lock();
        let through = state.written;
        let files = take(&mut state.dirty);
        if files.is_empty() {
            return Ok(());
        }
        drop(state);
        for segment in files {
            segment.file.sync().map_err(|error| self.fail("sync", &error))?;
        }
        let mut state = self.state.lock();
        // Reopened meanwhile, it may be further.
        state.synced = state.synced.max(through);
        state.syncs += 1;
        let synced = state.synced;
        drop(state);
        self.waiting.advance(synced);
        Ok(())
    }

    pub(super) fn ask_for_sync(&self) {
        self.state.lock().sync_asked = true;
        self.sync_wanted.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.sync_wanted.notify_all();
        self.space_wanted.notify_all();
        self.space_changed.notify_all();
    }

    /// Nothing is taken and nothing believed until `reopen`.
    pub(super) fn fail(&self, operation: &'static str, error: &io::Error) -> Broken {
        let mut state = self.state.lock();
        let broken = Broken { operation, error: error.kind(), message: error.to_string() };
        let broken = state.broken.get_or_insert(broken).clone();
        state.pending.clear();
        state.dirty.clear();
        drop(state);
        self.space_changed.notify_all();
        self.waiting.fail(&broken);
        broken
    }

    /// Goes on in a new segment, after a snapshot with everything that was appended.
    pub(super) fn reopen(&self, snapshot: Position) -> Result<(), ReopenError> {
        let _nobody_syncs = self.syncing.lock();
        let _nobody_writes = self.writing.lock();
        let mut state = self.state.lock();
        if state.broken.is_none() {
            return Ok(());
        }
        if snapshot.0 < state.last {
            return Err(ReopenError::NotCovered { last: Position(state.last) });
        }
        let number = state.draw_number();
        let bytes = self.settings.segment_bytes;
        let reserved = || Space::Reserved;
        let prepare = || Segment::prepare(&self.directory, number, bytes, reserved);
        let segment = MutexGuard::unlocked(&mut state, prepare)?;
        state.last = snapshot.0;
        state.turn_to(segment);
        if let Some(older) = state.spare.take() {
            state.close(&older);
        }
        state.written = snapshot.0;
        state.synced = snapshot.0;
        state.full = None;
        state.broken = None;
        drop(state);
        self.space_wanted.notify_one();
        self.waiting.reopen(snapshot);
        Ok(())
    }

    /// Removes the segments whose records are all in a snapshot.
    pub(super) fn truncate(&self, through: Position) -> io::Result<()> {
        let mut state = self.state.lock();
        let covered = |segment: &Kept| segment.last <= through.0;
        let (old, kept) = take(&mut state.closed).into_iter().partition(covered);
        state.closed = kept;
        drop(state);
        let old: VecDeque<Kept> = old;
        let mut removed = Ok(());
        for segment in old {
            if let Err(error) = self.directory.retire(segment.name) {
                // It still counts, and the next call tries again.
                self.state.lock().closed.push_front(segment);
                removed = Err(error);
            }
        }
        self.retry_space();
        removed
    }

    pub(super) fn retry_space(&self) {
        self.state.lock().retry_asked = true;
        self.space_wanted.notify_one();
    }

    /// Prepares the segment that is lacking, or makes the one in store longer.
    pub(super) fn prepare_space(&self, state: &mut MutexGuard<'_, State>) {
        let wanted = state.wanted_bytes.max(self.settings.segment_bytes);
        let spare = state.spare.clone();
        let grown = wanted.saturating_sub(spare.as_ref().map_or(0, |spare| spare.bytes));
        let prepared = match spare {
            _ if state.bytes_on_disk() + grown > self.settings.largest_journal_bytes => {
                Err(io::ErrorKind::QuotaExceeded.into())
            }
            Some(spare) => MutexGuard::unlocked(state, || {
                spare.file.allocate(wanted).map(|()| Segment { bytes: wanted, ..spare })
            }),
            None => {
                let number = state.draw_number();
                let space = || self.space();
                let prepare = || Segment::prepare(&self.directory, number, wanted, space);
                MutexGuard::unlocked(state, prepare)
            }
        };
        state.wanted_bytes = 0;
        match prepared {
            Ok(segment) => state.put_by(segment),
            Err(error) => state.full = Some(error.kind()),
        }
        self.space_changed.notify_all();
    }

    /// Where each push waits for a sync it is worth writing twice, but not while one waits for space.
    fn space(&self) -> Space {
        let state = self.state.lock();
        match self.settings.sync {
            SyncLevel::Always if state.wanted_bytes == 0 && !state.closing => Space::Written,
            SyncLevel::Always | SyncLevel::Interval(_) => Space::Reserved,
        }
    }

    pub(super) fn state(&self) -> JournalState {
        let state = self.state.lock();
        JournalState {
            last: Position(state.last),
            written: Position(state.written),
            synced: Position(state.synced),
            full: state.full.filter(|_| state.spare.is_none()),
            broken: state.broken.clone(),
            segments: state.segments().count(),
            bytes_on_disk: state.bytes_on_disk(),
            syncs: state.syncs,
            taken_bytes: state.taken_bytes,
            refused: state.refused,
        }
    }
}

impl State {
    /// There is room.
    fn take_in(&mut self, length: u32, sum: u32, payload: &[u8]) -> Option<Position> {
        let tail = self.tail.as_mut()?;
        let fits = |chunk: &&mut Chunk| chunk.segment.number == tail.segment.number;
        let chunk = match self.pending.last_mut().filter(fits) {
            Some(chunk) => chunk,
            None => {
                let (segment, bytes) = (tail.segment.clone(), take(&mut self.spent));
                self.pending.push(Chunk { segment, offset: tail.end, bytes });
                self.pending.last_mut()?
            }
        };
        self.last = self.last.saturating_add(1);
        record::encode(&mut chunk.bytes, length, sum, self.last, tail.segment.salt, payload);
        tail.end += record::encoded_bytes(payload.len());
        Some(Position(self.last))
    }

    fn turn_to(&mut self, segment: Segment) {
        let tail = Tail { segment, end: HEADER_BYTES as u64 };
        if let Some(full) = self.tail.replace(tail) {
            self.close(&full.segment);
        }
    }

    /// Keeps a prepared segment. One that grew may be in use by now.
    fn put_by(&mut self, segment: Segment) {
        let closed = self.closed.iter_mut().find(|closed| closed.name.number == segment.number);
        let tail = self.tail.as_mut().map(|tail| &mut tail.segment);
        match (closed, tail) {
            (Some(closed), _) => closed.bytes = segment.bytes,
            (None, Some(tail)) if tail.number == segment.number => tail.bytes = segment.bytes,
            // Prepared before the journal was reopened: numbers rise with positions.
            (None, Some(tail)) if tail.number > segment.number => self.close(&segment),
            (None, _) => self.spare = Some(segment),
        }
    }

    fn close(&mut self, segment: &Segment) {
        let name = SegmentName::whole(segment.number);
        self.closed.push_back(Kept { name, last: self.last, bytes: segment.bytes });
    }

    pub(super) fn lacks_space(&self) -> bool {
        self.spare.as_ref().is_none_or(|spare| spare.bytes < self.wanted_bytes)
    }

    fn draw_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        number
    }

    /// What `flush` says without writing anything, if it can.
    fn settled(&self, through: u64) -> Option<Result<(), Broken>> {
        match &self.broken {
            Some(broken) => Some(Err(broken.clone())),
            None => (through.min(self.last) <= self.written).then_some(Ok(())),
        }
    }

    fn wrote(&mut self, chunks: Vec<Chunk>, through: u64) {
        self.written = self.written.max(through);
        for Chunk { segment, mut bytes, .. } in chunks {
            if bytes.capacity() <= KEPT_BUFFER_BYTES {
                bytes.clear();
                self.spent = bytes;
            }
            if self.dirty.last().is_none_or(|last| last.number != segment.number) {
                self.dirty.push(segment);
            }
        }
    }

    fn segments(&self) -> impl Iterator<Item = u64> {
        let tail = self.tail.as_ref().map(|tail| tail.segment.bytes);
        let spare = self.spare.as_ref().map(|spare| spare.bytes);
        self.closed.iter().map(|segment| segment.bytes).chain(tail).chain(spare)
    }

    fn bytes_on_disk(&self) -> u64 {
        self.segments().sum()
    }
}

impl Tail {
    fn takes(&self, bytes: u64) -> bool {
        self.end + bytes <= self.segment.bytes
    }
}
