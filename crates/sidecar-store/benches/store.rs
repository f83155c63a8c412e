//! The store's hot paths: known pushes, series creation, collect.

#[path = "../tests/support/workload.rs"]
mod workload;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sidecar_model::Tick;
use sidecar_store::{Settings, Store};
use std::hint::black_box;

fn store() -> Store {
    Store::new(Settings::default(), Tick::default())
}

/// W1: 500 samples that repeat a known shape.
fn known(criterion: &mut Criterion) {
    let store = store();
    let bodies: Vec<Vec<u8>> =
        (0..2).map(|round| workload::body(0, 10, 0..500, 1_000_000_000_000 + round)).collect();
    workload::push(&store, &bodies[0]);
    let mut group = criterion.benchmark_group("push");
    group.throughput(Throughput::Elements(500));
    group.bench_function("known", |bencher| {
        bencher.iter(|| workload::push(&store, black_box(&bodies[1])));
    });
    group.finish();
}

/// W3: 5,000 samples of a new instance whose series others have.
fn fill(criterion: &mut Criterion) {
    let bodies: Vec<Vec<u8>> =
        (0..2).map(|at| workload::body(at, 2_500, 0..5_000, 1_000_000_000_000)).collect();
    let prepared = || {
        let store = store();
        workload::push(&store, &bodies[0]);
        store
    };
    let mut group = criterion.benchmark_group("push");
    group.throughput(Throughput::Elements(5_000));
    group.bench_function("new_instance", |bencher| {
        let run = |store: Store| {
            workload::push(&store, &bodies[1]);
            store
        };
        bencher.iter_batched(prepared, run, BatchSize::LargeInput);
    });
    group.finish();
}

/// W3: a million contributions in 250,000 merged series.
fn collect(criterion: &mut Criterion) {
    let store = store();
    for instance in 0..4 {
        for part in 0..50 {
            let series = part * 5_000..(part + 1) * 5_000;
            workload::push(&store, &workload::body(instance, 2_500, series, 1_000_000_000_000));
        }
    }
    let mut group = criterion.benchmark_group("collect");
    group.throughput(Throughput::Elements(1_000_000));
    group.sample_size(20);
    group.bench_function("a_million_contributions", |bencher| {
        bencher.iter(|| black_box(store.collect(Tick::from_millis(2_000))));
    });
    group.finish();
}

criterion_group!(benches, known, fill, collect);
criterion_main!(benches);
