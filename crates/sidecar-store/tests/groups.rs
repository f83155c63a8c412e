//! Groups: plain ones are kept as a Pushgateway keeps them, those with an id are instances.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

use sidecar_formats::prom_text::{self, TextEncoder};
use sidecar_formats::{DecodeError, Timestamps, ingest_json};
use sidecar_model::{Aggregation, Temporality, Tick};
use sidecar_store::{
    Glob, GroupKey, GroupValue, JobSettings, Limits, Matcher, Outcome, PushMeta, PushTimes,
    Replaces, Rule, Selector, Settings, Store, Value,
};
use std::time::Duration;

struct Gateway {
    store: Store,
    now_ms: u64,
    /// The wall clock, which rises by one with each push.
    wall: f64,
}

impl Gateway {
    fn new() -> Gateway {
        Gateway::with(Settings::default())
    }

    fn with(settings: Settings) -> Gateway {
        Gateway { store: Store::new(settings, Tick::default()), now_ms: 1_000_000, wall: 0.0 }
    }

    fn push(&mut self, path: &str, replaces: Replaces, text: &str) -> Outcome {
        self.push_with(path, PushMeta { replaces, ..PushMeta::default() }, text)
    }

    fn push_with(&mut self, path: &str, meta: PushMeta<'_>, text: &str) -> Outcome {
        self.wall += 1.0;
        let key = key(path);
        let times = (meta.temporality.is_none()).then_some(PushTimes::Done(self.wall));
        let meta = PushMeta { group: Some(&key), times, ..meta };
        let decode = |sink: &mut sidecar_store::Stager<'_>| {
            prom_text::decode(text.as_bytes(), Timestamps::Drop, sink)
        };
        let outcome: Result<Outcome, DecodeError> = self.store.push(&meta, self.tick(), decode);
        outcome.unwrap()
    }

    fn put(&mut self, path: &str, text: &str) -> Outcome {
        self.push(path, Replaces::Everything, text)
    }

    fn post(&mut self, path: &str, text: &str) -> Outcome {
        self.push(path, Replaces::SameFamilies, text)
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now_ms += 1_000;
            while self.store.upkeep(self.tick()) {}
        }
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now_ms)
    }

    /// The samples of the page but the push times.
    fn page(&self) -> String {
        self.lines(|line| !line.starts_with("push_"))
    }

    fn times(&self) -> String {
        self.lines(|line| line.starts_with("push_"))
    }

    fn lines(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.store.collect(self.tick()), &mut page);
        let page = String::from_utf8(page).unwrap();
        let lines = page.lines().filter(|line| !line.starts_with('#') && wanted(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn shows(&self, expected: &str) {
        assert_eq!(self.page(), expected);
    }
}

/// `job/a/x/y`
fn key(path: &str) -> GroupKey {
    let parts: Vec<&str> = path.split('/').collect();
    GroupKey::new(parts.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())))
}

#[test]
fn labels_of_the_key_go_before_those_of_the_body() {
    let mut gateway = Gateway::new();
    gateway.put("job/a", "x{job=\"b\",l=\"1\"} 1\ny{instance=\"i\"} 2\n");
    gateway.shows("x{instance=\"\",job=\"a\",l=\"1\"} 1\ny{instance=\"i\",job=\"a\"} 2");
    gateway.put("job/a/l/", "x{l=\"1\"} 3\n");
    gateway.shows(
        "x{instance=\"\",job=\"a\",l=\"\"} 3\nx{instance=\"\",job=\"a\",l=\"1\"} 1\ny{instance=\"i\",job=\"a\"} 2",
    );
}

