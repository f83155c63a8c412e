//! Random lives: appends, flushes, syncs, snapshots, crashes and losses of power, against a list of what
//! was promised.

use super::super::{LocalJournal, Settings};
use super::sim::{Fault, Operation, SimDisk};
use super::{Records, open, small, write_snapshot};
use proptest::prelude::*;
use sidecar_store::{Journal, Position};

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Flush,
    Sync,
    Snapshot,
    Kill,
    LosePower(Vec<u32>),
    Fill(u64),
    Space,
    Fail { operation: Operation, after: u32, short: bool },
    Repair,
}

fn step() -> impl Strategy<Value = Step> {
    let operation =
        prop_oneof![Just(Operation::Any), Just(Operation::Write), Just(Operation::Sync)];
    prop_oneof![
        20 => (0_usize..120).prop_map(Step::Append),
        5 => Just(Step::Flush),
        4 => Just(Step::Sync),
        2 => Just(Step::Snapshot),
        2 => Just(Step::Kill),
        2 => prop::collection::vec(any::<u32>(), 1..50).prop_map(Step::LosePower),
        1 => (0_u64..1_000).prop_map(Step::Fill),
        2 => Just(Step::Space),
        1 => (operation, 0_u32..6, any::<bool>())
            .prop_map(|(operation, after, short)| Step::Fail { operation, after, short }),
        2 => Just(Step::Repair),
    ]
}

struct World {
    disk: SimDisk,
    settings: Settings,
    journal: Option<LocalJournal>,
    records: Records,
    /// How many of them survive the end of the process, and how many the loss of power.
    flushed: usize,
    synced: usize,
    salt: u8,
}

impl World {
    fn new(snapshots: usize) -> World {
        let mut world = World {
            disk: SimDisk::new(),
            settings: Settings { snapshots, ..small() },
            journal: None,
            records: Records::new(),
            flushed: 0,
            synced: 0,
            salt: 0,
        };
        world.start(0);
        world
    }

    /// At least `promised` records are there, all of them as they were appended, and none else.
    fn start(&mut self, promised: usize) {
        let (found, replayed) = open(&self.disk).unwrap();
        assert!(found.len() >= promised, "{} of {promised}: {:?}", found.len(), replayed.report);
        assert_eq!(found, self.records[..found.len()]);
        self.records = found;
        self.flushed = self.records.len();
        self.synced = self.records.len();
        self.journal = Some(replayed.start(self.settings).unwrap());
    }

    fn run(&mut self, step: Step) {
        let Some(journal) = &self.journal else { return };
        let all = self.records.len();
        match step {
            Step::Append(length) => {
                self.salt = self.salt.wrapping_add(1);
                let record = vec![self.salt; length];
                if let Ok(position) = journal.append(&record) {
                    self.records.push(record);
                    assert_eq!(position, Position(self.records.len() as u64));
                }
            }
            Step::Flush => {
                if journal.flush(Position(all as u64)).is_ok() {
                    self.flushed = all;
                }
            }
            Step::Sync => {
                if journal.writer.sync().is_ok() {
                    (self.flushed, self.synced) = (all, all);
                }
            }
            Step::Snapshot => self.snapshot(),
            Step::Kill => {
                self.disk = self.disk.kill();
                self.journal = None;
                self.start(self.flushed);
            }
            Step::LosePower(choices) => {
                let mut choices = choices.into_iter().cycle();
                self.disk = self.disk.lose_power(|| choices.next().unwrap_or_default());
                self.journal = None;
                self.start(self.synced);
            }
            Step::Fill(left) => self.disk.set_capacity(self.disk.used() + left),
            Step::Space => {
                self.disk.set_capacity(u64::MAX);
                journal.retry_space();
            }
            Step::Fail { operation, after, short } => {
                self.disk.set_fault(Fault { operation, after, errno: 5, short });
            }
            Step::Repair => {
                if let Some(snapshot) = self.snapshot_at() {
                    journal.reopen(snapshot).unwrap_or_default();
                }
            }
        }
    }

    fn snapshot_at(&self) -> Option<Position> {
        let journal = self.journal.as_ref()?;
        write_snapshot(journal, &self.records).ok()?;
        Some(Position(self.records.len() as u64))
    }

    fn snapshot(&mut self) {
        let Some(journal) = &self.journal else { return };
        if let Ok(oldest) = write_snapshot(journal, &self.records) {
            (self.flushed, self.synced) = (self.records.len(), self.records.len());
            journal.truncate(oldest).unwrap_or_default();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_was_promised_is_there(
        snapshots in 1_usize..3,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(snapshots);
        for step in steps {
            world.run(step);
        }
        world.run(Step::Space);
        world.run(Step::Kill);
    }
}
