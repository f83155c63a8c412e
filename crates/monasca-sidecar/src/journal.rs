//! The local journal: records and snapshots in a directory, so that what was answered is there again
//! after a restart.
//!
//! The order of a start is in the types: [`Recovery::open`] takes the directory, [`Recovery::restore`]
//! gives the newest snapshot that can be used, [`Recovery::replay`] the records after it,
//! [`Replayed::start`] the journal to append to. Knows nothing of what is in a record. ADR 11.

mod directory;
mod disk;
mod keep;
mod record;
mod replay;
mod segment;
mod snapshot;
mod threads;
mod turns;
mod waiting;
mod writer;

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests;

use directory::Directory;
use sidecar_store::{Journal, JournalFull, Position};
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use writer::Writer;

pub(crate) use directory::OpenError;
pub(crate) use disk::{Disk, OsDisk};
pub(crate) use keep::{Keep, Restored};
pub(crate) use replay::{Cut, LeftOut, Report};

/// When written records are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncLevel {
    /// Before a push is answered.
    Always,
    /// So long after they were written, at most.
    Interval(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub sync: SyncLevel,
    /// A longer record gets a segment of its own length.
    pub segment_bytes: u64,
    /// What an append waits for a segment that is being prepared: a disk that is behind, not a full one.
    pub patience: Duration,
    pub largest_record_bytes: u32,
    /// All segments together, with the space that is reserved.
    pub largest_journal_bytes: u64,
    /// More than one: an older snapshot can stand in for a damaged one.
    pub snapshots: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sync: SyncLevel::Interval(Duration::from_secs(1)),
            segment_bytes: 8 * 1024 * 1024,
            patience: Duration::from_millis(250),
            largest_record_bytes: 128 * 1024 * 1024,
            largest_journal_bytes: 512 * 1024 * 1024,
            snapshots: 1,
        }
    }
}

/// The journal as it is now.
#[derive(Clone, Debug)]
pub(crate) struct JournalState {
    /// The last record that was taken.
    pub last: Position,
    /// The last one that survives the end of the process.
    pub written: Position,
    /// The last one that survives the loss of power.
    pub synced: Position,
    /// Why there is no space for another segment.
    pub full: Option<io::ErrorKind>,
    pub broken: Option<Broken>,
    pub segments: usize,
    pub bytes_on_disk: u64,
    /// Of records, since the start.
    pub taken_bytes: u64,
    pub syncs: u64,
    pub refused: u64,
}

