//! Runs a history on the model and on two stores, and compares all that can be seen after each step.

use crate::body::{Push, PushedGroup, Way};
use crate::history::{IDS, Op, World, key};
use crate::model::{
    Answer, Bound, Exposed, ExposedFamily, Key, Labels, Model, Part, Parts, START, State,
    is_identified,
};
use sidecar_model::{Exposition, FamilyExposition, Point, PointKind, Tick, base_name, is_absent};
use sidecar_store::{GroupKey, JournalFull, Outcome, Replaces, Settings, Store};
use std::collections::{BTreeMap, BTreeSet};

/// How far a value that is computed by division or a root may be off.
const TOLERANCE: f64 = 1e-9;

pub(crate) struct Run {
    model: Model,
    /// One follows remembered bytes, the other parses everything.
    stores: [(Store, Way); 2],
    world: World,
    settings: Vec<Settings>,
    log: Vec<String>,
}

impl Run {
    /// `settings`: the first at the start, the others to reload.
    pub(crate) fn new(settings: &[Settings], world: World) -> Run {
        let start = Tick::from_millis(START);
        let store = || Store::new(settings[0].clone(), start);
        Run {
            model: Model::new(settings[0].clone()),
            stores: [(store(), Way::Remembered), (store(), Way::Forgotten)],
            world,
            settings: settings.to_vec(),
            log: Vec::new(),
        }
    }

    /// The first disagreement.
    pub(crate) fn run(&mut self, history: &[Op]) -> Result<(), String> {
        for op in history {
            self.step(op)
                .and_then(|()| self.compare())
                .map_err(|what| format!("{what}\nafter\n{}", self.log.join("\n")))?;
        }
        Ok(())
    }

    fn step(&mut self, op: &Op) -> Result<(), String> {
        let now = self.now();
        match op {
            Op::Push(op) => {
                let push = self.world.push(op);
                return self.push_and_note(&push);
            }
            Op::Pair(op, times) => {
                let push = self.world.push(op);
                let other = self.world.other(&push);
                for _ in 0..*times {
                    self.push_and_note(&other)?;
                    self.compare()?;
                    self.push_and_note(&push)?;
                    self.compare()?;
                }
            }
            Op::Tick(ms) => {
                self.log.push(format!("  tick {} s", *ms as f64 / 1000.0));
                // Nobody ages more than the clock's longest step at once.
                let mut rest = *ms;
                while rest > 0 {
                    let step = rest.min(10_000);
                    rest -= step;
                    self.model.tick(step);
                    self.upkeep();
                }
            }
            Op::Depart(id) | Op::Retire(id) | Op::Erase(id) if IDS[usize::from(*id)].is_empty() => {
            }
            Op::Depart(id) => return self.leave(id, "depart", Model::depart, Store::depart),
            Op::Retire(id) => return self.leave(id, "retire", Model::retire, Store::retire),
            Op::Erase(id) => return self.leave(id, "erase", Model::erase, Store::erase),
            Op::Clear => {
                self.log.push("  clear".to_owned());
                self.model.clear();
                self.stores.iter().for_each(|(store, _)| store.clear(now).unwrap());
            }
            Op::Relieve => {
                self.log.push("  relieve".to_owned());
                self.model.relieve();
                self.stores.iter().for_each(|(store, _)| _ = store.relieve(now));
            }
            Op::DeleteGroup { key, erase, below } => return self.delete(*key, *erase, *below),
            Op::Reload(index) => {
                let settings = &self.settings[usize::from(*index) % self.settings.len()];
                let (rules, labels) = (&settings.rules, &settings.instance_labels);
                self.log.push(format!("  reload rules {rules:?} instance labels {labels:?}"));
                self.model.reload(settings.clone());
                self.stores
                    .iter()
                    .for_each(|(store, _)| store.reload(settings.clone(), now).unwrap());
            }
        }
        Ok(())
    }

