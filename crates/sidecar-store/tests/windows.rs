//! Time windows as functions: what of the pushes counts, and for how long.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

#[path = "windows/model.rs"]
mod model;
#[path = "support/page.rs"]
mod page;

use page::Page;
use sidecar_store::{Glob, Match, Observed, PushMeta, Rule, Selector, SeriesView, Settings};
use std::time::Duration;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

fn rule(function: &str) -> Rule {
    Rule {
        matches: Match { name: Some(Glob::new("temp*")), labels: Vec::new() },
        aggregate: Some(function.parse().unwrap()),
        ..Rule::default()
    }
}

/// The families `temp*` are merged so.
fn ruled(function: &str) -> Settings {
    Settings { rules: vec![rule(function)], ..Settings::default() }
}

fn gauge(id: &str, value: &str) -> String {
    format!("# TYPE temp gauge\ntemp{{_id=\"{id}\"}} {value}\n")
}

/// Why the values are what they are.
fn explained(page: &Page) -> Vec<SeriesView> {
    page.store.series(&[Selector::default()], 100, page.tick())
}

#[test]
fn what_all_instances_pushed_within_the_window_is_one_mean() {
    let mut page = Page::new(ruled("mean5m"));
    page.push(&gauge("a", "10"));
    page.wait_ms(MINUTE);
    page.push(&gauge("a", "20"));
    page.push(&gauge("b", "60"));
    page.shows("temp 30");
    page.wait_ms(4 * MINUTE + 6 * SECOND);
    page.shows("temp 40");
}

#[test]
fn each_value_of_each_push_counts_also_where_nothing_changed() {
    let mut page = Page::new(ruled("sum1m"));
    for _ in 0..5 {
        page.push(&gauge("a", "2"));
        page.wait_ms(SECOND);
    }
    page.shows("temp 10");
    // Twice in one push the last one is what is pushed.
    page.push("# TYPE temp gauge\ntemp{_id=\"a\"} 50\ntemp{_id=\"a\"} 1\n");
    page.shows("temp 11");
}

#[test]
fn minimum_and_maximum_forget_what_is_older() {
    for (function, at_first, later) in
        [("min30s", "temp 1", "temp 2"), ("max30s", "temp 9", "temp 3")]
    {
        let mut page = Page::new(ruled(function));
        for value in ["5", "1", "9"] {
            page.push(&gauge("a", value));
        }
        page.shows(at_first);
        page.wait_ms(20 * SECOND);
        page.push(&gauge("a", "3"));
        page.push(&gauge("a", "2"));
        page.wait_ms(11 * SECOND);
        page.shows(later);
    }
}

#[test]
fn a_series_that_nothing_was_pushed_of_is_not_shown() {
    let mut page = Page::new(ruled("max10s"));
    page.push(&gauge("a", "5"));
    page.push("# TYPE other gauge\nother{_id=\"a\"} 1\n");
    page.wait_ms(10 * SECOND);
    page.shows("other 1\ntemp 5");
    page.wait_ms(SECOND);
    page.shows("other 1");
    page.push(&gauge("a", "4"));
    page.shows("other 1\ntemp 4");
}

#[test]
fn a_contribution_lives_at_least_as_long_as_its_window() {
    let mut page = Page::new(ruled("mean5m"));
    page.push(&gauge("a", "5"));
    page.push("# TYPE temp gauge\ntemp{path=\"x\"} 6\n");
    page.wait_ms(5 * MINUTE);
    page.shows("temp 5\ntemp{path=\"x\"} 6");
    page.wait_ms(11 * SECOND);
    page.shows("");
    assert!(explained(&page).is_empty(), "the gauges are gone");
}

#[test]
fn a_decay_that_is_told_counts_for_less() {
    let page_of = |decay| {
        Page::new(Settings { rules: vec![Rule { decay, ..rule("mean5m") }], ..Settings::default() })
    };
    let anonymous = "# TYPE temp gauge\ntemp 6\n";
    let mut page = page_of(Some(Duration::from_secs(20)));
    page.push(anonymous);
    page.wait_ms(20 * SECOND);
    page.shows("");

    let mut page = page_of(None);
    let meta = PushMeta { ttl: Some(Duration::from_secs(20)), ..PushMeta::default() };
    page.send(&meta, anonymous).unwrap();
    page.wait_ms(20 * SECOND);
    page.shows("");
}

#[test]
fn what_departs_leaves_the_window_and_comes_back_without_it() {
    let page = Page::new(ruled("sum5m"));
    let counter = |id: &str, value: u32| {
        page.push(&format!("# TYPE temp_total counter\ntemp_total{{_id=\"{id}\"}} {value}\n"));
    };
    counter("a", 3);
    counter("b", 4);
    page.shows("temp_total 7");
    assert!(page.store.depart("a", page.tick()).unwrap());
    page.shows("temp_total 4");
    counter("a", 5);
    page.shows("temp_total 9");
    counter("a", 6);
    page.shows("temp_total 15");
}

#[test]
fn nan_takes_no_part_and_infinities_are_what_they_add_up_to() {
    let mut page = Page::new(ruled("mean10s"));
    page.push(&gauge("a", "NaN"));
    page.shows("");
    page.push(&gauge("a", "4"));
    page.shows("temp 4");
    page.push(&gauge("a", "+Inf"));
    page.shows("temp +Inf");
    page.push(&gauge("b", "-Inf"));
    page.shows("temp NaN");
    page.wait_ms(11 * SECOND);
    page.push(&gauge("a", "7"));
    page.shows("temp 7");
}

