//! What the journal costs: records that are flushed, and group commits beside a bare loop of append and
//! fdatasync of the same bytes, turn about in one run. `cargo bench -p monasca-sidecar --bench journal`.

#[path = "../src"]
#[allow(dead_code, unused_imports, reason = "the daemon uses all of it")]
mod product {
    pub(crate) mod clock;
    pub(crate) mod journal;
}

use product::journal::{LocalJournal, OsDisk, Recovery, Settings, SyncLevel};
use sidecar_store::{Journal, Position};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("journal-bench");
    for (bytes, records) in [(50, 500_000), (500, 300_000), (80_000, 5_000)] {
        for threads in [1, 4] {
            flushed(&folder, bytes, records, threads)?;
        }
    }
    for writers in [1, 16, 64] {
        synced(&folder, 500, writers)?;
    }
    std::fs::remove_dir_all(&folder)
}

fn start(folder: &Path, sync: SyncLevel) -> LocalJournal {
    std::fs::remove_dir_all(folder).unwrap_or_default();
    let settings = Settings { sync, largest_journal_bytes: 1 << 34, ..Settings::default() };
    let recovery = Recovery::open(folder, Arc::new(OsDisk)).expect("opened");
    let replayed = recovery.replay(|_, _| Ok::<_, Infallible>(())).expect("replayed");
    replayed.start(settings).expect("started")
}

/// Records of so many bytes, each flushed by who appended it, synced at the interval.
fn flushed(folder: &Path, bytes: usize, records: u64, threads: u64) -> io::Result<()> {
    let journal = start(folder, SyncLevel::Interval(Duration::from_secs(1)));
    let record = vec![7; bytes];
    let (refused, cut_every) = (AtomicU64::new(0), 20_000_000 / bytes as u64);
    let seconds = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..records / threads {
                        match journal.append(&record) {
                            Ok(position) => {
                                journal.flush(position).expect("flushed");
                                if position.0.is_multiple_of(cut_every) {
                                    let through = Position(position.0 - cut_every / 2);
                                    journal.truncate(through).expect("truncated");
                                }
                            }
                            Err(_) => {
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
    });
    say(&format!(
        "{bytes} B, {threads} threads, append and flush: {:.0} records/s, {:.0} MB/s, {} refused",
        records as f64 / seconds,
        records as f64 * bytes as f64 / seconds / 1e6,
        refused.load(Ordering::Relaxed),
    ))
}

/// So many writers, each waiting until its record is on the disk.
fn synced(folder: &Path, bytes: usize, writers: u64) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let (mut ours, mut bare, mut shared) = (0.0, 0.0, 0.0);
    for _ in 0..ROUNDS {
        let journal = Arc::new(start(folder, SyncLevel::Always));
        let records = (writers * 100).max(500);
        let seconds = timed(|| runtime.block_on(write(&journal, bytes, writers, records)));
        let syncs = journal.state().syncs;
        drop(journal);
        ours += syncs as f64 / seconds;
        shared += records as f64 / syncs as f64;
        let group = usize::try_from(records / syncs).expect("small") * bytes;
        bare += syncs as f64 / bare_loop(folder, group, syncs)?;
    }
    let rounds = ROUNDS as f64;
    say(&format!(
        "{bytes} B, {writers} writers, synced: {:.0} group commits/s of {:.1} records; bare loop {:.0}/s, ratio {:.2}",
        ours / rounds,
        shared / rounds,
        bare / rounds,
        ours / bare,
    ))
}

async fn write(journal: &Arc<LocalJournal>, bytes: usize, writers: u64, records: u64) {
    let one = |journal: Arc<LocalJournal>| async move {
        let record = vec![7; bytes];
        for _ in 0..records / writers {
            let position = journal.append(&record).expect("room");
            journal.kept(position).await.expect("kept");
        }
    };
    let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(one(Arc::clone(journal)))).collect();
    for task in tasks {
        task.await.expect("ended");
    }
}

fn bare_loop(folder: &Path, bytes: usize, times: u64) -> io::Result<f64> {
    let mut file = File::create(folder.join("bare"))?;
    let group = vec![7; bytes];
    let mut failed = Ok(());
    let seconds = timed(|| {
        for _ in 0..times {
            if let Err(error) = file.write_all(&group).and_then(|()| file.sync_data()) {
                failed = Err(error);
            }
        }
    });
    failed.map(|()| seconds)
}

#[allow(clippy::disallowed_methods, reason = "measures real time")]
fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