/// The disk failed: what was written may not be there, so nothing more is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is broken: cannot {operation}: {message}")]
pub(crate) struct Broken {
    pub operation: &'static str,
    pub error: io::ErrorKind,
    pub message: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReopenError {
    #[error("the snapshot does not hold all records up to {}", last.0)]
    NotCovered { last: Position },
    #[error("cannot begin a new segment")]
    Io(#[from] io::Error),
}

/// An opened directory whose state has not been read yet.
#[derive(Debug)]
pub(crate) struct Recovery {
    directory: Directory,
    report: Report,
}

impl Recovery {
    /// Takes the directory, which is made if it is missing, for this process alone.
    pub(crate) fn open(path: &Path, disk: Arc<dyn Disk>) -> Result<Recovery, OpenError> {
        Ok(Recovery { directory: Directory::open(path, disk)?, report: Report::default() })
    }

    /// The newest snapshot that is whole and that `read` takes. Those that are not are moved aside. `read` may
    /// be called for several and must begin anew each time.
    pub(crate) fn restore<T, E: Display>(
        &mut self,
        read: impl FnMut(Position, &mut dyn Read) -> Result<T, E>,
    ) -> Result<Option<T>, OpenError> {
        snapshot::restore(&self.directory, &mut self.report, read)
    }

    /// The records after the snapshot, without a gap. What `visit` refuses, and what follows, is left out.
    pub(crate) fn replay<E: Display>(
        mut self,
        visit: impl FnMut(Position, &[u8]) -> Result<(), E>,
    ) -> Result<Replayed, OpenError> {
        let from = self.report.snapshot.unwrap_or_default();
        let remains = replay::replay(&self.directory, from, &mut self.report, visit)?;
        Ok(Replayed { directory: self.directory, report: self.report, remains })
    }
}

/// A directory in which everything is good; what was not has been moved aside.
#[derive(Debug)]
pub(crate) struct Replayed {
    directory: Directory,
    pub(crate) report: Report,
    remains: replay::Remains,
}

impl Replayed {
    /// A full disk is no error: the journal refuses records until there is space.
    pub(crate) fn start(self, settings: Settings) -> io::Result<LocalJournal> {
        let Replayed { directory, report, remains } = self;
        let writer = Arc::new(Writer::new(directory, settings, report.last, remains));
        writer.prepare_space(&mut writer.state.lock());
        let threads = threads::start(&writer)?;
        let snapshot_under_way = Arc::default();
        Ok(LocalJournal { writer, threads, snapshot_under_way })
    }
}

/// Records go in by [`Journal::append`]; [`LocalJournal::kept`] says when one may be answered for.
#[derive(Debug)]
pub(crate) struct LocalJournal {
    writer: Arc<Writer>,
    threads: Vec<JoinHandle<()>>,
    snapshot_under_way: Arc<AtomicBool>,
}

impl Journal for LocalJournal {
    fn doubt(&self) {
        let why = "a bug left the state apart from its records; a snapshot sets that right";
        self.writer.fail("go on", &io::Error::other(why));
    }

    fn append(&self, record: &[u8]) -> Result<Position, JournalFull> {
        self.writer.append(record)
    }
}

impl LocalJournal {
    /// Returns when what was promised at this sync level holds for all records up to `position`.
    pub(crate) async fn kept(&self, position: Position) -> Result<(), Broken> {
        match self.writer.settings.sync {
            SyncLevel::Always => self.synced(position).await,
            SyncLevel::Interval(_) => self.flush(position),
        }
    }

    /// Into the page cache: survives the end of the process, however it comes. One caller writes for all.
    pub(crate) fn flush(&self, position: Position) -> Result<(), Broken> {
        self.writer.flush(position.0)
    }

    /// Onto the disk: survives the loss of power. Whoever waits at the same time shares a sync.
    pub(crate) async fn synced(&self, position: Position) -> Result<(), Broken> {
        self.writer.ask_for_sync();
        self.writer.turns.pass(position.0);
        self.writer.waiting.until(position).await
    }

    /// Onto the disk, all that was taken until now. Waits for it: not for threads that answer.
    pub(crate) fn sync(&self) -> Result<(), Broken> {
        self.writer.sync()
    }

    /// Removes whole segments of which every record is in a snapshot.
    pub(crate) fn truncate(&self, through: Position) -> io::Result<()> {
        self.writer.truncate(through)
    }

    /// None: one is being written already.
    pub(crate) fn begin_snapshot(&self) -> io::Result<Option<SnapshotWriter>> {
        if self.snapshot_under_way.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let under_way = UnderWay(Arc::clone(&self.snapshot_under_way));
        let blocks = snapshot::Blocks::begin(&self.writer.directory, segment::random())?;
        let writer = Arc::clone(&self.writer);
        Ok(Some(SnapshotWriter { writer, blocks, finished: false, _under_way: under_way }))
    }

    /// After the disk failed and a snapshot at `snapshot` has been finished: takes records again.
    pub(crate) fn reopen(&self, snapshot: Position) -> Result<(), ReopenError> {
        self.writer.reopen(snapshot)
    }

    /// What is in memory is not what the records say: nothing is taken before a snapshot and `reopen`.
    pub(crate) fn wait_for_snapshot(&self) {
        self.writer.fail("begin", &io::ErrorKind::StorageFull.into());
    }

    /// Space may have come back. Without this it is tried once a second.
    pub(crate) fn retry_space(&self) {
        self.writer.retry_space();
    }

    pub(crate) fn state(&self) -> JournalState {
        self.writer.state()
    }

    /// Takes nothing more; everything taken is durable when it returns.
    pub(crate) fn close(&self) -> Result<(), Broken> {
        self.writer.close();
        self.writer.sync()
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        self.writer.close();
        for thread in self.threads.drain(..) {
            // A panic of the thread has been logged where it happened.
            thread.join().unwrap_or_default();
        }
    }
}

/// A snapshot being written. Dropped before [`SnapshotWriter::finish`] it leaves nothing.
#[derive(Debug)]
pub(crate) struct SnapshotWriter {
    writer: Arc<Writer>,
    blocks: snapshot::Blocks,
    finished: bool,
    _under_way: UnderWay,
}

impl SnapshotWriter {
    /// What was written is the state after the record `position`. Returns the position of the oldest
    /// snapshot that is left: the journal can be truncated up to there.
    pub(crate) fn finish(mut self, position: Position) -> io::Result<Position> {
        self.blocks.seal(position)?;
        // No snapshot is ahead of the journal on the disk, unless it is there to replace it.
        if self.writer.state().broken.is_none() {
            self.writer.sync().map_err(io::Error::other)?;
        }
        let oldest =
            snapshot::publish(&self.writer.directory, position, self.writer.settings.snapshots)?;
        self.finished = true;
        Ok(oldest)
    }
}

impl Write for SnapshotWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blocks.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blocks.flush()
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is overwritten by the next one.
            snapshot::discard(&self.writer.directory).unwrap_or_default();
        }
    }
}

#[derive(Debug)]
struct UnderWay(Arc<AtomicBool>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
