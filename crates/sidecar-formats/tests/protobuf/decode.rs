//! What bodies mean, and what is wrong with others.

use crate::recorder::{Recorded, Recorder};
use crate::writer::{Message, body, message};
use sidecar_formats::protobuf::decode;
use sidecar_formats::{DecodeError, Timestamps};

pub(crate) fn told(body: &[u8], mut sink: Recorder) -> (Result<Recorded, DecodeError>, Recorder) {
    let result = decode(body, Timestamps::Drop, &mut sink);
    let (got, memory) = sink.finish();
    (result.map(|()| got), memory)
}

fn rendered(body: &[u8]) -> String {
    let mut sink = Recorder::default();
    match decode(body, Timestamps::Drop, &mut sink) {
        Ok(()) => sink.rendered(),
        Err(error) => format!("{} {error}", error.code),
    }
}

#[track_caller]
fn check(families: &[Message], expected: &str) {
    assert_eq!(rendered(&body(families)), expected);
}

fn family(name: &str, kind: u64) -> Message {
    message().text(1, name).int(3, kind)
}

fn histogram(inner: &Message) -> Message {
    family("h", 4).inner(4, &message().label("a", "b").inner(7, inner))
}

#[test]
fn counters_gauges_and_untyped_values_are_samples_of_their_family() {
    let exemplar = message().label("t", "1").double(2, 0.5).time(3, 10, 250_000_000);
    let counter = message().double(1, 3.0).inner(2, &exemplar).time(3, 5, 500_000_000);
    check(
        &[
            message()
                .text(1, "c_total")
                .text(2, "Help.")
                .inner(4, &message().label("a", "b").label("c", "").inner(3, &counter))
                .inner(4, &message().inner(3, &message()))
                .text(5, "seconds"),
            family("g", 1).inner(4, &message().inner(2, &message().double(1, -0.5))),
            family("u", 3)
                .inner(4, &message().inner(5, &message().double(1, f64::INFINITY)).int(6, 7)),
            family("nothing", 2),
        ],
        "counter c_total help \"Help.\" unit \"seconds\" Cumulative\n  \
         - [(\"a\", \"b\"), (\"c\", \"\")] 3.0\n    \
         ExemplarParts { labels: [(\"t\", \"1\")], value: 0.5, timestamp: Some(10.25) }\n  \
         c_created [(\"a\", \"b\"), (\"c\", \"\")] 5.5\n  - [] 0.0\n\
         gauge g help \"\" unit \"\" Cumulative\n  - [] -0.5\n\
         unknown u help \"\" unit \"\" Cumulative\n  - [] inf\n\
         summary nothing help \"\" unit \"\" Cumulative\n",
    );
}

#[test]
fn a_summary_becomes_its_quantiles_sum_and_count() {
    let quantile = |q: f64, v: f64| message().double(1, q).double(2, v);
    let summary = message()
        .int(1, 300)
        .double(2, 1.5)
        .inner(3, &quantile(0.5, f64::NAN))
        .inner(3, &quantile(0.99, 2.0))
        .time(4, 9, 0);
    check(
        &[family("s", 2).inner(4, &message().inner(4, &summary))],
        "summary s help \"\" unit \"\" Cumulative\n  - [(\"quantile\", \"0.5\")] NaN\n  \
         - [(\"quantile\", \"0.99\")] 2.0\n  s_sum [] 1.5\n  s_count [] 300.0\n  s_created [] 9.0\n",
    );
}

#[test]
fn a_classic_histogram_gets_the_bucket_that_its_count_stands_for() {
    let exemplar = message().double(2, 0.25);
    let bucket = |count: u64, bound: f64| message().int(1, count).double(2, bound);
    let inner = message()
        .int(1, 5)
        .double(2, 8.0)
        .inner(3, &bucket(2, 0.5).inner(3, &exemplar))
        .inner(3, &bucket(4, 1e6));
    let expected = |count: &str, labels: &str| {
        format!(
            "histogram h help \"\" unit \"\" Cumulative\n  \
             h_bucket [(\"a\", \"b\"), (\"le\", \"0.5\")] 2.0\n    \
             ExemplarParts {{ labels: [], value: 0.25, timestamp: None }}\n  \
             h_bucket [(\"a\", \"b\"), (\"le\", \"1e+06\")] 4.0\n  \
             h_bucket [(\"a\", \"b\"), (\"le\", \"+Inf\")] {count}\n  \
             h_sum {labels} 8.0\n  h_count {labels} {count}\n"
        )
    };
    check(&[histogram(&inner)], &expected("5.0", "[(\"a\", \"b\")]"));
    let whole = inner.clone().inner(3, &bucket(5, f64::INFINITY));
    check(&[histogram(&whole)], &expected("5.0", "[(\"a\", \"b\")]"));
    check(&[histogram(&inner.double(4, 5.5))], &expected("5.5", "[(\"a\", \"b\")]"));
}

