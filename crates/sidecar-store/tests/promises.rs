//! The tables of docs/merging.md as examples: what is pushed, as text, and the page that comes of it.
//!
//! Names tell types: `_total` is a counter, `_info` an info, `latency` a histogram, `rpc` a summary, all
//! else a gauge.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "a test: it panics where it fails, and its numbers are small and exact"
)]

#[path = "support/body.rs"]
mod body;
#[path = "promises/bounds.rs"]
mod bounds;
#[path = "support/daemon.rs"]
mod daemon;

use daemon::Daemon;
use sidecar_model::Aggregation;
use sidecar_store::{Departed, Glob, Match, Rule, Settings, UnknownPast};
use std::time::Duration;

fn rule(name: &str) -> Rule {
    Rule { matches: Match { name: Some(Glob::new(name)), labels: Vec::new() }, ..Rule::default() }
}

fn ruled(rule: Rule) -> Settings {
    Settings { rules: vec![rule], ..Settings::default() }
}

// ---- writers

#[test]
fn instances_are_merged_and_what_left_stays_counted() {
    let mut daemon = Daemon::new();
    daemon.push("c", "requests_total 100");
    daemon.depart("c");
    daemon.push("a", "requests_total 40");
    daemon.push("b", "requests_total 25");
    daemon.shows("requests_total 165");
}

#[test]
fn of_anonymous_writers_the_last_write_wins() {
    let mut daemon = Daemon::new();
    daemon.push("", "requests_total 40");
    daemon.push("", "requests_total 25");
    daemon.shows("requests_total 25");
}

#[test]
fn in_company_an_anonymous_counter_keeps_its_maximum_and_does_not_leave() {
    let mut daemon = Daemon::new();
    daemon.push("a", "requests_total 100");
    daemon.push("", "requests_total 40");
    daemon.push("", "requests_total 25");
    daemon.shows("requests_total 140");
    for _ in 0..12 {
        daemon.wait(10);
        daemon.push("a", "requests_total 100");
    }
    daemon.shows("requests_total 140");
    daemon.push("", "requests_total 41");
    daemon.shows("requests_total 141");
}

#[test]
fn deltas_are_added_and_nobody_departs() {
    let mut daemon = Daemon::new();
    daemon.deltas("a", "requests_total 3");
    daemon.deltas("a", "requests_total 4");
    daemon.deltas("", "requests_total 5");
    daemon.wait(3 * 24 * 3600);
    daemon.shows("requests_total 12");
}

