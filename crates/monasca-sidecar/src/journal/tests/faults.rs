//! Full disks, failing writes and syncs.

use super::super::{LocalJournal, ReopenError, Settings, SyncLevel};
use super::sim::{Fault, Operation, SimDisk};
use super::{Records, append_all, eventually, open, record, small, start, write_snapshot};
use sidecar_store::{Journal, JournalFull, Position};
use std::io::{ErrorKind, Write};

const EIO: i32 = 5;
const EACCES: i32 = 13;

fn fault(operation: Operation, after: u32) -> Fault {
    Fault { operation, after, errno: EIO, short: false }
}

/// Started, and its thread has done what there was to do.
fn start_and_settle(disk: &SimDisk, records: &[Vec<u8>]) -> LocalJournal {
    let journal = start(disk, small());
    append_all(&journal, records);
    eventually("a segment in store", || journal.state().segments == 2);
    journal
}

/// Appends until there is no more space.
fn fill(journal: &LocalJournal, records: &mut Records) {
    let mut number = records.len();
    while journal.append(&record(number)).is_ok() {
        records.push(record(number));
        number += 1;
    }
}

#[test]
fn a_full_disk_refuses_before_it_takes_and_goes_on_when_there_is_space() {
    let disk = SimDisk::new();
    let journal = start(&disk, small());
    let mut records = Records::new();
    disk.set_capacity(1_000);
    fill(&journal, &mut records);
    let refused = record(records.len());
    assert_eq!(journal.append(&refused), Err(JournalFull));
    eventually("says why", || journal.state().full == Some(ErrorKind::StorageFull));
    assert_eq!(journal.state().refused, 2);
    // What was taken can be written, whatever others do to the disk.
    disk.set_capacity(disk.used());
    let last = journal.state().last;
    assert_eq!(last, Position(records.len() as u64));
    journal.flush(last).unwrap();
    assert_eq!(journal.state().written, last);
    journal.writer.sync().unwrap();
    disk.set_capacity(10_000);
    journal.retry_space();
    eventually("space came back", || journal.append(&refused).is_ok());
    records.push(refused);
    assert_eq!(journal.state().full, None);
    journal.close().unwrap();
    let (found, replayed) = open(&disk.kill()).unwrap();
    assert_eq!(found, records);
    assert!(replayed.report.is_complete());
}

#[test]
fn space_is_tried_again_without_being_asked() {
    let disk = SimDisk::new();
    let journal = start(&disk, small());
    disk.set_capacity(1_000);
    let mut records = Records::new();
    fill(&journal, &mut records);
    disk.set_capacity(u64::MAX);
    eventually("tried again", || journal.append(b"one more").is_ok());
}

#[test]
fn a_start_on_a_full_disk_serves_what_is_there() {
    let disk = SimDisk::new();
    let journal = start(&disk, small());
    let records: Records = (0..9).map(record).collect();
    append_all(&journal, &records);
    journal.close().unwrap();
    drop(journal);
    let disk = disk.kill();
    disk.set_capacity(disk.used());
    let (found, replayed) = open(&disk).unwrap();
    assert_eq!(found, records);
    disk.set_capacity(disk.used());
    let journal = replayed.start(small()).unwrap();
    assert_eq!(journal.append(b"no"), Err(JournalFull));
    disk.set_capacity(u64::MAX);
    journal.retry_space();
    eventually("space came back", || journal.append(b"yes").is_ok());
}

#[test]
fn the_journal_keeps_to_its_own_limit() {
    let disk = SimDisk::new();
    let journal = start(&disk, Settings { largest_journal_bytes: 1_000, ..small() });
    let mut records = Records::new();
    fill(&journal, &mut records);
    eventually("says why", || journal.state().full == Some(ErrorKind::QuotaExceeded));
    assert!(journal.state().bytes_on_disk <= 1_000);
    let oldest = write_snapshot(&journal, &records).unwrap();
    journal.truncate(oldest).unwrap();
    eventually("truncation makes room", || journal.append(b"one more").is_ok());
}