#[test]
fn native_buckets_come_as_absolute_counts_behind_count_and_sum() {
    let head = |count: u64| message().int(1, count).double(2, 8.0).signed(5, 3).double(6, 0.001);
    let classic = |count: &str| {
        format!(
            "histogram h help \"\" unit \"\" Cumulative\n  \
             h_bucket [(\"a\", \"b\"), (\"le\", \"+Inf\")] {count}\n  \
             h_sum [(\"a\", \"b\")] 8.0\n  h_count [(\"a\", \"b\")] {count}\n    "
        )
    };
    let whole = "[(\"a\", \"b\")] NativeHistogram { schema: 3, zero_threshold: 0.001, \
                 zero_count: 1.0, count: 20.0, sum: 8.0, \
                 positive: [(-2, 1.0), (-1, 3.0), (3, 2.0)], negative: [(7, 4.0)], is_float: false }\n";
    let spans = head(20).int(7, 1).span(12, -2, 2).span(12, 2, 0).span(12, 1, 1).span(9, 7, 1);
    let packed = spans.clone().packed_signed(13, &[1, 2, -1]).packed_signed(10, &[4]);
    check(&[histogram(&packed)], &(classic("20.0") + whole));
    let single = spans.signed(13, 1).signed(13, 2).signed(13, -1).signed(10, 4);
    check(&[histogram(&single)], &(classic("20.0") + whole));
    let float =
        head(0).double(4, 2.5).double(8, 0.5).span(12, 0, 2).packed_doubles(14, &[0.0, 2.0]);
    check(
        &[histogram(&float)],
        &(classic("2.5")
            + "[(\"a\", \"b\")] NativeHistogram { schema: 3, zero_threshold: 0.001, \
               zero_count: 0.5, count: 2.5, sum: 8.0, positive: [(1, 2.0)], negative: [], is_float: true }\n"),
    );
    let no_op = message().int(1, 0).double(2, 8.0).span(12, 0, 0);
    check(
        &[histogram(&no_op)],
        &(classic("0.0")
            + "[(\"a\", \"b\")] NativeHistogram { schema: 0, zero_threshold: 0.0, \
               zero_count: 0.0, count: 0.0, sum: 8.0, positive: [], negative: [], is_float: false }\n"),
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let gauge = |inner: &Message| family("g", 1).inner(4, &message().inner(2, inner));
    let good = gauge(&message().double(1, 1.0));
    for (families, expected) in [
        (
            vec![good.clone(), gauge(&message().int(1, 1))],
            "bad_protobuf family 2 (g), metric 1: a field that has another wire type than its own",
        ),
        (
            vec![family("g", 1).inner(4, &message()).0].into_iter().map(Message).collect(),
            "bad_protobuf family 1 (g), metric 1: no gauge in a metric whose family is one",
        ),
        (vec![family("g", 9)], "bad_type family 1 (g): an unknown metric type: use one of 0 to 5"),
        (vec![message()], "bad_name family 1: the name is empty"),
        (
            vec![
                family("g", 1)
                    .inner(4, &message().label("a", "b").label("__x", "").inner(2, &message())),
            ],
            "bad_label_name family 1 (g), metric 1, label __x: the label name begins with two underscores, which are reserved",
        ),
        (vec![message().bytes(1, &[0xff])], "bad_protobuf family 1 (\u{fffd}): not UTF-8"),
        (
            vec![good.clone(), Message(good.0[..good.0.len() - 1].to_vec())],
            "bad_protobuf family 2 (g): a length goes beyond the end of what it is in",
        ),
    ] {
        check(&families, expected);
    }
    let whole = body(&[good]);
    assert_eq!(
        rendered(&whole[..whole.len() - 1]),
        "bad_protobuf family 1 (g): a length goes beyond the end of what it is in"
    );
    assert_eq!(rendered(b""), "");
}

#[test]
fn native_buckets_that_cannot_be_are_refused() {
    let head = message().int(1, 9).double(6, 1.0);
    for (families, expected) in [
        (
            vec![histogram(&head.clone().signed(5, 9))],
            "bad_protobuf family 1 (h), metric 1: native histogram: the schema must be from -4 to 8",
        ),
        (
            vec![histogram(&head.clone().span(12, 0, 2).packed_signed(13, &[1]))],
            "bad_protobuf family 1 (h), metric 1: native histogram: the spans have another length than the counts",
        ),
        (
            vec![histogram(&head.clone().span(12, 0, 1).packed_signed(13, &[-1]))],
            "bad_protobuf family 1 (h), metric 1: native histogram: a bucket's count is negative",
        ),
        (
            vec![histogram(&head.clone().span(12, 0, 1).packed_signed(13, &[10]))],
            "bad_protobuf family 1 (h), metric 1: native histogram: more observations in the buckets than the count says",
        ),
        (
            vec![histogram(
                &head.clone().span(12, i64::from(i32::MAX), 2).packed_signed(13, &[1, 0]),
            )],
            "bad_protobuf family 1 (h), metric 1: native histogram: a bucket's index does not fit 32 bits",
        ),
        (
            vec![histogram(
                &head.clone().span(12, 0, 1).span(12, -1, 1).packed_signed(13, &[1, 0]),
            )],
            "bad_protobuf family 1 (h), metric 1: native histogram: a span begins before the end of the one before it",
        ),
        (
            vec![histogram(&head.clone().span(12, 0, 10_001))],
            "bad_protobuf family 1 (h), metric 1: native histogram: more than 10000 buckets or spans",
        ),
        (
            vec![histogram(&head.double(6, f64::NAN).int(7, 1))],
            "bad_protobuf family 1 (h), metric 1: native histogram: the zero threshold must be finite and not negative",
        ),
    ] {
        check(&families, expected);
    }
}

#[test]
fn a_timestamp_is_refused_where_it_is_asked_for() {
    let metric = message().inner(2, &message().double(1, 1.0)).int(6, 0);
    let body = body(&[family("g", 1).inner(4, &metric)]);
    let error = decode(&body, Timestamps::Reject, &mut Recorder::default()).unwrap_err();
    assert_eq!(error.code, "timestamp_not_allowed");
    assert_eq!(error.at, "family 1 (g), metric 1");
}

#[test]
fn a_repeated_body_is_followed_whatever_its_numbers() {
    let body = |n: u64| {
        let counter = message().double(1, n as f64).time(3, 5, 0);
        let histogram =
            message().int(1, n * 1000).double(2, 0.5).inner(3, &message().int(1, n).double(2, 0.5));
        let summary = message().int(1, n).double(2, 0.5).inner(3, &message().double(1, 0.5));
        let gauge = message().label("x", "1").inner(2, &message().double(1, n as f64));
        body(&[
            message().text(1, "c").inner(4, &message().label("x", "1").inner(3, &counter)),
            family("h", 4).inner(4, &message().label("x", "1").inner(7, &histogram)),
            family("s", 2).inner(4, &message().label("x", "1").inner(4, &summary)),
            family("g", 1)
                .inner(4, &gauge)
                .inner(4, &message().inner(2, &message().double(1, 1.0))),
        ])
    };
    let (_, memory) = told(&body(1), Recorder::default());
    let mut sink = memory;
    decode(&body(200), Timestamps::Drop, &mut sink).unwrap();
    assert_eq!((sink.followed_headers, sink.followed), (4, 2 + 4 + 3 + 2));
    assert_eq!(sink.finish().0, told(&body(200), Recorder::default()).0.unwrap());
}

#[test]
fn hostile_shapes_take_time_in_proportion_to_their_length() {
    let spans = (0..200_000).fold(message(), |m, _| m.span(12, 0, 0));
    let labels = (0..100_000).fold(message(), |m, n| m.label(&format!("l{n}"), ""));
    let deltas = (0..300_000).fold(message().span(12, 0, 1), |m, _| m.signed(13, 0));
    for family in [
        histogram(&spans),
        histogram(&deltas),
        family("g", 1).inner(4, &labels.inner(2, &message())),
        Message(vec![0x80; 1_000_000]),
    ] {
        assert!(told(&body(&[family]), Recorder::default()).0.is_err());
    }
}
