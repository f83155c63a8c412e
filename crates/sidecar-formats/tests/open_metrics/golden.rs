//! What each kind of family looks like: `testdata/open_metrics/*.out`. `UPDATE_GOLDEN=1` writes
//! them anew, except where CI is set.

use crate::build::{Builder, exposition, family};
use crate::checker::check;
use sidecar_formats::Page;
use sidecar_formats::open_metrics::OpenMetricsEncoder;
use sidecar_model::{ABSENT, Escaping, MetricType};
use std::fs;
use std::path::Path;

#[expect(clippy::disallowed_methods, reason = "a test helper: switches and files of its own")]
fn check_page(name: &str, escaping: Escaping, families: Vec<Builder>, left_out: usize) {
    let mut out = vec![];
    let mut page = OpenMetricsEncoder::new().page(exposition(families), escaping);
    while page.write_some(usize::MAX, &mut out) {}
    assert_eq!(page.encoded().left_out, left_out);
    check(&out).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/open_metrics");
    let path = folder.join(name).with_extension("out");
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|v| v == "1") {
        assert!(std::env::var("CI").is_err(), "UPDATE_GOLDEN is not for CI");
        fs::create_dir_all(folder).unwrap();
        fs::write(path, &out).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
}

#[test]
fn types_units_and_created_times_follow_the_format() {
    let one = |id, name, kind| family(id, name, kind).value(&[("a", "b")], 1.0);
    check_page(
        "types",
        Escaping::Underscores,
        vec![
            one(1, "counter_seconds", MetricType::Counter)
                .suffixed()
                .unit("seconds")
                .help("Say \"x\".")
                .value(&[("a", "c")], 2e6)
                .created(&[1_712_345_678.125, ABSENT]),
            one(2, "counter_bare", MetricType::Counter).created(&[5.0]),
            one(3, "gauge", MetricType::Gauge).unit("seconds"),
            family(4, "gh", MetricType::GaugeHistogram).bounds(
                &[],
                &["1", "inf"],
                &[2.0, 3.0, 4.5],
            ),
            family(5, "h", MetricType::Histogram)
                .bounds(&[("a", "x")], &["0.5", "1", "+Inf"], &[1.0, 2.0, 4e6, 7.25])
                .bounds(&[("a", "y")], &["+Inf"], &[0.0, ABSENT])
                .bounds(&[("a", "z")], &["-1", "+Inf"], &[0.0, 1.0, -0.5])
                .created(&[1.5, 2.0, 3.0]),
            one(6, "i", MetricType::Info).suffixed(),
            one(7, "info_bare", MetricType::Info),
            family(8, "s", MetricType::StateSet)
                .value(&[("a", "x"), ("s", "1"), ("z", "1")], 1.0)
                .value(&[("a", "x"), ("s", "1"), ("z", "2")], 0.0)
                .value(&[("a", "x"), ("s", "2"), ("z", "1")], 0.0),
            family(9, "summary", MetricType::Summary)
                .bounds(&[], &["0.5", "1"], &[0.1, f64::NAN, 12.5, 40.0])
                .bounds(&[("a", "b")], &[], &[ABSENT, 2.0])
                .bounds(&[("a", "c")], &["0.5"], &[ABSENT, 1.0, ABSENT])
                .created(&[1.0, ABSENT, 2.0]),
            one(10, "unknown", MetricType::Unknown),
        ],
        0,
    );
}

#[test]
fn what_a_type_does_not_allow_goes_without_the_type() {
    check_page(
        "untyped",
        Escaping::Underscores,
        vec![
            family(1, "c", MetricType::Counter).suffixed().value(&[], -1.0).created(&[1.0]),
            family(2, "float", MetricType::Histogram)
                .help("Halves.")
                .bounds(&[("a", "x")], &["1", "+Inf"], &[0.5, 1.5, 1.0])
                .bounds(&[("a", "y")], &["1", "+Inf"], &[1.0, 2.0, 1.0])
                .exemplar(0, &[], 0.5, None),
            family(3, "i", MetricType::Info).suffixed().value(&[], 2.0),
            family(4, "s", MetricType::StateSet).value(&[("s", "a")], 0.5),
            family(5, "s_bare", MetricType::StateSet).value(&[], 1.0),
            family(6, "t", MetricType::Summary).bounds(&[], &["0.5"], &[-0.5, 1.0, 2.0]),
            family(7, "u", MetricType::Summary).bounds(&[], &["2"], &[0.5, 1.0, 2.0]),
        ],
        0,
    );
}

#[test]
fn names_that_only_a_type_needs_cost_no_series() {
    check_page(
        "clashes",
        Escaping::Underscores,
        vec![
            family(1, "a", MetricType::Counter).suffixed().value(&[], 1.0),
            family(2, "a_created", MetricType::Gauge).value(&[], 2.0),
            family(3, "b", MetricType::Gauge).value(&[], 3.0),
            family(4, "b", MetricType::Counter).suffixed().value(&[], 4.0),
            family(5, "c.x", MetricType::Gauge).value(&[("k.a", "1"), ("k_a", "2")], 5.0),
            family(6, "c_x", MetricType::Gauge)
                .value(&[("k.a", "1")], 6.0)
                .value(&[("k_a", "1")], 7.0),
        ],
        2,
    );
}

fn named() -> Vec<Builder> {
    vec![
        family(1, "a.b_c", MetricType::Counter).suffixed().help("h").value(&[("l.m", "v")], 1.0),
        family(2, "h.x", MetricType::Histogram)
            .bounds(&[("le", "v"), ("l m", "w")], &["+Inf"], &[1.0, 1.0])
            .created(&[3.5]),
        family(3, "plain_name", MetricType::Gauge).value(&[("a:b", "\"\\\n")], 1.0),
        family(4, "q\"\\\nπ", MetricType::Gauge).value(&[], 1.0),
    ]
}

#[test]
fn names_are_escaped_as_the_reader_asks() {
    for escaping in [Escaping::Underscores, Escaping::Dots, Escaping::Values, Escaping::AllowUtf8] {
        check_page(&format!("names_{escaping}"), escaping, named(), 0);
    }
}

#[test]
fn exemplars_stand_behind_totals_and_buckets() {
    let long = "x".repeat(125);
    check_page(
        "exemplars",
        Escaping::AllowUtf8,
        vec![
            family(1, "c", MetricType::Counter)
                .suffixed()
                .value(&[("a", "1")], 1.0)
                .value(&[("a", "2")], 2.0)
                .value(&[("a", "3")], 3.0)
                .value(&[("a", "4")], 4.0)
                .exemplar(0, &[("trace_id", "a\"b"), ("x.y", "z")], 0.5, Some(1_712_345_678.125))
                .exemplar(1, &[], 1.0, None)
                .exemplar(2, &[("abc", &long)], 1.0, Some(f64::NAN))
                .exemplar(3, &[("abcd", &long)], 1.0, None)
                .created(&[1.0; 4]),
            family(2, "g", MetricType::Gauge).value(&[], 1.0).exemplar(0, &[], 1.0, None),
            family(3, "h", MetricType::Histogram)
                .bounds(&[], &["1", "2", "+Inf"], &[1.0, 2.0, 3.0, 6.0])
                .exemplar(0, &[("id", "fits")], 1.0, Some(2.0))
                .exemplar(1, &[("id", "not in this bucket")], 1.0, None)
                .exemplar(2, &[("id", "fits")], 9.0, None),
        ],
        0,
    );
}
