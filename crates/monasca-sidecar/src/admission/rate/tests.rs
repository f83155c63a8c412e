//! Rates with a clock that the test turns.

use super::super::{TooFast, Whose};
use super::Rates;
use crate::config::{JobSettings, PushSettings};
use sidecar_store::Glob;
use std::time::Duration;

const UPDATE: bool = true;
const NEW: bool = false;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn rates(all: Option<usize>, jobs: &[(&str, usize)]) -> Rates {
    let jobs = jobs.iter().map(|(job, rate)| JobSettings {
        max_samples_per_second: Some(*rate),
        ..JobSettings::of(Glob::new(job))
    });
    let rates = Rates::default();
    rates.set(all, &PushSettings { jobs: jobs.collect(), ..PushSettings::default() });
    rates
}

/// How many samples of so many pushes pass, `each` milliseconds one.
fn passed(rates: &Rates, job: &str, kind: bool, (from, each): (u64, u64), pushes: u64) -> u64 {
    (0..pushes).filter(|n| rates.take(job, 10, kind, ms(from + n * each)).is_ok()).count() as u64
        * 10
}

#[test]
fn without_limits_nothing_is_looked_at() {
    assert!(!rates(None, &[]).are_set());
    assert!(rates(Some(1), &[]).are_set());
    assert!(rates(None, &[("a", 1)]).are_set());
}

#[test]
fn in_the_long_run_the_rate_passes_and_a_second_of_it_at_once() {
    let rates = rates(None, &[("web*", 1_000)]);
    assert_eq!(passed(&rates, "web", UPDATE, (0, 0), 200), 1_000);
    let early = rates.take("web", 10, UPDATE, ms(0));
    assert_eq!(early, Err(TooFast { whose: Whose::Job, wait: ms(10) }));
    assert_eq!(passed(&rates, "web", UPDATE, (0, 1), 10_000), 9_990);
    assert_eq!(passed(&rates, "web2", UPDATE, (0, 0), 200), 1_000, "each job by itself");
    assert_eq!(passed(&rates, "other", UPDATE, (0, 0), 2_000), 20_000, "no limit");
}

#[test]
fn new_things_leave_half_of_a_job_to_its_updates() {
    let rates = rates(None, &[("web", 1_000)]);
    assert_eq!(passed(&rates, "web", NEW, (0, 0), 200), 500);
    assert_eq!(passed(&rates, "web", UPDATE, (0, 0), 200), 500);
}

#[test]
fn a_flood_of_new_things_stops_no_update() {
    let rates = rates(Some(1_000), &[]);
    let mut new = 0;
    for n in 0..10_000 {
        new += u64::from(rates.take("flood", 10, NEW, ms(n)).is_ok()) * 10;
        if n % 20 == 0 {
            assert_eq!(rates.take("web", 10, UPDATE, ms(n)), Ok(()), "{n}");
        }
    }
    // What the updates leave, and not more: 500 a second of 1,000.
    assert!((4_500..=6_000).contains(&new), "{new}");
}

#[test]
fn one_jobs_updates_do_not_stop_anothers() {
    let rates = rates(Some(1_000), &[]);
    let mut flooded = 0;
    for n in 0..20_000 {
        flooded += u64::from(rates.take("flood", 10, UPDATE, ms(n)).is_ok()) * 10;
        // A fifth of the rate: less than half of it divided by two.
        if n % 50 == 0 {
            assert_eq!(rates.take("web", 10, UPDATE, ms(n)), Ok(()), "{n}");
        }
    }
    assert!((15_000..=17_500).contains(&flooded), "{flooded}");
}

#[test]
fn a_body_larger_than_a_second_passes_and_is_paid_off() {
    let rates = rates(None, &[("web", 100)]);
    assert_eq!(rates.take("web", 1_000, UPDATE, ms(0)), Ok(()));
    let wait = rates.take("web", 1, UPDATE, ms(0)).unwrap_err().wait;
    assert_eq!(wait.as_secs(), 9);
    assert_eq!(rates.take("web", 1, UPDATE, ms(9_100)), Ok(()));
}

#[test]
fn a_crowd_of_jobs_takes_bounded_memory() {
    let rates = rates(Some(1_000_000), &[]);
    for n in 0..30_000u64 {
        let job = format!("job-{n}");
        rates.take(&job, 1, UPDATE, ms(n / 100)).unwrap_or(());
    }
    assert!(rates.state.lock().jobs.len() <= super::JOBS_AT_MOST + 1);
    rates.take("web", 1, UPDATE, ms(200_000)).unwrap();
    assert_eq!(rates.state.lock().jobs.len(), 1);
}