#[test]
fn the_labels_of_the_instance_are_not_exposed_and_an_empty_label_is_none() {
    let mut daemon = Daemon::new();
    daemon.push("a", r#"requests_total{code="200",path="",_aggregate="sum"} 1"#);
    daemon.shows(r#"requests_total{code="200"} 1"#);
}

// ---- a push

#[test]
fn a_repeated_or_overtaken_push_is_late() {
    let mut daemon = Daemon::new();
    assert!(!daemon.numbered("a", ("e", 2, 0), "requests_total 10").late);
    assert!(daemon.numbered("a", ("e", 2, 0), "requests_total 99").late);
    assert!(daemon.numbered("a", ("e", 1, 0), "requests_total 5").late);
    daemon.shows("requests_total 10");
}

#[test]
fn an_epoch_that_ended_does_not_come_back() {
    let mut daemon = Daemon::new();
    daemon.numbered("a", ("e", 1, 0), "requests_total 10");
    daemon.final_push("a", ("e", 2, 1), "requests_total 12");
    assert!(daemon.numbered("a", ("e", 3, 2), "requests_total 13").late);
    daemon.shows("requests_total 12");
}

#[test]
fn of_the_same_series_twice_in_one_push_the_last_one_counts() {
    for _ in 0..3 {
        let mut daemon = Daemon::new();
        daemon.push("a", "requests_total 10\nrequests_total 4");
        daemon.shows("requests_total 4");
        daemon.push("a", "requests_total 11\nrequests_total 5\nother_total 1");
        daemon.shows("other_total 1\nrequests_total 5");
    }
}

#[test]
fn what_a_push_does_not_carry_stays_as_it_was() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 1\nb_total 2");
    daemon.push("a", "a_total 3");
    daemon.shows("a_total 3\nb_total 2");
}

// ---- families

#[test]
fn a_family_is_refused_alone_with_its_reason() {
    let mut daemon = Daemon::new();
    daemon.push("a", "t_total 1\nlatency_count 3\nlatency_bucket{le=\"+Inf\"} 3");
    for (pushed, code) in [
        ("t 1", "type_conflict"),
        ("latency_count{kind=\"gauge\"} 1", "name_conflict"),
        ("bad_total -1", "bad_value"),
        ("bad_total NaN", "bad_value"),
        ("bad_total +Inf", "bad_value"),
        ("latency_bucket{le=\"1\"} 3\nlatency_bucket{le=\"+Inf\"} 2", "falling_buckets"),
        ("latency_bucket{le=\"+Inf\"} 2\nlatency_count 3", "count_mismatch"),
        ("latency_bucket{le=\"1\"} 2", "incomplete_histogram"),
    ] {
        let outcome = daemon.push("b", &format!("fine_total 1\n{pushed}"));
        let codes: Vec<&str> = outcome.refused.iter().map(|r| r.reason.code()).collect();
        assert_eq!((codes, outcome.samples), (vec![code], 1), "{pushed}");
    }
}

#[test]
fn units_that_differ_are_a_conflict() {
    let mut daemon = Daemon::new();
    daemon.with_unit("a", "bytes", "size 1");
    assert_eq!(daemon.with_unit("b", "", "size 2").refused, []);
    let refused = daemon.with_unit("b", "seconds", "size 3").refused;
    assert_eq!(refused[0].reason.code(), "unit_conflict");
}

#[test]
fn the_only_holder_may_change_the_type_and_the_family_starts_at_zero() {
    let mut daemon = Daemon::new();
    daemon.push("a", "t_total 5");
    daemon.depart("a");
    daemon.push("b", "t 1");
    daemon.shows("t 1");
    daemon.push("b", "t_total 2");
    daemon.shows("t_total 2");
}

#[test]
fn the_names_of_a_family_that_gives_way_are_free_for_all_writers_of_the_push() {
    let mut daemon = Daemon::new();
    daemon.push("a", "latency_count 3\nlatency_bucket{le=\"+Inf\"} 3");
    let counter = "latency_total{_id=\"a\",kind=\"gauge\"} 1";
    let gauge = "latency_count{_id=\"b\",kind=\"gauge\"} 2";
    assert_eq!(daemon.push("", &format!("{counter}\n{gauge}")).refused, []);
    daemon.shows("latency_total{kind=\"gauge\"} 1\nlatency_count{kind=\"gauge\"} 2");
}

// ---- restart, return, baseline

#[test]
fn a_restart_does_not_lower_the_total() {
    let mut daemon = Daemon::new();
    daemon.push("a", "requests_total 10");
    daemon.push("a", "requests_total 3");
    daemon.shows("requests_total 13");
}

#[test]
fn a_new_epoch_restarts_everything_even_where_nothing_falls() {
    let mut daemon = Daemon::new();
    daemon.numbered("a", ("1", 1, 0), "a_total 10\nb_total 1");
    daemon.numbered("a", ("2", 1, 0), "a_total 10");
    daemon.shows("a_total 20\nb_total 1");
    daemon.numbered("a", ("2", 2, 1), "b_total 1");
    daemon.shows("a_total 20\nb_total 2");
}

#[test]
fn a_later_start_of_the_process_restarts_everything() {
    let mut daemon = Daemon::new();
    daemon.push("a", "process_start_time_seconds 100\na_total 10");
    daemon.push("a", "process_start_time_seconds 200\na_total 10");
    daemon.shows("a_total 20\nprocess_start_time_seconds 200");
    daemon.depart("a");
    daemon.push("a", "process_start_time_seconds 300\na_total 15");
    daemon.shows("a_total 35\nprocess_start_time_seconds 300");
}

#[test]
fn a_newer_created_time_restarts_its_series() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 10\na_created 100");
    daemon.push("a", "a_total 12\na_created 200");
    daemon.shows("a_total 22");
    daemon.depart("a");
    daemon.push("a", "a_total 12\na_created 300");
    daemon.shows("a_total 34");
}

