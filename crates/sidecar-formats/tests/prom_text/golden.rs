//! What each kind of family looks like: `testdata/prom_text/*.out`. `UPDATE_GOLDEN=1` writes them
//! anew, except where CI is set.

use crate::build::{Builder, exposition, family};
use crate::checker::check;
use sidecar_formats::prom_text::TextEncoder;
use sidecar_model::{ABSENT, MetricType};
use std::fs;
use std::path::Path;

#[expect(clippy::disallowed_methods, reason = "a test helper: switches and files of its own")]
fn check_page(name: &str, families: Vec<Builder>, left_out: usize) {
    let mut out = vec![];
    let encoded = TextEncoder::new().encode(&exposition(families), &mut out);
    assert_eq!(encoded.left_out, left_out);
    check(&out).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/prom_text");
    let path = folder.join(name).with_extension("out");
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|v| v == "1") {
        assert!(std::env::var("CI").is_err(), "UPDATE_GOLDEN is not for CI");
        fs::write(path, &out).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
}

#[test]
fn types_and_suffixes_follow_the_format() {
    let one = |id, name, kind| family(id, name, kind).value(&[("a", "b")], 1.0);
    check_page(
        "types",
        vec![
            one(1, "counter", MetricType::Counter).suffixed().help("With suffix."),
            one(2, "counter_bare", MetricType::Counter),
            one(3, "gauge", MetricType::Gauge),
            family(4, "gh", MetricType::GaugeHistogram).bounds(
                &[],
                &["1", "inf"],
                &[2.0, 3.0, 4.5],
            ),
            family(5, "h", MetricType::Histogram)
                .bounds(&[("a", "x")], &["0.5", "1.0", "+Inf"], &[1.0, 2.0, 4.0, 7.25])
                .bounds(&[("a", "y")], &["+Inf"], &[0.0, ABSENT]),
            one(6, "info", MetricType::Info).suffixed(),
            one(7, "info_bare", MetricType::Info),
            one(8, "stateset", MetricType::StateSet),
            family(9, "summary", MetricType::Summary)
                .bounds(&[], &["0.5", "0.99"], &[0.1, f64::NAN, 12.5, 40.0])
                .bounds(&[("a", "b")], &[], &[ABSENT, 2.0])
                .bounds(&[("a", "c")], &["0.5"], &[ABSENT, 1.0, ABSENT]),
            one(10, "unknown", MetricType::Unknown),
        ],
        0,
    );
}

#[test]
fn everything_is_escaped() {
    check_page(
        "escaping",
        vec![
            family(1, "x", MetricType::Gauge)
                .help("a\\b \"c\"\nd")
                .value(&[("l", "a\\b \"c\"\nd"), ("m", "größe {},=")], -0.0),
        ],
        0,
    );
}

#[test]
fn numbers_have_one_text() {
    let values = [0.0, -1.5, 1e6, 999_999.0, 1e-5, 0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let numbered =
        values.iter().enumerate().fold(family(1, "x", MetricType::Gauge), |family, (n, value)| {
            family.value(&[("n", &n.to_string())], *value)
        });
    check_page("numbers", vec![numbered], 0);
}

#[test]
fn a_family_without_a_value_prints_nothing() {
    let absent = [ABSENT, 1.0, 2.0];
    check_page(
        "absent",
        vec![
            family(1, "a", MetricType::Gauge).help("h").value(&[], ABSENT),
            family(2, "b", MetricType::Gauge).help("h"),
            family(3, "c", MetricType::Gauge).value(&[], ABSENT).value(&[("a", "b")], 1.0),
            family(4, "d", MetricType::Histogram).bounds(&[], &["1", "+Inf"], &absent),
            family(5, "e", MetricType::Histogram).bounds(&[], &["1", "+Inf"], &absent).bounds(
                &[("a", "b")],
                &["1", "+Inf"],
                &[1.0, 2.0, 3.0],
            ),
            family(6, "f", MetricType::Summary).bounds(&[], &["0.5"], &[ABSENT; 3]),
        ],
        0,
    );
}

#[test]
fn names_that_become_equal_are_kept_apart_or_left_out() {
    check_page(
        "collisions",
        vec![
            family(1, "a b", MetricType::Gauge).value(&[], 1.0).value(&[("x", "y")], 2.0),
            family(2, "a.b", MetricType::Gauge).value(&[], 1.0),
            family(3, "a_b", MetricType::Gauge).value(&[], 3.0),
            family(4, "größe", MetricType::Gauge).value(&[], 1.0),
            family(5, "h", MetricType::Histogram).bounds(&[("le", "x")], &["+Inf"], &[1.0, 1.0]),
            family(6, "h_count", MetricType::Gauge).value(&[], 1.0),
            family(7, "labels", MetricType::Gauge)
                .value(&[("k.a", "1"), ("k_a", "2"), ("k-a", "3")], 1.0)
                .value(&[("k.a", "1")], 2.0)
                .value(&[("k-a", "1")], 3.0)
                .value(&[("k_a", "1")], 4.0)
                .value(&[("..name..", "1"), ("0", "2"), ("a:b", "3")], 5.0),
            family(8, "", MetricType::Gauge).value(&[], 1.0),
            family(9, "π", MetricType::Gauge).value(&[], 1.0),
        ],
        7,
    );
}
