//! Decoding a push of 500 samples (workload W1), known and unknown, into a sink that does what a
//! store must at least do: hash, compare, keep the value.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at a surprise")]
#![allow(clippy::cast_possible_truncation, reason = "pseudo-random numbers")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use sidecar_formats::ingest_json::decode;
use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, SampleParts, Sink,
};
use std::fmt::Write;
use std::hash::BuildHasher;
use std::hint::black_box;

/// One instance's push: 50 families with 10 series each.
fn w1_body() -> Vec<u8> {
    let mut body = String::from("[");
    for family in 0..50 {
        let aggregate = ["sum", "min", "max", "mean"][family % 4];
        let counter = aggregate == "sum";
        let kind = if counter { "counter" } else { "gauge" };
        let name = format!("app_bench_family_{family:03}{}", if counter { "_total" } else { "" });
        if family > 0 {
            body.push_str("]},");
        }
        write!(
            body,
            "{{\"name\":\"{name}\",\"type\":\"{kind}\",\"help\":\"Benchmark family number {family}.\",\"values\":["
        )
        .unwrap();
        for series in 0..10 {
            let method = ["GET", "POST", "PUT", "DELETE", "PATCH"][series % 5];
            let code = if series % 7 == 3 { "500" } else { "200" };
            let comma = if series > 0 { "," } else { "" };
            let value = if counter { 1_234_567_890_123.0 } else { gauge(family, series) };
            write!(
                body,
                "{comma}{{\"name\":\"{name}\",\"labels\":{{\"_id\":\"web-0003.pod-db3fa1\",\"_aggregate\":\"{aggregate}\",\"method\":\"{method}\",\"route\":\"/api/v1/resource/{series}\",\"code\":\"{code}\"}},\"value\":{value}}}"
            )
            .unwrap();
        }
    }
    body.push_str("]}]");
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

/// Remembers one body.
struct Memory {
    hasher: FixedState,
    headers: Vec<(usize, u64)>,
    samples: Vec<(usize, u64)>,
    header: usize,
    sample: usize,
    values: Vec<f64>,
}

impl Memory {
    fn new() -> Memory {
        let hasher = FixedState::with_seed(7);
        Memory { hasher, headers: vec![], samples: vec![], header: 0, sample: 0, values: vec![] }
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
        let raw = raw.unwrap_or_default();
        self.headers.push((raw.len(), self.hasher.hash_one(raw)));
        self.header += 1;
        black_box(header);
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
        let raw = raw.unwrap_or_default();
        self.samples.push((raw.len(), self.hasher.hash_one(raw)));
        self.sample += 1;
        self.values.push(value);
        black_box(sample);
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

/// Takes everything and keeps nothing: the decoder alone.
struct Nothing;

impl Sink for Nothing {
    fn next_header_len(&self) -> usize {
        0
    }

    fn follow_header(&mut self, _: &[u8]) -> bool {
        false
    }

    fn header(&mut self, _: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        black_box(header);
        Ok(())
    }

    fn next_sample_len(&self) -> usize {
        0
    }

    fn is_next_sample(&self, _: &[u8]) -> bool {
        false
    }

    fn value(&mut self, _: f64) {}

    fn skip(&mut self, _: usize) -> bool {
        false
    }

    fn sample(
        &mut self,
        _: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        black_box((sample, value));
        Ok(())
    }

    fn exemplar(&mut self, _: &ExemplarParts<'_>) {}

    fn native(&mut self, _: &mut SampleParts<'_>, _: NativeHistogram) -> Result<(), Problem> {
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: 0, parsed: 0, headers: 0 }
    }

    fn rewind(&mut self, _: Mark) {}
}

fn w1(criterion: &mut Criterion) {
    let body = w1_body();
    let mut group = criterion.benchmark_group("ingest_json");
    group.throughput(Throughput::Elements(500));
    let mut memory = Memory::new();
    decode(&body, &mut memory).unwrap();
    group.bench_function("w1_known", |bencher| {
        bencher.iter(|| {
            memory.again();
            decode(black_box(&body), &mut memory).unwrap();
            assert_eq!(memory.sample, 500);
        });
    });
    group.bench_function("w1_parsed", |bencher| {
        bencher.iter(|| decode(black_box(&body), &mut Nothing).unwrap());
    });
    group.finish();
}

criterion_group!(benches, w1);
criterion_main!(benches);
