//! A push that panics is seen whole or not at all, at whichever step it does, and the store goes on.
//! Told to a journal, what is answered afterwards is there again.

use super::Step;
use crate::{
    Glob, GroupKey, Journal, JournalFull, Match, Position, PushMeta, Replaces, Rule, Settings,
    Store,
};
use parking_lot::Mutex;
use sidecar_formats::{ingest_json, prom_text::TextEncoder};
use sidecar_model::{Aggregation, Tick, Window};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

thread_local! {
    /// Where, and how many times it is passed before.
    static PANICS_AT: Cell<Option<(Step, u32)>> = const { Cell::new(None) };
}

pub(crate) fn reach(step: Step) {
    if let Some((at, left)) = PANICS_AT.get()
        && at == step
    {
        PANICS_AT.set(left.checked_sub(1).map(|left| (at, left)));
        assert!(left > 0, "asked to panic at {step:?}");
    }
}

/// Before the last value of the last writer is written.
const BEFORE: [Step; 6] =
    [Step::Decoded, Step::Drafted, Step::Entered, Step::Held, Step::Placed, Step::Value];

const FIRST: &str = r#"[{"name":"a","type":"counter","values":[
    {"name":"a_total","labels":{"_id":"x","n":"1"},"value":1},
    {"name":"a_total","labels":{"_id":"x","n":"2"},"value":2}]},
  {"name":"gone","type":"gauge","values":[{"labels":{"_id":"x"},"value":4}]},
  {"name":"h","type":"histogram","values":[
    {"name":"h_bucket","labels":{"_id":"x","le":"1"},"value":3},
    {"name":"h_bucket","labels":{"_id":"x","le":"+Inf"},"value":5},
    {"name":"h_sum","labels":{"_id":"x"},"value":1},
    {"name":"h_count","labels":{"_id":"x"},"value":5}]}]"#;

const ANONYMOUS: &str = r#"[{"name":"n","type":"counter","values":[{"name":"n_total","value":3}]},
  {"name":"w","type":"gauge","values":[{"value":3}]}]"#;

const DELTA: &str = r#"[{"name":"d","type":"counter","temporality":"delta","values":[
    {"name":"d_total","value":3}]},
  {"name":"dh","type":"histogram","temporality":"delta","values":[
    {"name":"dh_bucket","labels":{"le":"+Inf"},"value":2},
    {"name":"dh_sum","value":2},{"name":"dh_count","value":2}]}]"#;

/// What is sent and panics, each in a way of its own.
const PUSHES: [(&str, &str); 9] = [
    (
        "more, a new family, a new type",
        r#"[{"name":"a","type":"counter","help":"new","values":[
        {"name":"a_total","labels":{"_id":"x","n":"1"},"value":11},
        {"name":"a_total","labels":{"_id":"x","n":"3"},"value":13}]},
      {"name":"b","type":"gauge","values":[
        {"labels":{"_id":"x","_aggregate":"max"},"value":5}]},
      {"name":"gone","type":"counter","values":[
        {"name":"gone_total","labels":{"_id":"x"},"value":1}]}]"#,
    ),
    (
        "a restart",
        r#"[{"name":"a","type":"counter","values":[
        {"name":"a_total","labels":{"_id":"x","n":"1"},"value":0.5},
        {"name":"a_total","labels":{"_id":"x","n":"2"},"value":1},
        {"name":"a_total","labels":{"_id":"x","n":"9"},"value":1}]}]"#,
    ),
    (
        "other bounds",
        r#"[{"name":"h","type":"histogram","values":[
        {"name":"h_bucket","labels":{"_id":"x","le":"2"},"value":1},
        {"name":"h_bucket","labels":{"_id":"x","le":"+Inf"},"value":2},
        {"name":"h_sum","labels":{"_id":"x"},"value":1},
        {"name":"h_count","labels":{"_id":"x"},"value":2}]}]"#,
    ),
    (
        "a newcomer",
        r#"[{"name":"a","type":"counter","values":[
        {"name":"a_total","labels":{"_id":"new","n":"1"},"value":7}]}]"#,
    ),
    (
        "one who is back",
        r#"[{"name":"a","type":"counter","values":[
        {"name":"a_total","labels":{"_id":"left","n":"1"},"value":120}]}]"#,
    ),
    (
        "one whose values are forgotten",
        r#"[{"name":"a","type":"counter","values":[
        {"name":"a_total","labels":{"_id":"erased","n":"1"},"value":120}]}]"#,
    ),
    (
        "several writers",
        r#"[{"name":"a","type":"counter","values":[
        {"name":"a_total","labels":{"_id":"x","n":"1"},"value":30},
        {"name":"a_total","labels":{"_id":"y","n":"1"},"value":31},
        {"name":"a_total","labels":{"n":"1"},"value":32}]},
      {"name":"d","type":"counter","temporality":"delta","values":[
        {"name":"d_total","value":5}]}]"#,
    ),
    (
        "nobody's",
        r#"[{"name":"n","type":"counter","values":[{"name":"n_total","value":1}]},
      {"name":"w","type":"gauge","values":[{"value":9},{"labels":{"l":"1"},"value":2}]}]"#,
    ),
    (
        "deltas with other bounds",
        r#"[{"name":"d","type":"counter","temporality":"delta","values":[
        {"name":"d_total","value":3},{"name":"d_total","labels":{"l":"1"},"value":3}]},
      {"name":"dh","type":"histogram","temporality":"delta","values":[
        {"name":"dh_bucket","labels":{"le":"1"},"value":1},
        {"name":"dh_bucket","labels":{"le":"+Inf"},"value":2},
        {"name":"dh_sum","value":2},{"name":"dh_count","value":2}]}]"#,
    ),
];

