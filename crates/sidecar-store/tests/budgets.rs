//! What is over a job's budget, or comes while memory is short, is refused alone: updates of what
//! is known go on, and no total falls.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

#[path = "support/page.rs"]
mod page;

use page::Page;
use sidecar_formats::ingest_json;
use sidecar_store::{
    Glob, Grant, GroupKey, JobSettings, KeyState, Limits, Outcome, PushKey, PushMeta, Replaces,
    Room, Settings, Stager,
};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Memory as somebody outside sees it.
#[derive(Debug)]
struct Memory(Grant);

impl Room for Memory {
    fn hold(&self, _bytes: usize) -> Grant {
        self.0
    }
}

const PLENTY: Memory = Memory(Grant::Everything);
const SHORT: Memory = Memory(Grant::Nothing);

struct Daemon(Page);

impl Deref for Daemon {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.0
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Page {
        &mut self.0
    }
}

fn budget(job: &str, max_series: Option<usize>, max_instances: Option<usize>) -> JobSettings {
    JobSettings { job: Glob::new(job), instance_labels: Vec::new(), max_series, max_instances }
}

impl Daemon {
    fn new(jobs: Vec<JobSettings>) -> Daemon {
        Daemon(Page::new(Settings { jobs, ..Settings::default() }))
    }

    /// Who departed may come back for a minute and a half.
    fn short() -> Daemon {
        let resume_window = Duration::from_secs(90);
        Daemon(Page::new(Settings { resume_window, ..Settings::default() }))
    }

    /// The group `job/<job>/_id/<id>`, or without an id the plain group.
    fn put(&self, job: &str, id: &str, text: &str) -> Outcome {
        let mut labels = vec![("job".to_owned(), job.to_owned())];
        if !id.is_empty() {
            labels.push(("_id".to_owned(), id.to_owned()));
        }
        let key = GroupKey::new(labels);
        let replaces = Replaces::SameFamilies;
        let meta = PushMeta { group: Some(&key), replaces, ..PushMeta::default() };
        self.send(&meta, text).unwrap()
    }

    fn json(&self, body: &str, room: &dyn Room) -> Result<Outcome, &'static str> {
        let meta = PushMeta { room: Some(room), ..PushMeta::default() };
        self.store
            .push(&meta, self.tick(), |stager| ingest_json::decode(body.as_bytes(), stager))
            .map_err(|error| error.code)
    }
}

fn codes(outcome: &Outcome) -> Vec<&'static str> {
    outcome.refused.iter().map(|refused| refused.reason.code()).collect()
}

