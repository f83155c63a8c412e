mod damage;
mod faults;
mod files;
mod histories;
mod sim;

use super::{LocalJournal, OpenError, Recovery, Replayed, Settings, SyncLevel};
use sidecar_store::{Journal, Position};
use sim::SimDisk;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIRECTORY: &str = "/state";
const DEADLINE: Duration = Duration::from_secs(20);

/// Small enough that a few records fill several segments; nothing is synced unless the test says so.
fn small() -> Settings {
    Settings {
        sync: SyncLevel::Interval(Duration::from_secs(3600)),
        segment_bytes: 300,
        patience: DEADLINE,
        largest_record_bytes: 2_000,
        largest_journal_bytes: 1 << 20,
        snapshots: 1,
    }
}

/// A state machine whose state is all the records that it has seen.
type Records = Vec<Vec<u8>>;

fn encode(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.push(u8::try_from(record.len()).unwrap());
        bytes.extend_from_slice(record);
    }
    bytes
}

fn decode(from: &mut dyn Read) -> io::Result<Records> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    let mut records = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((length, after)) = rest.split_first() {
        let (record, after) =
            after.split_at_checked((*length).into()).ok_or(io::ErrorKind::InvalidData)?;
        records.push(record.to_vec());
        rest = after;
    }
    Ok(records)
}

/// What a daemon knows after it has opened the directory.
fn open(disk: &SimDisk) -> Result<(Records, Replayed), OpenError> {
    let mut recovery = Recovery::open(Path::new(DIRECTORY), Arc::new(disk.clone()))?;
    let restored = recovery.restore(|position, bytes| {
        let records = decode(bytes)?;
        assert_eq!(records.len() as u64, position.0, "a snapshot that nobody wrote");
        Ok::<_, io::Error>(records)
    })?;
    let mut records = restored.unwrap_or_default();
    let replayed = recovery.replay(|position, record| {
        records.push(record.to_vec());
        assert_eq!(position.0, records.len() as u64, "a gap");
        Ok::<_, Infallible>(())
    })?;
    assert_eq!(replayed.report.last.0, records.len() as u64);
    Ok((records, replayed))
}

fn start(disk: &SimDisk, settings: Settings) -> LocalJournal {
    open(disk).unwrap().1.start(settings).unwrap()
}

fn write_snapshot(journal: &LocalJournal, records: &[Vec<u8>]) -> io::Result<Position> {
    let mut snapshot = journal.begin_snapshot()?.unwrap();
    snapshot.write_all(&encode(records))?;
    snapshot.finish(Position(records.len() as u64))
}

/// Each of its own length and content.
fn record(number: usize) -> Vec<u8> {
    let byte = u8::try_from(number % 251).unwrap();
    vec![byte.wrapping_add(1); 10 + number * 7 % 60]
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    // Nobody sends: a pause between two looks, and the only clock that tests may have.
    let (_open, nothing) = std::sync::mpsc::channel::<()>();
    for _ in 0..DEADLINE.as_millis() {
        if holds() {
            return;
        }
        assert!(nothing.recv_timeout(Duration::from_millis(1)).is_err());
    }
    panic!("{what}");
}

fn append_all(journal: &LocalJournal, records: &[Vec<u8>]) -> Position {
    let append = |_, record: &Vec<u8>| journal.append(record).unwrap();
    records.iter().fold(Position::default(), append)
}
