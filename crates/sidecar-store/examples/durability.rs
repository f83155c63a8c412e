//! What the journal and snapshots cost in process, without a disk: the bytes of a push, W1 with and
//! without a journal, a snapshot and a restore of a million contributions, and how long pushes wait
//! while snapshots are made. Prints one figure a line.

#[path = "../tests/support/workload.rs"]
mod workload;

use sidecar_formats::ingest_json;
use sidecar_model::Tick;
use sidecar_store::{Journal, JournalFull, Position, PushMeta, Settings, Store};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const INSTANCES: usize = 16;
const ROUNDS: usize = 9;
const PASSES: usize = 400;
const DAY: u64 = 86_400;
const NOW: Tick = Tick::from_millis(1_000);

/// Copies each record, as a journal does, and keeps nothing.
#[derive(Debug, Default)]
struct Discard {
    buffer: parking_lot::Mutex<Vec<u8>>,
    bytes: AtomicU64,
    records: AtomicU64,
}

impl Journal for Discard {
    fn doubt(&self) {}

    fn append(&self, record: &[u8]) -> Result<Position, JournalFull> {
        let mut buffer = self.buffer.lock();
        if buffer.len() > 1 << 20 {
            buffer.clear();
        }
        buffer.extend_from_slice(record);
        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        Ok(Position(self.records.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

fn journaled() -> (Arc<Discard>, Store) {
    let journal = Arc::new(Discard::default());
    let store = Store::new(Settings::default(), Tick::default());
    store.set_journal(Arc::<Discard>::clone(&journal));
    store.finish_restore(Settings::default(), Tick::default()).unwrap_or_default();
    (journal, store)
}

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    day_of_w1(&mut out)?;
    hot_path(&mut out)?;
    million(&mut out)?;
    waits(&mut out)
}

/// 500 counters, of which fifty grow with each push.
fn growing(instance: usize, push: u64) -> Vec<u8> {
    let mut out = String::from("[");
    for family in 0..50_u64 {
        let comma = if family > 0 { "," } else { "" };
        write!(out, r#"{comma}{{"name":"f{family}","type":"counter","values":["#)
            .unwrap_or_default();
        for at in 0..10_u64 {
            // Of each ten series one has grown since the last push, by less than 2^16.
            let grown = push / 10 + u64::from(push % 10 > at);
            let value = 1_000_000_000 + grown * (1 + (family * 1_303 + at * 97) % 65_535);
            let comma = if at > 0 { "," } else { "" };
            write!(
                out,
                r#"{comma}{{"name":"f{family}_total","labels":{{"_id":"web-{instance:04}.pod-1b54a3","route":"/{at}"}},"value":{value}}}"#
            )
            .unwrap_or_default();
        }
        out.push_str("]}");
    }
    out.push(']');
    out.into_bytes()
}

fn day_of_w1(out: &mut impl Write) -> io::Result<()> {
    let (journal, store) = journaled();
    let pushes = 200;
    for instance in 0..INSTANCES {
        workload::push(&store, &growing(instance, 0));
        workload::push(&store, &growing(instance, 0));
    }
    let before = journal.bytes.load(Ordering::Relaxed);
    for push in 1..=pushes {
        (0..INSTANCES).for_each(|instance| workload::push(&store, &growing(instance, push)));
    }
    let bytes = journal.bytes.load(Ordering::Relaxed) - before;
    let each = bytes / (pushes * INSTANCES as u64);
    writeln!(out, "w1_bytes_per_push={each}")?;
    writeln!(out, "w1_day_mb={}", each * INSTANCES as u64 * DAY / 1_000_000)
}

fn hot_path(out: &mut impl Write) -> io::Result<()> {
    let bodies: Vec<[Vec<u8>; 2]> = (0..INSTANCES)
        .map(|at| [0, 1].map(|n| workload::body(at, 10, 0..500, 1_000_000_000_000 + n)))
        .collect();
    let (_, with) = journaled();
    let without = Store::new(Settings::default(), Tick::default());
    let (mut best_with, mut best_without) = (Duration::MAX, Duration::MAX);
    for store in [&with, &without] {
        bodies.iter().flatten().for_each(|body| workload::push(store, body));
    }
    for _ in 0..ROUNDS {
        // Every value is overwritten each time; the counters' by the same.
        let run = |store: &Store| {
            timed(|| {
                for _ in 0..PASSES {
                    bodies.iter().for_each(|[_, last]| workload::push(store, last));
                }
            })
        };
        best_with = best_with.min(run(&with));
        best_without = best_without.min(run(&without));
    }
    let ratio = best_without.as_secs_f64() / best_with.as_secs_f64();
    writeln!(out, "w1_repeated_with_journal_ratio={ratio:.3}")?;
    let changing: Vec<Vec<Vec<u8>>> =
        (0..40).map(|push| (0..INSTANCES).map(|at| growing(at, push)).collect()).collect();
    let (mut best_with, mut best_without) = (Duration::MAX, Duration::MAX);
    for _ in 0..4 * ROUNDS {
        let (_, with) = journaled();
        let without = Store::new(Settings::default(), Tick::default());
        for (store, best) in [(&with, &mut best_with), (&without, &mut best_without)] {
            for body in changing.iter().take(2).flatten() {
                workload::push(store, body);
            }
            let all =
                || changing.iter().skip(1).flatten().for_each(|body| workload::push(store, body));
            *best = (*best).min(timed(all));
        }
    }
    let each = |all: Duration| all.as_secs_f64() * 1e6 / (39 * INSTANCES) as f64;
    writeln!(out, "w1_push_us={:.2} with_journal={:.2}", each(best_without), each(best_with))?;
    let ratio = best_without.as_secs_f64() / best_with.as_secs_f64();
    writeln!(out, "w1_tenth_changed_with_journal_ratio={ratio:.3}")
}

fn million_store() -> Store {
    let store = Store::new(Settings::default(), Tick::default());
    for instance in 0..4 {
        for part in 0..50 {
            let series = part * 5_000..(part + 1) * 5_000;
            workload::push(&store, &workload::body(instance, 2_500, series, 1_000_000_000_000));
        }
    }
    store
}

fn million(out: &mut impl Write) -> io::Result<()> {
    let store = million_store();
    let mut bytes = Vec::new();
    let took = timed(|| {
        store.snapshot(NOW, &mut |piece| bytes.extend_from_slice(piece));
    });
    writeln!(out, "snapshot_of_a_million_seconds={:.3}", took.as_secs_f64())?;
    writeln!(out, "snapshot_of_a_million_bytes={}", bytes.len())?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let mut restored = None;
        best = best.min(timed(|| restored = Store::restore(&bytes).ok()));
        let whole = restored.is_some_and(|(store, _)| store.stats().contributions == 1_000_000);
        writeln!(out, "restored={whole}")?;
    }
    writeln!(out, "restore_of_a_million_seconds={:.3}", best.as_secs_f64())
}

/// Pushes of known shapes, and such with something new, beside snapshots.
fn waits(out: &mut impl Write) -> io::Result<()> {
    for (name, instances, series) in [("w1", 16, 500), ("w3", 4, 250_000)] {
        let (_, store) = journaled();
        for instance in 0..instances {
            for from in (0..series).step_by(5_000) {
                let range = from..(from + 5_000).min(series);
                let body = workload::body(instance, series / 50, range, 1_000_000_000_000);
                workload::push(&store, &body);
            }
        }
        let body = workload::body(0, series / 50, 0..500, 1_000_000_000_000);
        let known = |_| workload::push(&store, &body);
        let mut nth = 0;
        let mut new = |_| {
            nth += 1;
            let body = format!(
                r#"[{{"name":"new","type":"gauge","values":[{{"name":"new","labels":{{"_id":"n","l":"{nth}"}},"value":1}}]}}]"#
            );
            let decode =
                |sink: &mut sidecar_store::Stager<'_>| ingest_json::decode(body.as_bytes(), sink);
            store.push(&PushMeta::default(), NOW, decode).map(drop).unwrap_or_default();
        };
        let done = AtomicBool::new(false);
        let snapshots = || {
            while !done.load(Ordering::Relaxed) {
                store.snapshot(NOW, &mut |_| ());
                // One snapshot after the other would be a scarce lock's, not a disk's, test.
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        let alone = [p99(known), p99(&mut new)];
        let beside = std::thread::scope(|scope| {
            scope.spawn(snapshots);
            let beside = [p99(known), p99(&mut new)];
            done.store(true, Ordering::Relaxed);
            beside
        });
        for (kind, (alone, beside)) in ["known", "new"].iter().zip(alone.iter().zip(&beside)) {
            writeln!(out, "{name}_{kind}_p99_us={alone:.1} beside_snapshots={beside:.1}")?;
        }
    }
    Ok(())
}

fn p99(mut push: impl FnMut(usize)) -> f64 {
    let mut took: Vec<Duration> = (0..20_000).map(|nth| timed(|| push(nth))).collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6)
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