#[test]
fn a_histogram_restarts_whole() {
    let mut daemon = Daemon::new();
    daemon.push("a", "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"+Inf\"} 6\nlatency_sum 9");
    daemon.push("a", "latency_bucket{le=\"1\"} 1\nlatency_bucket{le=\"+Inf\"} 8\nlatency_sum 4");
    daemon.shows(
        "latency_bucket{le=\"1\"} 6\nlatency_bucket{le=\"+Inf\"} 14\nlatency_sum 13\nlatency_count 14",
    );
}

#[test]
fn a_histogram_with_other_bounds_is_another_life_unless_each_old_bound_still_counts() {
    let mut daemon = Daemon::new();
    daemon.push("a", "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"+Inf\"} 6");
    daemon.push(
        "a",
        "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"2\"} 6\nlatency_bucket{le=\"+Inf\"} 7",
    );
    daemon.shows(
        "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"2\"} 6\nlatency_bucket{le=\"+Inf\"} 7\n\
         latency_count 7",
    );
    daemon.push("a", "latency_bucket{le=\"3\"} 8\nlatency_bucket{le=\"+Inf\"} 9");
    daemon.shows(
        "latency_bucket{le=\"1\"} 5\nlatency_bucket{le=\"2\"} 6\nlatency_bucket{le=\"3\"} 14\n\
         latency_bucket{le=\"+Inf\"} 16\nlatency_count 16",
    );
}

#[test]
fn bounds_that_come_back_are_taken_again() {
    let mut daemon = Daemon::new();
    let pushed = |bound: &str, count: u32| {
        format!("latency_bucket{{le=\"{bound}\"}} {count}\nlatency_bucket{{le=\"+Inf\"}} {count}")
    };
    for (round, bound) in ["1", "2", "1", "1", "2", "1", "1"].iter().enumerate() {
        let count = u32::try_from(round).unwrap() + 1;
        assert_eq!(daemon.push("a", &pushed(bound, count)).refused, [], "{round}");
    }
}

#[test]
fn who_was_only_silent_goes_on_where_it_was() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 10\nb_total 5\ng 1");
    daemon.wait(120);
    daemon.shows("a_total 10\nb_total 5");
    daemon.push("a", "a_total 11\ng 2");
    daemon.shows("a_total 11\nb_total 5\ng 2");
}

#[test]
fn who_comes_back_with_less_began_anew() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 10\nb_total 5");
    daemon.wait(120);
    daemon.push("a", "a_total 1\nb_total 5");
    daemon.shows("a_total 11\nb_total 10");
}

#[test]
fn who_comes_back_after_its_values_are_forgotten_counts_only_what_grows() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 10");
    daemon.wait(2 * 3600);
    daemon.push("b", "a_total 1");
    daemon.push("a", "a_total 14");
    daemon.shows("a_total 11");
    daemon.push("a", "a_total 15");
    daemon.shows("a_total 12");
}

#[test]
fn another_epoch_than_remembered_counts_in_full() {
    let mut daemon = Daemon::new();
    daemon.final_push("a", ("1", 1, 0), "a_total 10");
    daemon.numbered("a", ("2", 1, 0), "a_total 4");
    daemon.shows("a_total 14");
}

#[test]
fn an_unknown_id_that_was_answered_before_is_a_baseline() {
    let mut daemon = Daemon::new();
    daemon.numbered("a", ("1", 7, 6), "a_total 10");
    daemon.shows("a_total 0");
    daemon.numbered("a", ("1", 8, 7), "a_total 12");
    daemon.shows("a_total 2");
}

