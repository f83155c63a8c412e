//! Threads push, depart and return while the journal records them and snapshots are made: each snapshot
//! with the records behind it gives the state that there is in the end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: it panics where it fails")]

#[path = "support/recorder.rs"]
mod recorder;

use recorder::{Recorder, snapshot};
use sidecar_formats::ingest_json;
use sidecar_model::Tick;
use sidecar_store::{PushMeta, Settings, Store};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WRITERS: u64 = 4;
const PUSHES: u64 = 1_500;

fn push(store: &Store, writer: u64, n: u64, now: Tick) {
    // Now and then one more series, so that the catalog changes; else of a known shape.
    let series: Vec<String> = (0..=n / 300)
        .map(|l| {
            format!(
                r#"{{"name":"c_total","labels":{{"_id":"w{writer}","l":"{l}"}},"value":{}}}"#,
                n + l
            )
        })
        .collect();
    let body = format!(r#"[{{"name":"c","type":"counter","values":[{}]}}]"#, series.join(","));
    let meta = PushMeta { ttl: Some(Duration::from_secs(20)), ..PushMeta::default() };
    let outcome = store.push(&meta, now, |sink| ingest_json::decode(body.as_bytes(), sink));
    assert!(outcome.is_ok_and(|o| o.refused.is_empty() && !o.journal_full), "the push is taken");
}

#[test]
fn a_snapshot_made_while_threads_push_leads_to_the_same_state() {
    let settings = Settings {
        resume_window: Duration::from_secs(30),
        retain: Duration::from_secs(100),
        ..Settings::default()
    };
    let (recorder, store) = Recorder::store(&settings, Tick::default());
    let (clock, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (store, clock, done) = (&store, &clock, &done);
    let now = || Tick::from_millis(clock.load(Ordering::Relaxed));
    let snapshots = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    for n in 1..=PUSHES {
                        push(store, writer, n, now());
                        if n % 211 == writer {
                            store.depart(&format!("w{writer}"), now()).unwrap();
                        }
                    }
                })
            })
            .collect();
        let upkeep = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                clock.fetch_add(1_000, Ordering::Relaxed);
                while store.upkeep(now()) {}
                std::thread::yield_now();
            }
        });
        let copier = scope.spawn(move || {
            let mut snapshots = Vec::new();
            while !done.load(Ordering::Relaxed) && snapshots.len() < 40 {
                snapshots.push(snapshot(store, now()));
                std::thread::yield_now();
            }
            snapshots
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        upkeep.join().unwrap();
        copier.join().unwrap()
    });
    assert!(snapshots.len() > 3, "{} snapshots", snapshots.len());
    let now = now();
    let (end, _) = snapshot(store, now);
    for (bytes, position) in snapshots {
        let (restored, at) = Store::restore(&bytes).unwrap();
        assert_eq!(at, position);
        recorder.replay(&restored, position);
        assert!(snapshot(&restored, now).0 == end, "from {position:?}");
    }
}
