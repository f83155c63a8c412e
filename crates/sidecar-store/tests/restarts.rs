//! A daemon that is killed and starts again: what it shows, and what its pushers notice of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: it panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "support/recorder.rs"]
mod recorder;

use page::Page;
use recorder::{Recorder, snapshot};
use sidecar_formats::{Timestamps, ingest_json, open_metrics};
use sidecar_model::{NativeHistogram, SampleParts, Sink, Tick};
use sidecar_store::{
    Glob, Grant, GroupKey, JobSettings, KeyState, Outcome, Position, PushKey, PushMeta, PushTimes,
    Replaces, Room, Sequence, Settings, Store,
};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

struct Daemon {
    recorder: Arc<Recorder>,
    page: Page,
    settings: Settings,
}

impl Deref for Daemon {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Daemon {
    fn new() -> Daemon {
        Daemon::with(Settings::default())
    }

    fn with(settings: Settings) -> Daemon {
        let (recorder, store) = Recorder::store(&settings, Tick::default());
        Daemon { recorder, page: Page::of(store, 1_000), settings }
    }

    fn json(&self, json: &str) -> Outcome {
        self.json_with(PushMeta::default(), json)
    }

    fn json_with(&self, meta: PushMeta<'_>, json: &str) -> Outcome {
        let decode =
            |sink: &mut sidecar_store::Stager<'_>| ingest_json::decode(json.as_bytes(), sink);
        self.store.push(&meta, self.tick(), decode).unwrap()
    }

    fn numbered(&self, (epoch, n, acked): (&str, u64, u64), json: &str) -> Outcome {
        let sequence = Some(Sequence { epoch, n, acked });
        self.json_with(PushMeta { sequence, ..PushMeta::default() }, json)
    }

    /// Dies, and another takes over from the records alone.
    fn restart(self) -> Daemon {
        let store = Store::new(Settings::default(), Tick::default());
        self.recorder.replay(&store, Position(0));
        assert!(snapshot(&store, self.tick()).0 == snapshot(&self.store, self.tick()).0);
        self.taken_over(store)
    }

    /// Dies behind a snapshot, to which nothing came.
    fn restart_from_snapshot(self) -> Daemon {
        let (bytes, _) = snapshot(&self.store, self.tick());
        self.taken_over(Store::restore(&bytes).unwrap().0)
    }

    fn taken_over(self, store: Store) -> Daemon {
        // Its own clock begins with 0 and goes on from what was.
        let Daemon { recorder, settings, .. } = self;
        let now = store.latest().as_millis();
        store.set_journal(Arc::<Recorder>::clone(&recorder));
        store.finish_restore(settings.clone(), Tick::from_millis(now)).unwrap();
        Daemon { recorder, page: Page::of(store, now), settings }
    }
}

/// Both ways back.
fn after_each_restart(make: impl Fn() -> Daemon, check: impl Fn(Daemon)) {
    check(make().restart());
    check(make().restart_from_snapshot());
}

fn counter(id: &str, value: f64) -> String {
    format!(
        r#"[{{"name":"c","type":"counter","values":[{{"name":"c_total","labels":{{"_id":"{id}"}},"value":{value}}}]}}]"#
    )
}

fn both(id: &str, count: f64, gauge: f64) -> String {
    format!(
        r#"[{{"name":"c","type":"counter","values":[{{"name":"c_total","labels":{{"_id":"{id}"}},"value":{count}}}]}},
        {{"name":"g","type":"gauge","values":[{{"name":"g","labels":{{"_id":"{id}","l":"{id}"}},"value":{gauge}}}]}}]"#
    )
}

#[test]
fn no_gauge_is_shown_again_before_its_instance_is_heard() {
    let made = || {
        let daemon = Daemon::new();
        daemon.json(&both("a", 1.0, 7.0));
        daemon.json(&both("b", 2.0, 8.0));
        daemon
    };
    after_each_restart(made, |daemon| {
        assert_eq!(daemon.text(), "c_total 3");
        daemon.json(&both("b", 2.0, 8.0));
        assert_eq!(daemon.text(), "c_total 3\ng{l=\"b\"} 8");
        // A part of what it had is a sign of life, too.
        daemon.json(&counter("a", 1.0));
        assert_eq!(daemon.text(), "c_total 3\ng{l=\"a\"} 7\ng{l=\"b\"} 8");
    });
}

#[test]
fn counters_are_live_with_a_fresh_decay() {
    let made = || {
        let mut daemon = Daemon::new();
        daemon.json(&counter("a", 5.0));
        daemon.json(&counter("", 3.0));
        daemon.wait(50);
        daemon
    };
    after_each_restart(made, |mut daemon| {
        daemon.wait(50);
        assert_eq!(daemon.text(), "c_total 8");
        assert!(daemon.store.instances(daemon.tick()).iter().all(|instance| instance.live));
        daemon.wait(11);
        assert!(daemon.store.instances(daemon.tick()).iter().all(|i| i.id.is_empty() || !i.live));
    });
}

