//! An instance that begins with the series of another one comes to what it comes to without that: on the
//! page, in the views, behind a restart from the journal, and when it leaves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: it panics where it fails")]

#[path = "support/recorder.rs"]
mod recorder;

use proptest::prelude::{Strategy, prop, proptest};
use recorder::{Recorder, snapshot};
use sidecar_formats::mmap_file::{Extra, FileKind, GaugeMode, Layout, Offer};
use sidecar_formats::{DecodeError, prom_text::TextEncoder};
use sidecar_model::Tick;
use sidecar_store::{Begin, ENDLESS, Limits, Position, PushMeta, Replaces, Settings, Share, Store};

/// The bytes of a file with these keys, none of which says anything about times.
fn file(keys: &[String], values: &[f64]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (key, value) in keys.iter().zip(values) {
        bytes.extend(i32::try_from(key.len()).unwrap().to_ne_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(vec![b' '; 8 - (key.len() + 4) % 8]);
        bytes.extend(value.to_ne_bytes());
        bytes.extend(0.0_f64.to_ne_bytes());
    }
    let used = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    bytes
}

/// A worker's values: of counters, of one histogram with two buckets each, of gauges.
#[derive(Clone, Debug)]
struct Worker {
    counters: Vec<f64>,
    buckets: Vec<(f64, f64)>,
    gauges: Vec<f64>,
}

impl Worker {
    fn files(&self) -> Vec<(FileKind, Vec<u8>)> {
        let key = |metric: &str, sample: &str, labels: String| {
            format!(r#"["{metric}", "{metric}{sample}", {{{labels}}}, "help"]"#)
        };
        let counters =
            (0..self.counters.len()).map(|n| key("c", "_total", format!(r#""n": "{n}""#)));
        let gauges = (0..self.gauges.len()).map(|n| key("g", "", format!(r#""n": "{n}""#)));
        let (mut keys, mut counts) = (Vec::new(), Vec::new());
        for (n, (low, high)) in self.buckets.iter().enumerate() {
            keys.push(key("h", "_sum", format!(r#""n": "{n}""#)));
            keys.push(key("h", "_bucket", format!(r#""le": "1.0", "n": "{n}""#)));
            keys.push(key("h", "_bucket", format!(r#""le": "+Inf", "n": "{n}""#)));
            counts.extend([low + high * 2.0, *low, *high]);
        }
        let counters: Vec<String> = counters.collect();
        let gauges: Vec<String> = gauges.collect();
        vec![
            (FileKind::Counter, file(&counters, &self.counters)),
            (FileKind::Histogram, file(&keys, &counts)),
            (FileKind::Gauge(GaugeMode::Max), file(&gauges, &self.gauges)),
        ]
    }

    fn push(&self, store: &Store, id: &str, now: Tick) {
        let files: Vec<_> = self.files();
        let layouts = files.iter().map(|(kind, bytes)| (Layout::new(bytes, *kind).unwrap(), bytes));
        let layouts: Vec<_> = layouts.collect();
        let meta = PushMeta {
            writer: Some(id),
            ttl: Some(ENDLESS),
            replaces: Replaces::Everything,
            ..PushMeta::default()
        };
        let extra = Extra { labels: &[], id, pid: "7" };
        let outcome = store.push(&meta, now, |stager| {
            for (layout, bytes) in &layouts {
                layout.offer(bytes, &extra, Offer::All, stager)?;
            }
            Ok::<(), DecodeError>(())
        });
        assert_eq!(outcome.unwrap().refused, []);
    }
}

fn worker() -> impl Strategy<Value = Worker> {
    let value = || (0_u32..4).prop_map(f64::from);
    let buckets = prop::collection::vec((value(), value()), 2);
    (prop::collection::vec(value(), 3), buckets, prop::collection::vec(value(), 2))
        .prop_map(|(counters, buckets, gauges)| Worker { counters, buckets, gauges })
}

fn page(store: &Store, now: Tick) -> String {
    let mut bytes = Vec::new();
    TextEncoder::new().encode(&store.collect(now), &mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Everything that can be seen of the state.
fn seen(store: &Store, now: Tick) -> String {
    let (families, stats) = (store.families(now), store.stats());
    let counts = (stats.live_instances, stats.departed_instances, stats.contributions);
    format!("{}\n{families:?}\n{:?}\n{counts:?}", page(store, now), store.instances(now))
}

fn begin(id: &'static str, share: Share) -> Begin<'static> {
    Begin { id, like: "a", share, room: None }
}

proptest! {
    #[test]
    fn it_is_as_if_it_had_begun_by_itself(
        first in worker(),
        second in worker(),
        third in worker(),
        totals in prop::bool::ANY,
    ) {
        let share = if totals { Share::Totals } else { Share::Everything };
        let at = Tick::from_millis;
        let (recorder, store) = Recorder::store(&Settings::default(), at(0));
        let plain = Store::new(Settings::default(), at(0));
        for store in [&store, &plain] {
            first.push(store, "a", at(1_000));
        }
        assert!(store.begin_like(&begin("b", share), at(1_000)).unwrap());
        for store in [&store, &plain] {
            second.push(store, "b", at(1_000));
        }
        assert_eq!(seen(&store, at(1_000)), seen(&plain, at(1_000)));
        for store in [&store, &plain] {
            third.push(store, "b", at(2_000));
            store.depart("a", at(3_000)).unwrap();
            first.push(store, "b", at(4_000));
        }
        assert_eq!(seen(&store, at(4_000)), seen(&plain, at(4_000)));
        let again = Store::new(Settings::default(), at(0));
        recorder.replay(&again, Position(0));
        assert_eq!(snapshot(&again, at(4_000)).0, snapshot(&store, at(4_000)).0);
    }
}

#[test]
fn nobody_begins_like_somebody_who_is_not_there_or_beyond_a_limit() {
    let at = Tick::from_millis;
    let one = Worker { counters: vec![1.0], buckets: Vec::new(), gauges: vec![1.0] };
    let limits = Limits { instances: 2, ..Limits::default() };
    let store = Store::new(Settings { limits, ..Settings::default() }, at(0));
    assert!(!store.begin_like(&begin("b", Share::Everything), at(0)).unwrap());
    one.push(&store, "a", at(0));
    assert!(!store.begin_like(&begin("a", Share::Everything), at(0)).unwrap());
    assert!(store.begin_like(&begin("b", Share::Everything), at(0)).unwrap());
    assert!(!store.begin_like(&begin("b", Share::Everything), at(0)).unwrap());
    assert!(!store.begin_like(&begin("c", Share::Everything), at(0)).unwrap());
    // Until its first push it has no values.
    assert!(page(&store, at(0)).contains("c_total{n=\"0\"} 1\n"));
    store.depart("a", at(0)).unwrap();
    assert!(!store.begin_like(&begin("c", Share::Everything), at(0)).unwrap());
}