#[test]
fn a_put_replaces_the_group_and_a_post_the_families_that_it_has() {
    let mut gateway = Gateway::new();
    let all = "# TYPE a counter\na{l=\"1\"} 1\na{l=\"2\"} 2\n# TYPE b gauge\nb 3\n";
    for round in 0..3 {
        gateway.put("job/j/instance/i", all);
        gateway.post("job/j/instance/i", "# TYPE a counter\na{l=\"1\"} 0\n");
        gateway.shows("a{instance=\"i\",job=\"j\",l=\"1\"} 0\nb{instance=\"i\",job=\"j\"} 3");
        gateway.post("job/j/instance/i", "");
        gateway.shows("a{instance=\"i\",job=\"j\",l=\"1\"} 0\nb{instance=\"i\",job=\"j\"} 3");
        gateway.put("job/j/instance/i", "c 1\n");
        gateway.shows("c{instance=\"i\",job=\"j\"} 1");
        gateway.put("job/j/instance/i", "");
        gateway.shows("");
        let at = f64::from(round * 5 + 5);
        let expected = format!(
            "push_failure_time_seconds{{instance=\"i\",job=\"j\"}} 0\npush_time_seconds{{instance=\"i\",job=\"j\"}} {at}"
        );
        assert_eq!(gateway.times(), expected);
    }
}

#[test]
fn histograms_are_replaced_whole() {
    let mut gateway = Gateway::new();
    let histogram = |le: &str, count: u32| {
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"{le}\"}} 1\nh_bucket{{le=\"+Inf\"}} {count}\nh_sum 2\nh_count {count}\n"
        )
    };
    gateway.put("job/j/instance/i", &histogram("1", 9));
    gateway.put("job/j/instance/i", &histogram("2", 3));
    let labels = "instance=\"i\",job=\"j\"";
    gateway.shows(&format!(
        "h_bucket{{{labels},le=\"2\"}} 1\nh_bucket{{{labels},le=\"+Inf\"}} 3\nh_sum{{{labels}}} 2\nh_count{{{labels}}} 3"
    ));
    gateway.post("job/j/instance/i", "# TYPE h histogram\n");
    gateway.shows("");
}

#[test]
fn other_bounds_of_one_group_leave_those_of_another_alone() {
    let drop_labels = vec!["job".to_owned()];
    let rules = vec![Rule { drop_labels, ..Rule::default() }];
    let mut gateway = Gateway::with(Settings { rules, ..Settings::default() });
    let histogram = |le: &str| {
        format!("# TYPE h histogram\nh_bucket{{le=\"{le}\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\n")
    };
    for (path, le) in [("job/a", "1"), ("job/b", "2"), ("job/a", "3")] {
        gateway.put(path, &histogram(le));
    }
    let bucket = |le: &str, count: u32| format!("h_bucket{{instance=\"\",le=\"{le}\"}} {count}\n");
    let all = [bucket("1", 0), bucket("2", 1), bucket("3", 2), bucket("+Inf", 4)].concat();
    gateway.shows(&format!("{all}h_count{{instance=\"\"}} 4"));
}

#[test]
fn a_plain_group_stays_until_it_is_deleted_or_its_ttl_is_over() {
    let mut gateway = Gateway::new();
    gateway.put("job/for_ever", "# TYPE a counter\na 1\n");
    let ttl = Some(Duration::from_secs(10));
    gateway.push_with("job/short", PushMeta { ttl, ..PushMeta::default() }, "b 1\n");
    gateway.wait(9);
    assert!(gateway.page().contains("b{"));
    gateway.wait(2);
    gateway.shows("a{instance=\"\",job=\"for_ever\"} 1");
    gateway.wait(100_000);
    gateway.shows("a{instance=\"\",job=\"for_ever\"} 1");
    assert!(gateway.store.delete_group(&key("job/for_ever"), false, gateway.tick()).unwrap());
    assert!(!gateway.store.delete_group(&key("job/for_ever"), false, gateway.tick()).unwrap());
    assert_eq!((gateway.page(), gateway.times()), (String::new(), String::new()));
}

#[test]
fn a_fall_in_a_plain_group_stays_a_fall() {
    let mut gateway = Gateway::new();
    for value in [5, 3, 4] {
        gateway.put("job/j", &format!("# TYPE a counter\na {value}\n"));
        gateway.shows(&format!("a{{instance=\"\",job=\"j\"}} {value}"));
    }
}