#[test]
fn a_live_instance_goes_on_where_it_was() {
    let made = || {
        let daemon = Daemon::new();
        daemon.numbered(("e", 1, 0), &counter("a", 5.0));
        daemon.numbered(("f", 1, 0), &counter("a", 2.0));
        daemon.numbered(("f", 2, 1), &counter("a", 3.0));
        daemon
    };
    after_each_restart(made, |daemon| {
        assert_eq!(daemon.text(), "c_total 8");
        assert!(daemon.numbered(("f", 2, 1), &counter("a", 4.0)).late);
        daemon.numbered(("f", 3, 2), &counter("a", 4.0));
        assert_eq!(daemon.text(), "c_total 9");
    });
}

#[test]
fn a_baseline_and_a_departed_total_stay() {
    let made = || {
        let mut daemon = Daemon::new();
        daemon.numbered(("e", 9, 8), &counter("late", 100.0));
        daemon.json(&counter("gone", 7.0));
        daemon.wait(30);
        daemon.numbered(("e", 10, 9), &counter("late", 104.0));
        daemon.wait(40);
        daemon
    };
    after_each_restart(made, |mut daemon| {
        assert_eq!(daemon.text(), "c_total 11");
        daemon.json(&counter("gone", 8.0));
        assert_eq!(daemon.text(), "c_total 12");
        daemon.numbered(("e", 11, 10), &counter("late", 105.0));
        daemon.wait(1);
        assert_eq!(daemon.text(), "c_total 13");
    });
}

#[test]
fn downtime_makes_nobody_old() {
    let mut daemon = Daemon::new();
    daemon.json(&counter("a", 1.0));
    daemon.wait(30);
    let latest = daemon.tick();
    let daemon = daemon.restart();
    assert_eq!(daemon.tick(), latest);
    assert_eq!(daemon.store.instances(daemon.tick())[0].age, Duration::ZERO);
}

#[test]
fn deltas_with_a_key_count_once_across_a_crash() {
    let deltas = r#"[{"name":"d","type":"counter","temporality":"delta","values":[{"name":"d_total","labels":{},"value":5}]}]"#;
    let meta = PushMeta { key: Some(PushKey { key: "k", body: 1 }), ..PushMeta::default() };
    let made = || {
        let daemon = Daemon::new();
        assert_eq!(daemon.store.begin_key("k", 1, daemon.tick(), None), KeyState::Fresh);
        assert_eq!(daemon.json_with(meta, deltas).samples, 1);
        // The answer is never sent.
        daemon
    };
    after_each_restart(made, |daemon| {
        let KeyState::Done(outcome) = daemon.store.begin_key("k", 1, daemon.tick(), None) else {
            panic!("the key is forgotten");
        };
        assert_eq!((outcome.samples, outcome.recorded), (1, Position(2)));
        assert_eq!(daemon.store.begin_key("k", 2, daemon.tick(), None), KeyState::OtherBody);
        assert_eq!(daemon.text(), "d_total 5");
    });
}

#[derive(Debug)]
struct Short;

impl Room for Short {
    fn hold(&self, _: usize) -> Grant {
        Grant::Known
    }
}

#[test]
fn what_memory_refused_and_what_it_let_go_is_the_same_when_read_back() {
    let job = |job: &str, id: &str, n: usize| {
        format!(
            r#"[{{"name":"a","type":"counter","values":[{{"name":"a_total","labels":{{"_id":"{id}","job":"{job}","n":"{n}"}},"value":1}}]}}]"#
        )
    };
    let limited = JobSettings {
        job: Glob::new("small"),
        instance_labels: Vec::new(),
        max_series: Some(2),
        max_instances: Some(2),
    };
    let mut daemon = Daemon::with(Settings { jobs: vec![limited], ..Settings::default() });
    for n in 0..20 {
        daemon.json(&job("small", &format!("i{}", n % 4), n));
        daemon.json(&job("large", &format!("j{}", n % 4), n));
        daemon.wait(7);
    }
    daemon.wait(7_500);
    daemon.json(&job("large", "live", 0));
    let short = PushMeta { room: Some(&Short), ..PushMeta::default() };
    for n in 0..3 {
        daemon.json_with(short, &job("large", "live", n));
    }
    assert!(daemon.store.relieve(daemon.tick()) > 0);
    // Slots and jobs have gaps now.
    daemon.json(&job("small", "k", 30));
    let (bytes, _) = snapshot(&daemon.store, daemon.tick());
    let replayed = Store::new(Settings::default(), Tick::default());
    daemon.recorder.replay(&replayed, Position(0));
    assert!(snapshot(&replayed, daemon.tick()).0 == bytes, "from records");
    let (restored, _) = Store::restore(&bytes).unwrap();
    assert!(snapshot(&restored, daemon.tick()).0 == bytes, "from the snapshot");
    assert_eq!(restored.jobs(), daemon.store.jobs());
}

