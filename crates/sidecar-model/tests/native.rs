//! Native histograms: adding them is adding what they observed, in any order.

#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]
#![allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "counts of a few observations")]

use proptest::prelude::*;
use sidecar_model::{NativeHistogram, Span, SpanError};
use std::collections::BTreeMap;

fn bound(index: i32, schema: i8) -> f64 {
    (f64::from(index) / f64::from(schema).exp2()).exp2()
}

/// By definition: the bucket ends at or above the value, the one before it below.
fn index_of(value: f64, schema: i8) -> i32 {
    (-200..200).find(|index| bound(*index, schema) >= value).unwrap()
}

fn observed(values: &[i32], schema: i8, zero_threshold: f64) -> NativeHistogram {
    let mut zero_count = 0.0;
    let (mut positive, mut negative) = (BTreeMap::new(), BTreeMap::new());
    for value in values {
        // Halves of powers of two from 1/8 to 16, and zero.
        let distance = (f64::from(value.abs()) / 2.0 - 4.0).exp2();
        if *value == 0 || distance <= zero_threshold {
            zero_count += 1.0;
            continue;
        }
        let of = if *value > 0 { &mut positive } else { &mut negative };
        *of.entry(index_of(distance, schema)).or_insert(0.0) += 1.0;
    }
    NativeHistogram {
        schema,
        zero_threshold,
        zero_count,
        count: values.len() as f64,
        sum: values.iter().map(|value| f64::from(*value)).sum(),
        positive: positive.into_iter().collect(),
        negative: negative.into_iter().collect(),
        is_float: false,
    }
}

type Source = (Vec<i32>, i8, f64);

fn source() -> impl Strategy<Value = Source> {
    let thresholds = prop::sample::select(vec![0.0, 2.0_f64.powi(-128), 0.1, 0.125, 0.3, 1.0]);
    (prop::collection::vec(-16..17_i32, 0..12), -4..5_i8, thresholds)
}

fn histogram((values, schema, threshold): &Source) -> NativeHistogram {
    observed(values, *schema, *threshold)
}

fn sum(parts: &[&NativeHistogram]) -> NativeHistogram {
    let mut total = (*parts[0]).clone();
    parts[1..].iter().for_each(|part| part.merge_into(&mut total));
    total
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_sum_is_the_histogram_of_all_observations(a in source(), b in source()) {
        let total = sum(&[&histogram(&a), &histogram(&b)]);
        let all: Vec<i32> = a.0.iter().chain(&b.0).copied().collect();
        prop_assert_eq!(total.schema, a.1.min(b.1));
        prop_assert!(total.zero_threshold >= a.2.max(b.2));
        prop_assert_eq!(&total, &observed(&all, total.schema, total.zero_threshold));
    }

    #[test]
    fn sums_do_not_depend_on_the_order(a in source(), b in source(), c in source()) {
        let [a, b, c] = [a, b, c].each_ref().map(histogram);
        prop_assert_eq!(sum(&[&a, &b]), sum(&[&b, &a]));
        prop_assert_eq!(sum(&[&sum(&[&a, &b]), &c]), sum(&[&a, &sum(&[&b, &c])]));
    }

    #[test]
    fn nothing_is_lost_and_no_bucket_is_empty_or_twice(a in source(), b in source()) {
        let total = sum(&[&histogram(&a), &histogram(&b)]);
        prop_assert_eq!(total.in_buckets(), (a.0.len() + b.0.len()) as f64);
        prop_assert_eq!(total.count, total.in_buckets());
        for buckets in [&total.positive, &total.negative] {
            prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(buckets.iter().all(|bucket| bucket.1 > 0.0));
        }
    }

    #[test]
    fn what_was_added_to_never_looks_like_a_restart(a in source(), b in source()) {
        let old = histogram(&a);
        prop_assert!(!NativeHistogram::has_reset(&old, &old));
        prop_assert!(!NativeHistogram::has_reset(&old, &sum(&[&old, &histogram(&b)])));
    }

    #[test]
    fn a_bucket_that_falls_is_a_restart_whatever_the_others_do(
        a in source(), b in source(), which in any::<prop::sample::Index>(),
    ) {
        let old = histogram(&a);
        let mut new = sum(&[&old, &histogram(&b)]);
        new.count += 1000.0;
        let before = new.clone();
        let buckets = &mut new.positive;
        prop_assume!(!buckets.is_empty());
        let at = which.index(buckets.len());
        buckets[at].1 = 0.5;
        // It fell below what the old one had there, unless all of it is new.
        let reset = NativeHistogram::has_reset(&old, &new);
        let mut same = old.clone();
        same.reduce_to(new.schema);
        let had = same.positive.iter().any(|bucket| bucket.0 == before.positive[at].0);
        prop_assert_eq!(reset, had);
    }

    #[test]
    fn spans_are_read_back(buckets in prop::collection::btree_map(any::<i32>(), 1..9_u32, 0..9),
        near in prop::collection::btree_map(-9..9_i32, 1..9_u32, 0..9)) {
        for buckets in [buckets, near] {
            let buckets: Vec<(i32, f64)> =
                buckets.into_iter().map(|(index, count)| (index, f64::from(count))).collect();
            // Gaps of more than 31 bits cannot be written; no real index is so far out.
            prop_assume!(buckets.windows(2).all(|p| p[0].0.checked_sub(p[1].0).is_some()));
            let (spans, counts) = NativeHistogram::to_spans(&buckets);
            prop_assert_eq!(NativeHistogram::from_spans(&spans, &counts), Ok(buckets));
        }
    }

    #[test]
    fn a_limit_on_buckets_keeps_every_observation(a in source(), max in 1..9_usize) {
        let mut limited = histogram(&a);
        limited.limit_buckets(max);
        prop_assert!(limited.positive.len() + limited.negative.len() <= max.max(4));
        prop_assert_eq!(&limited, &observed(&a.0, limited.schema, a.2));
    }
}

