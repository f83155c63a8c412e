//! In the steady state nothing is allocated per sample: a push or a collect of ten times the
//! samples allocates as often.

#[path = "support/workload.rs"]
mod workload;

use sidecar_model::Tick;
use sidecar_store::{Settings, Store};

/// A store that knows pushes of so many samples, and the next one.
fn prepared(samples: usize) -> (Store, Vec<u8>) {
    let store = Store::new(Settings::default(), Tick::default());
    for round in 0..3 {
        let body = workload::body(0, samples / 50, 0..samples, 1_000_000_000_000 + round);
        workload::push(&store, &body);
        store.collect(Tick::from_millis(1_000));
    }
    (store, workload::body(0, samples / 50, 0..samples, 1_000_000_000_009))
}

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn decode_and_apply_allocate_nothing_per_sample() {
    let counts = [500, 5_000].map(|samples| {
        let (store, body) = prepared(samples);
        allocations(|| workload::push(&store, &body))
    });
    // A longer list of staged values grows a few times more.
    assert!(counts[1] <= counts[0] + 4 && counts[1] < 40, "{counts:?}");
}

#[test]
fn a_collect_allocates_by_family_and_not_by_sample() {
    let counts = [500, 5_000].map(|samples| {
        let (store, _) = prepared(samples);
        allocations(|| drop(store.collect(Tick::from_millis(2_000))))
    });
    assert!(counts[1] <= counts[0] + 4, "{counts:?}");
}