#[test]
fn what_a_full_journal_refuses_is_not_applied() {
    let mut daemon = Daemon::new();
    daemon.json(&both("a", 1.0, 1.0));
    let before = daemon.text();
    daemon.recorder.set_full(true);
    // Of a known shape, with something new, and all that is no push.
    for body in [both("a", 2.0, 2.0), both("b", 2.0, 2.0)] {
        let outcome = daemon.json(&body);
        assert!(outcome.journal_full && outcome.is_refusal(), "{outcome:?}");
    }
    let key = PushKey { key: "k", body: 1 };
    assert_eq!(daemon.store.begin_key("k", 1, daemon.tick(), None), KeyState::Fresh);
    let meta = PushMeta { key: Some(key), ..PushMeta::default() };
    assert!(daemon.json_with(meta, &both("b", 2.0, 2.0)).journal_full);
    daemon.store.release_key("k");
    assert_eq!(daemon.store.begin_key("k", 1, daemon.tick(), None), KeyState::Fresh);
    assert!(daemon.store.depart("a", daemon.tick()).is_err());
    assert!(daemon.store.retire("a", daemon.tick()).is_err());
    assert!(daemon.store.erase("a", daemon.tick()).is_err());
    assert!(daemon.store.clear(daemon.tick()).is_err());
    assert!(daemon.store.reload(Settings::default(), daemon.tick()).is_err());
    daemon.wait(200);
    assert_eq!(daemon.text(), before);
    daemon.recorder.set_full(false);
    assert!(!daemon.json(&both("a", 2.0, 2.0)).journal_full);
    assert_eq!(daemon.restart().text(), "c_total 2");
}

