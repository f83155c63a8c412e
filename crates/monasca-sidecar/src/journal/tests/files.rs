//! On a real disk.

use super::super::{LocalJournal, OpenError, OsDisk, Recovery, Settings, SyncLevel};
use super::{DEADLINE, Records, eventually, record};
use sidecar_store::{Journal, Position};
use std::convert::Infallible;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of the test's own that goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("monasca-sidecar-journal-{}-{count}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn open(path: &Path) -> Result<Recovery, OpenError> {
    Recovery::open(path, Arc::new(OsDisk))
}

fn read(path: &Path) -> (Vec<u8>, Records, super::Replayed) {
    let mut recovery = open(path).unwrap();
    let snapshot = recovery.restore(|_, bytes| {
        let mut state = Vec::new();
        bytes.read_to_end(&mut state).map(|_| state)
    });
    let snapshot = snapshot.unwrap().unwrap_or_default();
    let mut records = Records::new();
    let visit = |_: Position, record: &[u8]| {
        records.push(record.to_vec());
        Ok::<_, Infallible>(())
    };
    let replayed = recovery.replay(visit).unwrap();
    (snapshot, records, replayed)
}

fn start(path: &Path, settings: Settings) -> LocalJournal {
    read(path).2.start(settings).unwrap()
}

/// The disk may be as slow as it likes.
fn many_segments() -> Settings {
    Settings { segment_bytes: 64 * 1024, patience: DEADLINE, ..Settings::default() }
}

#[test]
fn two_daemons_never_share_a_directory() {
    let folder = Folder::new();
    let journal = start(&folder.0.join("a/b"), Settings::default());
    assert!(matches!(open(&folder.0.join("a/b")), Err(OpenError::InUse { .. })));
    drop(journal);
    open(&folder.0.join("a/b")).unwrap();
}

#[test]
fn nobody_else_may_look_into_the_directory() {
    let folder = Folder::new();
    let journal = start(&folder.0, Settings::default());
    journal.append(b"secret").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        // A file that is being made may have its name by now.
        let path = entry.unwrap().path();
        if path.extension().is_none() {
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }
}

#[test]
fn what_was_flushed_is_read_back() {
    let folder = Folder::new();
    let settings = many_segments();
    let records: Records = (0..3_000).map(record).collect();
    let journal = start(&folder.0, settings);
    for record in &records {
        let position = journal.append(record).unwrap();
        journal.flush(position).unwrap();
    }
    assert!(journal.state().segments > 2);
    drop(journal);
    let (_, found, replayed) = read(&folder.0);
    assert_eq!(found, records);
    assert!(replayed.report.is_complete());
    let journal = replayed.start(settings).unwrap();
    journal.append(b"and on").unwrap();
    journal.close().unwrap();
    drop(journal);
    let (_, found, _) = read(&folder.0);
    assert_eq!(found.len(), records.len() + 1);
}

#[test]
fn a_large_snapshot_comes_back_and_older_files_go() {
    let folder = Folder::new();
    let settings = many_segments();
    let journal = start(&folder.0, settings);
    let state: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 253) as u8).collect();
    for round in 0..3_u64 {
        for number in 0..2_000 {
            journal.append(&record(number)).unwrap();
        }
        let mut snapshot = journal.begin_snapshot().unwrap().unwrap();
        snapshot.write_all(&state).unwrap();
        let oldest = snapshot.finish(Position((round + 1) * 2_000)).unwrap();
        journal.truncate(oldest).unwrap();
    }
    assert!(journal.state().segments <= 3);
    journal.close().unwrap();
    drop(journal);
    let (snapshot, records, replayed) = read(&folder.0);
    assert!(snapshot == state);
    assert!(records.is_empty());
    assert_eq!(replayed.report.snapshot, Some(Position(6_000)));
    let names = std::fs::read_dir(&folder.0).unwrap();
    let is_snapshot = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("snapshot");
    assert_eq!(names.map(|entry| entry.unwrap().file_name()).filter(is_snapshot).count(), 1);
}

#[tokio::test]
async fn those_who_wait_at_the_same_time_share_a_sync() {
    const WRITERS: u64 = 50;
    const EACH: u64 = 20;
    let folder = Folder::new();
    let journal =
        Arc::new(start(&folder.0, Settings { sync: SyncLevel::Always, ..Settings::default() }));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let position = journal.append(b"a push").unwrap();
                    journal.kept(position).await.unwrap();
                    assert!(journal.state().synced >= position);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let state = journal.state();
    assert_eq!(state.synced, Position(WRITERS * EACH));
    assert!(state.syncs < WRITERS * EACH, "{} syncs", state.syncs);
}

#[test]
fn at_an_interval_all_is_synced_without_being_asked() {
    let folder = Folder::new();
    let sync = SyncLevel::Interval(std::time::Duration::from_millis(5));
    let journal = start(&folder.0, Settings { sync, ..Settings::default() });
    let position = journal.append(b"a push").unwrap();
    eventually("synced", || journal.state().synced == position);
}

#[test]
fn threads_that_append_at_once_lose_nothing() {
    let folder = Folder::new();
    let settings = many_segments();
    let journal = start(&folder.0, settings);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..1_000_u32 {
                    let mut record = number.to_le_bytes().to_vec();
                    record.push(thread);
                    let position = journal.append(&record).unwrap();
                    journal.flush(position).unwrap();
                }
            });
        }
    });
    drop(journal);
    let (_, found, _) = read(&folder.0);
    for thread in 0..4 {
        let mine = found.iter().filter(|record| record[4] == thread);
        let numbers: Vec<u32> =
            mine.map(|record| u32::from_le_bytes(*record.first_chunk().unwrap())).collect();
        assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    }
}