#[test]
fn a_key_with_an_id_is_an_instance() {
    let mut gateway = Gateway::new();
    let text = |counter: u32| format!("# TYPE a counter\na {counter}\n# TYPE g gauge\ng 1\n");
    gateway.put("job/w/_id/1", &text(5));
    gateway.put("job/w/_id/2", &text(7));
    gateway.shows("a{job=\"w\"} 12\ng{job=\"w\"} 1");
    assert_eq!(
        gateway.times(),
        "push_failure_time_seconds{job=\"w\"} 0\npush_time_seconds{job=\"w\"} 2"
    );
    // What a push leaves out: the counter counts on, the gauge goes.
    gateway.put("job/w/_id/1", "other 1\n");
    gateway.put("job/w/_id/2", "other 1\n");
    gateway.shows("a{job=\"w\"} 12\nother{job=\"w\"} 1");
    gateway.put("job/w/_id/1", &text(2));
    gateway.shows("a{job=\"w\"} 14\ng{job=\"w\"} 1\nother{job=\"w\"} 1");
    gateway.store.delete_group(&key("job/w/_id/1"), false, gateway.tick()).unwrap();
    gateway.shows("a{job=\"w\"} 14\nother{job=\"w\"} 1");
    gateway.wait(70);
    gateway.shows("a{job=\"w\"} 14");
    gateway.store.delete_group(&key("job/w/_id/1"), true, gateway.tick()).unwrap();
    gateway.shows("a{job=\"w\"} 0");
}

#[test]
fn samples_with_an_id_in_a_plain_group_are_instances_of_their_own() {
    let mut gateway = Gateway::new();
    let push = |gateway: &mut Gateway, id: &str, value: u32| {
        let text =
            format!("# TYPE a counter\na{{_id=\"{id}\"}} {value}\n# TYPE own gauge\nown 1\n");
        gateway.put("job/j", &text)
    };
    push(&mut gateway, "1", 5);
    push(&mut gateway, "2", 7);
    gateway.shows("a{job=\"j\"} 12\nown{instance=\"\",job=\"j\"} 1");
    push(&mut gateway, "1", 1);
    gateway.shows("a{job=\"j\"} 13\nown{instance=\"\",job=\"j\"} 1");
}

#[test]
fn a_push_is_taken_when_samples_of_another_writer_are() {
    let mut gateway = Gateway::new();
    gateway.put("job/a/l/1", "m 1\n");
    gateway.put("job/a", "old 1\n");
    let outcome = gateway.put("job/a", "m{l=\"1\"} 2\nown{_id=\"1\"} 3\n");
    assert_eq!(outcome.refused[0].reason.code(), "duplicate_series");
    gateway.shows("m{instance=\"\",job=\"a\",l=\"1\"} 1\nown{job=\"a\"} 3");
    assert!(gateway.times().ends_with("push_time_seconds{instance=\"\",job=\"a\",l=\"1\"} 1"));
    assert!(gateway.times().contains("push_time_seconds{instance=\"\",job=\"a\"} 3"));
}

#[test]
fn a_push_of_which_no_writer_s_samples_are_taken_changes_nothing() {
    let mut gateway = Gateway::new();
    gateway.put("job/a", "m 1\n");
    let (page, times) = (gateway.page(), gateway.times());
    let outcome = gateway.put("job/a", "# TYPE c counter\nc{_id=\"1\"} -1\n");
    assert!(outcome.is_refusal());
    assert_eq!((gateway.page(), gateway.times()), (page, times));
}

#[test]
fn a_known_histogram_beside_what_is_refused_is_taken() {
    let mut gateway = Gateway::new();
    let histogram = |n: u32| {
        format!("# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} {n}\nh_sum {n}\nh_count {n}\n")
    };
    gateway.put("job/w/_id/1", &histogram(1));
    gateway.put("job/w/_id/1", &format!("{}# TYPE c counter\nc -1\n", histogram(2)));
    assert!(gateway.page().contains("h_count{job=\"w\"} 2"));
    assert!(gateway.times().ends_with("push_time_seconds{job=\"w\"} 2"));
}

