//! The journal's two threads: one makes durable, one prepares space. An append waits for neither.

use super::SyncLevel;
use super::writer::Writer;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A full disk is asked again so often.
const RETRY: Duration = Duration::from_secs(1);
/// So long nobody may have asked for a sync.
const IDLE: Duration = Duration::from_secs(1);
const STACK_BYTES: usize = 256 * 1024;

pub(super) fn start(writer: &Arc<Writer>) -> io::Result<Vec<JoinHandle<()>>> {
    Ok(vec![
        spawn("journal-sync", writer, keep_synced)?,
        spawn("journal-space", writer, keep_space)?,
    ])
}

fn spawn(name: &str, writer: &Arc<Writer>, run: fn(&Writer)) -> io::Result<JoinHandle<()>> {
    let writer = Arc::clone(writer);
    let guarded = move || {
        // Who waits for a thread that is no more must hear of it.
        if catch_unwind(AssertUnwindSafe(|| run(&writer))).is_err() {
            writer.fail("run a thread", &io::Error::other("it panicked"));
        }
    };
    Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(guarded)
}

fn keep_synced(writer: &Writer) {
    loop {
        let mut state = writer.state.lock();
        if !state.closing {
            match writer.settings.sync {
                SyncLevel::Interval(interval) => {
                    writer.sync_wanted.wait_for(&mut state, interval);
                }
                SyncLevel::Always if state.sync_asked => {}
                // Records that nobody waits for are not left behind.
                SyncLevel::Always => {
                    writer.sync_wanted.wait_for(&mut state, IDLE);
                }
            }
        }
        if state.closing {
            return;
        }
        state.sync_asked = false;
        drop(state);
        // An error has broken the journal, and everybody learns it from there.
        writer.sync().unwrap_or_default();
    }
}

fn keep_space(writer: &Writer) {
    let mut state = writer.state.lock();
    while !state.closing {
        if state.full.is_some() && !state.retry_asked {
            writer.space_wanted.wait_for(&mut state, RETRY);
        }
        state.full = None;
        state.retry_asked = false;
        if state.closing {
            return;
        }
        if state.lacks_space() && state.broken.is_none() {
            writer.prepare_space(&mut state);
        } else {
            writer.space_wanted.wait(&mut state);
        }
    }
}