/// A counter's samples by label `n`.
fn counter(name: &str, id: &str, samples: &[(u32, u32)]) -> String {
    let samples: Vec<String> = samples
        .iter()
        .map(|(n, value)| {
            format!(
                r#"{{"name":"{name}_total","labels":{{"_id":"{id}","n":"{n}"}},"value":{value}}}"#
            )
        })
        .collect();
    format!(r#"[{{"name":"{name}","type":"counter","values":[{}]}}]"#, samples.join(","))
}

#[test]
fn a_job_over_its_series_is_updated_and_others_grow() {
    let daemon = Daemon::new(vec![budget("web", Some(3), None)]);
    let two = "# TYPE a counter\na_total{n=\"1\"} 1\na_total{n=\"2\"} 1\n";
    assert_eq!(codes(&daemon.put("web", "x", two)), [""; 0]);
    let more = "# TYPE a counter\na_total{n=\"1\"} 5\na_total{n=\"3\"} 1\na_total{n=\"4\"} 1\n";
    assert_eq!(codes(&daemon.put("web", "x", more)), ["job_series_limit"]);
    assert!(daemon.text().contains("a_total{job=\"web\",n=\"1\"} 5"), "{}", daemon.text());
    assert!(!daemon.text().contains("n=\"4\""), "{}", daemon.text());
    assert_eq!(codes(&daemon.put("other", "x", more)), [""; 0]);
    let web = daemon.store.jobs().into_iter().find(|job| job.name == "web").unwrap();
    assert_eq!((web.series, web.instances, web.max_series), (3, 1, Some(3)));
}

#[test]
fn a_job_has_so_many_instances_and_a_goodbye_makes_room() {
    let daemon = Daemon::new(vec![budget("web*", None, Some(2))]);
    let text = "# TYPE g gauge\ng 1\n";
    for id in ["a", "b"] {
        assert_eq!(codes(&daemon.put("web", id, text)), [""; 0]);
    }
    assert_eq!(codes(&daemon.put("web", "c", text)), ["job_instance_limit"]);
    assert_eq!(codes(&daemon.put("web", "", text)), ["job_instance_limit"]);
    assert_eq!(codes(&daemon.put("web", "a", text)), [""; 0], "a known one goes on");
    assert_eq!(codes(&daemon.put("web2", "c", text)), [""; 0], "each job by itself");
    let labels = [("job", "web"), ("_id", "a")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    daemon.store.delete_group(&GroupKey::new(labels), false, daemon.tick()).unwrap();
    assert_eq!(codes(&daemon.put("web", "c", text)), [""; 0]);
}

#[test]
fn what_is_left_of_a_job_is_counted_exactly() {
    let mut daemon = Daemon::new(Vec::new());
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n\
                # TYPE g gauge\ng 1\n";
    daemon.put("web", "a", text);
    daemon.put("web", "", "# TYPE x gauge\nx 1\n");
    let series = |daemon: &Daemon| {
        let jobs = daemon.store.jobs();
        jobs.iter().map(|job| (job.series, job.instances)).collect::<Vec<_>>()
    };
    assert_eq!(series(&daemon), [(6, 2)]);
    daemon.wait(61);
    assert_eq!(series(&daemon), [(5, 1)], "the gauge and the live instance are gone");
    daemon.wait(4_000);
    assert_eq!(series(&daemon), [(1, 1)], "folded");
    daemon.store.clear(daemon.tick()).unwrap();
    assert_eq!(series(&daemon), [(0, 0); 0]);
}

#[test]
fn budgets_of_jobs_change_at_a_reload() {
    let daemon = Daemon::new(Vec::new());
    daemon.put("web", "a", "# TYPE a counter\na_total{n=\"1\"} 1\n");
    let jobs = vec![budget("web", Some(1), None)];
    daemon.store.reload(Settings { jobs, ..Settings::default() }, daemon.tick()).unwrap();
    let two = "# TYPE a counter\na_total{n=\"1\"} 2\na_total{n=\"2\"} 1\n";
    assert_eq!(codes(&daemon.put("web", "a", two)), ["job_series_limit"]);
}

#[test]
fn without_memory_known_series_go_on_and_nothing_new_comes() {
    let daemon = Daemon::new(Vec::new());
    daemon.json(&counter("a", "x", &[(1, 1), (2, 1)]), &PLENTY).unwrap();
    let families = daemon.store.stats().families;
    // Known ones beside a new one, of a known instance.
    let outcome = daemon.json(&counter("a", "x", &[(1, 5), (2, 6), (3, 1)]), &SHORT).unwrap();
    assert_eq!(codes(&outcome), ["memory_limit"]);
    // A new instance, of known series too.
    let outcome = daemon.json(&counter("a", "y", &[(1, 5)]), &SHORT).unwrap();
    assert_eq!(codes(&outcome), ["memory_limit"]);
    // A new family, with samples and without.
    let outcome = daemon.json(&counter("b", "x", &[(1, 5)]), &SHORT).unwrap();
    assert_eq!(codes(&outcome), ["memory_limit"]);
    assert_eq!(daemon.text(), "a_total{n=\"1\"} 5\na_total{n=\"2\"} 6");
    assert_eq!(daemon.store.stats().families, families);
    assert_eq!(daemon.store.stats().contributions, 2);
    daemon.json(&counter("a", "x", &[(1, 7), (2, 7)]), &SHORT).unwrap();
    assert_eq!(daemon.text(), "a_total{n=\"1\"} 7\na_total{n=\"2\"} 7");
}

#[test]
fn a_body_of_new_things_is_given_up_before_it_is_staged_whole() {
    let daemon = Daemon::new(Vec::new());
    let many: Vec<(u32, u32)> = (0..10_000).map(|n| (n, 1)).collect();
    assert_eq!(daemon.json(&counter("a", "x", &many), &SHORT), Err("memory_limit"));
    assert_eq!(daemon.text(), "");
}

#[test]
fn without_memory_a_new_key_is_refused_and_a_known_one_answered() {
    let daemon = Daemon::new(Vec::new());
    let store = &daemon.store;
    assert_eq!(store.begin_key("k", 1, daemon.tick(), Some(&PLENTY)), KeyState::Fresh);
    let meta = PushMeta { key: Some(PushKey { key: "k", body: 1 }), ..PushMeta::default() };
    let body = counter("a", "x", &[(1, 1)]);
    let push = |stager: &mut Stager<'_>| ingest_json::decode(body.as_bytes(), stager);
    let answered = store.push(&meta, daemon.tick(), push).unwrap();
    let again = store.begin_key("k", 1, daemon.tick(), Some(&SHORT));
    assert_eq!(again, KeyState::Done(answered));
    let new = store.begin_key("l", 1, daemon.tick(), Some(&SHORT));
    assert_eq!(new, KeyState::OutOfMemory);
}

#[test]
fn relief_lets_go_of_whole_series_the_oldest_first_and_of_none_that_somebody_may_come_back_to() {
    let mut daemon = Daemon::short();
    // One series that the living go on with, and that a departed one has counted in.
    daemon.json(&counter("a", "gone", &[(0, 100)]), &PLENTY).unwrap();
    let old: Vec<(u32, u32)> = (1..=12_000).map(|n| (n, 1)).collect();
    daemon.json(&counter("a", "old", &old), &PLENTY).unwrap();
    daemon.wait(70);
    let newer: Vec<(u32, u32)> = (12_001..=20_000).map(|n| (n, 1)).collect();
    daemon.json(&counter("a", "newer", &newer), &PLENTY).unwrap();
    let live = |daemon: &Daemon| daemon.json(&counter("a", "live", &[(0, 5)]), &PLENTY).unwrap();
    live(&daemon);
    let series = |daemon: &Daemon| daemon.store.stats().merged_series;
    assert_eq!(series(&daemon), 20_001);
    let before = daemon.text();
    // Remembered, then folded: within the window of either nothing goes.
    for _ in 0..4 {
        assert_eq!(daemon.store.relieve(daemon.tick()), 0);
        assert!(daemon.text() == before);
        daemon.wait(40);
        live(&daemon);
    }
    daemon.wait(40);
    live(&daemon);
    assert_eq!(daemon.store.relieve(daemon.tick()), 10_000);
    assert_eq!(series(&daemon), 10_001);
    assert!(daemon.text().starts_with("a_total{n=\"0\"} 105"), "the total stays");
    assert!(daemon.text().contains("{n=\"20000\"}"), "newer ones are there");
    for _ in 0..3 {
        daemon.wait(40);
        live(&daemon);
    }
    while daemon.store.relieve(daemon.tick()) > 0 {}
    assert_eq!(daemon.text(), "a_total{n=\"0\"} 105");
    assert_eq!(daemon.store.stats().contributions, 1);
    // Who went may come back, and counts anew.
    daemon.json(&counter("a", "newer", &[(13_000, 4)]), &PLENTY).unwrap();
    assert!(daemon.text().contains("a_total{n=\"13000\"}"), "{}", daemon.text());
}

#[test]
fn what_is_no_longer_exposed_goes_at_once() {
    let mut daemon = Daemon::short();
    let many: Vec<(u32, u32)> = (0..12_000).map(|n| (n, 1)).collect();
    daemon.json(&counter("a", "x", &many), &PLENTY).unwrap();
    daemon.wait(149);
    assert_eq!(daemon.store.relieve(daemon.tick()), 0, "it is on the page");
    daemon.wait(1);
    assert_eq!((daemon.text().as_str(), daemon.store.stats().departed_totals), ("", 12_000));
    while daemon.store.relieve(daemon.tick()) > 0 {}
    assert_eq!(daemon.store.stats().departed_totals, 0);
    assert_eq!(daemon.store.stats().families, 0);
}

#[test]
fn of_too_many_forgotten_ids_the_longest_gone_go_first() {
    let limits = Limits { forgotten_ids: 10, ..Limits::default() };
    let mut daemon = Daemon(Page::new(Settings { limits, ..Settings::default() }));
    let leave = |daemon: &mut Daemon, id: &str| {
        daemon.json(&counter("a", id, &[(0, 1)]), &PLENTY).unwrap();
        assert!(daemon.store.retire(id, daemon.tick()).unwrap());
        daemon.wait(1);
    };
    for n in 0..12 {
        leave(&mut daemon, &format!("id{n}"));
        assert!(daemon.store.stats().forgotten_ids <= 10);
    }
    let stats = daemon.store.stats();
    assert_eq!((stats.forgotten_ids, stats.early_forgotten), (10, 2));
    // The latest one is known, and counts from where it stood; the first one is not.
    daemon.json(&counter("a", "id11", &[(0, 1)]), &PLENTY).unwrap();
    assert_eq!(daemon.text(), "a_total{n=\"0\"} 12");
    daemon.json(&counter("a", "id0", &[(0, 1)]), &PLENTY).unwrap();
    assert_eq!(daemon.text(), "a_total{n=\"0\"} 13");
}
