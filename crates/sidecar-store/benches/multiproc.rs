//! Workers of the Python client's multiprocess mode, each with 10,000 counters: the push that makes
//! an instance of one while its series are there, and the pushes of known shape behind it.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at a surprise")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sidecar_formats::mmap_file::{Extra, FileKind, Layout, Offer, Values};
use sidecar_model::Tick;
use sidecar_store::{PushMeta, Settings, Store};
use std::hint::black_box;

const KEYS: usize = 10_000;

/// Of one worker.
struct Worker {
    id: String,
    kind: FileKind,
    layout: Layout,
}

fn keys(kind: FileKind) -> Vec<String> {
    let key = |at: usize| {
        let (family, series) = (at / (KEYS / 50), at % (KEYS / 50));
        let name = format!("app_bench_family_{family:03}");
        let (sample, le, set) = match (kind, series % 8) {
            (FileKind::Histogram, 0) => ("_sum", String::new(), series / 8),
            (FileKind::Histogram, 7) => ("_bucket", "\"le\": \"+Inf\", ".to_owned(), series / 8),
            (FileKind::Histogram, at) => ("_bucket", format!("\"le\": \"{at}.5\", "), series / 8),
            _ => ("_total", String::new(), series),
        };
        format!(
            "[\"{name}\", \"{name}{sample}\", {{{le}\"method\": \"GET\", \"route\": \"/api/v1/resource/{set}\"}}, \"Benchmark family number {family}.\"]"
        )
    };
    (0..KEYS).map(key).collect()
}

fn file(kind: FileKind, value: impl Fn(usize) -> f64) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (at, key) in keys(kind).iter().enumerate() {
        bytes.extend(i32::try_from(key.len()).unwrap().to_ne_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(vec![b' '; 8 - (key.len() + 4) % 8]);
        bytes.extend(value(at).to_ne_bytes());
        bytes.extend(0_f64.to_ne_bytes());
    }
    bytes
}

impl Worker {
    fn new(id: &str, kind: FileKind) -> Worker {
        Worker { id: id.to_owned(), kind, layout: Layout::new(&file(kind, |_| 1.0), kind).unwrap() }
    }

    fn push(&self, store: &Store, bytes: &[u8], offer: Offer<'_>) -> u64 {
        let extra = Extra { labels: &[], id: &self.id, pid: "7" };
        let meta = PushMeta::default();
        let push = store.push(&meta, Tick::default(), |stager| {
            self.layout.offer(bytes, &extra, offer, stager).map(|_| ())
        });
        push.unwrap().samples
    }
}

fn pushes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multiproc");
    group.throughput(Throughput::Elements(KEYS as u64));
    for (name, kind) in [("counters", FileKind::Counter), ("histograms", FileKind::Histogram)] {
        let bytes = file(kind, |_| 1.0);
        let (one, other) = (Worker::new("dir/1/1", kind), Worker::new("dir/2/2", kind));
        let store_with_one = || {
            let store = Store::new(Settings::default(), Tick::default());
            one.push(&store, &bytes, Offer::All);
            store
        };
        group.bench_function(format!("first_push_of_{name}"), |bencher| {
            bencher.iter_batched(
                store_with_one,
                |store| {
                    other.push(&store, black_box(&bytes), Offer::All);
                    store
                },
                BatchSize::PerIteration,
            );
        });
        let store = store_with_one();
        let mut last = Values::default();
        one.layout.keep(&bytes, &mut last);
        group.bench_function(format!("known_push_of_{name}"), |bencher| {
            bencher.iter(|| one.push(&store, black_box(&bytes), Offer::All));
        });
        for (part, every) in [("few", 5_000), ("a_tenth", 10), ("all", 1)] {
            let changed = file(one.kind, |at| if at % every == 5 % every { 2.0 } else { 1.0 });
            group.bench_function(format!("changed_{part}_of_{name}"), |bencher| {
                bencher.iter(|| one.push(&store, black_box(&changed), Offer::Changed(&last)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, pushes);
criterion_main!(benches);
