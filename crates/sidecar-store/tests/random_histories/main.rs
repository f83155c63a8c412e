//! A naive model of docs/merging.md against the store, on random histories. After each step the answer,
//! the whole exposition and the list of instances must be equal, both with the shape memory at work and
//! without it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: it panics where it fails, and its numbers are small and exact"
)]

mod compare;
mod durable;
mod history;
mod model;

#[path = "../support/body.rs"]
mod body;

#[path = "../support/recorder.rs"]
mod recorder;

use compare::Run;
use history::{Order, Theme, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use sidecar_model::Aggregation;
use sidecar_store::{Departed, Glob, Limits, Match, Rule, Settings, UnknownPast};
use std::time::Duration;

fn settings() -> Settings {
    Settings {
        decay: Duration::from_secs(30),
        resume_window: Duration::from_secs(100),
        // Series are looked over 16 times in this time: at each tick.
        retain: Duration::from_secs(160),
        ..Settings::default()
    }
}

/// Seeds that failed once are tried first: `name` is the file of this test's.
fn check(name: &'static str, theme: Theme, settings: &[Settings]) {
    let config = Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(name))),
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let units = theme.units;
    let outcome = TestRunner::new(config).run(&theme.histories(), |history| {
        Run::new(settings, World::new(0.5, units)).run(&history).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn counters_and_gauges_come_and_go() {
    check("proptest-regressions/counters_and_gauges_come_and_go.txt", Theme::PLAIN, &[settings()]);
}

#[test]
fn sequences_say_what_is_late_and_what_is_new() {
    let orders = &[Order::Next, Order::Next, Order::Repeated, Order::NewEpoch];
    check(
        "proptest-regressions/sequences_say_what_is_late_and_what_is_new.txt",
        Theme { orders, finals: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn the_anonymous_writer_beside_instances() {
    check(
        "proptest-regressions/the_anonymous_writer_beside_instances.txt",
        Theme { ids: &[0, 1, 3], several_ids: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn histograms_and_summaries_stay_whole() {
    check(
        "proptest-regressions/histograms_and_summaries_stay_whole.txt",
        Theme { families: &[4, 5, 8], variants: 3, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn every_function_of_gauges() {
    let functions = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let families = &[1, 2];
    check(
        "proptest-regressions/every_function_of_gauges.txt",
        Theme { families, functions, odd: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn every_function_of_counters() {
    let functions = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    check(
        "proptest-regressions/every_function_of_counters.txt",
        Theme { families: &[0, 3], functions, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn deltas_add_up() {
    check(
        "proptest-regressions/deltas_add_up.txt",
        Theme { families: &[0, 1, 4, 5], deltas: true, ttls: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn types_units_and_names_in_conflict() {
    let families = &[0, 6, 7, 9, 9, 10];
    check(
        "proptest-regressions/types_units_and_names_in_conflict.txt",
        Theme { families, variants: 3, strict: true, units: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn erase_and_clear_restart_at_zero() {
    check(
        "proptest-regressions/erase_and_clear_restart_at_zero.txt",
        Theme { erase: true, clear: true, ids: &[0, 1, 2, 3], ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn new_lives_of_processes_under_the_same_id() {
    let orders = &[Order::None, Order::Next, Order::NewEpoch];
    check(
        "proptest-regressions/new_lives_of_processes_under_the_same_id.txt",
        Theme { families: &[0, 4, 5, 11, 11], orders, variants: 3, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn two_processes_under_one_id() {
    check(
        "proptest-regressions/two_processes_under_one_id.txt",
        Theme { families: &[0, 0, 4, 11], ids: &[0, 0, 0, 1], pairs: true, ..Theme::PLAIN },
        &[settings()],
    );
}

#[test]
fn an_unknown_past_is_a_baseline_where_the_settings_say_so() {
    let by_rule = Rule { unknown_past: Some(UnknownPast::Full), ..named("v*") };
    let settings =
        Settings { unknown_past: UnknownPast::Baseline, rules: vec![by_rule], ..settings() };
    check(
        "proptest-regressions/an_unknown_past_is_a_baseline_where_the_settings_say_so.txt",
        Theme { families: &[0, 3, 4], finals: true, clear: true, ..Theme::PLAIN },
        &[settings],
    );
}

#[test]
fn rules_merge_anew_at_a_reload() {
    let reloads = ruled_settings();
    let functions = &[0, 0, 0, 1, 2, 7, 12];
    check(
        "proptest-regressions/rules_merge_anew_at_a_reload.txt",
        Theme {
            families: &[0, 1, 2, 3, 4],
            ids: &[0, 1, 2, 3],
            functions,
            deltas: true,
            ttls: true,
            reloads: 6,
            erase: true,
            ..Theme::PLAIN
        },
        &reloads,
    );
}

#[test]
fn nothing_new_beyond_the_limit_of_instances() {
    let limits = Limits { instances: 2, ..Limits::default() };
    check(
        "proptest-regressions/nothing_new_beyond_the_limit_of_instances.txt",
        Theme { several_ids: true, strict: true, ..Theme::PLAIN },
        &[Settings { limits, ..settings() }],
    );
}

#[test]
fn relief_takes_whole_series_and_lowers_none() {
    let merged = Rule { drop_labels: vec!["l".to_owned()], ..named("*") };
    check(
        "proptest-regressions/relief_takes_whole_series_and_lowers_none.txt",
        Theme {
            relieves: true,
            reloads: 2,
            deltas: true,
            finals: true,
            several_ids: true,
            falls: true,
            ids: &[0, 1, 2, 3],
            ..Theme::PLAIN
        },
        &[settings(), Settings { rules: vec![merged], ..settings() }],
    );
}

#[test]
fn groups_replace_merge_and_leave() {
    check(
        "proptest-regressions/groups_replace_merge_and_leave.txt",
        Theme {
            groups: &[0, 1, 2, 3, 4, 5, 6],
            ids: &[0, 1],
            ttls: true,
            several_ids: true,
            ..Theme::PLAIN
        },
        &[settings()],
    );
}

#[test]
fn groups_of_every_type_in_conflict_and_company() {
    check(
        "proptest-regressions/groups_of_every_type_in_conflict_and_company.txt",
        Theme {
            families: &[0, 1, 4, 5, 6, 7, 8, 9, 9, 10],
            groups: &[0, 1, 2, 3, 3, 4, 5, 6, 6, 7],
            functions: &[0, 0, 0, 1, 3, 12],
            ids: &[0, 1, 3],
            ttls: true,
            deltas: true,
            several_ids: true,
            odd: true,
            erase: true,
            clear: true,
            strict: true,
            reloads: 4,
            variants: 3,
            ..Theme::PLAIN
        },
        &grouped_settings(),
    );
}

#[test]
fn everything_at_once() {
    check("proptest-regressions/everything_at_once.txt", everything(), &ruled_settings());
}

fn everything() -> Theme {
    let orders = &[Order::None, Order::Next, Order::Next, Order::Repeated, Order::NewEpoch];
    let functions = &[0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10];
    Theme {
        families: &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        ids: &[0, 1, 2, 3],
        orders,
        functions,
        deltas: true,
        ttls: true,
        several_ids: true,
        finals: true,
        odd: true,
        falls: true,
        erase: true,
        clear: true,
        relieves: false,
        reloads: 6,
        variants: 3,
        strict: true,
        // A body of several ids gives a family one unit: writers would change theirs.
        units: false,
        pairs: true,
        groups: &[],
        ticks: history::TICKS,
    }
}

/// With labels that make a group an instance, and rules that merge groups with others.
fn grouped_settings() -> Vec<Settings> {
    let drop_labels = ["instance", "job", "l", "pod"].map(str::to_owned).to_vec();
    let rules = vec![Rule { drop_labels, ..named("?") }];
    let instance_labels = vec!["pod".to_owned()];
    vec![
        settings(),
        Settings { rules: rules.clone(), ..settings() },
        Settings { instance_labels: instance_labels.clone(), ..settings() },
        Settings { instance_labels, rules, ..settings() },
    ]
}

/// What a reload chooses from.
fn ruled_settings() -> Vec<Settings> {
    let drop_l = Rule { drop_labels: vec!["l".to_owned()], ..named("*") };
    let drop_series = Rule {
        matches: Match { labels: vec![("l".to_owned(), Glob::new("1"))], ..named("c*").matches },
        drop: true,
        ..Rule::default()
    };
    let departed = Rule { departed: Some(Departed::Drop), ..named("c") };
    let decay = Rule { decay: Some(Duration::from_secs(60)), ..named("g") };
    let aggregate = Rule { aggregate: Some(Aggregation::Max), ..named("?") };
    let rules =
        vec![vec![], vec![drop_l], vec![drop_series], vec![departed], vec![decay], vec![aggregate]];
    rules.into_iter().map(|rules| Settings { rules, ..settings() }).collect()
}

fn named(glob: &str) -> Rule {
    let matches = Match { name: Some(Glob::new(glob)), labels: Vec::new() };
    Rule { matches, ..Rule::default() }
}
