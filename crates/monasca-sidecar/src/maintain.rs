//! Upkeep once a second on a thread of its own, with or without traffic.
//!
//! A thread, since a departure waits for a running collect and must not hold up pushes meanwhile.
//! What decays is the store's affair; this only ticks.

pub(crate) mod restore;
pub(crate) mod snapshots;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::journal::Keep;
use crate::priority::be_nicer;
use sidecar_store::Store;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// Pushes go first.
const NICER: i32 = 5;
const STACK_BYTES: usize = 512 * 1024;

/// The running upkeep.
#[derive(Debug)]
pub(crate) struct Upkeep {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    pub(crate) fn start(
        store: Arc<Store>,
        clock: Arc<Clock>,
        admission: Arc<Admission>,
        keep: Keep,
    ) -> io::Result<Upkeep> {
        let (stop, stopped) = sync_channel(1);
        let run = move || {
            be_nicer(NICER);
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                tick(&store, &clock, &admission, &keep);
            }
        };
        let thread = Builder::new().name("upkeep".to_owned()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Upkeep { stop, thread })
    }

    /// Ends after the step under way.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A panic of the thread has been logged where it happened.
        self.thread.join().unwrap_or_default();
    }
}

/// One period. A panic has been logged and counted; the next period tries again. While pushes are
/// refused for want of a journal nobody ages: a process that was refused was not silent.
fn tick(store: &Store, clock: &Clock, admission: &Admission, keep: &Keep) {
    if keep.refuses().is_some() {
        return;
    }
    let now = clock.advance();
    let all = || {
        while store.upkeep(now) {
            std::thread::yield_now();
        }
        if admission.memory.look() {
            let gone = store.relieve(now);
            tracing::debug!(gone, "memory is short: merged series went");
        }
    };
    catch_unwind(AssertUnwindSafe(all)).unwrap_or_default();
}