#[test]
fn deltas_in_a_group_s_body_replace_no_other_deltas() {
    let mut gateway = Gateway::new();
    let delta = || PushMeta { temporality: Some(Temporality::Delta), ..PushMeta::default() };
    gateway.push_with("job/cli", delta(), "# TYPE runs counter\nruns 2\n");
    let json = r#"[{"name":"hits","type":"counter","temporality":"delta","values":[{"name":"hits","labels":{},"value":1}]}]"#;
    let key = key("job/a");
    let meta = PushMeta {
        group: Some(&key),
        replaces: Replaces::Everything,
        times: Some(PushTimes::Done(1.0)),
        ..PushMeta::default()
    };
    let decode = |sink: &mut sidecar_store::Stager<'_>| ingest_json::decode(json.as_bytes(), sink);
    gateway.store.push(&meta, gateway.tick(), decode).unwrap();
    gateway.shows("hits{job=\"a\"} 1\nruns{job=\"cli\"} 2");
}

#[test]
fn an_empty_label_of_the_key_stays_where_each_instance_is_shown() {
    let mut gateway = Gateway::new();
    for path in ["job/a/_id/1", "job/a/_id/1/l/"] {
        gateway.put(path, "g{_aggregate=\"all\"} 1\n");
    }
    gateway.shows("g{job=\"a\",l=\"\",worker=\"1\"} 1\ng{job=\"a\",worker=\"0\"} 1");
}

#[test]
fn a_delta_of_nothing_is_no_news() {
    let last = Some(Aggregation::Last);
    let drop_labels = vec!["job".to_owned()];
    let rules = vec![Rule { aggregate: last, drop_labels, ..Rule::default() }];
    let mut gateway = Gateway::with(Settings { rules, ..Settings::default() });
    let delta = || PushMeta { temporality: Some(Temporality::Delta), ..PushMeta::default() };
    for (job, counter, gauge) in [("a", 2, 3), ("b", 0, 0)] {
        let text = format!("# TYPE c counter\nc {counter}\n# TYPE g gauge\ng {gauge}\n");
        gateway.push_with(&format!("job/{job}"), delta(), &text);
    }
    gateway.shows("c 2\ng 3");
}

#[test]
fn what_a_group_wrote_before_it_left_was_written() {
    let retain = Duration::from_secs(160);
    let resume_window = Duration::from_secs(100);
    let decay = Duration::from_secs(30);
    let settings = Settings { decay, resume_window, retain, ..Settings::default() };
    let mut gateway = Gateway::with(settings);
    let counter = "# TYPE a counter\na 2\n";
    gateway.put("instance/i/job/j", "# TYPE a counter\na{_id=\"1\"} 1\n");
    gateway.wait(170);
    gateway.put("instance/i/job/j", counter);
    gateway.store.delete_group(&key("instance/i/job/j"), false, gateway.tick()).unwrap();
    gateway.wait(130);
    gateway.put("job/k/_id/1", counter);
    gateway.shows("a{instance=\"i\",job=\"j\"} 1\na{job=\"k\"} 2");
}

#[test]
fn a_group_goes_by_its_key_whatever_settings_made_of_it() {
    let mut gateway = Gateway::new();
    gateway.put("job/w/pod/a", "x 1\n");
    let instance_labels = vec!["pod".to_owned()];
    gateway
        .store
        .reload(Settings { instance_labels, ..Settings::default() }, gateway.tick())
        .unwrap();
    gateway.put("job/w/pod/a", "y 2\n");
    gateway.shows("x{instance=\"\",job=\"w\",pod=\"a\"} 1\ny{job=\"w\"} 2");
    assert!(gateway.store.delete_group(&key("job/w/pod/a"), false, gateway.tick()).unwrap());
    gateway.shows("");
}

