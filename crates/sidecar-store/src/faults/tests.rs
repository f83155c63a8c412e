//! A push that panics costs that push: nothing of it is seen unless all of it was written, and the
//! store goes on.

use super::Step;
use crate::{PushMeta, Settings, Store};
use sidecar_formats::{ingest_json, prom_text::TextEncoder};
use sidecar_model::Tick;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static PANICS_AT: Cell<Option<Step>> = const { Cell::new(None) };
}

pub(crate) fn reach(step: Step) {
    assert!(PANICS_AT.get() != Some(step), "asked to panic at {step:?}");
}

const FIRST: &str = r#"[{"name":"a","type":"counter","values":[
    {"name":"a_total","labels":{"_id":"x","n":"1"},"value":1},
    {"name":"a_total","labels":{"_id":"x","n":"2"},"value":2}]},
  {"name":"h","type":"histogram","values":[
    {"name":"h_bucket","labels":{"_id":"x","le":"+Inf"},"value":1},
    {"name":"h_sum","labels":{"_id":"x"},"value":1},
    {"name":"h_count","labels":{"_id":"x"},"value":1}]}]"#;

/// What was known with other values, more of it, a new family, and another instance.
const SECOND: &str = r#"[{"name":"a","type":"counter","values":[
    {"name":"a_total","labels":{"_id":"x","n":"1"},"value":11},
    {"name":"a_total","labels":{"_id":"x","n":"2"},"value":12},
    {"name":"a_total","labels":{"_id":"x","n":"3"},"value":13}]},
  {"name":"b","type":"gauge","values":[{"labels":{"_id":"x"},"value":5}]}]"#;

const DELTA: &str = r#"[{"name":"d","type":"counter","temporality":"delta","values":[
    {"name":"d_total","value":3}]}]"#;

struct Daemon(Store);

impl Daemon {
    fn new() -> Daemon {
        let daemon = Daemon(Store::new(Settings::default(), Tick::default()));
        daemon.push(FIRST);
        daemon.push(DELTA);
        daemon
    }

    fn push(&self, body: &str) {
        let now = Tick::from_millis(1_000_000);
        let decode = |stager: &mut crate::Stager<'_>| ingest_json::decode(body.as_bytes(), stager);
        let outcome = self.0.push(&PushMeta::default(), now, decode).unwrap();
        assert_eq!(outcome.refused, []);
    }

    fn push_and_panic(&self, body: &str, step: Step) {
        PANICS_AT.set(Some(step));
        let pushed = catch_unwind(AssertUnwindSafe(|| self.push(body)));
        PANICS_AT.set(None);
        assert!(pushed.is_err(), "{step:?} is not reached");
    }

    fn page(&self) -> String {
        let mut page = Vec::new();
        let exposition = self.0.collect(Tick::from_millis(1_000_000));
        TextEncoder::new().encode(&exposition, &mut page);
        String::from_utf8(page).unwrap()
    }

    fn samples(&self) -> Vec<String> {
        let page = self.page();
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }
}

#[test]
fn before_anything_is_written_nothing_of_the_push_is_seen() {
    let whole = Daemon::new();
    whole.push(SECOND);
    whole.push(DELTA);
    for step in [Step::Decoded, Step::Drafted, Step::Placed] {
        let daemon = Daemon::new();
        let before = daemon.samples();
        daemon.push_and_panic(SECOND, step);
        daemon.push_and_panic(DELTA, step);
        assert_eq!(daemon.samples(), before, "{step:?}");
        // The client sends it again.
        daemon.push(SECOND);
        daemon.push(DELTA);
        assert_eq!(daemon.page(), whole.page(), "{step:?}");
        assert_eq!(daemon.0.stats().contributions, whole.0.stats().contributions, "{step:?}");
    }
}

#[test]
fn behind_the_last_write_all_of_the_push_is_seen() {
    let whole = Daemon::new();
    whole.push(SECOND);
    let daemon = Daemon::new();
    daemon.push_and_panic(SECOND, Step::Written);
    assert_eq!(daemon.page(), whole.page());
    daemon.push(SECOND);
    daemon.push(SECOND);
    assert_eq!(daemon.page(), whole.page());
}

#[test]
fn others_go_on_after_a_panic_and_so_does_upkeep() {
    let daemon = Daemon::new();
    for step in [Step::Decoded, Step::Drafted, Step::Placed, Step::Written] {
        daemon.push_and_panic(SECOND, step);
        daemon.push(&SECOND.replace("\"x\"", "\"y\""));
        while daemon.0.upkeep(Tick::from_millis(1_000_000)) {}
    }
    assert!(daemon.0.depart("y", Tick::from_millis(1_000_000)).unwrap());
    while daemon.0.upkeep(Tick::from_millis(2_000_000)) {}
}
