//! The laws of merging: what a fleet of writers comes to depends neither on the order in which they push,
//! nor on how much of it is live, departed, folded, of an earlier life or a delta; no count is lost, and
//! buckets rise.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::wildcard_enum_match_arm,
    reason = "a test: it panics where it fails, and equal sums are equal to the last digit"
)]

mod contribution;
mod fleet;

use contribution::{Classic, Contribution, Value};
use fleet::{Fleet, Numbers, Way};
use proptest::prelude::*;
use proptest::sample::select;
use sidecar_model::{MetricType, NativeHistogram};
use sidecar_store::{Bounds, Glob, Match, Rule, Settings};
use std::collections::{BTreeMap, BTreeSet};

type Fleets = Vec<(Contribution, Way)>;

const SERIES: u8 = 2;
/// Ways that leave a cumulative share as it is.
const CUMULATIVE: &[Way] = &[
    Way::Live,
    Way::Grown,
    Way::Restarted,
    Way::Departed,
    Way::Folded,
    Way::Delta,
    Way::Anonymous,
];
const IDENTIFIED: &[Way] = &[Way::Live, Way::Grown, Way::Restarted, Way::Departed, Way::Folded];
const PRESENT: &[Way] = &[Way::Live, Way::Grown];

/// A fleet, and the same in another order.
fn fleets(
    values: impl Strategy<Value = Value>,
    ways: &'static [Way],
) -> impl Strategy<Value = (Fleets, Vec<usize>)> {
    let contribution =
        (0..SERIES, values).prop_map(|(series, value)| Contribution { series, value });
    prop::collection::vec((contribution, select(ways)), 1..6).prop_flat_map(|mut fleet| {
        let mut taken = false;
        for (_, way) in &mut fleet {
            let another = *way == Way::Anonymous && std::mem::replace(&mut taken, true);
            *way = if another { Way::Live } else { *way };
        }
        let order = Just((0..fleet.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(fleet), order)
    })
}

fn run(
    metric_type: MetricType,
    settings: Settings,
    fleet: &Fleets,
    order: impl IntoIterator<Item = usize>,
) -> Fleet {
    let mut run = Fleet::new(metric_type, settings);
    for nth in order {
        let (contribution, way) = &fleet[nth];
        run.give(nth, *way, contribution, None);
    }
    run
}

/// In the order of the list, all alive.
fn plain(metric_type: MetricType, settings: Settings, fleet: &Fleets) -> Fleet {
    let live = fleet.iter().map(|(contribution, _)| (contribution.clone(), Way::Live)).collect();
    run(metric_type, settings, &live, 0..fleet.len())
}

fn intersect() -> Settings {
    let matches = Match { name: Some(Glob::new("m")), labels: Vec::new() };
    let rule = Rule { matches, bounds: Some(Bounds::Intersect), ..Rule::default() };
    Settings { rules: vec![rule], ..Settings::default() }
}

fn merge_series(mut settings: Settings) -> Settings {
    let matches = Match { name: Some(Glob::new("m")), labels: Vec::new() };
    let drop_labels = vec!["l".to_owned()];
    settings.rules.push(Rule { matches, drop_labels, ..Rule::default() });
    settings
}

fn of_series(fleet: &Fleets, series: u8) -> Vec<&Value> {
    let values = fleet.iter().filter(|(contribution, _)| contribution.series == series);
    values.map(|(contribution, _)| &contribution.value).collect()
}

fn key(series: u8, part: &str) -> (String, String) {
    (format!("{{\"l\": \"{series}\"}}"), part.to_owned())
}

/// Buckets and counts as docs/merging.md defines them.
fn expected_buckets(fleet: &Fleets, intersects: bool) -> Numbers {
    let mut expected = Numbers::new();
    for series in 0..SERIES {
        let classics: Vec<&Classic> = of_series(fleet, series)
            .into_iter()
            .map(|value| match value {
                Value::Classic(classic) => classic,
                other => panic!("{other:?}"),
            })
            .collect();
        if classics.is_empty() {
            continue;
        }
        let all: BTreeSet<u64> =
            classics.iter().flat_map(|c| c.bounds()).map(f64::to_bits).collect();
        let has = |c: &Classic, bits: &u64| c.bounds().contains(&f64::from_bits(*bits));
        for bits in all {
            if intersects && !classics.iter().all(|c| has(c, &bits)) {
                continue;
            }
            let bound = f64::from_bits(bits);
            let count = classics.iter().map(|c| c.up_to(bound)).sum();
            expected.insert(key(series, &bound.to_string()), count);
        }
        let count = classics.iter().map(|c| f64::from(c.count())).sum();
        expected.insert(key(series, "inf"), count);
    }
    expected
}

fn buckets(numbers: &Numbers) -> Numbers {
    let buckets = numbers.iter().filter(|((_, part), _)| part != "sum");
    buckets.map(|(key, value)| (key.clone(), *value)).collect()
}

proptest! {
    #[test]
    fn counters((fleet, order) in fleets(contribution::counters(), CUMULATIVE)) {
        let merged = run(MetricType::Counter, Settings::default(), &fleet, order).numbers();
        prop_assert_eq!(&merged, &plain(MetricType::Counter, Settings::default(), &fleet).numbers());
        for ((labels, _), value) in &merged {
            let series = (0..SERIES).find(|series| key(*series, "").0 == *labels).unwrap();
            let sum: f64 = of_series(&fleet, series).iter().map(|value| match value {
                Value::Counter(value) => f64::from(*value),
                other => panic!("{other:?}"),
            }).sum();
            prop_assert_eq!(*value, sum);
        }
    }

    #[test]
    fn histograms((fleet, order) in fleets(contribution::classics(), CUMULATIVE)) {
        let merged = run(MetricType::Histogram, Settings::default(), &fleet, order).numbers();
        prop_assert_eq!(&merged, &plain(MetricType::Histogram, Settings::default(), &fleet).numbers());
        prop_assert_eq!(buckets(&merged), expected_buckets(&fleet, false));
    }

    #[test]
    fn histograms_with_the_bounds_that_all_have(
        (fleet, order) in fleets(contribution::classics(), CUMULATIVE)
    ) {
        let run = run(MetricType::Histogram, intersect(), &fleet, order);
        let merged = run.numbers();
        prop_assert_eq!(&merged, &plain(MetricType::Histogram, intersect(), &fleet).numbers());
        prop_assert_eq!(buckets(&merged), expected_buckets(&fleet, true));
        run.reload(Settings::default());
        prop_assert_eq!(buckets(&run.numbers()), expected_buckets(&fleet, false));
        run.reload(intersect());
        prop_assert_eq!(&run.numbers(), &merged);
    }

    #[test]
    fn series_that_a_rule_makes_one(
        (fleet, order) in fleets(contribution::classics(), CUMULATIVE),
        intersects in any::<bool>(),
    ) {
        let settings = merge_series(if intersects { intersect() } else { Settings::default() });
        let merged = run(MetricType::Histogram, settings.clone(), &fleet, order.clone());
        prop_assert_eq!(merged.numbers(), plain(MetricType::Histogram, settings.clone(), &fleet).numbers());
        let later = run(MetricType::Histogram, Settings::default(), &fleet, order);
        later.reload(settings);
        prop_assert_eq!(merged.numbers(), later.numbers());
    }

    #[test]
    fn gauge_histograms((fleet, order) in fleets(contribution::classics(), PRESENT)) {
        let merged = run(MetricType::GaugeHistogram, Settings::default(), &fleet, order).numbers();
        prop_assert_eq!(&merged, &plain(MetricType::GaugeHistogram, Settings::default(), &fleet).numbers());
        prop_assert_eq!(buckets(&merged), expected_buckets(&fleet, false));
    }

    #[test]
    fn summaries((fleet, order) in fleets(contribution::summaries(), CUMULATIVE)) {
        let merged = run(MetricType::Summary, Settings::default(), &fleet, order).numbers();
        prop_assert_eq!(&merged, &plain(MetricType::Summary, Settings::default(), &fleet).numbers());
    }

    #[test]
    fn infos((fleet, order) in fleets(contribution::infos(), PRESENT)) {
        let merged = run(MetricType::Info, Settings::default(), &fleet, order).numbers();
        let union: BTreeSet<u8> = fleet.iter().map(|(c, _)| c.series).collect();
        let expected: Numbers = union.iter().map(|series| (key(*series, "value"), 1.0)).collect();
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn state_sets((fleet, order) in fleets(contribution::states(), PRESENT)) {
        let merged = run(MetricType::StateSet, Settings::default(), &fleet, order).numbers();
        let mut expected = Numbers::new();
        for (contribution, _) in &fleet {
            let Value::States(states) = &contribution.value else { panic!("{contribution:?}") };
            for (state, on) in ["x", "y", "z"].into_iter().zip(states) {
                let labels = format!("{{\"l\": \"{}\", \"m\": \"{state}\"}}", contribution.series);
                let most = expected.entry((labels, "value".to_owned())).or_insert(0.0);
                *most = f64::max(*most, f64::from(u8::from(*on)));
            }
        }
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn native_histograms((fleet, order) in fleets(contribution::natives(), IDENTIFIED)) {
        let merged = run(MetricType::Histogram, Settings::default(), &fleet, order);
        let plain = plain(MetricType::Histogram, Settings::default(), &fleet);
        prop_assert_eq!(merged.natives(), plain.natives());
        prop_assert_eq!(merged.numbers(), plain.numbers());
        let shown = merged.natives();
        for series in 0..SERIES {
            let parts: Option<Vec<&NativeHistogram>> = of_series(&fleet, series)
                .into_iter()
                .map(|value| match value {
                    Value::Native(_, native) => native.as_ref(),
                    other => panic!("{other:?}"),
                })
                .collect();
            let parts = parts.filter(|parts| !parts.is_empty());
            prop_assert_eq!(shown.contains_key(&series), parts.is_some());
            let Some((native, parts)) = shown.get(&series).zip(parts) else { continue };
            let count: f64 = parts.iter().map(|part| part.count).sum();
            prop_assert_eq!(native.count, count);
            prop_assert_eq!(native.in_buckets(), count);
            prop_assert_eq!(native.schema, parts.iter().map(|part| part.schema).min().unwrap());
            prop_assert_eq!(native.sum, merged.numbers()[&key(series, "sum")]);
        }
    }

    #[test]
    fn exemplars_and_created_times(
        (fleet, order) in fleets(contribution::classics(), IDENTIFIED),
        intersects in any::<bool>(),
    ) {
        let settings = if intersects { intersect() } else { Settings::default() };
        let mut run = Fleet::new(MetricType::Histogram, settings);
        let mut first = BTreeMap::new();
        // By series and own bound.
        let mut newest: BTreeMap<u8, Vec<(f64, f64)>> = BTreeMap::new();
        for (nth, extra) in order.into_iter().zip(100_u8..) {
            let (contribution, way) = &fleet[nth];
            let extra = f64::from(extra);
            run.give(nth, *way, contribution, Some(extra));
            first.entry(contribution.series).or_insert(extra);
            let Value::Classic(classic) = &contribution.value else { panic!("{contribution:?}") };
            let bounds = classic.bounds().into_iter().chain([f64::INFINITY]);
            newest.entry(contribution.series).or_default().extend(bounds.map(|b| (b, extra)));
        }
        prop_assert_eq!(run.created(), first);
        // Whoever is folded takes the exemplars along.
        let folds = fleet.iter().any(|(_, way)| *way == Way::Folded);
        for (series, newest) in newest.iter().filter(|_| !folds) {
            let mut below = f64::NEG_INFINITY;
            for (at, bound) in run.bounds(*series).into_iter().enumerate() {
                let inside = newest.iter().filter(|(own, _)| *own > below && *own <= bound);
                let expected = inside.map(|(_, extra)| *extra).max_by(f64::total_cmp);
                prop_assert_eq!(run.exemplars().get(&(*series, at)).copied(), expected);
                below = bound;
            }
        }
    }
}