    /// Of a group whose push was refused the time is noted, as the daemon does.
    fn push_and_note(&mut self, push: &Push) -> Result<(), String> {
        let refused = self.push(push)?;
        match &push.group {
            Some(group) if refused && !group.delta => {
                self.compare()?;
                let group =
                    PushedGroup { failed: true, replaces: Replaces::Nothing, ..group.clone() };
                let failure = Push { group: Some(group), ttl_ms: push.ttl_ms, ..Push::default() };
                self.push(&failure).map(|_| ())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn leave(
        &mut self,
        id: &u8,
        word: &str,
        of_model: fn(&mut Model, &str) -> bool,
        of_store: fn(&Store, &str, Tick) -> Result<bool, JournalFull>,
    ) -> Result<(), String> {
        let (id, now) = (IDS[usize::from(*id)], self.now());
        self.log.push(format!("  {word} {id}"));
        let found = of_model(&mut self.model, id);
        for (store, _) in &self.stores {
            let same = of_store(store, id, now).unwrap();
            if same != found {
                return Err(format!("model found {found}, store {same}"));
            }
        }
        Ok(())
    }

    fn delete(&mut self, index: u8, erase: bool, below: bool) -> Result<(), String> {
        let (labels, now) = (key(index), self.now());
        self.log.push(format!("  delete group {labels:?} erase={erase} below={below}"));
        let group = GroupKey::new(labels.clone());
        let found = match below {
            true => self.model.delete_groups_below(&labels, erase),
            false => usize::from(self.model.delete_group(&labels, erase)),
        };
        for (store, _) in &self.stores {
            let same = match below {
                true => store.delete_groups_below(&group, erase, now).unwrap(),
                false => usize::from(store.delete_group(&group, erase, now).unwrap()),
            };
            if same != found {
                return Err(format!("model found {found} groups, store {same}"));
            }
        }
        Ok(())
    }

    pub(crate) fn upkeep(&mut self) {
        let now = self.now();
        self.model.upkeep();
        for (store, _) in &self.stores {
            while store.upkeep(now) {}
        }
    }

    fn now(&self) -> Tick {
        Tick::from_millis(self.model.now)
    }

    /// True: nothing of it was taken.
    fn push(&mut self, push: &Push) -> Result<bool, String> {
        let now = self.now();
        let group = push.group.as_ref().map_or_else(String::new, |group| format!("{group:?} "));
        self.log.push(format!(
            "  push {group}seq={:?} final={} ttl={:?} {}",
            push.sequence,
            push.is_final,
            push.ttl_ms,
            push.json().replace("\"help\":\"\",\"unit\":\"\",\"temporality\":\"cumulative\",", "")
        ));
        // Of two families of one name either may be named, with its own fault.
        let names: BTreeSet<&str> = push.families.iter().map(|f| base(&f.name)).collect();
        let twins = names.len() < push.families.iter().filter(|f| !f.delta).count();
        let said = |answer: Answer| Answer {
            refused: answer
                .refused
                .into_iter()
                .map(|(family, code)| (family, if twins { "" } else { kind(code) }))
                .collect(),
            ..answer
        };
        let expected = self.model.push(push).map(said);
        for (store, way) in &self.stores {
            let got = push.send(store, now, *way).map(|outcome| said(answer(&outcome)));
            if got != expected {
                return Err(format!("model answers {expected:?}\n{way:?} answers {got:?}"));
            }
        }
        let refuses = |a: &Answer| a.withheld || (a.samples == 0 && !a.refused.is_empty());
        Ok(expected.as_ref().is_ok_and(refuses))
    }

    fn compare(&self) -> Result<(), String> {
        let expected = self.model.expose();
        let instances = self.expected_instances();
        for (store, way) in &self.stores {
            let exposition = store.collect(self.now());
            check_order(&exposition)?;
            let got = exposed(&exposition);
            if !agree(&expected, &got) {
                return Err(format!("{way:?}:\n{}", difference(&expected, &got)));
            }
            let got: BTreeMap<String, (bool, Option<u32>)> = store
                .instances(self.now())
                .into_iter()
                .filter(|view| !view.id.is_empty())
                .map(|view| (view.id, (view.live, view.slot)))
                .collect();
            if got != instances {
                return Err(format!("{way:?}: model has {instances:?}, store {got:?}"));
            }
            let got: Vec<(Key, (f64, f64))> = store
                .groups()
                .into_iter()
                .map(|view| (view.labels, (view.pushed_at, view.failed_at)))
                .collect();
            let mut groups = self.model.groups();
            groups.sort_by(|a, b| a.0.cmp(&b.0));
            if got != groups {
                return Err(format!("{way:?}: model has groups {groups:?}, store {got:?}"));
            }
        }
        Ok(())
    }

    fn expected_instances(&self) -> BTreeMap<String, (bool, Option<u32>)> {
        let writers = self.model.writers.iter().filter(|(id, _)| is_identified(id));
        writers
            .map(|(id, writer)| {
                let live = writer.state == State::Live;
                (id.clone(), (live, live.then_some(writer.slot)))
            })
            .collect()
    }
}

fn base(family: &str) -> &str {
    let counter = base_name(sidecar_model::MetricType::Counter, family);
    base_name(sidecar_model::MetricType::Info, counter)
}

fn answer(outcome: &Outcome) -> Answer {
    Answer {
        samples: outcome.samples,
        refused: outcome
            .refused
            .iter()
            .map(|r| (base(&r.family).to_owned(), r.reason.code()))
            .collect(),
        late: outcome.late,
        withheld: outcome.withheld,
    }
}

/// Where several things are wrong with one family, either may be named.
fn kind(code: &'static str) -> &'static str {
    match code {
        "falling_buckets" | "count_mismatch" | "incomplete_histogram" => "bad_value",
        "type_conflict" => "name_conflict",
        other => other,
    }
}

// ---- expositions

/// Families in name order, points in label order.
fn check_order(exposition: &Exposition) -> Result<(), String> {
    let names: Vec<&str> = exposition.families.iter().map(|f| &*f.layout.name).collect();
    let in_order = exposition
        .families
        .iter()
        .all(|f| f.layout.points.is_sorted_by(|a, b| a.labels < b.labels));
    if names.is_sorted() && in_order { Ok(()) } else { Err(format!("not in order: {names:?}")) }
}

pub(crate) fn exposed(exposition: &Exposition) -> Exposed {
    let mut families = Exposed::new();
    for family in &exposition.families {
        let points = points(family);
        if points.is_empty() {
            continue;
        }
        let layout = &family.layout;
        let shown = ExposedFamily {
            metric_type: layout.metric_type,
            help: layout.help.to_string(),
            unit: layout.unit.to_string(),
            points,
        };
        assert!(families.insert(layout.name.to_string(), shown).is_none(), "a family twice");
    }
    families
}

fn points(family: &FamilyExposition) -> BTreeMap<Labels, Parts> {
    let mut points = BTreeMap::new();
    let mut rest = family.values.as_slice();
    for point in &family.layout.points {
        let (values, behind) = rest.split_at(point.len());
        rest = behind;
        let parts = parts(point, values);
        if !parts.is_empty() {
            let labels = point.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert!(points.insert(labels, parts).is_none(), "a point twice");
        }
    }
    assert!(rest.is_empty(), "values without a point");
    points
}

fn parts(point: &Point, values: &[f64]) -> Parts {
    let keys: Vec<Part> = match &point.kind {
        PointKind::Scalar => vec![Part::Value],
        PointKind::Histogram(bounds) if is_absent(values[0]) => {
            assert!(bounds.len() + 1 == values.len());
            return Parts::new();
        }
        PointKind::Histogram(bounds) => {
            bounds.iter().map(|b| Part::Bucket(Bound(b.value))).chain([Part::Sum]).collect()
        }
        PointKind::Summary(quantiles) => quantiles
            .iter()
            .map(|q| Part::Quantile(Bound(q.value)))
            .chain([Part::Sum, Part::Count])
            .collect(),
    };
    keys.into_iter().zip(values.iter().copied()).filter(|(_, v)| !is_absent(*v)).collect()
}

pub(crate) fn agree(a: &Exposed, b: &Exposed) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((name, a), (other, b))| name == other && agree_family(a, b))
}

fn agree_family(a: &ExposedFamily, b: &ExposedFamily) -> bool {
    let same = |a: f64, b: f64| {
        a == b
            || (a.is_nan() && b.is_nan())
            || (!a.is_nan() && (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()) && inexact(a, b))
    };
    (a.metric_type, &a.help, &a.unit) == (b.metric_type, &b.help, &b.unit)
        && a.points.len() == b.points.len()
        && a.points.iter().zip(&b.points).all(|((labels, a), (other, b))| {
            let b = without_empty_buckets(b, a);
            labels == other
                && a.len() == b.len()
                && a.iter().zip(&b).all(|((p, a), (q, b))| p == q && same(*a, *b))
        })
}

/// A bound that was there once is kept, though nobody has it now: without those, where nothing is
/// counted between them and the bound below.
fn without_empty_buckets(parts: &Parts, expected: &Parts) -> Parts {
    let mut below = 0.0;
    let mut kept = Parts::new();
    for (part, value) in parts {
        let bucket = matches!(part, Part::Bucket(_));
        if !(bucket && *value == below && !expected.contains_key(part)) {
            kept.insert(*part, *value);
        }
        if bucket {
            below = *value;
        }
    }
    kept
}

/// Multiples of a small power of two come out of sums alone, and those are exact.
fn inexact(a: f64, b: f64) -> bool {
    let dyadic = |v: f64| (v * 1024.0).fract() == 0.0;
    !(dyadic(a) && dyadic(b))
}

pub(crate) fn difference(expected: &Exposed, got: &Exposed) -> String {
    let mut out = String::new();
    for name in expected.keys().chain(got.keys().filter(|name| !expected.contains_key(*name))) {
        let (a, b) = (expected.get(name), got.get(name));
        let same = matches!((a, b), (Some(a), Some(b)) if agree_family(a, b));
        if !same {
            out.push_str(&format!("{name}\n model {a:?}\n store {b:?}\n"));
        }
    }
    out
}
