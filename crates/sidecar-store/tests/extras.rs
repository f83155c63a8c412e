//! What only some formats carry: created times and exemplars, merged.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

use sidecar_formats::{Timestamps, open_metrics};
use sidecar_model::{
    Exemplar, FamilyExposition, FamilyHeader, MetricType, NativeHistogram, Problem, SampleParts,
    Sink, Tick, is_absent,
};
use sidecar_store::{PushMeta, Sequence, Settings, Stager, Store};
use std::sync::Arc;
use std::time::Duration;

const NOW: Tick = Tick::from_millis(1_000_000);

fn store() -> Store {
    Store::new(Settings::default(), Tick::default())
}

fn push(store: &Store, text: &str) {
    push_as(store, &PushMeta::default(), text);
}

fn push_as(store: &Store, meta: &PushMeta<'_>, text: &str) {
    let outcome =
        store.push(meta, NOW, |sink| open_metrics::decode(text.as_bytes(), Timestamps::Drop, sink));
    assert!(outcome.unwrap().refused.is_empty());
}

fn family(store: &Store) -> FamilyExposition {
    store.collect(NOW).families.pop().unwrap()
}

fn created(store: &Store) -> Option<f64> {
    family(store).extras.created.first().copied().filter(|created| !is_absent(*created))
}

fn exemplars(store: &Store) -> Vec<(u32, String)> {
    let text = |exemplar: &Arc<Exemplar>| format!("{:?} {}", exemplar.labels, exemplar.value);
    family(store).extras.exemplars.iter().map(|(at, exemplar)| (*at, text(exemplar))).collect()
}

fn counter(id: &str, value: u32, created: u32) -> String {
    let labels = if id.is_empty() { String::new() } else { format!("{{_id=\"{id}\"}}") };
    format!("# TYPE a counter\na_total{labels} {value}\na_created{labels} {created}\n# EOF\n")
}

#[test]
fn a_merged_counter_keeps_its_created_time_while_instances_come_and_go() {
    let store = store();
    push(&store, &counter("1", 5, 100));
    assert_eq!(created(&store), Some(100.0));
    for (id, value, at) in [("2", 5, 50), ("1", 1, 200), ("3", 2, 300), ("1", 2, 200)] {
        push(&store, &counter(id, value, at));
        assert_eq!(created(&store), Some(100.0), "{id}");
    }
    store.depart("1", NOW).unwrap();
    assert_eq!(created(&store), Some(100.0));
}

#[test]
fn a_merged_counter_that_starts_at_zero_has_another_created_time() {
    let store = store();
    push(&store, &counter("1", 5, 100));
    push(&store, &counter("2", 5, 110));
    store.erase("1", NOW).unwrap();
    assert_eq!(family(&store).values, [0.0]);
    assert_eq!(created(&store), None);
    store.clear(NOW).unwrap();
    push(&store, &counter("2", 6, 110));
    assert_eq!(created(&store), Some(110.0));
}

#[test]
fn what_counted_before_it_was_known_does_not_date_the_total() {
    let store = store();
    let sequence = Some(Sequence { epoch: "e", n: 7, acked: 6 });
    push_as(&store, &PushMeta { sequence, ..PushMeta::default() }, &counter("1", 5, 100));
    assert_eq!((family(&store).values[0], created(&store)), (0.0, None));
    let undated = "# TYPE a counter\na_total{_id=\"1\"} 5\n# EOF\n";
    let store = self::store();
    push(&store, undated);
    push(&store, &counter("2", 5, 100));
    assert_eq!(created(&store), None);
}

#[test]
fn without_an_id_the_created_time_is_shown_as_it_comes() {
    let store = store();
    for at in [100, 200, 50] {
        push(&store, &counter("", 5, at));
        assert_eq!(created(&store), Some(f64::from(at)));
    }
}

#[test]
fn the_newest_exemplar_of_each_counter_and_bucket_survives_merging() {
    let store = store();
    let counter = |id: &str, trace: &str| {
        format!("# TYPE a counter\na_total{{_id=\"{id}\"}} 5 # {{t=\"{trace}\"}} 1\n# EOF\n")
    };
    for (id, trace) in [("1", "x"), ("2", "y"), ("1", "z"), ("1", "w")] {
        push(&store, &counter(id, trace));
        assert_eq!(exemplars(&store), [(0, format!("{{\"t\": \"{trace}\"}} 1"))]);
    }
    let store = self::store();
    let histogram = |id: &str, le: &str, value: &str| {
        format!(
            "# TYPE h histogram\nh_bucket{{_id=\"{id}\",le=\"{le}\"}} 1 # {{}} {value}\nh_bucket{{_id=\"{id}\",le=\"+Inf\"}} 2 # {{}} 9\nh_sum{{_id=\"{id}\"}} 3\nh_count{{_id=\"{id}\"}} 2\n# EOF\n"
        )
    };
    push(&store, &histogram("1", "1.0", "0.5"));
    push(&store, &histogram("2", "2.0", "1.5"));
    assert_eq!(exemplars(&store), [(0, "{} 0.5".into()), (1, "{} 1.5".into()), (2, "{} 9".into())]);
}

// ---- native histograms

fn native(id: &str, buckets: &[(i32, f64)]) -> impl Fn(&mut Stager<'_>) -> Result<(), Problem> {
    native_beside(id, None, buckets)
}