#[test]
fn a_delta_is_one_observation_and_is_not_added_to_anything() {
    let mut page = Page::new(ruled("max1m"));
    for value in [3, 9, 4] {
        page.deltas(&format!(
            "# TYPE temp gauge\ntemp {value}\n# TYPE temp_c_total counter\ntemp_c_total {value}\n"
        ));
    }
    page.shows("temp 9\ntemp_c_total 9");
    page.wait_ms(MINUTE + 2 * SECOND);
    page.shows("");
    // The gauge is gone with its window, the total is not.
    let series = explained(&page);
    assert_eq!(series.len(), 1);
    assert_eq!(series.first().unwrap().accumulated, Some(16.0));
}

#[test]
fn when_a_function_becomes_a_window_recording_begins_with_the_next_push() {
    let page = Page::new(Settings::default());
    page.push(&gauge("a", "5"));
    page.push(&gauge("b", "7"));
    page.shows("temp 7");
    page.store.reload(ruled("sum1m"), page.tick()).unwrap();
    page.shows("");
    page.push(&gauge("a", "5"));
    page.push(&gauge("a", "6"));
    page.shows("temp 11");
    page.store.reload(ruled("sum2m"), page.tick()).unwrap();
    page.shows("");
    page.push(&gauge("b", "8"));
    page.shows("temp 8");
    page.store.reload(ruled("max"), page.tick()).unwrap();
    page.shows("temp 8");
    page.store.reload(ruled("sum2m"), page.tick()).unwrap();
    page.shows("");
}

#[test]
fn a_rule_that_stays_keeps_what_was_recorded() {
    let page = Page::new(ruled("sum60s"));
    page.push(&gauge("a", "5"));
    page.store.reload(ruled("sum1m"), page.tick()).unwrap();
    page.push(&gauge("a", "6"));
    page.shows("temp 11");
}

#[test]
fn a_window_that_an_instance_asked_for_goes_with_it() {
    let page = Page::new(Settings::default());
    page.push("# TYPE temp gauge\ntemp{_id=\"a\",_aggregate=\"sum5m\"} 1\n");
    page.push(&gauge("b", "2"));
    page.push(&gauge("b", "3"));
    page.shows("temp 6");
    assert!(page.store.depart("a", page.tick()).unwrap());
    page.shows("temp 3");
    page.push("# TYPE temp gauge\ntemp{_id=\"c\",_aggregate=\"sum5m\"} 10\n");
    page.shows("temp 10");
    page.push(&gauge("b", "4"));
    page.shows("temp 14");
}

#[test]
fn a_gauge_whose_window_is_no_more_decays_as_before() {
    let mut page = Page::new(ruled("max1h"));
    page.push("# TYPE temp gauge\ntemp 5\n");
    page.wait_ms(30 * SECOND);
    page.store.reload(Settings::default(), page.tick()).unwrap();
    page.shows("temp 5");
    page.wait_ms(30 * SECOND);
    page.shows("");
}

#[test]
fn a_clear_forgets_what_was_recorded_and_nothing_else() {
    let page = Page::new(ruled("sum5m"));
    page.push(&gauge("a", "5"));
    page.store.clear(page.tick()).unwrap();
    page.shows("");
    page.push(&gauge("a", "6"));
    page.push(&gauge("a", "7"));
    page.shows("temp 13");
}

#[test]
fn a_scrape_changes_nothing() {
    let mut page = Page::new(ruled("mean10s"));
    page.push(&gauge("a", "1"));
    page.wait_ms(5 * SECOND);
    page.push(&gauge("a", "3"));
    let late = sidecar_model::Tick::from_millis(page.tick().as_millis() + 3_600 * SECOND);
    assert!(page.store.collect(late).families.iter().all(|f| f.values.iter().all(|v| v.is_nan())));
    page.shows("temp 2");
}

#[test]
fn the_state_explains_a_windowed_value() {
    let page = Page::new(ruled("mean5m"));
    page.push(&gauge("a", "1"));
    page.push(&gauge("a", "5"));
    page.push(&gauge("b", "9"));
    page.deltas("# TYPE temp gauge\ntemp 21\n");
    let series = explained(&page).pop().unwrap();
    assert_eq!((series.value, series.aggregation.to_string()), (Some(9.0), "mean5m".to_owned()));
    let observed: Vec<_> = series.contributions.iter().map(|c| c.observed).collect();
    let expected = |count, value| Some(Observed { count, value });
    assert_eq!(observed, [expected(2, 3.0), expected(1, 9.0)]);
    assert_eq!(series.accumulated_observed, expected(1, 21.0));
    page.store.reload(Settings::default(), page.tick()).unwrap();
    assert!(explained(&page).iter().flat_map(|s| &s.contributions).all(|c| c.observed.is_none()));
}

#[test]
fn a_plain_group_keeps_its_series_and_shows_them_while_something_is_in_the_window() {
    let mut page = Page::new(ruled("max10s"));
    let key = sidecar_store::GroupKey::new([("job".to_owned(), "x".to_owned())]);
    let meta = PushMeta { group: Some(&key), ..PushMeta::default() };
    page.send(&meta, "# TYPE temp gauge\ntemp 5\n").unwrap();
    page.send(&meta, "# TYPE temp gauge\ntemp 3\n").unwrap();
    page.shows("temp{instance=\"\",job=\"x\"} 5");
    page.wait_ms(2 * 24 * 60 * MINUTE);
    page.shows("");
    page.send(&meta, "# TYPE temp gauge\ntemp 4\n").unwrap();
    page.shows("temp{instance=\"\",job=\"x\"} 4");
}