/// Repeats `FIRST`, so that it goes past the catalog.
const KNOWN: &str = r#"[{"name":"a","type":"counter","values":[
    {"name":"a_total","labels":{"_id":"x","n":"1"},"value":5},
    {"name":"a_total","labels":{"_id":"x","n":"2"},"value":6}]},
  {"name":"gone","type":"gauge","values":[{"labels":{"_id":"x"},"value":8}]},
  {"name":"h","type":"histogram","values":[
    {"name":"h_bucket","labels":{"_id":"x","le":"1"},"value":4},
    {"name":"h_bucket","labels":{"_id":"x","le":"+Inf"},"value":6},
    {"name":"h_sum","labels":{"_id":"x"},"value":2},
    {"name":"h_count","labels":{"_id":"x"},"value":6}]}]"#;

const NOW: Tick = Tick::from_millis(1_000_000);

#[derive(Debug, Default)]
struct Records {
    told: Mutex<Vec<Vec<u8>>>,
    in_doubt: Mutex<bool>,
}

impl Journal for Records {
    fn append(&self, record: &[u8]) -> Result<Position, JournalFull> {
        if *self.in_doubt.lock() {
            return Err(JournalFull);
        }
        let mut told = self.told.lock();
        told.push(record.to_vec());
        Ok(Position(told.len() as u64))
    }

    fn doubt(&self) {
        *self.in_doubt.lock() = true;
    }
}

struct Daemon {
    store: Store,
    records: Option<Arc<Records>>,
}

fn settings() -> Settings {
    let matches = Match { name: Some(Glob::new("w")), labels: Vec::new() };
    let aggregate = Window::parse("sum5m").map(Aggregation::Window);
    let rules = vec![Rule { matches, aggregate, ..Rule::default() }];
    Settings { rules, ..Settings::default() }
}

impl Daemon {
    fn new(is_journaled: bool) -> Daemon {
        let store = Store::new(settings(), Tick::default());
        let records = is_journaled.then(Arc::<Records>::default);
        if let Some(records) = &records {
            store.set_journal(Arc::<Records>::clone(records));
            store.finish_restore(settings(), Tick::default()).unwrap();
        }
        let daemon = Daemon { store, records };
        let other = |id: &str| FIRST.replace("\"x\"", &format!("\"{id}\""));
        for body in [&other("left"), &other("erased"), FIRST, ANONYMOUS, DELTA] {
            daemon.push(body);
        }
        assert!(daemon.store.depart("left", NOW).unwrap());
        assert!(daemon.store.erase("erased", NOW).unwrap());
        // Since then there is a window: it is looked at once.
        daemon.push(FIRST);
        daemon
    }