#[test]
fn groups_below_a_key_go_all_or_none() {
    let daemon = Daemon::new();
    let key = |labels: &[(&str, &str)]| {
        GroupKey::new(labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    };
    for instance in ["1", "2", "3"] {
        let group = key(&[("job", "x"), ("instance", instance)]);
        let meta = PushMeta { group: Some(&group), ..PushMeta::default() };
        daemon.json_with(meta, r#"[{"name":"g","type":"gauge","values":[{"value":1}]}]"#);
    }
    let before = daemon.text();
    daemon.recorder.take(0);
    assert!(daemon.store.delete_groups_below(&key(&[("job", "x")]), false, daemon.tick()).is_err());
    assert_eq!(daemon.text(), before);
    // One record is all that it takes.
    daemon.recorder.take(1);
    let deleted = daemon.store.delete_groups_below(&key(&[("job", "x")]), false, daemon.tick());
    assert_eq!(deleted, Ok(3));
    assert_eq!(daemon.text(), "");
    daemon.recorder.take(1);
    assert_eq!(daemon.restart().text(), "");
}

#[test]
fn who_is_retired_counts_on_without_its_columns_and_is_no_newcomer_when_it_comes_back() {
    let daemon = Daemon::new();
    daemon.json(&both("a", 5.0, 1.0));
    assert!(daemon.store.retire("a", daemon.tick()).unwrap());
    assert!(!daemon.store.retire("a", daemon.tick()).unwrap());
    assert_eq!(daemon.text(), "c_total 5");
    assert_eq!(daemon.store.stats().departed_instances, 0);
    let daemon = daemon.restart();
    assert_eq!(daemon.text(), "c_total 5");
    daemon.json(&counter("a", 5.0));
    assert_eq!(daemon.text(), "c_total 5");
    daemon.json(&counter("a", 7.0));
    assert_eq!(daemon.text(), "c_total 7");
}

#[test]
fn settings_of_the_new_process_are_in_force_and_recorded() {
    let mut daemon = Daemon::new();
    daemon.json(&counter("a", 1.0));
    daemon.settings.decay = Duration::from_secs(10);
    let mut daemon = daemon.restart();
    daemon.wait(10);
    assert!(!daemon.store.instances(daemon.tick())[0].live);
    let daemon = daemon.restart();
    assert!(!daemon.store.instances(daemon.tick())[0].live);
}

/// A group's text, its exemplars and replacements.
fn push_group(daemon: &Daemon, key: &GroupKey, replaces: Replaces, at: f64, text: &str) {
    let meta = PushMeta {
        group: Some(key),
        replaces,
        times: Some(PushTimes::Done(at)),
        ..PushMeta::default()
    };
    let decode = |sink: &mut sidecar_store::Stager<'_>| {
        open_metrics::decode(text.as_bytes(), Timestamps::Drop, sink)
    };
    let outcome = daemon.store.push(&meta, daemon.tick(), decode).unwrap();
    assert!(outcome.refused.is_empty(), "{outcome:?}");
}

#[test]
fn a_plain_group_is_shown_as_it_was() {
    let key = |labels: &[(&str, &str)]| {
        GroupKey::new(labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    };
    let job = key(&[("job", "j")]);
    let text = |n: u32| {
        format!(
            "# TYPE b counter\nb_total {n} # {{trace=\"t{n}\"}} 1.0\n# TYPE h histogram\nh_bucket{{le=\"1.0\"}} {n}\nh_bucket{{le=\"+Inf\"}} {n}\nh_sum 1.0\nh_count {n}\n# EOF\n"
        )
    };
    let made = || {
        let daemon = Daemon::new();
        push_group(&daemon, &job, Replaces::Everything, 1.0, &text(1));
        push_group(&daemon, &job, Replaces::Everything, 2.0, &text(2));
        push_group(&daemon, &job, Replaces::SameFamilies, 3.0, "# TYPE h gauge\nh 3.0\n# EOF\n");
        push_group(&daemon, &job, Replaces::SameFamilies, 4.0, "# TYPE h gauge\nh 4.0\n# EOF\n");
        let named = key(&[("job", "j"), ("_id", "1")]);
        push_group(&daemon, &named, Replaces::Nothing, 5.0, "# TYPE b counter\nb_total 5\n# EOF\n");
        let other = key(&[("job", "other")]);
        push_group(&daemon, &other, Replaces::Nothing, 6.0, "# TYPE z gauge\nz 6.0\n# EOF\n");
        assert_eq!(daemon.store.delete_group(&other, false, daemon.tick()), Ok(true));
        daemon
    };
    let shown = made();
    let expected = format!("{:?}", shown.store.groups());
    let page = shown.text();
    assert!(page.contains("push_time_seconds") && page.contains("h{"), "{page}");
    after_each_restart(made, |daemon| {
        assert_eq!(format!("{:?}", daemon.store.groups()), expected);
        // The times of the group with an id are gauges of an instance that was not heard yet.
        let is_shown = |line: &&str| !(line.starts_with("push_") && line.contains("{job="));
        let shown: Vec<&str> = page.lines().filter(is_shown).collect();
        assert_eq!(daemon.text(), shown.join("\n"));
    });
}

#[test]
fn native_histograms_survive() {
    let push = |daemon: &Daemon, count: f64| {
        let native = NativeHistogram {
            schema: 2,
            zero_count: 1.0,
            count: count + 1.0,
            sum: count,
            positive: vec![(-3, count)],
            ..NativeHistogram::default()
        };
        let outcome = daemon.store.push(&PushMeta::default(), daemon.tick(), |sink| {
            let header = sidecar_model::FamilyHeader {
                name: "n".into(),
                metric_type: sidecar_model::MetricType::Histogram,
                ..sidecar_model::FamilyHeader::default()
            };
            sink.header(None, &header)?;
            let parts = |name: &'static str| SampleParts {
                name: Some(name.into()),
                labels: vec![("_id".into(), "a".into())],
            };
            sink.sample(None, &mut parts("n_count"), count + 1.0)?;
            sink.sample(None, &mut parts("n_sum"), count)?;
            sink.native(&mut parts("n"), native.clone())
        });
        assert!(outcome.unwrap().refused.is_empty());
    };
    let made = || {
        let daemon = Daemon::new();
        push(&daemon, 5.0);
        push(&daemon, 2.0);
        daemon
    };
    after_each_restart(made, |daemon| {
        push(&daemon, 3.0);
        let exposition = daemon.store.collect(daemon.tick());
        let natives = &exposition.families[0].extras.natives;
        assert_eq!(natives[0].1.positive, [(-3, 8.0)]);
    });
}

#[test]
fn a_push_of_a_known_shape_takes_few_bytes() {
    let daemon = Daemon::new();
    let body = |n: u32| {
        let series: Vec<String> = (0..500)
            .map(|l| {
                let value = 1_000_000 + if l % 10 == 0 { n * 60_000 } else { 0 };
                format!(r#"{{"name":"c_total","labels":{{"_id":"a","l":"{l}"}},"value":{value}}}"#)
            })
            .collect();
        format!(r#"[{{"name":"c","type":"counter","values":[{}]}}]"#, series.join(","))
    };
    daemon.json(&body(0));
    let recorded = daemon.json(&body(1)).recorded;
    let records = daemon.recorder.behind(Position(recorded.0 - 1));
    assert!(records[0].1.len() < 240, "{} bytes", records[0].1.len());
}
