//! Random histories with a journal: what is read back from records and snapshots, whatever was the last
//! snapshot and whenever it was made, is the state to the byte, and goes on as it would have.

use crate::body::{Push, Way};
use crate::compare::{agree, difference, exposed};
use crate::history::{IDS, Op, Order, Theme, World, key};
use crate::recorder::{Recorder, snapshot};
use crate::{everything, grouped_settings, ruled_settings, settings};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use sidecar_model::Tick;
use sidecar_store::{GroupKey, Position, Settings, Store};

/// Stores to which the same happens.
struct Life<'s> {
    stores: Vec<&'s Store>,
    world: &'s mut World,
    settings: &'s [Settings],
    now: &'s mut u64,
}

impl Life<'_> {
    fn step(&mut self, op: &Op) {
        match op {
            Op::Push(op) => {
                let push = self.world.push(op);
                self.push(&push);
                // A repetition is of a known shape.
                self.push(&Push { sequence: None, ..push });
            }
            Op::Pair(op, times) => {
                let push = self.world.push(op);
                let other = self.world.other(&push);
                for _ in 0..*times {
                    self.push(&other);
                    self.push(&push);
                }
            }
            Op::Tick(ms) => {
                *self.now += ms;
                let now = self.tick();
                self.stores.iter().for_each(|store| while store.upkeep(now) {});
            }
            Op::Depart(id) => self.on_each(|store, now| {
                store.depart(IDS[usize::from(*id)], now).unwrap();
            }),
            Op::Retire(id) => self.on_each(|store, now| {
                store.retire(IDS[usize::from(*id)], now).unwrap();
            }),
            Op::Erase(id) => self.on_each(|store, now| {
                store.erase(IDS[usize::from(*id)], now).unwrap();
            }),
            Op::DeleteGroup { key: index, erase, below } => {
                let group = GroupKey::new(key(*index));
                self.on_each(|store, now| match below {
                    true => drop(store.delete_groups_below(&group, *erase, now).unwrap()),
                    false => drop(store.delete_group(&group, *erase, now).unwrap()),
                });
            }
            Op::Relieve => self.on_each(|store, now| _ = store.relieve(now)),
            Op::Clear => self.on_each(|store, now| store.clear(now).unwrap()),
            Op::Reload(index) => {
                let settings = self.settings[usize::from(*index) % self.settings.len()].clone();
                self.on_each(|store, now| store.reload(settings.clone(), now).unwrap());
            }
        }
    }

    fn push(&self, push: &Push) {
        let outcomes: Vec<_> = self
            .stores
            .iter()
            .map(|store| push.send(store, self.tick(), Way::Remembered))
            .collect();
        let same = |outcome: &Result<_, String>| {
            outcome.clone().map(|o| sidecar_store::Outcome { recorded: Position(0), ..o })
        };
        assert!(outcomes.windows(2).all(|pair| same(&pair[0]) == same(&pair[1])), "{outcomes:?}");
    }

    fn on_each(&self, act: impl Fn(&Store, Tick)) {
        self.stores.iter().for_each(|store| act(store, self.tick()));
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(*self.now)
    }
}

