//! Decoding a push of 500 samples (workload W1), known and unknown, into a sink that does what a
//! store must at least do: hash, compare, keep the value. Encoding 250,000 series in pieces.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at a surprise")]
#![allow(clippy::cast_possible_truncation, reason = "lengths below 2^14")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use sidecar_formats::protobuf::{ProtobufEncoder, decode};
use sidecar_formats::{Page, Timestamps};
use sidecar_model::{
    Bound, Escaping, ExemplarParts, Exposition, Extras, FamilyExposition, FamilyHeader,
    FamilyLayout, LabelSet, Mark, MetricType, NativeHistogram, Point, PointKind, Problem,
    SampleParts, Sink,
};
use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn delimited(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    varint(bytes.len(), out);
    out.extend(bytes);
}

/// One instance's push: 50 families with 10 series each, counters with created times as Go's client
/// writes them.
fn w1_body(created: bool) -> Vec<u8> {
    let mut body = vec![];
    for family in 0..50 {
        let aggregate = ["sum", "min", "max", "mean"][family % 4];
        let counter = aggregate == "sum";
        let mut bytes = vec![];
        let total = if counter { "_total" } else { "" };
        delimited(0x0a, format!("app_bench_family_{family:03}{total}").as_bytes(), &mut bytes);
        delimited(0x12, format!("Benchmark family number {family}.").as_bytes(), &mut bytes);
        bytes.extend([0x18, u8::from(!counter)]);
        for series in 0..10 {
            let mut metric = vec![];
            for (name, value) in [
                ("_aggregate", aggregate),
                ("_id", "web-0003.pod-db3fa1"),
                ("code", if series % 7 == 3 { "500" } else { "200" }),
                ("method", ["GET", "POST", "PUT", "DELETE", "PATCH"][series % 5]),
                ("route", &format!("/api/v1/resource/{series}")),
            ] {
                let mut label = vec![];
                delimited(0x0a, name.as_bytes(), &mut label);
                delimited(0x12, value.as_bytes(), &mut label);
                delimited(0x0a, &label, &mut metric);
            }
            let mut value = vec![0x09];
            value.extend((family as f64 * 1234.5 + series as f64).to_le_bytes());
            if counter && created {
                delimited(0x1a, &[0x08, 0xc0, 0xe2, 0xb2, 0xb0, 0x06, 0x10, 0x05], &mut value);
            }
            delimited(if counter { 0x1a } else { 0x12 }, &value, &mut metric);
            delimited(0x22, &metric, &mut bytes);
        }
        varint(bytes.len(), &mut body);
        body.extend(bytes);
    }
    body
}

/// 50 histograms of 10 buckets: 600 samples and 50 that the count stands for.
fn histograms() -> Vec<u8> {
    let mut body = vec![];
    let mut family = vec![];
    delimited(0x0a, b"app_bench_duration_seconds", &mut family);
    family.extend([0x18, 4]);
    for series in 0..50 {
        let mut label = vec![];
        delimited(0x0a, b"route", &mut label);
        delimited(0x12, format!("/api/v1/resource/{series}").as_bytes(), &mut label);
        let mut metric = vec![];
        delimited(0x0a, &label, &mut metric);
        let mut histogram = vec![0x08, 0xa0, 0x1f, 0x11];
        histogram.extend(1.5_f64.to_le_bytes());
        for bucket in 1..=10_u8 {
            let mut bytes = vec![0x08, 0x80 + bucket, bucket, 0x11];
            bytes.extend((f64::from(bucket) * 0.25).to_le_bytes());
            delimited(0x1a, &bytes, &mut histogram);
        }
        delimited(0x3a, &histogram, &mut metric);
        delimited(0x22, &metric, &mut family);
    }
    varint(family.len(), &mut body);
    body.extend(family);
    body
}

/// Remembers one body.
struct Memory {
    hasher: FixedState,
    headers: Vec<(usize, u64)>,
    samples: Vec<(usize, u64)>,
    header: usize,
    sample: usize,
    values: Vec<f64>,
    parsed: usize,
}

impl Memory {
    fn new() -> Memory {
        let hasher = FixedState::with_seed(7);
        let (headers, samples, values) = (vec![], vec![], vec![]);
        Memory { hasher, headers, samples, header: 0, sample: 0, values, parsed: 0 }
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
        self.parsed += 1;
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

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("protobuf_decode");
    for (name, body) in
        [("w1", w1_body(false)), ("w1_with_created", w1_body(true)), ("histograms", histograms())]
    {
        let mut memory = Memory::new();
        decode(&body, Timestamps::Drop, &mut memory).unwrap();
        let samples = memory.parsed;
        group.throughput(Throughput::Elements(samples as u64));
        group.bench_function(format!("{name}_known"), |bencher| {
            bencher.iter(|| {
                memory.again();
                decode(black_box(&body), Timestamps::Drop, &mut memory).unwrap();
            });
        });
        assert_eq!(memory.parsed, samples);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("{name}_parsed"), |bencher| {
            bencher.iter(|| {
                let mut memory = Memory::new();
                decode(black_box(&body), Timestamps::Drop, &mut memory).unwrap();
            });
        });
    }
    group.finish();
}

/// 100 families of 2,500 counters, or as many series in 200 histograms a family.
fn exposition(metric_type: MetricType, created: bool) -> Exposition {
    let histogram = metric_type == MetricType::Histogram;
    let points = if histogram { 200 } else { 2500 };
    let bounds: Arc<[Bound]> = (1..=11)
        .map(|n| if n < 11 { f64::from(n) } else { f64::INFINITY })
        .map(|value| Bound { value, text: value.to_string().into() })
        .collect();
    let families = (0..100).map(|family| {
        let points: Vec<Point> = (0..points)
            .map(|series| {
                let route = format!("/api/v1/resource/{series}");
                let labels = vec![("method", "DELETE"), ("route", route.as_str()), ("code", "200")];
                let scalar = PointKind::Scalar;
                let kind =
                    if histogram { PointKind::Histogram(Arc::clone(&bounds)) } else { scalar };
                Point { labels: LabelSet::new(labels).unwrap(), kind }
            })
            .collect();
        let values = points.iter().flat_map(|p| (0..p.len()).map(|n| 1e5 + n as f64)).collect();
        let created = if created { vec![1.7e9; points.len()] } else { vec![] };
        let layout = FamilyLayout {
            id: family,
            name: format!("app_bench_family_{family:03}").into(),
            metric_type,
            suffixed: true,
            help: format!("Benchmark family number {family}.").into(),
            unit: "".into(),
            points,
        };
        let extras = Extras { created, ..Extras::default() };
        FamilyExposition { layout: Arc::new(layout), values, extras }
    });
    Exposition { families: families.collect() }
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("protobuf_encode");
    group.sample_size(30);
    for (name, exposition) in [
        ("250k_counters", exposition(MetricType::Counter, false)),
        ("250k_counters_with_created", exposition(MetricType::Counter, true)),
        ("20k_histograms_of_13_series", exposition(MetricType::Histogram, false)),
    ] {
        let mut encoder = ProtobufEncoder::new();
        let mut piece = Vec::with_capacity(66_000);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || exposition.clone(),
                |exposition| {
                    let mut page = encoder.page(exposition, Escaping::AllowUtf8);
                    while page.write_some(1 << 16, &mut piece) {
                        black_box(&mut piece).clear();
                    }
                    piece.clear();
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decoding, encoding);
criterion_main!(benches);
