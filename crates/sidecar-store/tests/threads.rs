//! Threads push, depart and return while a checker reads every scrape: no counter falls, not by an
//! ulp, no push is seen by half, and in the end every event is counted once.

use sidecar_formats::ingest_json;
use sidecar_model::{Tick, is_absent};
use sidecar_store::{PushMeta, Sequence, Settings, Store};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WRITERS: u64 = 4;
const PUSHES: u64 = 1_500;
/// Not a dyadic fraction: sums round.
const STEP: f64 = 0.1;

/// One writer's push: a counter in steps that round, and two counters that are always equal.
fn push(store: &Store, id: &str, epoch: &str, n: u64, last: bool, now: Tick) {
    let uneven = STEP * number(n);
    let body = format!(
        r#"[{{"name":"uneven","type":"counter","values":[{{"name":"uneven_total","labels":{{"_id":"{id}"}},"value":{uneven}}}]}},
        {{"name":"left","type":"counter","values":[{{"name":"left_total","labels":{{"_id":"{id}"}},"value":{n}}}]}},
        {{"name":"right","type":"counter","values":[{{"name":"right_total","labels":{{"_id":"{id}"}},"value":{n}}}]}}]"#
    );
    let sequence = Some(Sequence { epoch, n, acked: n - 1 });
    let meta = PushMeta { sequence, is_final: last, ..PushMeta::default() };
    let outcome = store.push(&meta, now, |sink| ingest_json::decode(body.as_bytes(), sink));
    assert!(outcome.is_ok_and(|outcome| outcome.refused.is_empty()), "the push is taken");
}

fn number(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// The exposed values of the three counters; a counter that is not there yet is 0.
fn scrape(store: &Store, now: Tick) -> [f64; 3] {
    let exposition = store.collect(now);
    ["uneven", "left", "right"].map(|name| {
        let family = exposition.families.iter().find(|f| &*f.layout.name == name);
        let value = family.and_then(|f| f.values.first().copied()).unwrap_or(0.0);
        if is_absent(value) { 0.0 } else { value }
    })
}

/// Lives one after the other under one id: each counts from zero again, some end with a final push.
fn write(store: &Store, writer: u64, clock: &AtomicU64) -> u64 {
    let id = format!("writer-{writer}");
    let mut counted = 0;
    let mut life = 0;
    let mut n = 0;
    for step in 0..PUSHES {
        let ends = step % 97 == writer * 7 + 5;
        n += 1;
        counted += 1;
        push(store, &id, &format!("life-{life}"), n, ends && life % 2 == 0, now(clock));
        if ends {
            life += 1;
            n = 0;
        } else if step % 31 == writer {
            // Said goodbye too early: it departs, and comes back with its next push.
            assert!(store.depart(&id, now(clock)).is_ok(), "there is no journal");
        }
    }
    counted
}

fn now(clock: &AtomicU64) -> Tick {
    Tick::from_millis(clock.load(Ordering::Relaxed))
}

/// Time passes.
fn keep_up(store: &Store, clock: &AtomicU64, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        clock.fetch_add(100, Ordering::Relaxed);
        while store.upkeep(now(clock)) {}
        std::thread::yield_now();
    }
}

/// Scrapes all the time; the number of scrapes.
fn check(store: &Store, clock: &AtomicU64, done: &AtomicBool) -> u64 {
    let mut before = [0.0; 3];
    let mut scrapes = 0;
    while !done.load(Ordering::Relaxed) {
        let seen = scrape(store, now(clock));
        for (before, seen) in before.iter().zip(&seen) {
            assert!(seen >= before, "a counter fell from {before} to {seen}");
        }
        assert!(seen[1].total_cmp(&seen[2]).is_eq(), "half of a push was seen: {seen:?}");
        before = seen;
        scrapes += 1;
    }
    scrapes
}

#[test]
fn nothing_falls_while_threads_push_depart_and_return() {
    // The clock races along: silence is left to `depart`, folding to the final pushes.
    let settings = Settings {
        decay: Duration::from_secs(1_000_000),
        resume_window: Duration::from_secs(1_000_000),
        retain: Duration::from_secs(1_000_000),
        ..Settings::default()
    };
    let store = Store::new(settings, Tick::default());
    let (clock, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (store, clock, done) = (&store, &clock, &done);
    let (counted, scrapes) = std::thread::scope(|scope| {
        let upkeep = scope.spawn(move || keep_up(store, clock, done));
        let checker = scope.spawn(move || check(store, clock, done));
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(store, writer, clock))).collect();
        let counted: Vec<_> =
            writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(upkeep.join().is_ok(), "the upkeep thread");
        (counted, checker.join())
    });
    assert!(scrapes.is_ok_and(|scrapes| scrapes > 10), "the checker read enough scrapes");
    let counted: u64 = counted.into_iter().map(|writer| writer.unwrap_or(0)).sum();
    let [_, left, right] = scrape(store, now(clock));
    assert!(left.total_cmp(&right).is_eq(), "{left} {right}");
    assert!(left.total_cmp(&number(counted)).is_eq(), "{left} of {counted}");
}