fn check(name: &'static str, theme: Theme, settings: &[Settings]) {
    let config = Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(name))),
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let cut = proptest::sample::Index::arbitrary();
    let outcome = TestRunner::new(config).run(&(theme.histories(), cut), |(history, cut)| {
        let (before, after) = history.split_at(cut.index(history.len()));
        survives(before, after, settings);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn survives(before: &[Op], after: &[Op], settings: &[Settings]) {
    let (mut now, mut world) = (1_000_000, World::new(0.5, false));
    let (recorder, store) = Recorder::store(&settings[0], Tick::from_millis(now));
    let mut life = Life { stores: vec![&store], world: &mut world, settings, now: &mut now };
    before.iter().for_each(|op| life.step(op));
    let (middle, position) = snapshot(&store, life.tick());
    let restored = restored(&middle);
    assert_same(&snapshot(&restored, life.tick()).0, &middle, "a snapshot is made of itself");

    // What goes on from the snapshot goes on in the same way.
    life.stores.push(&restored);
    for op in after {
        life.step(op);
        assert_same_page(life.stores[0], life.stores[1], life.tick());
    }

    let now = Tick::from_millis(now);
    let (end, _) = snapshot(&store, now);
    let replayed = Store::new(Settings::default(), Tick::default());
    recorder.replay(&replayed, Position(0));
    assert_same(&snapshot(&replayed, now).0, &end, "all records");
    let caught_up = Store::restore(&middle).unwrap().0;
    recorder.replay(&caught_up, position);
    assert_same(&snapshot(&caught_up, now).0, &end, "a snapshot and the records behind it");
    assert_same_page(&store, &caught_up, now);
}

fn assert_same(left: &[u8], right: &[u8], what: &str) {
    let at = left.iter().zip(right).position(|(a, b)| a != b);
    assert!(left == right, "{what}: {} and {} bytes differ at {at:?}", left.len(), right.len());
}

fn assert_same_page(left: &Store, right: &Store, now: Tick) {
    let (left, right) = (exposed(&left.collect(now)), exposed(&right.collect(now)));
    assert!(agree(&left, &right), "{}", difference(&left, &right));
}

fn restored(bytes: &[u8]) -> Store {
    Store::restore(bytes).unwrap().0
}

#[test]
fn counters_and_gauges_survive() {
    check("proptest-regressions/counters_and_gauges_survive.txt", Theme::PLAIN, &[settings()]);
}

#[test]
fn sequences_and_lives_survive() {
    let orders = &[Order::None, Order::Next, Order::Next, Order::Repeated, Order::NewEpoch];
    check(
        "proptest-regressions/sequences_and_lives_survive.txt",
        Theme { families: &[0, 1, 4, 5, 11], orders, finals: true, variants: 3, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn deltas_survive() {
    check(
        "proptest-regressions/deltas_survive.txt",
        Theme { families: &[0, 1, 4, 5], deltas: true, ttls: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn the_anonymous_writer_survives() {
    check(
        "proptest-regressions/the_anonymous_writer_survives.txt",
        Theme { ids: &[0, 1, 3], several_ids: true, erase: true, variants: 3, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn groups_survive() {
    check(
        "proptest-regressions/groups_survive.txt",
        Theme {
            families: &[0, 1, 4, 5, 8],
            groups: &[0, 1, 2, 3, 4, 5, 6, 7],
            ids: &[0, 1, 3],
            ttls: true,
            deltas: true,
            several_ids: true,
            erase: true,
            reloads: 4,
            variants: 3,
            ..Theme::PLAIN
        },
        &grouped_settings(),
    );
}

#[test]
fn windows_survive() {
    check(
        "proptest-regressions/windows_survive.txt",
        Theme { functions: &[0, 3, 13, 13, 14], deltas: true, ttls: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn everything_survives() {
    check("proptest-regressions/everything_survives.txt", everything(), &ruled_settings());
}

/// Damaged bytes are refused, or make a state that can be asked and goes on.
#[test]
fn damage_is_refused_or_harmless() {
    let mut runner = TestRunner::deterministic();
    let histories = everything().histories();
    let settings = ruled_settings();
    for round in 0..40_u64 {
        let history = histories.new_tree(&mut runner).unwrap().current();
        let (mut now, mut world) = (1_000_000, World::new(0.5, false));
        let (recorder, store) = Recorder::store(&settings[0], Tick::from_millis(now));
        let mut life =
            Life { stores: vec![&store], world: &mut world, settings: &settings, now: &mut now };
        let (before, after) = history.split_at(history.len() / 2);
        before.iter().for_each(|op| life.step(op));
        let (bytes, position) = snapshot(&store, life.tick());
        after.iter().for_each(|op| life.step(op));
        let records = recorder.behind(position);
        damage(&bytes, round, |damaged| {
            if let Ok((store, _)) = Store::restore(damaged) {
                go_on(&store, &records, now);
            }
        });
        for (at, (position, record)) in records.iter().enumerate() {
            damage(record, round, |damaged| {
                let (store, _) = Store::restore(&bytes).unwrap();
                for (position, record) in &records[..at] {
                    store.replay(*position, record).unwrap();
                }
                if store.replay(*position, damaged).is_ok() {
                    go_on(&store, &records[at + 1..], now);
                }
            });
        }
    }
}

/// Some bytes flipped, some cut off, others in each round.
fn damage(bytes: &[u8], round: u64, mut check: impl FnMut(&[u8])) {
    let mut mixed = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..24 {
        mixed =
            mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (mixed >> 33) as usize % bytes.len();
        let mut damaged = bytes.to_vec();
        damaged[at] ^= [1, 2, 0x80, 0xff, 0x10][(mixed >> 20) as usize % 5];
        check(&damaged);
        check(&bytes[..at]);
    }
}

fn go_on(store: &Store, records: &[(Position, Vec<u8>)], now: u64) {
    for (position, record) in records {
        let _refused = store.replay(*position, record);
    }
    let mut now = now;
    for _ in 0..4 {
        store.collect(Tick::from_millis(now));
        now += 100_000;
        while store.upkeep(Tick::from_millis(now)) {}
    }
    store.instances(Tick::from_millis(now));
    snapshot(store, Tick::from_millis(now));
}
