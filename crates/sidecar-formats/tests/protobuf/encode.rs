//! What pages hold: bytes, and what the decoder makes of them.

use crate::decode::told;
use crate::expositions::{Case, any_case, any_exposition};
use crate::recorder::{Recorded, Recorder};
use crate::writer::{Message, body, message};
use proptest::prelude::*;
use sidecar_formats::Page;
use sidecar_formats::protobuf::{ProtobufEncoder, decode};
use sidecar_model::{
    ABSENT, Bound, Escaping, Exemplar, Exposition, Extras, FamilyExposition, FamilyLayout,
    LabelSet, MetricType, NativeHistogram, Point, PointKind,
};
use std::sync::Arc;

fn page(exposition: &Exposition, escaping: Escaping) -> (Vec<u8>, usize) {
    let mut page = ProtobufEncoder::new().page(exposition.clone(), escaping);
    let mut out = vec![];
    assert!(!page.write_some(usize::MAX, &mut out));
    (out, page.encoded().left_out)
}

fn read(bytes: &[u8]) -> Recorded {
    told(bytes, Recorder::default()).0.unwrap()
}

fn rendered(bytes: &[u8]) -> String {
    let mut sink = Recorder::default();
    decode(bytes, sidecar_formats::Timestamps::Reject, &mut sink).unwrap();
    sink.rendered()
}

fn family(
    id: u64,
    name: &str,
    metric_type: MetricType,
    points: Vec<(LabelSet, PointKind)>,
    values: &[f64],
) -> FamilyExposition {
    let layout = FamilyLayout {
        id,
        name: name.into(),
        metric_type,
        suffixed: true,
        help: "".into(),
        unit: "".into(),
        points: points.into_iter().map(|(labels, kind)| Point { labels, kind }).collect(),
    };
    FamilyExposition {
        layout: Arc::new(layout),
        values: values.to_vec(),
        extras: Extras::default(),
    }
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::new(pairs.to_vec()).unwrap()
}

fn bounds(values: &[f64]) -> Arc<[Bound]> {
    values.iter().map(|value| Bound { value: *value, text: "x".into() }).collect()
}

fn check(families: Vec<FamilyExposition>, expected: &[Message]) {
    let (bytes, _) = page(&Exposition { families }, Escaping::Underscores);
    assert_eq!(bytes, body(expected));
}

#[test]
fn a_counter_is_written_as_its_own_library_would() {
    let points = vec![
        (labels(&[("a", "b")]), PointKind::Scalar),
        (labels(&[("a", "c")]), PointKind::Scalar),
    ];
    let plain = family(1, "c", MetricType::Counter, points, &[3.0, ABSENT]);
    let metric = |counter: &Message| message().label("a", "b").inner(3, counter);
    let head = message().text(1, "c_total").int(3, 0);
    let counter = message().double(1, 3.0);
    check(vec![plain.clone()], &[head.clone().inner(4, &metric(&counter))]);
    let mut extra = plain;
    let exemplar = Exemplar { labels: labels(&[("t", "1")]), value: 0.5, timestamp: Some(10.25) };
    extra.extras.exemplars = vec![(0, Arc::new(exemplar))];
    extra.extras.created = vec![5.5, 6.0];
    let exemplar = message().label("t", "1").double(2, 0.5).time(3, 10, 250_000_000);
    let counter = counter.inner(2, &exemplar).time(3, 5, 500_000_000);
    check(vec![extra], &[head.inner(4, &metric(&counter))]);
}

#[test]
fn native_buckets_stand_beside_the_classic_ones() {
    let kind = PointKind::Histogram(bounds(&[0.5, f64::INFINITY]));
    let values = [1.0, 10.0, 2.5];
    let mut both = family(1, "h", MetricType::Histogram, vec![(labels(&[]), kind)], &values);
    let native = NativeHistogram {
        schema: -1,
        zero_threshold: 0.0,
        zero_count: 1.0,
        count: 10.0,
        sum: 2.5,
        positive: vec![(-2, 3.0), (0, 1.0), (5, 2.0)],
        negative: vec![(1, 3.0)],
        is_float: false,
    };
    both.extras.natives = vec![(0, Arc::new(native))];
    let bucket = |count: u64, bound: f64| message().int(1, count).double(2, bound);
    let histogram = message()
        .int(1, 10)
        .double(2, 2.5)
        .inner(3, &bucket(1, 0.5))
        .inner(3, &bucket(10, f64::INFINITY))
        .signed(5, -1)
        .double(6, 0.0)
        .int(7, 1)
        .span(9, 1, 1)
        .packed_signed(10, &[3])
        .span(12, -2, 3)
        .span(12, 4, 1)
        .packed_signed(13, &[3, -3, 1, 1]);
    let expected = message().text(1, "h").int(3, 4).inner(4, &message().inner(7, &histogram));
    check(vec![both], &[expected]);
}

