//! Accumulating pushes and their label `clearmode`: what is added, what is replaced, what goes.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

#[path = "support/page.rs"]
mod page;

use page::Page;
use sidecar_model::Temporality;
use sidecar_store::{GroupKey, PushMeta, Settings};

fn page() -> Page {
    Page::new(Settings::default())
}

fn histogram(mode: &str, buckets: &[(&str, u32)], sum: u32) -> String {
    let mut text = "# TYPE latency histogram\n".to_owned();
    for (bound, count) in buckets {
        text += &format!("latency_bucket{{le=\"{bound}\",clearmode=\"{mode}\"}} {count}\n");
    }
    let count = buckets.last().unwrap().1;
    text + &format!(
        "latency_sum{{clearmode=\"{mode}\"}} {sum}\nlatency_count{{clearmode=\"{mode}\"}} {count}\n"
    )
}

#[test]
fn a_gauge_is_replaced_unless_the_push_adds_it() {
    let page = page();
    for (line, shown) in [
        ("temp 5", "temp 5"),
        ("temp 3", "temp 3"),
        ("temp{clearmode=\"aggregate\"} 4", "temp 7"),
        ("temp{clearmode=\"sum\"} -2", "temp 5"),
        ("temp{clearmode=\"replace\"} 9", "temp 9"),
        ("temp{clearmode=\"no such mode\"} 8", "temp 8"),
        ("temp{clearmode=\"\"} 6", "temp 6"),
        ("temp{clearmode=\"mean0m\"} 5", "temp 5"),
        ("temp{clearmode=\"max\"} 4", "temp 4"),
    ] {
        page.deltas(&format!("# TYPE temp gauge\n{line}\n"));
        page.shows(shown);
    }
}

#[test]
fn a_counter_is_added_unless_the_push_replaces_it() {
    let page = page();
    for (line, shown) in [
        ("a_total 5", "a_total 5"),
        ("a_total{clearmode=\"aggregate\"} 3", "a_total 8"),
        ("a_total{clearmode=\"replace\"} 2", "a_total 2"),
        ("a_total{clearmode=\"sum\"} 2", "a_total 4"),
        ("a_total{clearmode=\"last\"} 2", "a_total 6"),
        // The same series, whatever it says: the last one counts.
        ("a_total{clearmode=\"replace\"} 50\na_total 1", "a_total 7"),
        ("a_total 50\na_total{clearmode=\"replace\"} 1", "a_total 1"),
    ] {
        page.deltas(&format!("# TYPE a_total counter\n{line}\n"));
        page.shows(shown);
    }
}

#[test]
fn what_is_replaced_is_the_accumulated_value_alone() {
    let page = page();
    page.push("# TYPE a_total counter\na_total{_id=\"w\"} 100\n");
    page.deltas("# TYPE a_total counter\na_total 5\na_total{b=\"1\"} 7\n");
    page.deltas("# TYPE a_total counter\na_total{clearmode=\"replace\"} 1\n");
    page.shows("a_total 101\na_total{b=\"1\"} 7");
    page.deltas("# TYPE a_total counter\na_total{clearmode=\"family\"} 2\n");
    page.shows("a_total 102");
}

#[test]
fn a_histogram_is_added_at_its_own_bounds_or_replaced_as_a_whole() {
    let page = page();
    page.deltas(&histogram("aggregate", &[("1", 5), ("+Inf", 5)], 3));
    page.deltas(&histogram("aggregate", &[("2", 3), ("+Inf", 3)], 4));
    page.shows(
        "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"2\"} 8\nlatency_bucket{le=\"+Inf\"} 8\n\
         latency_sum 7\nlatency_count 8",
    );
    for _ in 0..2 {
        page.deltas(&histogram("replace", &[("2", 1), ("4", 1), ("+Inf", 2)], 9));
        page.shows(
            "latency_bucket{le=\"2\"} 1\nlatency_bucket{le=\"4\"} 1\n\
             latency_bucket{le=\"+Inf\"} 2\nlatency_sum 9\nlatency_count 2",
        );
    }
    page.deltas("# TYPE latency histogram\nlatency_count{clearmode=\"replace\"} 3\n");
    page.shows("latency_bucket{le=\"+Inf\"} 3\nlatency_count 3");
}

