//! Decoding a push of 500 samples (workload W1) as text 0.0.4 and as OpenMetrics, known and
//! unknown, into a sink that does what a store must at least do: hash, compare, keep the value.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at a surprise")]
#![allow(clippy::cast_possible_truncation, reason = "pseudo-random numbers")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use sidecar_formats::{Timestamps, open_metrics, prom_text};
use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, SampleParts, Sink,
};
use std::fmt::Write;
use std::hash::BuildHasher;
use std::hint::black_box;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    OpenMetrics,
}

/// One instance's push: 50 families with 10 series each.
fn w1_body(format: Format) -> Vec<u8> {
    let mut body = String::new();
    for family in 0..50 {
        let aggregate = ["sum", "min", "max", "mean"][family % 4];
        let counter = aggregate == "sum";
        let kind = if counter { "counter" } else { "gauge" };
        let base = format!("app_bench_family_{family:03}");
        let name = format!("{base}{}", if counter { "_total" } else { "" });
        let family_name = if format == Format::Text { &name } else { &base };
        writeln!(
            body,
            "# HELP {family_name} Benchmark family number {family}.\n# TYPE {family_name} {kind}"
        )
        .unwrap();
        for series in 0..10 {
            let method = ["GET", "POST", "PUT", "DELETE", "PATCH"][series % 5];
            let code = if series % 7 == 3 { "500" } else { "200" };
            let value = if counter { 1_234_567_890_123.0 } else { gauge(family, series) };
            writeln!(
                body,
                "{name}{{_aggregate=\"{aggregate}\",method=\"{method}\",route=\"/api/v1/resource/{series}\",code=\"{code}\"}} {value}"
            )
            .unwrap();
        }
    }
    if format == Format::OpenMetrics {
        body.push_str("# EOF\n");
    }
    body.into_bytes()
}

/// A third integers, the rest with a fraction.
fn gauge(family: usize, series: usize) -> f64 {
    let mixed = ((family as u64) << 24 ^ (series as u64) << 4).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let mixed = mixed ^ (mixed >> 33);
    match mixed % 3 {
        0 => f64::from((mixed >> 8) as u32 & 0xF_FFFF),
        1 => f64::from((mixed >> 8) as u16) / 1000.0,
        _ => f64::from((mixed >> 8) as u32) / 4_294_967_296.0,
    }
}

/// Remembers one body, or nothing and keeps nothing: then it is the decoder alone.
struct Memory {
    hasher: FixedState,
    remembers: bool,
    headers: Vec<(usize, u64)>,
    samples: Vec<(usize, u64)>,
    header: usize,
    sample: usize,
    values: Vec<f64>,
}

impl Memory {
    fn new(remembers: bool) -> Memory {
        Memory {
            hasher: FixedState::with_seed(7),
            remembers,
            headers: vec![],
            samples: vec![],
            header: 0,
            sample: 0,
            values: vec![],
        }
    }

    fn again(&mut self) {
        (self.header, self.sample) = (0, 0);
        self.values.clear();
    }
}

impl Sink for Memory {
    #[inline]
    fn next_header_len(&self) -> usize {
        self.headers.get(self.header).map_or(0, |h| h.0)
    }

    #[inline]
    fn follow_header(&mut self, raw: &[u8]) -> bool {
        let known = self.headers.get(self.header).is_some_and(|h| h.1 == self.hasher.hash_one(raw));
        self.header += usize::from(known);
        known
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        black_box(header);
        if self.remembers {
            let raw = raw.unwrap_or_default();
            self.headers.push((raw.len(), self.hasher.hash_one(raw)));
            self.header += 1;
        }
        Ok(())
    }

    #[inline]
    fn next_sample_len(&self) -> usize {
        self.samples.get(self.sample).map_or(0, |s| s.0)
    }

    #[inline]
    fn is_next_sample(&self, raw: &[u8]) -> bool {
        self.samples.get(self.sample).is_some_and(|s| s.1 == self.hasher.hash_one(raw))
    }

    #[inline]
    fn value(&mut self, value: f64) {
        self.sample += 1;
        self.values.push(value);
    }

    fn skip(&mut self, raw_len: usize) -> bool {
        let skipped = raw_len != 0 && self.next_sample_len() == raw_len;
        self.sample += usize::from(skipped);
        skipped
    }

    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        black_box((sample, value));
        if self.remembers {
            let raw = raw.unwrap_or_default();
            self.samples.push((raw.len(), self.hasher.hash_one(raw)));
            self.sample += 1;
        }
        Ok(())
    }

    fn exemplar(&mut self, _: &ExemplarParts<'_>) {}

    fn native(&mut self, _: &mut SampleParts<'_>, _: NativeHistogram) -> Result<(), Problem> {
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: self.sample, parsed: self.values.len(), headers: self.header }
    }

    fn rewind(&mut self, mark: Mark) {
        (self.sample, self.header) = (mark.known, mark.headers);
        self.values.truncate(mark.parsed);
    }
}

fn decode(format: Format, body: &[u8], sink: &mut Memory) {
    match format {
        Format::Text => prom_text::decode(body, Timestamps::Drop, sink).unwrap(),
        Format::OpenMetrics => open_metrics::decode(body, Timestamps::Drop, sink).unwrap(),
    }
}

fn w1(criterion: &mut Criterion) {
    for (name, format) in [("text", Format::Text), ("open_metrics", Format::OpenMetrics)] {
        let body = w1_body(format);
        let mut group = criterion.benchmark_group(format!("decode_{name}"));
        group.throughput(Throughput::Elements(500));
        let mut memory = Memory::new(true);
        decode(format, &body, &mut memory);
        group.bench_function("w1_known", |bencher| {
            bencher.iter(|| {
                memory.again();
                decode(format, black_box(&body), &mut memory);
                assert_eq!(memory.values.len(), 500);
            });
        });
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("w1_parsed", |bencher| {
            bencher.iter(|| decode(format, black_box(&body), &mut Memory::new(false)));
        });
        group.finish();
    }
}

criterion_group!(benches, w1);
criterion_main!(benches);