#[test]
fn a_long_record_gets_a_segment_of_its_own_and_a_longer_one_is_refused() {
    let disk = SimDisk::new();
    let journal = start(&disk, small());
    let long = vec![7; 2_000];
    let records = vec![record(0), long.clone(), record(2), long, record(4)];
    append_all(&journal, &records);
    assert_eq!(journal.append(&[1; 2_001]), Err(JournalFull));
    assert_eq!(journal.append(b""), Ok(Position(6)));
    journal.close().unwrap();
    let (found, replayed) = {
        let disk = disk.kill();
        let mut found = Records::new();
        let recovery = super::Recovery::open(super::DIRECTORY.as_ref(), std::sync::Arc::new(disk));
        let visit = |_: Position, record: &[u8]| {
            found.push(record.to_vec());
            Ok::<_, std::convert::Infallible>(())
        };
        let replayed = recovery.unwrap().replay(visit).unwrap();
        (found, replayed)
    };
    assert_eq!(found[..5], records);
    assert_eq!(found[5], Vec::<u8>::new());
    assert!(replayed.report.is_complete());
}

/// A failed write or sync, a snapshot, and on: nothing that was answered for is lost at any point.
#[tokio::test]
async fn after_a_failed_write_or_sync_nothing_is_taken_until_a_snapshot_replaces_it() {
    let write = Fault { short: true, ..fault(Operation::Write, 0) };
    for fault in [write, fault(Operation::Sync, 0)] {
        let disk = SimDisk::new();
        let mut records: Records = (0..3).map(record).collect();
        let journal = start_and_settle(&disk, &records);
        let last = Position(3);
        journal.writer.sync().unwrap();
        assert!(journal.synced(last).await.is_ok());
        records.push(record(3));
        let next = journal.append(&record(3)).unwrap();
        disk.set_fault(fault);
        assert!(journal.writer.sync().is_err());
        assert!(journal.flush(next).is_err());
        assert!(journal.kept(next).await.is_err());
        assert!(journal.synced(next).await.is_err());
        assert_eq!(journal.append(b"no"), Err(JournalFull));
        // Until then a crash finds what was synced.
        let (found, _) = open(&disk.copy().lose_power(|| 2)).unwrap();
        assert_eq!(found, records[..3]);
        let short = journal.reopen(Position(3));
        assert!(matches!(short, Err(ReopenError::NotCovered { last: Position(4) })));
        let oldest = write_snapshot(&journal, &records).unwrap();
        journal.reopen(oldest).unwrap();
        journal.truncate(oldest).unwrap();
        let more: Records = (4..20).map(record).collect();
        append_all(&journal, &more);
        records.extend(more);
        journal.writer.sync().unwrap();
        let (found, replayed) = open(&disk.lose_power(|| 2)).unwrap();
        assert_eq!(found, records);
        assert!(replayed.report.is_complete());
    }
}

#[test]
fn a_failed_sync_is_not_forgotten_by_the_next_one() {
    let disk = SimDisk::new();
    let journal = start_and_settle(&disk, &[record(0)]);
    journal.flush(Position(1)).unwrap();
    disk.set_fault(fault(Operation::Sync, 0));
    assert!(journal.writer.sync().is_err());
    assert!(journal.writer.sync().is_err());
    assert_eq!(journal.state().synced, Position(0));
}

#[test]
fn a_disk_that_is_full_while_a_snapshot_is_written_leaves_all_as_it_was() {
    let disk = SimDisk::new();
    let records: Records = (0..5).map(record).collect();
    let journal = start_and_settle(&disk, &records);
    write_snapshot(&journal, &records).unwrap();
    let names = disk.names();
    disk.set_capacity(disk.used() + 50);
    assert!(write_snapshot(&journal, &records).is_err());
    assert_eq!(disk.names(), names);
    disk.set_capacity(u64::MAX);
    let (found, replayed) = open(&disk.copy()).unwrap();
    assert_eq!(found, records);
    assert!(replayed.report.is_complete());
    write_snapshot(&journal, &records).unwrap();
}

