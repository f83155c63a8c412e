//! A naive model: it keeps every value that was pushed with its time, and must agree with the store
//! after each step of a random history.

use super::page::Page;
use proptest::prelude::*;
use sidecar_model::{Aggregation, Window, WindowFunction};
use sidecar_store::{Glob, Match, Rule, Settings};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const FAMILIES: [(&str, &str); 3] =
    [("temp", "gauge"), ("temp_load", "gauge"), ("temp_done_total", "counter")];
/// Who pushes: instances, all without an id, and deltas.
const WRITERS: [Option<&str>; 5] = [Some("a"), Some("b"), Some("c"), Some(""), None];
const FUNCTIONS: [&str; 7] = ["sum2s", "mean10s", "min1m", "max61s", "sum7s", "max", "avg60s"];

#[derive(Clone, Debug)]
enum Step {
    /// Of each family a value, or nothing.
    Push {
        writer: usize,
        values: [Option<u8>; 3],
    },
    Wait {
        ms: u64,
    },
    Depart {
        writer: usize,
    },
    Reload {
        function: usize,
    },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let value = || prop_oneof![3 => (0..20_u8).prop_map(Some), 1 => Just(None)];
    let push = (0..WRITERS.len(), [value(), value(), value()])
        .prop_map(|(writer, values)| Step::Push { writer, values });
    let wait = prop_oneof![1..400_u64, 400..4_000_u64, 4_000..90_000_u64];
    prop_oneof![
        20 => push,
        12 => wait.prop_map(|ms| Step::Wait { ms }),
        2 => (0..3_usize).prop_map(|writer| Step::Depart { writer }),
        3 => (0..FUNCTIONS.len()).prop_map(|function| Step::Reload { function }),
        1 => Just(Step::Clear),
    ]
}

fn settings(function: &str) -> Settings {
    let rule = Rule {
        matches: Match { name: Some(Glob::new("temp*")), labels: Vec::new() },
        aggregate: Some(function.parse().unwrap()),
        ..Rule::default()
    };
    Settings { decay: Duration::from_secs(24 * 3600), rules: vec![rule], ..Settings::default() }
}

/// A gauge's 13 is no number.
fn value_of(family: usize, number: u8) -> f64 {
    let (_, metric_type) = FAMILIES[family];
    if number == 13 && metric_type == "gauge" { f64::NAN } else { f64::from(number) }
}

struct Observation {
    writer: usize,
    family: usize,
    tenths: u64,
    value: f64,
}

struct Model {
    window: Option<Window>,
    observations: Vec<Observation>,
}

impl Model {
    fn new(function: &str) -> Model {
        Model { window: window(function), observations: Vec::new() }
    }

    fn reload(&mut self, function: &str) {
        let window = window(function);
        if window != self.window {
            *self = Model { window, observations: Vec::new() };
        }
    }

    /// What the page must say, by name; without a window nothing is known.
    fn page(&self, now_ms: u64) -> Option<BTreeMap<String, f64>> {
        let window = self.window?;
        let mut page = BTreeMap::new();
        for (family, (name, _)) in FAMILIES.iter().enumerate() {
            let counts =
                |o: &&Observation| o.family == family && in_window(window, o, now_ms / 100);
            let counted = self.observations.iter().filter(counts).map(|o| o.value);
            let values: Vec<f64> = counted.filter(|value| !value.is_nan()).collect();
            if values.is_empty() {
                continue;
            }
            let sum: f64 = values.iter().sum();
            let value = match window.function() {
                WindowFunction::Sum => sum,
                WindowFunction::Mean => sum / f64::from(u32::try_from(values.len()).unwrap()),
                WindowFunction::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
                WindowFunction::Max => values.iter().copied().fold(0.0, f64::max),
            };
            page.insert((*name).to_owned(), value);
        }
        Some(page)
    }
}

fn window(function: &str) -> Option<Window> {
    function.parse::<Aggregation>().unwrap().window()
}

/// A window is seen in sixtieths, of at least a tenth of a second: whole ones count.
fn in_window(window: Window, observation: &Observation, now: u64) -> bool {
    let length = window.length().as_secs() * 10;
    let width = length.div_ceil(60);
    now / width - observation.tenths / width <= length.div_ceil(width)
}

fn body(writer: usize, values: &[Option<u8>; 3]) -> String {
    let label = WRITERS[writer].map_or(String::new(), |id| format!("{{_id=\"{id}\"}}"));
    let mut body = String::new();
    for (family, number) in values.iter().enumerate() {
        let (Some(number), (name, metric_type)) = (number, FAMILIES[family]) else { continue };
        let value = value_of(family, *number);
        writeln!(body, "# TYPE {name} {metric_type}\n{name}{label} {value}").unwrap();
    }
    body
}

fn run(steps: &[Step]) {
    let mut page = Page::new(settings(FUNCTIONS[0]));
    let mut model = Model::new(FUNCTIONS[0]);
    for step in steps {
        match step {
            Step::Push { writer, values } => {
                // Deltas must be finite.
                let of_deltas = |number: &Option<u8>| number.filter(|n| *n != 13);
                let values = match WRITERS[*writer] {
                    None => values.each_ref().map(of_deltas),
                    Some(_) => *values,
                };
                let body = body(*writer, &values);
                let outcome =
                    if WRITERS[*writer].is_none() { page.deltas(&body) } else { page.push(&body) };
                assert!(outcome.refused.is_empty(), "{outcome:?}");
                let tenths = page.tick().as_millis() / 100;
                for (family, number) in values.iter().enumerate() {
                    let Some(number) = number else { continue };
                    let value = value_of(family, *number);
                    model.observations.push(Observation { writer: *writer, family, tenths, value });
                }
            }
            Step::Wait { ms } => page.wait_ms(*ms),
            Step::Depart { writer } => {
                page.store.depart(WRITERS[*writer].unwrap(), page.tick()).unwrap();
                model.observations.retain(|o| o.writer != *writer);
            }
            Step::Reload { function } => {
                page.store.reload(settings(FUNCTIONS[*function]), page.tick()).unwrap();
                model.reload(FUNCTIONS[*function]);
            }
            Step::Clear => {
                page.store.clear(page.tick()).unwrap();
                model.observations.clear();
            }
        }
        if let Some(expected) = model.page(page.tick().as_millis()) {
            let shown: BTreeMap<String, f64> = page.text().lines().map(sample).collect();
            assert_eq!(shown, expected, "after {step:?}");
        }
    }
}

fn sample(line: &str) -> (String, f64) {
    let (name, value) = line.split_once(' ').unwrap();
    (name.to_owned(), value.parse().unwrap())
}

proptest! {
    #[test]
    fn the_store_agrees_with_all_observations_kept(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