#[test]
fn instance_labels_make_groups_instances() {
    let settings = Settings { instance_labels: vec!["pod".to_owned()], ..Settings::default() };
    let mut gateway = Gateway::with(settings);
    for pod in ["a", "b"] {
        gateway.put(&format!("job/w/pod/{pod}"), "# TYPE a counter\na 2\n");
    }
    gateway.shows("a{job=\"w\"} 4");
}

#[test]
fn a_job_may_have_instance_labels_of_its_own() {
    let of = |job: &str, label: &str| JobSettings {
        job: Glob::new(job),
        instance_labels: vec![label.to_owned()],
        max_series: None,
        max_instances: None,
    };
    let settings =
        Settings { jobs: vec![of("web*", "pod"), of("*", "run")], ..Settings::default() };
    let mut gateway = Gateway::with(settings);
    for pod in ["a", "b"] {
        gateway.put(&format!("job/web/pod/{pod}"), "# TYPE a counter\na 2\n");
        gateway.put(&format!("job/cron/pod/{pod}"), "# TYPE b counter\nb 3\n");
    }
    // Samples may name it too.
    gateway.put("job/web2", "# TYPE c counter\nc{pod=\"x\"} 1\nc{pod=\"y\"} 1\n");
    let b = |pod| format!("b{{instance=\"\",job=\"cron\",pod=\"{pod}\"}} 3\n");
    gateway.shows(&format!("a{{job=\"web\"}} 4\n{}{}c{{job=\"web2\"}} 2", b("a"), b("b")));
}

#[test]
fn what_conflicts_is_refused_alone_and_the_failure_is_dated() {
    let mut gateway = Gateway::new();
    gateway.put("job/a", "# TYPE x gauge\nx 1\n");
    let outcome = gateway.put("job/b", "# TYPE x counter\nx 2\n# TYPE y gauge\ny 1\n");
    assert_eq!(outcome.refused[0].reason.code(), "type_conflict");
    assert!(!outcome.is_refusal());
    gateway.shows("x{instance=\"\",job=\"a\"} 1\ny{instance=\"\",job=\"b\"} 1");
    let refused = gateway.put("job/c", "# TYPE x counter\nx 2\n");
    assert!(refused.is_refusal());
    assert!(!gateway.times().contains("job=\"c\""));
    // Its own type a group may change.
    gateway.put("job/a", "# TYPE x counter\nx 3\n");
    gateway.shows("x{instance=\"\",job=\"a\"} 3\ny{instance=\"\",job=\"b\"} 1");
}

#[test]
fn the_same_series_in_two_groups_is_refused() {
    let mut gateway = Gateway::new();
    gateway.put("job/a/x/1", "m 1\n");
    let outcome = gateway.put("job/a", "m{x=\"1\"} 2\nn 1\n");
    assert_eq!(outcome.refused[0].reason.code(), "duplicate_series");
    gateway.shows("m{instance=\"\",job=\"a\",x=\"1\"} 1\nn{instance=\"\",job=\"a\"} 1");
    gateway.store.delete_group(&key("job/a/x/1"), false, gateway.tick()).unwrap();
    assert!(gateway.put("job/a", "m{x=\"1\"} 2\n").refused.is_empty());
    let histogram = "# TYPE h histogram\nh_bucket{x=\"1\",le=\"+Inf\"} 3\nh_count{x=\"1\"} 3\n";
    assert!(gateway.post("job/a", histogram).refused.is_empty());
    let outcome = gateway.put("job/a/x/1", histogram);
    assert_eq!(outcome.refused[0].reason.code(), "duplicate_series");
}

#[test]
fn pushed_push_times_are_left_out() {
    let mut gateway = Gateway::new();
    gateway
        .put("job/a/instance/i", "# TYPE push_time_seconds counter\npush_time_seconds 77\na 1\n");
    gateway.shows("a{instance=\"i\",job=\"a\"} 1");
    assert!(gateway.times().ends_with("push_time_seconds{instance=\"i\",job=\"a\"} 1"));
}

