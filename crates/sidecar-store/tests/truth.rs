//! Real processes, simulated: they count events, push, crash, leave and start again, in every way that an
//! id can be given. The merged counters equal the events that were pushed, exactly, and never fall, not by
//! an ulp.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "a test: it panics where it fails, and its numbers are small and exact"
)]

#[path = "support/body.rs"]
mod body;

use body::{Push, PushedFamily, PushedSample, Way};
use proptest::prelude::*;
use sidecar_model::{MetricType, Tick};
use sidecar_store::{Settings, Store};
use std::time::Duration;

const SLOTS: usize = 3;
const LABELS: [&str; 3] = ["x", "y", "z"];

/// How a process that takes another's place is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    /// Each process has an id of its own and numbers its pushes.
    Unique,
    /// Each process has an id of its own, and nothing else.
    UniqueUnnumbered,
    /// The place's id, with an epoch for each process.
    Epoch,
    /// The place's id; the process says when it started.
    StartTime,
}

#[derive(Clone, Debug)]
enum Act {
    Count {
        slot: usize,
        label: usize,
        events: u32,
    },
    Push {
        slot: usize,
    },
    /// The latest push again, as a client does that got no answer.
    Repeat {
        slot: usize,
    },
    Exit {
        slot: usize,
    },
    Crash {
        slot: usize,
    },
    Goodbye {
        slot: usize,
    },
    Tick {
        seconds: u64,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let slot = 0..SLOTS;
    let act = prop_oneof![
        6 => (slot.clone(), 0..LABELS.len(), 1..50_u32)
            .prop_map(|(slot, label, events)| Act::Count { slot, label, events }),
        6 => slot.clone().prop_map(|slot| Act::Push { slot }),
        1 => slot.clone().prop_map(|slot| Act::Repeat { slot }),
        1 => slot.clone().prop_map(|slot| Act::Exit { slot }),
        1 => slot.clone().prop_map(|slot| Act::Crash { slot }),
        1 => slot.prop_map(|slot| Act::Goodbye { slot }),
        2 => (1..100_u64).prop_map(|seconds| Act::Tick { seconds }),
    ];
    proptest::collection::vec(act, 1..60)
}

#[derive(Clone, Debug, Default)]
struct Process {
    number: u64,
    n: u64,
    acked: u64,
    counted: [u32; 3],
    last_push: Option<Push>,
}

struct Run {
    store: Store,
    identity: Identity,
    /// What an event adds.
    unit: f64,
    now: u64,
    started: u64,
    slots: [Process; SLOTS],
    /// Events of every process that were pushed, and of which label.
    finished: [u32; 3],
    pushed: [[u32; 3]; SLOTS],
    exposed: [f64; 3],
}

impl Run {
    fn new(identity: Identity, unit: f64) -> Run {
        let settings = Settings { retain: Duration::from_secs(100_000), ..Settings::default() };
        let mut run = Run {
            store: Store::new(settings, Tick::default()),
            identity,
            unit,
            now: 1_000,
            started: 0,
            slots: Default::default(),
            finished: [0; 3],
            pushed: [[0; 3]; SLOTS],
            exposed: [0.0; 3],
        };
        (0..SLOTS).for_each(|slot| run.begin(slot));
        run
    }

    fn begin(&mut self, slot: usize) {
        self.started += 1;
        self.slots[slot] = Process { number: self.started, ..Process::default() };
        for label in 0..LABELS.len() {
            self.finished[label] += std::mem::take(&mut self.pushed[slot][label]);
        }
    }

    fn id(&self, slot: usize) -> String {
        match self.identity {
            Identity::Unique | Identity::UniqueUnnumbered => {
                format!("process-{}", self.slots[slot].number)
            }
            Identity::Epoch | Identity::StartTime => format!("place-{slot}"),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Count { slot, label, events } => self.slots[slot].counted[label] += events,
            Act::Push { slot } => self.push(slot, false),
            Act::Repeat { slot } => {
                if let Some(push) = self.slots[slot].last_push.clone() {
                    self.send(&push);
                }
            }
            Act::Exit { slot } => {
                self.push(slot, true);
                self.begin(slot);
            }
            Act::Crash { slot } => self.begin(slot),
            Act::Goodbye { slot } => {
                self.store.depart(&self.id(slot), Tick::from_millis(self.now)).unwrap();
            }
            Act::Tick { seconds } => {
                for _ in 0..seconds {
                    self.now += 1_000;
                    while self.store.upkeep(Tick::from_millis(self.now)) {}
                }
            }
        }
        self.check(act);
    }

    fn push(&mut self, slot: usize, is_final: bool) {
        let id = self.id(slot);
        let process = &mut self.slots[slot];
        process.n += 1;
        let numbered = matches!(self.identity, Identity::Unique | Identity::Epoch);
        let epoch = format!("life-{}", process.number);
        let sequence = numbered.then_some((epoch, process.n, process.acked));
        process.acked = process.n;
        let mut families = vec![counter(&id, &process.counted, self.unit)];
        families.push(histogram(&id, &process.counted));
        if self.identity == Identity::StartTime {
            families.push(start_time(&id, process.number));
        }
        let push = Push { sequence, is_final, families, ..Push::default() };
        process.last_push = Some(push.clone());
        self.pushed[slot] = process.counted;
        self.send(&push);
    }