#[test]
fn a_histogram_that_instances_have_too_keeps_their_bounds_when_deltas_replace_theirs() {
    let page = page();
    page.push("# TYPE latency histogram\nlatency_bucket{_id=\"w\",le=\"1\"} 1\nlatency_count{_id=\"w\"} 2\n");
    page.deltas(&histogram("", &[("3", 1), ("+Inf", 1)], 1));
    page.deltas(&histogram("replace", &[("2", 4), ("+Inf", 5)], 1));
    let shown = page.text();
    for line in ["le=\"1\"} 1\n", "le=\"2\"} 5\n", "le=\"+Inf\"} 7\n"] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn one_line_that_replaces_makes_its_histogram_replace() {
    let page = page();
    let text = |mode: &str| {
        format!(
            "# TYPE latency histogram\nlatency_bucket{{le=\"1\"}} 1\nlatency_count{{clearmode=\"{mode}\"}} 2\n"
        )
    };
    page.deltas(&text(""));
    page.deltas(&text("replace"));
    page.shows("latency_bucket{le=\"1\"} 1\nlatency_bucket{le=\"+Inf\"} 2\nlatency_count 2");
}

#[test]
fn a_summary_is_replaced_with_its_quantiles() {
    let page = page();
    let text = |mode: &str, quantile: &str| {
        format!(
            "# TYPE rpc summary\nrpc{{quantile=\"{quantile}\",clearmode=\"{mode}\"}} 1\n\
             rpc_sum{{clearmode=\"{mode}\"}} 4\nrpc_count{{clearmode=\"{mode}\"}} 2\n"
        )
    };
    page.deltas(&text("", "0.5"));
    page.deltas(&text("", "0.5"));
    page.shows("rpc{quantile=\"0.5\"} 1\nrpc_sum 8\nrpc_count 4");
    page.deltas(&text("replace", "0.9"));
    page.shows("rpc{quantile=\"0.9\"} 1\nrpc_sum 4\nrpc_count 2");
}

#[test]
fn a_family_is_replaced_with_all_its_series() {
    for mode in ["family", "info"] {
        let page = page();
        page.deltas(
            "# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\nbuild_info{version=\"2\"} 1\n\
             # TYPE a_total counter\na_total{x=\"1\"} 5\n",
        );
        page.deltas(&format!(
            "# TYPE build_info gauge\nbuild_info{{version=\"3\",clearmode=\"{mode}\"}} 1\n"
        ));
        page.shows("a_total{x=\"1\"} 5\nbuild_info{version=\"3\"} 1");
        // One sample that says so is enough; the others of the push are not added either.
        page.deltas(&format!(
            "# TYPE a_total counter\na_total{{x=\"1\"}} 2\na_total{{x=\"2\",clearmode=\"{mode}\"}} 3\n"
        ));
        page.shows("a_total{x=\"1\"} 2\na_total{x=\"2\"} 3\nbuild_info{version=\"3\"} 1");
    }
}

#[test]
fn a_family_of_histograms_is_replaced_too() {
    let page = page();
    let text = |labels: &str| {
        format!(
            "# TYPE latency histogram\nlatency_bucket{{{labels},le=\"+Inf\"}} 2\n\
             latency_sum{{{labels}}} 1\nlatency_count{{{labels}}} 2\n"
        )
    };
    page.deltas(&text("path=\"/a\""));
    page.deltas(&text("path=\"/b\""));
    page.deltas(&text("path=\"/b\",clearmode=\"family\""));
    page.shows(
        "latency_bucket{path=\"/b\",le=\"+Inf\"} 2\nlatency_sum{path=\"/b\"} 1\n\
         latency_count{path=\"/b\"} 2",
    );
}

#[test]
fn a_family_that_is_refused_replaces_nothing() {
    let page = page();
    page.deltas("# TYPE a_total counter\na_total{x=\"1\"} 5\n");
    let text = "# TYPE a_total counter\na_total{x=\"2\",clearmode=\"family\"} -1\n";
    assert_eq!(page.deltas(text).refused.len(), 1);
    page.shows("a_total{x=\"1\"} 5");
}

#[test]
fn a_window_shows_what_was_pushed_lately() {
    let mut page = page();
    // Before it was asked for: gravel-gateway ends the connection here.
    page.deltas("# TYPE temp gauge\ntemp 100\n# TYPE a_total counter\na_total 100\n");
    let text = "# TYPE temp gauge\ntemp{clearmode=\"mean5m\"} 4\n\
                # TYPE a_total counter\na_total{clearmode=\"sum5m\"} 4\n";
    page.deltas(text);
    page.deltas(&text.replace(" 4\n", " 8\n"));
    page.shows("a_total 12\ntemp 6");
    // The window stays while there is something in it, also for pushes that do not name it.
    page.deltas("# TYPE temp gauge\ntemp 9\n");
    page.shows("a_total 12\ntemp 7");
    page.wait_ms(306_000);
    page.shows("");
}

#[test]
fn a_window_is_refused_where_values_are_not_single() {
    let page = page();
    for (text, code) in [
        (histogram("mean5m", &[("+Inf", 1)], 1), "bad_aggregation"),
        ("# TYPE rpc summary\nrpc_count{clearmode=\"sum5m\"} 1\n".to_owned(), "bad_aggregation"),
        ("temp{_aggregate=\"no such\",clearmode=\"sum5m\"} 1\n".to_owned(), "bad_aggregation"),
    ] {
        assert_eq!(page.try_deltas(&text).unwrap_err().code, code);
    }
    page.shows("");
}

#[test]
fn a_function_that_is_named_goes_before_a_window() {
    let page = page();
    for value in [4, 9, 2] {
        page.deltas(&format!(
            "# TYPE temp gauge\ntemp{{_aggregate=\"max\",clearmode=\"mean5m\"}} {value}\n"
        ));
    }
    page.shows("temp 9");
}

#[test]
fn the_path_may_say_it() {
    let page = page();
    let labels =
        |mode: &str| [("job", "x"), ("clearmode", mode)].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let deltas = |mode: &str, text: &str| {
        let key = GroupKey::new(labels(mode));
        let temporality = Some(Temporality::Delta);
        let meta = PushMeta { group: Some(&key), temporality, ..PushMeta::default() };
        page.send(&meta, text).unwrap();
    };
    deltas("aggregate", "# TYPE temp gauge\ntemp 5\n");
    deltas("aggregate", "# TYPE temp gauge\ntemp{clearmode=\"replace\"} 6\n");
    page.shows("temp{job=\"x\"} 11");
    deltas("replace", "# TYPE temp gauge\ntemp 1\n");
    page.shows("temp{job=\"x\"} 1");
}

#[test]
fn what_is_no_delta_has_it_as_a_label_like_any_other() {
    let page = page();
    page.push("# TYPE temp gauge\ntemp{clearmode=\"replace\"} 5\n");
    let key =
        GroupKey::new([("job", "x"), ("clearmode", "sum")].map(|(n, v)| (n.into(), v.into())));
    let meta = PushMeta { group: Some(&key), ..PushMeta::default() };
    page.send(&meta, "# TYPE temp gauge\ntemp 6\n").unwrap();
    page.shows("temp{clearmode=\"replace\"} 5\ntemp{clearmode=\"sum\",instance=\"\",job=\"x\"} 6");
}

#[test]
fn a_delta_of_another_type_does_not_end_what_others_have_added_up() {
    let page = page();
    page.deltas("# TYPE a counter\na 5\n");
    let outcome = page.deltas("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n");
    assert_eq!(outcome.refused[0].reason.code(), "type_conflict");
    page.shows("a 5\nb 1");
}
