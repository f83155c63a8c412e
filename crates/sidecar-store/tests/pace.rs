//! A long push goes on in steps, and between them pushes of known shapes to other instances are applied.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

use sidecar_formats::ingest_json;
use sidecar_model::Tick;
use sidecar_store::{Outcome, Pace, PushMeta, Settings, Stager, Store};
use std::cell::Cell;

const SAMPLES: usize = 25_600;

fn now() -> Tick {
    Tick::from_millis(1_000_000)
}

/// Many series, all of one writer or each of its own.
fn long_body(of_writer: fn(usize) -> usize) -> String {
    let sample = |n| format!(r#"{{"labels":{{"_id":"w{}","n":"{n}"}},"value":1}}"#, of_writer(n));
    let values: Vec<String> = (0..SAMPLES).map(sample).collect();
    format!(r#"[{{"name":"long","type":"gauge","values":[{}]}}]"#, values.join(","))
}

fn honest_body(count: u64) -> String {
    format!(
        r#"[{{"name":"honest","type":"counter","values":[{{"name":"honest_total","labels":{{"_id":"honest"}},"value":{count}}}]}}]"#
    )
}

/// Pushes between the steps, and asks whether something new would wait.
#[derive(Debug)]
struct Meanwhile<'a> {
    store: &'a Store,
    steps: Cell<u64>,
    busy_steps: Cell<u64>,
}

impl Meanwhile<'_> {
    fn would_wait(&self, body: &str) -> bool {
        let answer = Cell::new(false);
        let asked = self.store.push(&PushMeta::default(), now(), |stager| {
            ingest_json::decode(body.as_bytes(), stager).map_err(drop)?;
            answer.set(self.store.is_busy_for(stager, &PushMeta::default()));
            Err(())
        });
        assert_eq!(asked.map(drop), Err(()), "nothing is applied");
        answer.get()
    }
}

impl Pace for Meanwhile<'_> {
    fn step(&self) {
        self.steps.set(self.steps.get() + 1);
        let known = honest_body(self.steps.get());
        assert!(!self.would_wait(&known));
        assert_eq!(push(self.store, &known, None).samples, 1);
        let new = known.replace("\"honest\"", "\"somebody new\"");
        self.busy_steps.set(self.busy_steps.get() + u64::from(self.would_wait(&new)));
    }
}

fn push(store: &Store, body: &str, pace: Option<&dyn Pace>) -> Outcome {
    let meta = PushMeta { pace, ..PushMeta::default() };
    let decode = |stager: &mut Stager<'_>| ingest_json::decode(body.as_bytes(), stager);
    store.push(&meta, now(), decode).unwrap()
}

fn one(_sample: usize) -> usize {
    0
}

fn each(sample: usize) -> usize {
    sample
}

#[test]
fn pushes_of_known_shapes_are_applied_between_the_steps_of_a_long_one() {
    for (writers, of_writer) in [("one", one as fn(usize) -> usize), ("each its own", each)] {
        let store = Store::new(Settings::default(), now());
        push(&store, &honest_body(0), None);
        let meanwhile = Meanwhile { store: &store, steps: Cell::new(0), busy_steps: Cell::new(0) };
        let outcome = push(&store, &long_body(of_writer), Some(&meanwhile));
        assert_eq!((outcome.samples, outcome.refused.len()), (SAMPLES as u64, 0));
        let (steps, busy) = (meanwhile.steps.get(), meanwhile.busy_steps.get());
        assert!(busy >= 50, "{writers}: {busy} steps while the catalog was locked");
        assert!(
            steps - busy >= 50,
            "{writers}: {steps} steps, {busy} of them with the catalog locked"
        );
        let honest = store.collect(now()).families.iter().any(|family| {
            &*family.layout.name == "honest" && family.values.first() == Some(&steps_value(steps))
        });
        assert!(honest, "{writers}: every push between the steps counts");
    }
}

fn steps_value(steps: u64) -> f64 {
    f64::from(u32::try_from(steps).unwrap())
}
