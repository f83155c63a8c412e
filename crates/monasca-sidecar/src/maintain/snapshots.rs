//! Snapshots: when the journal has grown, when the disk failed and is back, and at the end.
//!
//! A thread of its own: the disk may take its time. The state is copied into memory first, so that no
//! push waits for the disk.

use crate::clock::Clock;
use crate::journal::LocalJournal;
use crate::telemetry::Telemetry;
use sidecar_store::{Position, Store};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How often it is looked whether a snapshot is due.
const PERIOD: Duration = Duration::from_secs(1);
const STACK_BYTES: usize = 512 * 1024;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Snapshots {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// What it works with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub store: Arc<Store>,
    pub clock: Arc<Clock>,
    pub journal: Arc<LocalJournal>,
    pub telemetry: Arc<Telemetry>,
    /// On disk; beyond it a snapshot makes the journal short again.
    pub journal_bytes: u64,
    /// The start took long or left something out: the next one begins with a snapshot.
    pub at_once: bool,
}

/// The failure that was logged last: a disk that stays full is one line.
type Told = Option<String>;

impl Snapshots {
    pub(crate) fn start(desk: Desk) -> io::Result<Snapshots> {
        let (stop, stopped) = sync_channel(1);
        let run = move || {
            let mut told = None;
            if desk.at_once {
                desk.guarded(|desk| desk.write().map(drop), &mut told);
            }
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                desk.guarded(Desk::look, &mut told);
            }
            desk.guarded(Desk::end, &mut told);
        };
        let thread =
            Builder::new().name("snapshot".to_owned()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Snapshots { stop, thread })
    }

    /// Writes a last snapshot, so that the next start is short, and closes the journal.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A panic of the thread has been logged where it happened.
        self.thread.join().unwrap_or_default();
    }
}

impl Desk {
    /// A panic has been logged and counted; the next period tries again.
    fn guarded(&self, step: fn(&Desk) -> io::Result<()>, told: &mut Told) {
        match catch_unwind(AssertUnwindSafe(|| step(self))) {
            Ok(Err(error)) => {
                self.telemetry.snapshots.add("failed", 1);
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::error!(%error, "no snapshot: the journal stays as long as it is");
                    *told = Some(text);
                }
            }
            Ok(Ok(())) => *told = None,
            Err(_) => {}
        }
    }

    fn look(&self) -> io::Result<()> {
        if self.journal.state().full.is_some() {
            self.journal.retry_space();
        }
        let state = self.journal.state();
        if state.broken.is_some() {
            let position = self.write()?;
            self.journal.reopen(position).map_err(io::Error::other)?;
            tracing::info!("the journal takes records again");
        } else if state.segments > 1
            && (state.bytes_on_disk >= self.journal_bytes || state.full.is_some())
        {
            // On a full disk, too: what it frees may be enough.
            self.write()?;
        }
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        let written = self.write().map(drop);
        self.journal.close().map_err(io::Error::other)?;
        written
    }

    fn write(&self) -> io::Result<Position> {
        let begun = self.clock.elapsed();
        let Some(mut file) = self.journal.begin_snapshot()? else {
            return Err(io::Error::other("a snapshot is being written"));
        };
        let mut state = Vec::new();
        let position =
            self.store.snapshot(self.clock.now(), &mut |piece| state.extend_from_slice(piece));
        file.write_all(&state)?;
        let bytes = state.len();
        drop(state);
        let oldest = file.finish(position)?;
        self.journal.truncate(oldest)?;
        let took = self.clock.elapsed().saturating_sub(begun);
        self.telemetry.snapshots.add("ok", 1);
        self.telemetry.snapshot_bytes.set(bytes as u64);
        self.telemetry.snapshot_time.observe(took);
        tracing::info!(position = position.0, bytes, seconds = took.as_secs_f64(), "snapshot");
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::Desk;
    use crate::config::Config;
    use crate::maintain::restore::{Begun, begin};
    use sidecar_store::{Journal, JournalFull};
    use std::fs::{create_dir_all, remove_dir_all};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn what_is_in_doubt_is_taken_again_behind_a_snapshot() {
        let name = format!("doubt-{}", std::process::id());
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name);
        create_dir_all(&directory).unwrap();
        let mut config = Config::default();
        config.data.directory = Some(directory.clone());
        let Begun { store, clock, journal, .. } = begin(&config).unwrap();
        let (store, journal) = (Arc::new(store), journal.unwrap());
        let desk = Desk {
            store: Arc::clone(&store),
            clock: Arc::new(clock),
            journal: Arc::clone(&journal),
            telemetry: Arc::default(),
            journal_bytes: u64::MAX,
            at_once: false,
        };
        desk.look().unwrap();
        assert_eq!(desk.telemetry.snapshots.sorted(), []);
        journal.doubt();
        assert_eq!(store.clear(desk.clock.now()), Err(JournalFull));
        desk.look().unwrap();
        assert_eq!(desk.telemetry.snapshots.sorted(), [("ok", 1)]);
        assert_eq!(store.clear(desk.clock.now()), Ok(()));
        journal.close().unwrap();
        remove_dir_all(&directory).unwrap_or_default();
    }
}
