//! Every byte of a small journal and of a small snapshot, turned over or cut off.

use super::super::OpenError;
use super::super::record::{HEADER_BYTES, Header, RECORD_HEADER_BYTES, Records as Walk, Step};
use super::super::{Settings, replay::Report};
use super::sim::SimDisk;
use super::{Records, append_all, open, record, small, start, write_snapshot};

/// A journal of several segments; after it records that no snapshot holds.
fn journal_of(count: usize) -> (SimDisk, Records) {
    let disk = SimDisk::new();
    let records: Records = (0..count).map(record).collect();
    let journal = start(&disk, small());
    append_all(&journal, &records);
    journal.close().unwrap();
    drop(journal);
    (disk, records)
}

fn segments(disk: &SimDisk) -> Vec<String> {
    let segment = |name: &String| name.starts_with("segment-") && !name.contains('.');
    disk.names().into_iter().filter(segment).collect()
}

/// The records before the byte, if it belongs to a record or to a header; else all.
fn before(disk: &SimDisk, name: &str, byte: usize, all: usize) -> usize {
    let bytes = disk.content(name);
    let mut walk = Walk::new(&bytes, Header::decode(&bytes).unwrap());
    let mut first = None;
    while let Step::Record { position, payload, at } = walk.step() {
        first.get_or_insert(position);
        if (at..at + RECORD_HEADER_BYTES + payload.len()).contains(&byte) {
            return position as usize - 1;
        }
    }
    match first {
        Some(first) if byte < HEADER_BYTES => first as usize - 1,
        _ => all,
    }
}

/// What was not damaged is there, the rest is reported and kept, and a second start finds nothing wrong.
fn check(disk: &SimDisk, records: &Records, good: usize, what: &str) -> Report {
    let report = check_quietly(disk, records, good, what);
    if good < records.len() {
        assert!(!report.is_complete(), "{what}: silent about what is missing");
    }
    report
}

fn check_quietly(disk: &SimDisk, records: &Records, good: usize, what: &str) -> Report {
    let (found, replayed) = open(disk).unwrap();
    assert_eq!(found, records[..good], "{what}");
    let report = replayed.report.clone();
    let again = disk.kill();
    let (found, replayed) = open(&again).unwrap();
    assert_eq!(found, records[..good], "{what}, second start");
    let harmless = |left: &super::super::replay::LeftOut| left.moved_to.is_none();
    assert!(replayed.report.left_out.iter().all(harmless), "{what}: {:?}", replayed.report);
    assert_eq!(replayed.report.cut, None, "{what}");
    report
}

#[test]
fn a_byte_turned_over_costs_its_record_and_what_follows() {
    let (disk, records) = journal_of(22);
    assert!(segments(&disk).len() > 3);
    for name in segments(&disk) {
        let content = disk.content(&name);
        for byte in 0..content.len() {
            for mask in [1, 0x80, 0xff] {
                let damaged = disk.copy();
                let mut changed = content.clone();
                changed[byte] ^= mask;
                damaged.set_content(&name, changed.clone());
                let good = before(&disk, &name, byte, records.len());
                let report = check(&damaged, &records, good, &format!("{name} byte {byte}"));
                for moved in report.left_out.iter().filter_map(|left| left.moved_to.as_ref()) {
                    if moved.starts_with(&name) {
                        assert_eq!(damaged.content(moved), changed, "{moved}");
                    }
                }
            }
        }
    }
}

#[test]
fn damage_in_the_middle_names_the_files_and_the_records() {
    let (disk, records) = journal_of(22);
    let names = segments(&disk);
    let mut content = disk.content(&names[1]);
    content[HEADER_BYTES + 3] ^= 1;
    let good = before(&disk, &names[1], HEADER_BYTES + 3, 0);
    disk.set_content(&names[1], content);
    let disk = disk.kill();
    let report = check(&disk, &records, good, "the second segment");
    let files: Vec<&String> = report.left_out.iter().map(|left| &left.file).collect();
    assert_eq!(files, names[1..].iter().collect::<Vec<_>>());
    for left in &report.left_out {
        let (first, last) = left.records.unwrap();
        assert_eq!((first.0 as usize, last.0 as usize), (good + 1, records.len()));
    }
}

#[test]
fn a_journal_goes_on_after_damage() {
    let (disk, records) = journal_of(22);
    let name = segments(&disk)[1].clone();
    let mut content = disk.content(&name);
    content[HEADER_BYTES + 90] ^= 1;
    disk.set_content(&name, content);
    let disk = disk.kill();
    let (mut found, replayed) = open(&disk).unwrap();
    let journal = replayed.start(small()).unwrap();
    let more: Records = (50..60).map(record).collect();
    append_all(&journal, &more);
    journal.close().unwrap();
    found.extend(more);
    let (again, replayed) = open(&disk.kill()).unwrap();
    assert!(found.len() < records.len() + 10);
    assert_eq!(again, found);
    assert!(replayed.report.is_complete());
}