    fn push(&self, body: &str) {
        let decode = |stager: &mut crate::Stager<'_>| ingest_json::decode(body.as_bytes(), stager);
        let outcome = self.store.push(&PushMeta::default(), NOW, decode).unwrap();
        assert_eq!((outcome.refused, outcome.journal_full), (Vec::new(), false));
    }

    /// Whether the step was reached so often, and the push panicked.
    fn panics(&self, push: impl FnOnce(&Daemon), step: Step, passed: u32) -> bool {
        PANICS_AT.set(Some((step, passed)));
        let pushed = catch_unwind(AssertUnwindSafe(|| push(self)));
        let reached = PANICS_AT.replace(None).is_none();
        assert!(reached || pushed.is_ok());
        reached
    }

    fn page(&self) -> String {
        page(&self.store)
    }

    /// As the process after a crash has it. If the records are in doubt, a snapshot comes first.
    fn restarted(&self) -> Daemon {
        let (mut bytes, mut position) = (Vec::new(), Position::default());
        let records = self.records.clone().unwrap_or_default();
        let in_doubt = std::mem::take(&mut *records.in_doubt.lock());
        let store = if in_doubt {
            position = self.store.snapshot(NOW, &mut |piece| bytes.extend_from_slice(piece));
            Store::restore(&bytes).unwrap().0
        } else {
            Store::new(settings(), Tick::default())
        };
        for (at, record) in records.told.lock().iter().enumerate() {
            let at = Position(at as u64 + 1);
            if at > position {
                store.replay(at, record).unwrap();
            }
        }
        Daemon { store, records: None }
    }
}

fn page(store: &Store) -> String {
    let mut page = Vec::new();
    TextEncoder::new().encode(&store.collect(NOW), &mut page);
    String::from_utf8(page).unwrap()
}

/// All panics of a step, one after the other, each in a daemon of its own.
fn each_panic(
    step: Step,
    is_journaled: bool,
    push: impl Fn(&Daemon),
    check: impl Fn(&Daemon, &str),
) -> u32 {
    for passed in 0.. {
        let daemon = Daemon::new(is_journaled);
        if !daemon.panics(&push, step, passed) {
            return passed;
        }
        check(&daemon, &format!("{step:?} {passed} journaled: {is_journaled}"));
    }
    0
}

#[test]
fn before_all_is_written_nothing_of_a_push_is_seen_and_it_can_come_again() {
    let before = Daemon::new(false).page();
    for (name, body) in PUSHES {
        let whole = Daemon::new(false);
        whole.push(body);
        let mut reached = Vec::new();
        for step in BEFORE {
            for is_journaled in [false, true] {
                let check = |daemon: &Daemon, what: &str| {
                    assert_eq!(daemon.page(), before, "{name}: {what}");
                    daemon.store.check_counts();
                    if is_journaled {
                        daemon.restarted();
                    }
                    daemon.push(body);
                    assert_eq!(daemon.page(), whole.page(), "{name}: {what}");
                    let (stats, expected) = (daemon.store.stats(), whole.store.stats());
                    assert_eq!(stats.contributions, expected.contributions, "{name}: {what}");
                    assert_eq!(stats.live_instances, expected.live_instances, "{name}: {what}");
                    daemon.store.check_counts();
                };
                let times = each_panic(step, is_journaled, |daemon| daemon.push(body), check);
                reached.push((step, times));
            }
        }
        assert!(reached.iter().all(|(_, times)| *times > 0), "{name}: {reached:?}");
    }
}

#[test]
fn behind_the_last_value_all_of_a_push_is_seen() {
    for (name, body) in PUSHES {
        let whole = Daemon::new(false);
        whole.push(body);
        for is_journaled in [false, true] {
            let check = |daemon: &Daemon, what: &str| {
                assert_eq!(daemon.page(), whole.page(), "{name}: {what}");
                if is_journaled {
                    assert_eq!(samples(&daemon.restarted()), samples(&restored(&whole)));
                }
            };
            each_panic(Step::Settling, is_journaled, |daemon| daemon.push(body), check);
        }
    }
}