#[test]
fn plain_groups_have_a_limit_of_their_own() {
    let limits = Limits { groups: 2, instances: 1, ..Limits::default() };
    let mut gateway = Gateway::with(Settings { limits, ..Settings::default() });
    for job in ["a", "b"] {
        assert!(gateway.put(&format!("job/{job}"), "m 1\n").refused.is_empty());
    }
    let outcome = gateway.put("job/c", "m 1\n");
    assert!(outcome.is_refusal() && outcome.refused[0].reason.is_limit());
    assert!(gateway.put("job/c/_id/1", "m 1\n").refused.is_empty());
    assert!(gateway.put("job/a", "m 2\n").refused.is_empty());
}

#[test]
fn deltas_get_the_labels_and_are_no_group() {
    let mut gateway = Gateway::new();
    let delta = || PushMeta { temporality: Some(Temporality::Delta), ..PushMeta::default() };
    for _ in 0..3 {
        gateway.push_with("job/cli/x/y", delta(), "# TYPE runs counter\nruns 2\n");
    }
    gateway.shows("runs{job=\"cli\",x=\"y\"} 6");
    assert_eq!(gateway.times(), "");
    assert!(gateway.store.groups().is_empty());
}

#[test]
fn groups_are_deleted_below_a_key() {
    let mut gateway = Gateway::new();
    for path in ["job/a", "job/a/x/1", "job/a/x/2/y/3", "job/b/x/1", "job/a/_id/7"] {
        gateway.put(path, "m 1\n");
    }
    assert_eq!(gateway.store.delete_groups_below(&key("job/a/x/1"), false, gateway.tick()), Ok(1));
    assert_eq!(gateway.store.delete_groups_below(&key("job/a"), false, gateway.tick()), Ok(3));
    gateway.shows("m{instance=\"\",job=\"b\",x=\"1\"} 1");
}

#[test]
fn series_are_deleted_by_what_they_are_called() {
    let mut gateway = Gateway::new();
    let text = "# TYPE a counter\na{l=\"1\"} 1\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n";
    gateway.put("job/plain/instance/i", text);
    gateway.put("job/w/_id/1", text);
    gateway.put("job/w/_id/2", text);
    gateway.store.delete_group(&key("job/w/_id/2"), false, gateway.tick()).unwrap();
    let named = |label: &str, value: &str| Selector {
        matchers: vec![Matcher {
            label: label.to_owned(),
            value: Value::Text(value.to_owned()),
            negated: false,
        }],
    };
    assert_eq!(gateway.store.delete_series(&[named("l", "3")], gateway.tick()), Ok(0));
    assert_eq!(gateway.store.delete_series(&[named("l", "1")], gateway.tick()), Ok(2));
    assert_eq!(gateway.store.delete_series(&[named("__name__", "h_count")], gateway.tick()), Ok(2));
    gateway.shows("a{instance=\"i\",job=\"plain\",l=\"2\"} 2\na{job=\"w\",l=\"2\"} 4");
    gateway.put("job/w/_id/1", text);
    assert!(gateway.page().contains("a{job=\"w\",l=\"1\"} 1\n"));
    assert!(gateway.page().contains("h_count{job=\"w\"} 3"));
}

#[test]
fn the_listing_tells_what_each_group_has() {
    let mut gateway = Gateway::new();
    gateway.put(
        "job/a",
        "# HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 2\nh_count 3\n",
    );
    gateway.put("job/w/_id/1", "m 1\n");
    let groups = gateway.store.groups();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].pushed_at, groups[0].failed_at), (1.0, 0.0));
    let family = &groups[0].families[0];
    assert_eq!((family.name.as_str(), family.help.as_str()), ("h", "Help."));
    let GroupValue::Composite(buckets, sum, count) = &family.metrics[0].1 else {
        panic!("a histogram has parts");
    };
    assert_eq!(buckets, &[(1.0, 1.0), (f64::INFINITY, 3.0)]);
    assert_eq!((*sum, *count), (Some(2.0), Some(3.0)));
}