/// With a classic bucket that has them all.
fn native_beside(
    id: &str,
    bound: Option<&'static str>,
    buckets: &[(i32, f64)],
) -> impl Fn(&mut Stager<'_>) -> Result<(), Problem> {
    let id = id.to_owned();
    let buckets = buckets.to_vec();
    move |sink| {
        let header = FamilyHeader {
            name: "h".into(),
            metric_type: MetricType::Histogram,
            ..FamilyHeader::default()
        };
        sink.header(None, &header)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        let parts = |name: &'static str, le: Option<&'static str>| SampleParts {
            name: Some(name.into()),
            labels: std::iter::once(("_id".into(), id.clone().into()))
                .chain(le.map(|le| ("le".into(), le.into())))
                .collect(),
        };
        for le in bound.into_iter().chain(["+Inf"]) {
            sink.sample(None, &mut parts("h_bucket", Some(le)), count)?;
        }
        sink.sample(None, &mut parts("h_sum", None), count)?;
        sink.sample(None, &mut parts("h_count", None), count)?;
        let histogram = NativeHistogram {
            schema: 3,
            count,
            sum: count,
            positive: buckets.clone(),
            ..NativeHistogram::default()
        };
        if buckets.is_empty() { Ok(()) } else { sink.native(&mut parts("h", None), histogram) }
    }
}

fn push_native(store: &Store, id: &str, buckets: &[(i32, f64)]) {
    let outcome = store.push(&PushMeta::default(), NOW, native(id, buckets));
    assert!(outcome.unwrap().refused.is_empty());
}

fn shown(store: &Store) -> Option<Vec<(i32, f64)>> {
    let natives = family(store).extras.natives;
    natives.first().map(|(at, native)| {
        assert_eq!(*at, 0);
        let all: f64 = native.positive.iter().map(|(_, count)| count).sum();
        assert!((all - native.count).abs() < 1e-9);
        native.positive.clone()
    })
}

#[test]
fn native_histograms_are_added_and_what_left_stays_counted() {
    let store = store();
    push_native(&store, "1", &[(1, 2.0), (5, 1.0)]);
    push_native(&store, "2", &[(1, 1.0), (7, 1.0)]);
    let sum = Some(vec![(1, 3.0), (5, 1.0), (7, 1.0)]);
    assert_eq!(shown(&store), sum);
    store.depart("2", NOW).unwrap();
    assert_eq!(shown(&store), sum);
    let late = NOW.after(Duration::from_secs(4000));
    push_native(&store, "1", &[(1, 2.0), (5, 1.0)]);
    while store.upkeep(late) {}
    while store.upkeep(late) {}
    store.push(&PushMeta::default(), late, native("1", &[(1, 2.0), (5, 1.0)])).unwrap();
    let natives = store.collect(late).families.pop().unwrap().extras.natives;
    assert_eq!(Some(natives[0].1.positive.clone()), sum);
}

#[test]
fn a_native_histogram_that_restarts_is_never_less() {
    let store = store();
    push_native(&store, "1", &[(1, 2.0), (5, 3.0)]);
    push_native(&store, "1", &[(1, 1.0)]);
    assert_eq!(shown(&store), Some(vec![(1, 3.0), (5, 3.0)]));
    push_native(&store, "1", &[(1, 2.0)]);
    assert_eq!(shown(&store), Some(vec![(1, 4.0), (5, 3.0)]));
}

#[test]
fn native_buckets_are_shown_only_where_everybody_has_them() {
    let store = store();
    push_native(&store, "1", &[(1, 2.0)]);
    push_native(&store, "2", &[]);
    assert_eq!(shown(&store), None);
    let store = self::store();
    push_native(&store, "1", &[(1, 2.0)]);
    push_native(&store, "2", &[(1, 5.0)]);
    store.erase("2", NOW).unwrap();
    assert_eq!(shown(&store), None);
}

#[test]
fn a_life_with_other_classic_bounds_counts_once() {
    let store = store();
    push_native(&store, "other", &[(1, 1.0)]);
    for (bound, buckets) in [("1", &[(1, 5.0)]), ("2", &[(1, 2.0)])] {
        store.push(&PushMeta::default(), NOW, native_beside("1", Some(bound), buckets)).unwrap();
    }
    assert_eq!(shown(&store), Some(vec![(1, 8.0)]));
    store.depart("1", NOW).unwrap();
    let late = NOW.after(Duration::from_secs(4000));
    store.push(&PushMeta::default(), late, native("other", &[(1, 1.0)])).unwrap();
    while store.upkeep(late) {}
    while store.upkeep(late) {}
    store.push(&PushMeta::default(), late, native("other", &[(1, 1.0)])).unwrap();
    let natives = store.collect(late).families.pop().unwrap().extras.natives;
    assert_eq!(natives[0].1.positive, [(1, 8.0)]);
}

#[test]
fn native_buckets_that_do_not_count_all_are_not_shown() {
    let store = store();
    let without = |count: u32| {
        format!(
            "# TYPE h histogram\nh_bucket{{_id=\"1\",le=\"+Inf\"}} {count}\nh_count{{_id=\"1\"}} {count}\nh_sum{{_id=\"1\"}} {count}\n# EOF\n"
        )
    };
    push(&store, &without(3));
    push(&store, &without(0));
    push_native(&store, "1", &[(1, 2.0)]);
    assert_eq!((family(&store).values, shown(&store)), (vec![5.0, 5.0], None));
}