#[test]
fn a_push_of_a_known_shape_is_done_when_it_is_told() {
    let whole = Daemon::new(false);
    assert!(!whole.panics(|daemon| daemon.push(KNOWN), Step::Drafted, 0), "past the catalog");
    for step in [Step::Value, Step::Told] {
        for is_journaled in [false, true] {
            let check = |daemon: &Daemon, what: &str| {
                assert_eq!(daemon.page(), whole.page(), "{what}");
                // The next one is told as what it adds to it.
                daemon.push(&KNOWN.replace("\"value\":6", "\"value\":60"));
                if is_journaled {
                    let restarted = daemon.restarted();
                    assert_eq!(samples(&restarted), samples(&restored(daemon)), "{what}");
                }
            };
            let times = each_panic(step, is_journaled, |daemon| daemon.push(KNOWN), check);
            assert!(times > 0, "{step:?}");
        }
    }
}

#[test]
fn a_group_is_replaced_whole_or_not_at_all() {
    let key = GroupKey::new([("job".into(), "x".into())]);
    let put = |daemon: &Daemon, body: &str| {
        let meta =
            PushMeta { group: Some(&key), replaces: Replaces::Everything, ..PushMeta::default() };
        let decode = |stager: &mut crate::Stager<'_>| ingest_json::decode(body.as_bytes(), stager);
        assert_eq!(daemon.store.push(&meta, NOW, decode).unwrap().refused, []);
    };
    let (one, other) = (
        r#"[{"name":"g1","type":"gauge","values":[{"value":1},{"labels":{"l":"1"},"value":2}]}]"#,
        r#"[{"name":"g1","type":"gauge","values":[{"value":3}]},
            {"name":"g2","type":"gauge","values":[{"value":4}]}]"#,
    );
    let (before, whole) = (Daemon::new(false), Daemon::new(false));
    put(&before, one);
    put(&whole, one);
    put(&whole, other);
    for step in [Step::Held, Step::Placed, Step::Value, Step::Written, Step::Settling] {
        for passed in 0..2 {
            let daemon = Daemon::new(true);
            put(&daemon, one);
            if daemon.panics(|daemon| put(daemon, other), step, passed) && step != Step::Settling {
                assert_eq!(daemon.page(), before.page(), "{step:?} {passed}");
            }
            daemon.restarted();
            put(&daemon, other);
            assert_eq!(daemon.page(), whole.page(), "{step:?} {passed}");
        }
    }
}

#[test]
fn others_go_on_after_a_panic_and_so_does_upkeep() {
    let daemon = Daemon::new(false);
    let (_, body) = PUSHES[0];
    for step in BEFORE.into_iter().chain([Step::Written, Step::Settling]) {
        assert!(daemon.panics(|daemon| daemon.push(body), step, 0), "{step:?}");
        daemon.push(&body.replace("\"x\"", "\"y\"").replace("gone", "other"));
        while daemon.store.upkeep(NOW) {}
    }
    assert!(daemon.store.depart("y", NOW).unwrap());
    while daemon.store.upkeep(Tick::from_millis(2_000_000)) {}
    daemon.store.check_counts();
}

/// What a process has that took over from a snapshot.
fn restored(daemon: &Daemon) -> Daemon {
    let mut bytes = Vec::new();
    daemon.store.snapshot(NOW, &mut |piece| bytes.extend_from_slice(piece));
    Daemon { store: Store::restore(&bytes).unwrap().0, records: None }
}

fn samples(daemon: &Daemon) -> Vec<String> {
    daemon.page().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

impl Store {
    /// What is counted while it runs is what a restore finds again.
    fn check_counts(&self) {
        let mut bytes = Vec::new();
        self.snapshot(NOW, &mut |piece| bytes.extend_from_slice(piece));
        let again = Store::restore(&bytes).unwrap().0;
        let (is, should) = (self.catalog.read(), again.catalog.read());
        assert_eq!(is.contributions, should.contributions);
        assert_eq!(is.label_bytes, should.label_bytes);
        assert_eq!(is.live_instances, should.live_instances);
        assert_eq!(is.departed_instances, should.departed_instances);
        assert_eq!(is.groups, should.groups);
        assert_eq!(is.jobs.view(), should.jobs.view());
        drop(is);
        assert_eq!(self.page_of_state(), again.page_of_state());
    }

    fn page_of_state(&self) -> String {
        page(self)
    }
}
