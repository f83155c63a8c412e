//! Encoding 250,000 lines as text and as OpenMetrics, in pieces and whole, and number text alone.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at a surprise")]
#![allow(clippy::cast_possible_truncation, reason = "pseudo-random numbers")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sidecar_formats::Page;
use sidecar_formats::number::{parse_f64, write_value};
use sidecar_formats::open_metrics::OpenMetricsEncoder;
use sidecar_formats::prom_text::TextEncoder;
use sidecar_model::{
    Escaping, Exposition, Extras, FamilyExposition, FamilyLayout, LabelSet, MetricType, Point,
    PointKind,
};
use std::hint::black_box;
use std::sync::Arc;

const FAMILIES: usize = 100;
const SERIES: usize = 2500;

fn value(n: usize) -> f64 {
    let mixed = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    match n % 4 {
        0 => 1_000_000_000_000.0 + f64::from((mixed >> 32) as u32),
        1 => f64::from((mixed >> 40) as u32 & 0xF_FFFF),
        2 => f64::from((mixed >> 40) as u16) / 1000.0,
        _ => f64::from((mixed >> 32) as u32) / 4_294_967_296.0,
    }
}

fn exposition() -> Exposition {
    let families = (0..FAMILIES).map(|family| {
        let points = (0..SERIES).map(|series| {
            let route = format!("/api/v1/resource/{series}");
            let labels = vec![("method", "DELETE"), ("route", route.as_str()), ("code", "200")];
            Point { labels: LabelSet::new(labels).unwrap(), kind: PointKind::Scalar }
        });
        let layout = FamilyLayout {
            id: family as u64,
            name: format!("app_bench_family_{family:03}").into(),
            metric_type: MetricType::Counter,
            suffixed: true,
            help: format!("Benchmark family number {family}.").into(),
            unit: "".into(),
            points: points.collect(),
        };
        let values = (0..SERIES).map(|series| value(family * SERIES + series)).collect();
        FamilyExposition { layout: Arc::new(layout), values, extras: Extras::default() }
    });
    Exposition { families: families.collect() }
}

fn encode(criterion: &mut Criterion) {
    let exposition = exposition();
    let mut encoder = TextEncoder::new();
    let mut out = Vec::new();
    encoder.encode(&exposition, &mut out);
    let mut group = criterion.benchmark_group("prom_text");
    group.throughput(Throughput::Bytes(out.len() as u64)).sample_size(50);
    group.bench_function("250k_lines", |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.encode(black_box(&exposition), &mut out)
        });
    });
    group.bench_function("250k_lines_in_64k_pieces", |bencher| {
        let mut piece = Vec::with_capacity(66_000);
        bencher.iter_batched(
            || exposition.clone(),
            |exposition| {
                let mut page = encoder.page(exposition, Escaping::Underscores);
                while page.write_some(1 << 16, &mut piece) {
                    black_box(&mut piece).clear();
                }
                piece.clear();
            },
            criterion::BatchSize::PerIteration,
        );
    });
    let mut open_metrics = OpenMetricsEncoder::new();
    group.bench_function("open_metrics_250k_lines_in_64k_pieces", |bencher| {
        let mut piece = Vec::with_capacity(66_000);
        bencher.iter_batched(
            || exposition.clone(),
            |exposition| {
                let mut page = open_metrics.page(exposition, Escaping::AllowUtf8);
                while page.write_some(1 << 16, &mut piece) {
                    black_box(&mut piece).clear();
                }
                piece.clear();
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.bench_function("render_250k_lines", |bencher| {
        bencher.iter(|| {
            out.clear();
            TextEncoder::new().encode(black_box(&exposition), &mut out)
        });
    });
    group.finish();
}

fn numbers(criterion: &mut Criterion) {
    let values: Vec<f64> = (0..1000).map(value).collect();
    let mut group = criterion.benchmark_group("number");
    group.throughput(Throughput::Elements(1000));
    let mut out = Vec::new();
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            out.clear();
            values.iter().for_each(|v| write_value(black_box(*v), &mut out));
        });
    });
    let texts: Vec<String> = values.iter().map(f64::to_string).collect();
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            texts.iter().map(|t| parse_f64(black_box(t.as_bytes())).unwrap()).sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, encode, numbers);
criterion_main!(benches);