#[test]
fn a_float_makes_the_sum_a_float() {
    let float = NativeHistogram { is_float: true, ..observed(&[3], 0, 0.0) };
    assert!(sum(&[&observed(&[3], 0, 0.0), &float]).is_float);
}

#[test]
fn a_wider_zero_bucket_takes_in_the_bucket_that_it_ends_in() {
    // 0.3 lies between 0.25 and 0.5.
    let narrow = NativeHistogram {
        schema: 0,
        zero_count: 1.0,
        count: 10.0,
        positive: vec![(-2, 2.0), (-1, 3.0), (0, 4.0)],
        ..NativeHistogram::default()
    };
    let wide = NativeHistogram {
        zero_threshold: 0.3,
        zero_count: 5.0,
        count: 5.0,
        ..NativeHistogram::default()
    };
    let total = sum(&[&narrow, &wide]);
    assert_eq!((total.zero_threshold, total.zero_count), (0.5, 11.0));
    assert_eq!(total.positive, [(0, 4.0)]);
}

#[test]
fn higher_resolution_narrower_zero_bucket_and_fallen_counts_are_restarts() {
    let old = NativeHistogram {
        zero_threshold: 0.25,
        zero_count: 2.0,
        ..observed(&[9, 10, 12], 0, 0.25)
    };
    let new = |change: fn(&mut NativeHistogram)| {
        let mut new = old.clone();
        change(&mut new);
        NativeHistogram::has_reset(&old, &new)
    };
    assert!(!new(|_| {}));
    assert!(new(|h| h.count -= 1.0));
    assert!(new(|h| h.schema += 1));
    assert!(new(|h| h.zero_threshold = 0.1));
    assert!(new(|h| h.zero_count -= 1.0));
    assert!(new(|h| h.positive.clear()));
    // A zero bucket that ends inside a bucket of the old one cannot have grown out of it.
    assert!(new(|h| {
        h.zero_threshold = 1.5;
        h.zero_count = 100.0;
    }));
    assert!(!new(|h| {
        h.zero_threshold = 4.0;
        h.zero_count = 100.0;
        h.positive.clear();
    }));
}

#[test]
fn spans_that_cannot_be_are_refused() {
    let span = |offset, length| Span { offset, length };
    for (spans, counts, error) in [
        (vec![span(0, 2)], vec![1.0], SpanError::OtherLength),
        (vec![], vec![1.0], SpanError::OtherLength),
        (vec![span(0, 1), span(-1, 1)], vec![1.0, 1.0], SpanError::Overlap),
        (vec![span(i32::MAX, 2)], vec![1.0, 1.0], SpanError::IndexOverflow),
    ] {
        assert_eq!(NativeHistogram::from_spans(&spans, &counts), Err(error));
    }
    assert_eq!(
        NativeHistogram::from_spans(&[span(-1, 3)], &[1.0, 0.0, 2.0]),
        Ok(vec![(-1, 1.0), (1, 2.0)])
    );
}