#[test]
fn an_empty_native_histogram_is_still_one_when_it_is_read() {
    let kind = PointKind::Histogram(bounds(&[f64::INFINITY]));
    let mut empty =
        family(1, "h", MetricType::GaugeHistogram, vec![(labels(&[]), kind)], &[0.0, 0.0]);
    empty.extras.natives = vec![(0, Arc::new(NativeHistogram::default()))];
    let histogram = message().int(1, 0).double(2, 0.0).signed(5, 0).double(6, 0.0).int(7, 0);
    let histogram = histogram.span(12, 0, 0);
    check(
        vec![empty],
        &[message().text(1, "h").int(3, 5).inner(4, &message().inner(7, &histogram))],
    );
}

#[test]
fn names_are_escaped_as_asked_and_what_they_hide_is_counted() {
    let scalar = |set: LabelSet| (set, PointKind::Scalar);
    let points = vec![scalar(labels(&[("a.b", "1")])), scalar(labels(&[("a_b", "1")]))];
    let one = || vec![scalar(labels(&[]))];
    let families = vec![
        family(1, "m.x", MetricType::Gauge, points, &[1.0, 2.0]),
        family(2, "m_x", MetricType::Gauge, one(), &[3.0]),
        family(3, "n.x", MetricType::Info, one(), &[1.0]),
    ];
    let exposition = Exposition { families };
    let (bytes, left_out) = page(&exposition, Escaping::Underscores);
    assert_eq!(left_out, 2);
    assert_eq!(
        rendered(&bytes),
        "gauge m_x help \"\" unit \"\" Cumulative\n  - [] 3.0\n\
         gauge n_x_info help \"\" unit \"\" Cumulative\n  - [] 1.0\n"
    );
    let (bytes, left_out) = page(&exposition, Escaping::AllowUtf8);
    assert_eq!(left_out, 0);
    assert!(rendered(&bytes).starts_with(
        "gauge m.x help \"\" unit \"\" Cumulative\n  - [(\"a.b\", \"1\")] 1.0\n  - [(\"a_b\", \"1\")] 2.0\n"
    ));
    let (bytes, left_out) = page(&exposition, Escaping::Values);
    assert_eq!(left_out, 0);
    assert!(rendered(&bytes).contains("U__m_2e_x"), "{}", rendered(&bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_a_page_says_is_read_back(Case { exposition, expected } in any_case()) {
        let (bytes, left_out) = page(&exposition, Escaping::AllowUtf8);
        prop_assert_eq!(left_out, 0);
        prop_assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn whatever_was_pushed_the_page_can_be_read(
        exposition in any_exposition(), escaping in prop::sample::select(vec![
            Escaping::Underscores, Escaping::Dots, Escaping::Values, Escaping::AllowUtf8,
        ]),
    ) {
        let (bytes, _) = page(&exposition, escaping);
        let result = told(&bytes, Recorder::default()).0;
        // The recorder refuses names that begin with two underscores.
        prop_assert!(result.is_ok() || result.is_err_and(|e| e.code == "bad_label_name"));
    }

    #[test]
    fn a_page_in_pieces_is_the_same_page(
        exposition in any_exposition(), enough in 1..200_usize,
    ) {
        let (whole, _) = page(&exposition, Escaping::Dots);
        let mut page = ProtobufEncoder::new().page(exposition, Escaping::Dots);
        let (mut joined, mut piece) = (vec![], vec![]);
        while page.write_some(enough, &mut piece) {
            prop_assert!(piece.len() >= enough);
            joined.append(&mut piece);
        }
        joined.append(&mut piece);
        prop_assert_eq!(joined, whole);
    }

    #[test]
    fn what_was_rendered_before_does_not_show(
        first in any_exposition(), second in any_exposition(), same in any::<bool>(),
    ) {
        let mut second = second;
        for family in &mut second.families {
            Arc::make_mut(&mut family.layout).id += 100;
        }
        second.families.extend(first.families.first().cloned());
        let mut encoder = ProtobufEncoder::new();
        let before = if same { Escaping::Values } else { Escaping::Underscores };
        let _page = encoder.page(first, before);
        let mut reused = encoder.page(second.clone(), Escaping::Values);
        let mut out = vec![];
        reused.write_some(usize::MAX, &mut out);
        let (fresh, left_out) = page(&second, Escaping::Values);
        prop_assert_eq!(reused.encoded().left_out, left_out);
        prop_assert_eq!(out, fresh);
    }
}