#[test]
fn a_baseline_that_comes_in_several_pushes_is_one_in_each() {
    let mut daemon = Daemon::new();
    daemon.numbered("a", ("1", 7, 6), "a_total 10");
    daemon.numbered("a", ("1", 8, 7), "b_total 20");
    daemon.shows("a_total 0\nb_total 0");
    daemon.numbered("a", ("1", 9, 8), "b_total 21\nc_total 5");
    daemon.shows("a_total 0\nb_total 1\nc_total 5");
}

#[test]
fn a_family_of_another_type_is_no_further_part_of_a_baseline() {
    let mut daemon = Daemon::new();
    daemon.push("a", "c_total 1");
    daemon.wait(2 * 3600);
    daemon.push("a", "latency{kind=\"gauge\"} 1");
    daemon.push("a", "latency_bucket{le=\"+Inf\"} 3\nlatency_sum 1\nlatency_count 3");
    daemon.shows("latency_bucket{le=\"+Inf\"} 3\nlatency_sum 1\nlatency_count 3");
}

#[test]
fn what_a_refused_family_would_push_out_is_still_known() {
    let mut daemon = Daemon::new();
    daemon.push("a", "c_total 1");
    daemon.wait(2 * 3600);
    daemon.push("a", "latency{kind=\"gauge\"} 1");
    let bad = "d_total 5\nlatency_bucket{le=\"+Inf\"} -3\nlatency_sum 1\nlatency_count -3";
    assert_eq!(daemon.push("a", bad).refused.len(), 1);
    daemon.shows("d_total 0\nlatency{kind=\"gauge\"} 1");
}

#[test]
fn an_unknown_past_without_a_sequence_is_taken_as_the_settings_say() {
    let baseline = Settings { unknown_past: UnknownPast::Baseline, ..Settings::default() };
    for (settings, first) in [(Settings::default(), 10), (baseline, 0)] {
        let mut daemon = Daemon::with(settings);
        daemon.push("a", "a_total 10");
        daemon.shows(&format!("a_total {first}"));
    }
}

#[test]
fn two_processes_under_one_id_are_found_and_held() {
    let mut daemon = Daemon::new();
    for (more, less) in [(100, 10), (101, 11)] {
        daemon.push("a", &format!("a_total {more}"));
        daemon.push("a", &format!("a_total {less}"));
        assert!(!daemon.is_shared("a"));
    }
    daemon.push("a", "a_total 102");
    assert!(daemon.is_shared("a"));
    let shown = daemon.page();
    daemon.push("a", "a_total 12");
    daemon.shows(&shown);
}

#[test]
fn a_process_that_starts_often_and_counts_little_is_one_process() {
    let mut daemon = Daemon::new();
    for life in 0..6 {
        let epoch = life.to_string();
        daemon.numbered("a", (&epoch, 1, 0), "a_total 0");
        daemon.numbered("a", (&epoch, 2, 1), "a_total 3");
    }
    assert!(!daemon.is_shared("a"));
    daemon.shows("a_total 18");
}

#[test]
fn restarts_far_apart_prove_nothing() {
    let mut daemon = Daemon::new();
    for _ in 0..4 {
        for value in [0, 3, 4, 5] {
            daemon.push("a", &format!("a_total {value}"));
        }
    }
    assert!(!daemon.is_shared("a"));
    daemon.shows("a_total 20");
}

// ---- what is exposed

#[test]
fn each_function_says_what_its_name_says() {
    for (function, shown) in [
        ("sum", "10"),
        ("mean", "2.5"),
        ("avg", "2.5"),
        ("min", "1"),
        ("max", "4"),
        ("count", "4"),
        ("first", "4"),
        ("last", "3"),
        ("stdvar", "1.25"),
        ("median", "2.5"),
        ("p00", "1"),
        ("p100", "4"),
    ] {
        let mut daemon = Daemon::new();
        for (id, value) in [("a", 4), ("b", 1), ("c", 2), ("d", 3)] {
            daemon.push(id, &format!("g{{_aggregate=\"{function}\"}} {value}"));
        }
        daemon.shows(&format!("g {shown}"));
    }
}

