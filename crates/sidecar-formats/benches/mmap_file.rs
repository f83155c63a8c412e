//! A file of 10,000 counters as the Python client writes them: reading its keys, telling what
//! changed, and the way into a sink that does what a store must at least do.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at a surprise")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use sidecar_formats::mmap_file::{Difference, Extra, FileKind, Layout, Offer, Values};
use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, SampleParts, Sink,
};
use std::hash::BuildHasher;
use std::hint::black_box;

const KEYS: usize = 10_000;
const EXTRA: Extra<'static> = Extra { labels: &[], id: "dir/7/17", pid: "7" };

/// The keys of 50 families.
fn keys(kind: FileKind) -> Vec<String> {
    let key = |at: usize| {
        let (family, series) = (at / (KEYS / 50), at % (KEYS / 50));
        let name = format!("app_bench_family_{family:03}");
        let method = ["GET", "POST", "PUT", "DELETE"][series % 4];
        let (sample, labels) = match (kind, series % 12) {
            (FileKind::Histogram, 0) => ("_sum", String::new()),
            (FileKind::Histogram, 11) => ("_bucket", "\"le\": \"+Inf\", ".to_owned()),
            (FileKind::Histogram, bucket) => ("_bucket", format!("\"le\": \"{bucket}.5\", ")),
            _ => ("_total", String::new()),
        };
        let set = if kind == FileKind::Histogram { series / 12 } else { series };
        let method = if kind == FileKind::Histogram { "GET" } else { method };
        format!(
            "[\"{name}\", \"{name}{sample}\", {{{labels}\"method\": \"{method}\", \"route\": \"/api/v1/resource/{set}\"}}, \"Benchmark family number {family}.\"]"
        )
    };
    (0..KEYS).map(key).collect()
}

fn file(keys: &[String], value: impl Fn(usize) -> f64) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (at, key) in keys.iter().enumerate() {
        bytes.extend(i32::try_from(key.len()).unwrap().to_ne_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(vec![b' '; 8 - (key.len() + 4) % 8]);
        bytes.extend(value(at).to_ne_bytes());
        bytes.extend(0_f64.to_ne_bytes());
    }
    bytes
}

/// Remembers one push.
struct Memory {
    hasher: FixedState,
    headers: Vec<(usize, u64)>,
    samples: Vec<(u16, u16, u64)>,
    sample: usize,
    header: u16,
    values: Vec<(u32, f64)>,
}

impl Memory {
    fn new() -> Memory {
        let (headers, samples, values) = (vec![], vec![], vec![]);
        let hasher = FixedState::with_seed(7);
        Memory { hasher, headers, samples, sample: 0, header: u16::MAX, values }
    }

    fn again(&mut self) {
        (self.sample, self.header) = (0, u16::MAX);
        self.values.clear();
    }
}

impl Sink for Memory {
    #[inline]
    fn next_header_len(&self) -> usize {
        let next = self.samples.get(self.sample).map(|s| s.1).filter(|next| *next != self.header);
        next.and_then(|next| self.headers.get(usize::from(next))).map_or(0, |h| h.0)
    }

    #[inline]
    fn follow_header(&mut self, raw: &[u8]) -> bool {
        let Some(next) = self.samples.get(self.sample).map(|s| s.1) else { return false };
        let known =
            self.headers.get(usize::from(next)).is_some_and(|h| h.1 == self.hasher.hash_one(raw));
        self.header = if known { next } else { self.header };
        known
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        let raw = raw.unwrap_or_default();
        self.header = u16::try_from(self.headers.len()).unwrap();
        self.headers.push((raw.len(), self.hasher.hash_one(raw)));
        black_box(header);
        Ok(())
    }

    #[inline]
    fn next_sample_len(&self) -> usize {
        let next = self.samples.get(self.sample).filter(|s| s.1 == self.header);
        next.map_or(0, |s| usize::from(s.0))
    }

    #[inline]
    fn is_next_sample(&self, raw: &[u8]) -> bool {
        self.samples.get(self.sample).is_some_and(|s| s.2 == self.hasher.hash_one(raw))
    }

    #[inline]
    fn value(&mut self, value: f64) {
        self.values.push((u32::try_from(self.sample).unwrap_or(0), value));
        self.sample += 1;
    }

    #[inline]
    fn skip(&mut self, raw_len: usize) -> bool {
        let skipped = self.samples.get(self.sample).is_some_and(|s| usize::from(s.0) == raw_len);
        self.sample += usize::from(skipped);
        skipped
    }

    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        let raw = raw.unwrap_or_default();
        self.samples.push((
            u16::try_from(raw.len()).unwrap(),
            self.header,
            self.hasher.hash_one(raw),
        ));
        self.sample += 1;
        black_box((sample, value));
        Ok(())
    }

    fn exemplar(&mut self, _: &ExemplarParts<'_>) {}

    fn native(&mut self, _: &mut SampleParts<'_>, _: NativeHistogram) -> Result<(), Problem> {
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: self.sample, parsed: self.values.len(), headers: 0 }
    }

    fn rewind(&mut self, _: Mark) {}
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mmap_file");
    group.throughput(Throughput::Elements(KEYS as u64));
    for (name, kind) in [("counters", FileKind::Counter), ("histograms", FileKind::Histogram)] {
        let bytes = file(&keys(kind), |_| 1.0);
        group.bench_function(format!("layout_of_{name}"), |bencher| {
            bencher.iter(|| Layout::new(black_box(&bytes), kind).unwrap());
        });
    }
    let (keys, kind) = (keys(FileKind::Counter), FileKind::Counter);
    let bytes = file(&keys, |_| 1.0);
    let layout = Layout::new(&bytes, kind).unwrap();
    let mut last = Values::default();
    layout.keep(&bytes, &mut last);
    group.bench_function("fits", |bencher| {
        bencher.iter(|| assert!(layout.fits(black_box(&bytes), kind)));
    });
    group.bench_function("compare", |bencher| {
        bencher.iter(|| {
            assert_eq!(layout.compare(black_box(&bytes), &last), Some(Difference::default()))
        });
    });
    group.bench_function("keep", |bencher| {
        bencher.iter(|| layout.keep(black_box(&bytes), &mut last));
    });
    group.bench_function("offer_new", |bencher| {
        bencher.iter(|| {
            layout.offer(black_box(&bytes), &EXTRA, Offer::All, &mut Memory::new()).unwrap()
        });
    });
    for (name, every) in [("none", usize::MAX), ("a_tenth", 10), ("all", 1)] {
        let changed = file(&keys, |at| if at % every == 5 % every { 2.0 } else { 1.0 });
        let mut memory = Memory::new();
        layout.offer(&bytes, &EXTRA, Offer::All, &mut memory).unwrap();
        group.bench_function(format!("offer_changed_{name}"), |bencher| {
            bencher.iter(|| {
                memory.again();
                layout.offer(black_box(&changed), &EXTRA, Offer::Changed(&last), &mut memory)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