#[test]
fn a_torn_end_is_cut_at_every_byte() {
    let (disk, records) = journal_of(22);
    let name = segments(&disk).into_iter().rfind(|name| before(&disk, name, 0, 99) < 99).unwrap();
    let content = disk.content(&name);
    for byte in HEADER_BYTES..content.len() {
        let good = before(&disk, &name, byte, records.len());
        // At the end of a record nothing says that there was another one.
        let inside = byte > HEADER_BYTES && good == before(&disk, &name, byte - 1, 0);
        let check = if inside { check } else { check_quietly };
        let cut = disk.copy();
        cut.set_content(&name, content[..byte].to_vec());
        let report = check(&cut, &records, good, &format!("cut off at {byte}"));
        assert!(report.left_out.is_empty(), "{report:?}");
        let zeroed = disk.copy();
        let mut rest = content.clone();
        rest[byte..].fill(0);
        zeroed.set_content(&name, rest);
        let report = check(&zeroed, &records, good, &format!("zeros from {byte}"));
        assert!(report.left_out.is_empty(), "{report:?}");
    }
}

fn with_snapshots(keep: usize) -> (SimDisk, Records) {
    let disk = SimDisk::new();
    let settings = Settings { snapshots: keep, ..small() };
    let journal = start(&disk, settings);
    let records: Records = (0..30).map(record).collect();
    for (from, to) in [(0, 10), (10, 20)] {
        append_all(&journal, &records[from..to]);
        let oldest = write_snapshot(&journal, &records[..to]).unwrap();
        journal.truncate(oldest).unwrap();
    }
    append_all(&journal, &records[20..]);
    journal.close().unwrap();
    drop(journal);
    (disk, records)
}

fn newest_snapshot(disk: &SimDisk) -> String {
    disk.names().into_iter().rfind(|name| name.starts_with("snapshot-")).unwrap()
}

#[test]
fn with_two_snapshots_a_damaged_one_costs_nothing() {
    let (disk, records) = with_snapshots(2);
    let name = newest_snapshot(&disk);
    let content = disk.content(&name);
    for byte in 0..content.len() {
        let damaged = disk.copy();
        let mut changed = content.clone();
        changed[byte] ^= 0x10;
        damaged.set_content(&name, changed.clone());
        let report = check(&damaged, &records, records.len(), &format!("snapshot byte {byte}"));
        assert_eq!(report.snapshot.unwrap().0, 10);
        let moved = report.left_out[0].moved_to.clone().unwrap();
        assert_eq!(damaged.content(&moved), changed);
        let cut = disk.copy();
        cut.set_content(&name, content[..byte].to_vec());
        check(&cut, &records, records.len(), &format!("snapshot cut at {byte}"));
    }
}

#[test]
fn a_snapshot_with_something_behind_it_is_damaged() {
    let (disk, records) = with_snapshots(2);
    let name = newest_snapshot(&disk);
    let mut content = disk.content(&name);
    content.push(0);
    disk.set_content(&name, content);
    check(&disk.kill(), &records, records.len(), "longer");
}

#[test]
fn without_another_snapshot_what_is_left_is_nothing_and_said() {
    let (disk, _) = with_snapshots(1);
    let name = newest_snapshot(&disk);
    let mut content = disk.content(&name);
    content[60] ^= 1;
    disk.set_content(&name, content);
    let (found, replayed) = open(&disk.kill()).unwrap();
    assert_eq!(found, Records::new());
    assert!(replayed.report.left_out.len() > 1);
    let disk_names = disk.names();
    for left in &replayed.report.left_out {
        assert!(disk_names.contains(left.moved_to.as_ref().unwrap()));
    }
}

#[test]
fn damage_to_records_that_the_snapshot_holds_costs_nothing() {
    let (disk, records) = with_snapshots(2);
    for name in segments(&disk) {
        let content = disk.content(&name);
        for byte in 0..content.len() {
            let good = before(&disk, &name, byte, records.len());
            if good >= 20 {
                continue;
            }
            let damaged = disk.copy();
            let mut changed = content.clone();
            changed[byte] ^= 0x40;
            damaged.set_content(&name, changed);
            let (found, replayed) = open(&damaged).unwrap();
            // A header covers the whole segment, which may hold later records.
            if byte >= HEADER_BYTES {
                assert_eq!(found, records, "{name} byte {byte}");
            }
            assert!(!replayed.report.is_complete());
        }
    }
}

#[test]
fn another_format_is_refused_and_left_alone() {
    let (disk, _) = journal_of(3);
    for byte in 0..disk.content("format").len() {
        let other = disk.copy();
        let mut content = other.content("format");
        content[byte] ^= 1;
        other.set_content("format", content);
        let names = other.names();
        assert!(matches!(open(&other), Err(OpenError::Format { .. })));
        assert_eq!(other.names(), names);
    }
    let name = segments(&disk)[0].clone();
    let mut content = disk.content(&name);
    content[8] = 9;
    let sum = crc32c::crc32c(&content[..HEADER_BYTES - 4]);
    content[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    disk.set_content(&name, content);
    assert!(matches!(open(&disk.kill()), Err(OpenError::Format { .. })));
}

#[test]
fn what_looks_like_a_record_inside_a_record_is_none() {
    let disk = SimDisk::new();
    let journal = start(&disk, Settings { segment_bytes: 4096, ..small() });
    let mut inner = Vec::new();
    let sum = super::super::record::payload_sum(b"forged");
    super::super::record::encode(&mut inner, 6, sum, 2, 0, b"forged");
    append_all(&journal, &[inner, record(1)]);
    journal.close().unwrap();
    drop(journal);
    let name = segments(&disk)[0].clone();
    let mut content = disk.content(&name);
    content[HEADER_BYTES] ^= 1;
    disk.set_content(&name, content);
    let (found, replayed) = open(&disk.kill()).unwrap();
    assert_eq!(found, Records::new());
    let (first, last) = replayed.report.left_out[0].records.unwrap();
    assert_eq!((first.0, last.0), (1, 2));
}