#[test]
fn last_is_whose_value_changed_last() {
    let mut daemon = Daemon::new();
    daemon.push("a", "g 1");
    daemon.push("b", "g 2");
    daemon.push("a", "g 1");
    daemon.shows("g 2");
    daemon.push("c", "g 0");
    daemon.shows("g 2");
    daemon.push("a", "g 3");
    daemon.shows("g 3");
}

#[test]
fn all_shows_each_under_a_slot_that_is_used_again() {
    let mut daemon = Daemon::new();
    for id in ["a", "b", "c"] {
        daemon.push(id, "g{_aggregate=\"all\"} 1");
    }
    daemon.depart("b");
    daemon.push("d", "g{_aggregate=\"all\"} 4");
    daemon.shows("g{worker=\"0\"} 1\ng{worker=\"1\"} 4\ng{worker=\"2\"} 1");
}

#[test]
fn a_worker_label_that_is_there_is_exported() {
    let mut daemon = Daemon::new();
    daemon.push("a", "g{_aggregate=\"all\",worker=\"x\"} 1");
    daemon.shows("g{exported_worker=\"x\",worker=\"0\"} 1");
}

#[test]
fn the_first_aggregate_label_of_a_live_instance_decides_then_a_rule() {
    let rule = Rule { aggregate: Some(Aggregation::Max), ..rule("g") };
    let mut daemon = Daemon::with(ruled(rule));
    daemon.push("a", "g{_aggregate=\"min\"} 1");
    daemon.push("b", "g{_aggregate=\"sum\"} 2");
    daemon.push("c", "g 4");
    daemon.shows("g 1");
    daemon.depart("a");
    daemon.shows("g 6");
    daemon.depart("b");
    daemon.shows("g 4");
}

#[test]
fn not_a_number_takes_no_part_unless_there_is_nothing_else() {
    let mut daemon = Daemon::new();
    daemon.push("a", "g{_aggregate=\"mean\"} NaN");
    daemon.shows("g NaN");
    daemon.push("b", "g 3");
    daemon.shows("g 3");
}

#[test]
fn histograms_with_different_bounds_keep_them_all() {
    let mut daemon = Daemon::new();
    daemon.push("a", "latency_bucket{le=\"1.0\"} 1\nlatency_bucket{le=\"+Inf\"} 2\nlatency_sum 3");
    daemon.push("b", "latency_bucket{le=\"2\"} 4\nlatency_bucket{le=\"+Inf\"} 5\nlatency_sum NaN");
    daemon.shows(
        "latency_bucket{le=\"1.0\"} 1\nlatency_bucket{le=\"2\"} 5\nlatency_bucket{le=\"+Inf\"} 7\n\
         latency_sum 3\nlatency_count 7",
    );
}

#[test]
fn quantiles_are_shown_while_there_is_one_contributor_that_says_them() {
    let mut daemon = Daemon::new();
    daemon.push("a", "rpc{quantile=\"0.5\"} 7\nrpc_sum 10\nrpc_count 2");
    daemon.shows("rpc{quantile=\"0.5\"} 7\nrpc_sum 10\nrpc_count 2");
    daemon.push("b", "rpc_sum 1\nrpc_count 1");
    daemon.shows("rpc_sum 11\nrpc_count 3");
    daemon.depart("a");
    daemon.shows("rpc_sum 11\nrpc_count 3");
}

