//! Histograms whose sources have different bounds: all of them, or by rule those that every source has.

use crate::daemon::Daemon;
use crate::{rule, ruled};
use sidecar_store::{Bounds, Rule, Settings};

fn intersect() -> Settings {
    ruled(Rule { bounds: Some(Bounds::Intersect), ..rule("latency") })
}

/// A histogram with these bounds, each of which counts one, and one above all; `labels` end in a comma.
fn histogram_of(labels: &str, bounds: &[&str]) -> String {
    let buckets = bounds.iter().chain(&["+Inf"]).enumerate();
    let lines: Vec<String> = buckets
        .map(|(at, bound)| format!("latency_bucket{{{labels}le=\"{bound}\"}} {}", at + 1))
        .collect();
    lines.join("\n")
}

fn histogram(bounds: &[&str]) -> String {
    histogram_of("", bounds)
}

/// The buckets of the page.
fn buckets(daemon: &Daemon) -> Vec<(String, f64)> {
    let page = daemon.page();
    let buckets = page.lines().filter_map(|line| line.split_once("le=\""));
    let parsed = buckets.filter_map(|(_, rest)| rest.split_once("\"} "));
    parsed.map(|(bound, count)| (bound.to_owned(), count.parse().unwrap())).collect()
}

fn shows_buckets(daemon: &Daemon, expected: &[(&str, f64)]) {
    let expected: Vec<_> = expected.iter().map(|(le, count)| ((*le).to_owned(), *count)).collect();
    assert_eq!(buckets(daemon), expected);
}

#[test]
fn by_rule_only_bounds_that_every_source_has_are_shown() {
    let mut daemon = Daemon::with(intersect());
    daemon.push("a", &histogram(&["1", "2", "5"]));
    shows_buckets(&daemon, &[("1", 1.0), ("2", 2.0), ("5", 3.0), ("+Inf", 4.0)]);
    daemon.push("b", &histogram(&["1.0", "5", "10"]));
    shows_buckets(&daemon, &[("1", 2.0), ("5", 5.0), ("+Inf", 8.0)]);
    daemon.push("c", &histogram(&["3"]));
    shows_buckets(&daemon, &[("+Inf", 10.0)]);
    assert!(daemon.page().ends_with("latency_count 10"));
}

#[test]
fn sources_that_left_keep_their_say() {
    let mut daemon = Daemon::with(intersect());
    daemon.push("a", &histogram(&["1", "2"]));
    daemon.push("b", &histogram(&["2", "3"]));
    let expected = [("2", 3.0), ("+Inf", 6.0)];
    daemon.depart("b");
    shows_buckets(&daemon, &expected);
    for _ in 0..80 {
        daemon.wait(50);
        daemon.push("a", &histogram(&["1", "2"]));
    }
    shows_buckets(&daemon, &expected);
    daemon.reload(intersect());
    shows_buckets(&daemon, &expected);
}

#[test]
fn a_reload_merges_bounds_anew() {
    let mut daemon = Daemon::new();
    daemon.push("a", &histogram(&["1", "2"]));
    daemon.push("b", &histogram(&["2", "3"]));
    let union = [("1", 1.0), ("2", 3.0), ("3", 4.0), ("+Inf", 6.0)];
    shows_buckets(&daemon, &union);
    daemon.reload(intersect());
    shows_buckets(&daemon, &[("2", 3.0), ("+Inf", 6.0)]);
    daemon.reload(Settings::default());
    shows_buckets(&daemon, &union);
}

#[test]
fn labels_that_are_dropped_bring_more_sources() {
    let rules = vec![Rule { drop_labels: vec!["l".to_owned()], ..rule("*") }];
    let with_intersect = [intersect().rules, rules.clone()].concat();
    let mut daemon = Daemon::with(Settings { rules: with_intersect, ..Settings::default() });
    daemon.push("a", &histogram_of("l=\"1\",", &["1", "2"]));
    daemon.push("a", &histogram_of("l=\"2\",", &["2", "3"]));
    shows_buckets(&daemon, &[("2", 3.0), ("+Inf", 6.0)]);
    daemon.reload(Settings { rules, ..Settings::default() });
    shows_buckets(&daemon, &[("1", 1.0), ("2", 3.0), ("3", 4.0), ("+Inf", 6.0)]);
}

#[test]
fn each_push_of_deltas_is_a_source() {
    let mut daemon = Daemon::with(intersect());
    daemon.deltas("", &histogram(&["1", "2"]));
    daemon.deltas("", &histogram(&["2", "3"]));
    shows_buckets(&daemon, &[("2", 3.0), ("+Inf", 6.0)]);
    daemon.reload(intersect());
    shows_buckets(&daemon, &[("2", 3.0), ("+Inf", 6.0)]);
    daemon.deltas("", &histogram(&["3"]));
    shows_buckets(&daemon, &[("+Inf", 8.0)]);
}

#[test]
fn a_bound_that_was_missing_once_stays_away() {
    let mut daemon = Daemon::with(intersect());
    daemon.push("a", &histogram(&["1", "2"]));
    daemon.push("a", "latency_bucket{le=\"2\"} 4\nlatency_bucket{le=\"+Inf\"} 9");
    shows_buckets(&daemon, &[("2", 6.0), ("+Inf", 12.0)]);
    daemon.push("a", "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"2\"} 5\nlatency_count 9");
    shows_buckets(&daemon, &[("2", 7.0), ("+Inf", 12.0)]);
}

#[test]
fn a_writer_without_an_id_alone_shows_its_own_bounds() {
    let mut daemon = Daemon::with(intersect());
    daemon.push("", &histogram(&["1", "2"]));
    daemon.push("", &histogram(&["2", "3"]));
    shows_buckets(&daemon, &[("2", 1.0), ("3", 2.0), ("+Inf", 3.0)]);
    daemon.push("a", &histogram(&["2"]));
    shows_buckets(&daemon, &[("2", 2.0), ("+Inf", 5.0)]);
}

#[test]
fn the_state_tells_whose_sources_have_different_bounds() {
    let mut daemon = Daemon::new();
    daemon.push("a", &histogram(&["1", "2"]));
    daemon.push("b", &histogram(&["1.0", "2"]));
    assert!(!daemon.has_mixed_bounds("latency"));
    daemon.push("b", &histogram(&["1"]));
    assert!(daemon.has_mixed_bounds("latency"));
    daemon.reload(intersect());
    assert!(daemon.has_mixed_bounds("latency"));
}