#[test]
fn one_snapshot_is_written_at_a_time() {
    let disk = SimDisk::new();
    let journal = start(&disk, small());
    let mut first = journal.begin_snapshot().unwrap().unwrap();
    first.write_all(b"half").unwrap();
    assert!(journal.begin_snapshot().unwrap().is_none());
    drop(first);
    assert!(journal.begin_snapshot().unwrap().is_some());
    assert!(disk.names().iter().all(|name| !name.starts_with("snapshot")));
}

/// One daemon's life with a fault somewhere; says what was answered for.
fn life(disk: &SimDisk, records: &mut Records, flushed: &mut usize) -> Option<()> {
    let (found, replayed) = open(disk).ok()?;
    *records = found;
    let journal = replayed.start(small()).ok()?;
    for round in 0..12 {
        for _ in 0..3 {
            let next = record(records.len());
            let position = journal.append(&next).ok()?;
            records.push(next);
            assert_eq!(position.0, records.len() as u64);
        }
        journal.flush(Position(records.len() as u64)).ok()?;
        *flushed = records.len();
        if round % 4 == 3 {
            let oldest = write_snapshot(&journal, records).ok()?;
            journal.truncate(oldest).ok()?;
        }
    }
    journal.close().ok()
}

#[test]
fn whichever_operation_fails_nothing_answered_is_lost() {
    for short in [false, true] {
        let mut hit = true;
        let mut after = 0;
        while hit {
            let disk = SimDisk::new();
            // A second life begins with files to read.
            let (mut records, mut flushed) = (Records::new(), 0);
            life(&disk, &mut records, &mut flushed).unwrap();
            let disk = disk.kill();
            disk.set_fault(Fault { operation: Operation::Any, after, errno: EACCES, short });
            life(&disk, &mut records, &mut flushed);
            hit = !disk.fault_is_pending();
            let (found, _) = open(&disk.kill()).unwrap();
            assert!(found.len() >= flushed, "operation {after}: {} of {flushed}", found.len());
            assert_eq!(found, records[..found.len().min(records.len())], "operation {after}");
            after += 1;
        }
        assert!(after > 100, "{after}");
    }
}

#[test]
fn a_segment_that_the_medium_does_not_give_back_is_moved_aside() {
    let disk = SimDisk::new();
    let records: Records = (0..3).map(record).collect();
    let journal = start_and_settle(&disk, &records);
    journal.close().unwrap();
    drop(journal);
    let reads = (0..200).find(|after| {
        let broken = disk.copy();
        broken.set_fault(fault(Operation::Read, *after));
        let Ok((found, replayed)) = open(&broken) else { return false };
        let left_out = &replayed.report.left_out;
        found.is_empty() && left_out.iter().any(|left| left.moved_to.is_some())
    });
    assert!(reads.is_some());
}

/// Zeros take more than the one write of a header.
#[test]
fn where_pushes_wait_for_the_disk_space_is_written_before_it_is_used() {
    for (sync, is_written) in [(SyncLevel::Always, true), (small().sync, false)] {
        let disk = SimDisk::new();
        let (_, replayed) = open(&disk).unwrap();
        disk.set_fault(fault(Operation::Write, 1));
        let _journal = replayed.start(Settings { sync, ..small() }).unwrap();
        assert_eq!(disk.fault_is_pending(), !is_written);
    }
}

/// Through many segments, some of which are begun before they are filled.
#[tokio::test]
async fn at_always_a_record_that_was_kept_survives_the_loss_of_power() {
    let disk = SimDisk::new();
    let journal = start(&disk, Settings { sync: SyncLevel::Always, ..small() });
    let mut records = Records::new();
    for number in 0..100 {
        records.push(record(number));
        let position = journal.append(&record(number)).unwrap();
        journal.kept(position).await.unwrap();
    }
    drop(journal);
    let lost = disk.lose_power(|| 2);
    assert_eq!(open(&lost).unwrap().0, records);
}