#[test]
fn labels_that_a_rule_drops_are_merged_over_and_come_back_without_it() {
    let rule = Rule { drop_labels: vec!["pod".to_owned()], ..rule("*") };
    let mut daemon = Daemon::with(ruled(rule));
    daemon.push("a", "a_total{pod=\"1\"} 1\na_total{pod=\"2\"} 2");
    daemon.shows("a_total 3");
    daemon.reload(Settings::default());
    daemon.shows("a_total{pod=\"1\"} 1\na_total{pod=\"2\"} 2");
}

// ---- time

#[test]
fn gauges_go_when_they_are_not_written_for_their_decay() {
    let mut daemon = Daemon::new();
    daemon.push("a", "g 1\na_total 1");
    daemon.wait(40);
    daemon.push("a", "a_total 2");
    daemon.wait(40);
    daemon.shows("a_total 2");
}

#[test]
fn the_decay_of_a_push_goes_before_the_rule_and_the_rule_before_the_setting() {
    let rule = Rule { decay: Some(Duration::from_secs(100)), ..rule("slow") };
    let mut daemon = Daemon::with(ruled(rule));
    daemon.push("a", "fast 1\nslow 1");
    daemon.wait(70);
    daemon.shows("slow 1");
    daemon.with_ttl("a", 20, "slow 2");
    daemon.wait(30);
    daemon.shows("");
}

#[test]
fn a_family_that_nobody_holds_is_shown_for_the_resume_window_and_remembered_for_retain() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 10");
    daemon.wait(60 + 3590);
    daemon.shows("a_total 10");
    daemon.wait(20);
    daemon.shows("");
    daemon.push("b", "a_total 1");
    daemon.shows("a_total 11");
    daemon.depart("b");
    daemon.wait(24 * 3600 + 20);
    daemon.push("c", "a_total 1");
    daemon.shows("a_total 1");
}

#[test]
fn a_series_that_nobody_wrote_for_retain_goes_with_its_total() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total{path=\"/old\"} 10");
    daemon.depart("a");
    for _ in 0..28 * 60 {
        daemon.push("b", "a_total{path=\"/new\"} 1");
        daemon.wait(59);
    }
    daemon.shows("a_total{path=\"/new\"} 1");
}

#[test]
fn what_is_endless_stays_unwritten_and_its_writer_can_tell_whether_it_is_there() {
    let mut daemon =
        Daemon::with(Settings { retain: Duration::from_secs(7200), ..Settings::default() });
    let endless = u64::MAX / 1_000;
    daemon.with_ttl("a", endless, "a_total{path=\"/old\"} 10\nb 1");
    let standing = daemon.standing("a");
    assert!(standing.is_some());
    for _ in 0..10 {
        daemon.with_ttl("a", endless, "b 2");
        daemon.wait(1_000);
    }
    daemon.shows("a_total{path=\"/old\"} 10\nb 2");
    assert_eq!(daemon.standing("a"), standing);
    daemon.depart("a");
    assert_eq!(daemon.standing("a"), None);
    daemon.with_ttl("a", endless, "b 2");
    assert_ne!(daemon.standing("a"), standing);
    daemon.shows("a_total{path=\"/old\"} 10\nb 2");
}

#[test]
fn erasing_takes_the_share_out_and_the_series_restarts_at_zero() {
    let mut daemon = Daemon::new();
    daemon.push("a", "a_total 10\nb_total 1");
    daemon.push("b", "a_total 5\nother_total 2");
    daemon.erase("a");
    daemon.shows("a_total 0\nother_total 2");
    daemon.push("b", "a_total 7");
    daemon.push("a", "a_total 11");
    daemon.push("a", "a_total 12");
    daemon.shows("a_total 3\nother_total 2");
}

#[test]
fn departed_drop_is_the_plain_sum_of_live_values() {
    let rule = Rule { departed: Some(Departed::Drop), ..rule("a") };
    let mut daemon = Daemon::with(ruled(rule));
    daemon.push("a", "a_total 10");
    daemon.push("b", "a_total 5");
    daemon.push("b", "a_total 2");
    daemon.shows("a_total 12");
    daemon.depart("a");
    daemon.shows("a_total 2");
}