    fn send(&self, push: &Push) {
        let now = Tick::from_millis(self.now);
        let way = if self.started.is_multiple_of(4) { Way::Forgotten } else { Way::Remembered };
        let outcome = push.send(&self.store, now, way).unwrap();
        assert!(outcome.refused.is_empty(), "{outcome:?}");
    }

    /// Exactly what was pushed; and nothing falls.
    fn check(&mut self, act: &Act) {
        let exposition = self.store.collect(Tick::from_millis(self.now));
        let mut exposed = [0.0; 3];
        for family in &exposition.families {
            let mut rest = family.values.as_slice();
            for point in &family.layout.points {
                let (values, behind) = rest.split_at(point.len());
                rest = behind;
                let label = LABELS.iter().position(|l| point.labels.get("l") == Some(l));
                match (label, &*family.layout.name) {
                    (Some(label), "events") => exposed[label] = values[0],
                    (Some(label), "sizes") => self.check_histogram(label, values, act),
                    _ => {}
                }
            }
        }
        for (label, value) in exposed.iter().enumerate() {
            let events = self.events(label);
            assert!(*value >= self.exposed[label], "{act:?}: {} fell to {value}", LABELS[label]);
            if self.unit.fract() == 0.0 {
                assert_eq!(*value, f64::from(events) * self.unit, "{act:?}: {}", LABELS[label]);
            } else {
                let off = (*value - f64::from(events) * self.unit).abs();
                assert!(off <= 1e-12 * value.abs(), "{act:?}: {} is {value}", LABELS[label]);
            }
        }
        self.exposed = exposed;
    }

    fn check_histogram(&self, label: usize, values: &[f64], act: &Act) {
        let events = self.events(label);
        let expected = [f64::from(events - events_above(self, label)), f64::from(events)];
        assert_eq!(values[..2], expected, "{act:?}: {}", LABELS[label]);
    }

    fn events(&self, label: usize) -> u32 {
        self.finished[label] + self.pushed.iter().map(|pushed| pushed[label]).sum::<u32>()
    }
}

/// All events of the label `x` are small, all others large.
fn events_above(run: &Run, label: usize) -> u32 {
    if label == 0 { 0 } else { run.events(label) }
}

fn counter(id: &str, counted: &[u32; 3], unit: f64) -> PushedFamily {
    let samples =
        (0..3).map(|label| sample("events_total", id, label, f64::from(counted[label]) * unit));
    PushedFamily {
        name: "events".to_owned(),
        metric_type: MetricType::Counter,
        samples: samples.collect(),
        ..PushedFamily::default()
    }
}

fn histogram(id: &str, counted: &[u32; 3]) -> PushedFamily {
    let mut samples = Vec::new();
    for (label, counted) in counted.iter().enumerate() {
        let small = if label == 0 { *counted } else { 0 };
        for (bound, count) in [("1", small), ("+Inf", *counted)] {
            let mut bucket = sample("sizes_bucket", id, label, f64::from(count));
            bucket.labels.push(("le".to_owned(), bound.to_owned()));
            samples.push(bucket);
        }
        samples.push(sample("sizes_count", id, label, f64::from(*counted)));
    }
    let name = "sizes".to_owned();
    PushedFamily { name, metric_type: MetricType::Histogram, samples, ..PushedFamily::default() }
}

fn start_time(id: &str, number: u64) -> PushedFamily {
    let name = "process_start_time_seconds".to_owned();
    let labels = vec![("_id".to_owned(), id.to_owned())];
    let samples = vec![PushedSample { name: name.clone(), labels, value: number as f64 }];
    PushedFamily { name, metric_type: MetricType::Gauge, samples, ..PushedFamily::default() }
}

fn sample(name: &str, id: &str, label: usize, value: f64) -> PushedSample {
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    let labels = vec![pair("_id", id), pair("l", LABELS[label])];
    PushedSample { name: name.to_owned(), labels, value }
}

fn run(identity: Identity, unit: f64, acts: &[Act]) {
    let mut run = Run::new(identity, unit);
    acts.iter().for_each(|act| run.act(act));
}

proptest! {
    #[test]
    fn every_pushed_event_counts_once_with_an_id_for_each_process(acts in acts()) {
        run(Identity::Unique, 1.0, &acts);
    }

    #[test]
    fn every_pushed_event_counts_once_without_push_sequence(acts in acts()) {
        run(Identity::UniqueUnnumbered, 1.0, &acts);
    }

    #[test]
    fn every_pushed_event_counts_once_with_an_id_for_each_place_and_epochs(acts in acts()) {
        run(Identity::Epoch, 1.0, &acts);
    }

    #[test]
    fn every_pushed_event_counts_once_with_an_id_for_each_place_and_start_times(acts in acts()) {
        run(Identity::StartTime, 1.0, &acts);
    }

    #[test]
    fn sums_that_round_never_fall_by_an_ulp(acts in acts()) {
        run(Identity::Unique, 0.1, &acts);
        run(Identity::Epoch, 0.1, &acts);
    }
}
