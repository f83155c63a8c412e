//! Random histories: what happens (operations, shrinkable), and the world that turns each operation into
//! the push that a process would send.

use crate::body::{Push, PushedFamily, PushedGroup, PushedSample};
use proptest::prelude::*;
use proptest::sample::select;
use sidecar_model::MetricType;
use sidecar_store::Replaces;
use std::collections::BTreeMap;

/// Ids that write; the last one is nobody's.
pub(crate) const IDS: [&str; 4] = ["a", "b", "c", ""];

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Push(PushOp),
    Tick(u64),
    Depart(u8),
    Retire(u8),
    Erase(u8),
    Clear,
    /// Memory is short.
    Relieve,
    Reload(u8),
    DeleteGroup {
        key: u8,
        erase: bool,
        below: bool,
    },
    /// The same samples in turn from two processes under one id, this often.
    Pair(PushOp, u8),
}

#[derive(Clone, Debug)]
pub(crate) struct PushOp {
    pub(crate) id: u8,
    /// Another id in the same body.
    pub(crate) beside: Option<u8>,
    pub(crate) order: Order,
    pub(crate) is_final: bool,
    pub(crate) strict: bool,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) group: Option<GroupOp>,
    pub(crate) items: Vec<ItemOp>,
}

/// A push to the group of a key, which is the writer instead of the id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupOp {
    pub(crate) key: u8,
    pub(crate) replaces: Replaces,
    pub(crate) delta: bool,
}

/// Paths of groups. The third names an empty label, the last one is an instance where settings say so.
pub(crate) const KEYS: [&str; 8] = [
    "job/a",
    "job/a/l/1",
    "job/a/l/",
    "instance/i/job/a",
    "_id/1/job/a",
    "_id/2/job/a",
    "_id/1/instance/i/job/a",
    "job/a/pod/p",
];

pub(crate) fn key(index: u8) -> Vec<(String, String)> {
    let parts: Vec<&str> = KEYS[usize::from(index)].split('/').collect();
    parts.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

/// What `Push-Sequence` says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    None,
    Next,
    Repeated,
    NewEpoch,
}

#[derive(Clone, Debug)]
pub(crate) struct ItemOp {
    pub(crate) family: u8,
    pub(crate) labels: u8,
    pub(crate) step: Step,
    pub(crate) delta: bool,
    pub(crate) wish: u8,
    /// Choice of bounds, type, unit, created: whatever the family varies in.
    pub(crate) variant: u8,
}

/// How a value differs from the one that the same writer pushed before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Same,
    Grow(u8),
    Fall(u8),
    Zero,
    Odd(u8),
}

/// What a test lets happen.
#[derive(Clone, Debug)]
pub(crate) struct Theme {
    pub(crate) families: &'static [u8],
    pub(crate) ids: &'static [u8],
    pub(crate) orders: &'static [Order],
    pub(crate) functions: &'static [u8],
    pub(crate) deltas: bool,
    pub(crate) ttls: bool,
    pub(crate) several_ids: bool,
    pub(crate) finals: bool,
    pub(crate) odd: bool,
    pub(crate) falls: bool,
    pub(crate) erase: bool,
    pub(crate) clear: bool,
    pub(crate) relieves: bool,
    pub(crate) reloads: u8,
    pub(crate) variants: u8,
    pub(crate) strict: bool,
    pub(crate) units: bool,
    /// Two processes push in turn under one id.
    pub(crate) pairs: bool,
    /// Indices of the keys of groups.
    pub(crate) groups: &'static [u8],
    pub(crate) ticks: &'static [u64],
}

/// In the steps in which ids and families are looked over.
pub(crate) const TICKS: &[u64] =
    &[10_000, 10_000, 20_000, 20_000, 30_000, 40_000, 50_000, 90_000, 130_000, 170_000, 300_000];

/// Function labels; the first means none. The model does not know the last two.
pub(crate) const WISHES: [&str; 15] = [
    "", "sum", "mean", "min", "max", "count", "first", "last", "stddev", "stdvar", "median", "p90",
    "all", "sum20s", "mean1m",
];

impl Theme {
    pub(crate) const PLAIN: Theme = Theme {
        families: &[0, 1],
        ids: &[0, 1, 2],
        orders: &[Order::None],
        functions: &[0],
        deltas: false,
        ttls: false,
        several_ids: false,
        finals: false,
        odd: false,
        falls: true,
        erase: false,
        clear: false,
        relieves: false,
        reloads: 0,
        variants: 1,
        strict: false,
        units: false,
        pairs: false,
        groups: &[],
        ticks: TICKS,
    };

    pub(crate) fn histories(self) -> impl Strategy<Value = Vec<Op>> {
        let op = self.clone().op();
        proptest::collection::vec(op, 1..30)
    }

    fn op(self) -> impl Strategy<Value = Op> {
        let id = select(self.ids);
        let weight = |on: bool| u32::from(on);
        let reloads = self.reloads.max(1);
        prop_oneof![
            12 => self.clone().push().prop_map(Op::Push),
            4 * weight(self.pairs) => (self.clone().push(), 1..4_u8).prop_map(|(p, n)| Op::Pair(p, n)),
            4 => select(self.ticks).prop_map(Op::Tick),
            1 => id.clone().prop_map(Op::Depart),
            1 => id.clone().prop_map(Op::Retire),
            weight(self.erase) => id.prop_map(Op::Erase),
            weight(self.clear) => Just(Op::Clear),
            2 * weight(self.relieves) => Just(Op::Relieve),
            weight(self.reloads > 0) => (0..reloads).prop_map(Op::Reload),
            2 * weight(!self.groups.is_empty()) => (0..KEYS.len(), any::<bool>(), any::<bool>())
                .prop_map(|(key, erase, below)| Op::DeleteGroup { key: key as u8, erase, below }),
        ]
    }

    fn push(self) -> impl Strategy<Value = PushOp> {
        let beside = if self.several_ids {
            proptest::option::weighted(0.2, select(self.ids)).boxed()
        } else {
            Just(None).boxed()
        };
        let order = select(self.orders);
        let ttl = if self.ttls {
            proptest::option::weighted(0.2, select(&[20_000_u64, 60_000][..])).boxed()
        } else {
            Just(None).boxed()
        };
        let group = if self.groups.is_empty() {
            Just(None).boxed()
        } else {
            let replaces = select(&[Replaces::Everything, Replaces::SameFamilies][..]);
            let delta = proptest::bool::weighted(if self.deltas { 0.15 } else { 0.0 });
            let group = (select(self.groups), replaces, delta);
            let group = group.prop_map(|(key, replaces, delta)| GroupOp { key, replaces, delta });
            proptest::option::weighted(0.8, group).boxed()
        };
        let sometimes = |on: bool| proptest::bool::weighted(if on { 0.15 } else { 0.0 });
        (
            select(self.ids),
            beside,
            order,
            sometimes(self.finals),
            sometimes(self.strict),
            ttl,
            group,
            proptest::collection::vec(self.item(), 1..4),
        )
            .prop_map(|(id, beside, order, is_final, strict, ttl_ms, group, items)| {
                PushOp { id, beside, order, is_final, strict, ttl_ms, group, items }
            })
    }

    fn item(self) -> impl Strategy<Value = ItemOp> {
        let weight = |on: bool| u32::from(on);
        let step = prop_oneof![
            4 => (1..40_u8).prop_map(Step::Grow),
            2 => Just(Step::Same),
            2 * weight(self.falls) => (1..20_u8).prop_map(Step::Fall),
            weight(self.falls) => Just(Step::Zero),
            weight(self.odd) => (0..4_u8).prop_map(Step::Odd),
        ];
        let delta = proptest::bool::weighted(if self.deltas { 0.3 } else { 0.0 });
        (select(self.families), 0..3_u8, step, delta, select(self.functions), 0..self.variants)
            .prop_map(|(family, labels, step, delta, wish, variant)| ItemOp {
                family,
                labels,
                step,
                delta,
                wish,
                variant,
            })
    }
}

/// What the processes of a history remember.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// In units; of a histogram for each of its buckets.
    values: BTreeMap<(u8, u8, u8), Vec<f64>>,
    sequences: BTreeMap<u8, (u64, u64)>,
    /// A unit: 0.5, or 0.1 where nothing may differ by an ulp.
    unit: f64,
    /// Families have units, each id's own.
    units: bool,
    /// The wall clock: each push to a group is a second.
    seconds: u32,
}

impl World {
    pub(crate) fn new(unit: f64, units: bool) -> World {
        World { unit, units, ..World::default() }
    }

    pub(crate) fn push(&mut self, op: &PushOp) -> Push {
        let mut push = Push {
            sequence: self.sequence(op.id, op.order),
            is_final: op.is_final,
            strict: op.strict,
            ttl_ms: op.ttl_ms,
            group: op.group.map(|group| self.group(group)),
            families: Vec::new(),
        };
        let beside = op.beside.filter(|_| push.sequence.is_none() && !op.is_final);
        for (index, item) in op.items.iter().enumerate() {
            let id = match beside {
                Some(beside) if index % 2 == 1 => beside,
                _ => op.id,
            };
            let family = match op.group {
                None => self.family(id, IDS[usize::from(id)], item),
                // Beside the group's own samples those of a process that names itself.
                Some(group) if id == op.id => self.family(16 + group.key, "", item),
                Some(group) => self.family(32 + 4 * group.key + id, IDS[usize::from(id)], item),
            };
            let same = |f: &PushedFamily| {
                f.name == family.name
                    && f.metric_type == family.metric_type
                    && f.delta == family.delta
            };
            if push.families.iter().any(|f| f.name == family.name && !same(f)) {
                continue;
            }
            match push.families.iter_mut().find(|f| same(f)) {
                Some(open) => open.samples.extend(family.samples),
                None => push.families.push(family),
            }
        }
        push
    }

    /// What another process under the same id pushes: it has counted more.
    pub(crate) fn other(&self, push: &Push) -> Push {
        let mut other = push.clone();
        let samples = other.families.iter_mut().flat_map(|f| &mut f.samples);
        samples.for_each(|sample| sample.value += 100.0 * self.unit);
        other
    }

    fn sequence(&mut self, id: u8, order: Order) -> Option<(String, u64, u64)> {
        // One writer never says, so that its id has no epoch.
        if IDS[usize::from(id)].is_empty() || id == 1 {
            return None;
        }
        let (epoch, n) = self.sequences.entry(id).or_insert((0, 0));
        let acked = match order {
            Order::None => return None,
            Order::Next => {
                *n += 1;
                *n - 1
            }
            Order::Repeated => n.saturating_sub(1),
            Order::NewEpoch => {
                (*epoch, *n) = (*epoch + 1, 1);
                0
            }
        };
        Some((format!("e{epoch}"), *n, acked))
    }

    fn group(&mut self, group: GroupOp) -> PushedGroup {
        self.seconds += 1;
        PushedGroup {
            key: key(group.key),
            replaces: if group.delta { Replaces::Nothing } else { group.replaces },
            delta: group.delta,
            at: f64::from(self.seconds),
            failed: false,
        }
    }

    /// `who` keeps count of it, `id` is what the samples say.
    fn family(&mut self, who: u8, id: &str, item: &ItemOp) -> PushedFamily {
        let (name, metric_type) = match item.family {
            0 => ("c_total", MetricType::Counter),
            1 => ("g", MetricType::Gauge),
            2 => ("u", MetricType::Unknown),
            3 => ("v_total", MetricType::Unknown),
            4 => ("h", MetricType::Histogram),
            5 => ("s", MetricType::Summary),
            6 => ("i_info", MetricType::Info),
            7 => ("st", MetricType::StateSet),
            8 => ("gh", MetricType::GaugeHistogram),
            9 => match item.variant {
                0 => ("t_total", MetricType::Counter),
                1 => ("t", MetricType::Gauge),
                _ => ("t", MetricType::Histogram),
            },
            10 => ("t_count", MetricType::Gauge),
            _ => ("process_start_time_seconds", MetricType::Gauge),
        };
        let units = item.family == 0 && self.units;
        let unit = if units { ["bytes", "seconds", "", "bytes"][usize::from(who) % 4] } else { "" };
        let counts = matches!(metric_type, MetricType::Counter | MetricType::Histogram);
        let delta = item.delta && item.family != 11;
        let summary = metric_type == MetricType::Summary;
        let mut family = PushedFamily {
            name: name.to_owned(),
            metric_type,
            help: if who == 1 { format!("Help of {name}.") } else { String::new() },
            unit: unit.to_owned(),
            delta,
            samples: Vec::new(),
        };
        let composite = metric_type.is_composite();
        let key = (who, item.family, item.labels);
        let values = self.step(key, item, counts || summary || delta, composite, delta);
        let labels = labels(id, item);
        match metric_type {
            MetricType::Histogram | MetricType::GaugeHistogram => {
                histogram(&mut family, &labels, &values, item.variant);
            }
            MetricType::Summary => summary_samples(&mut family, &labels, &values, item.variant),
            _ => family.samples.push(sample(name, &labels, values[0])),
        }
        if metric_type == MetricType::Counter && item.variant == 2 {
            let created = (values[0] / 10.0).floor();
            family.samples.push(sample("c_created", &labels, created));
        }
        family
    }

    fn step(
        &mut self,
        key: (u8, u8, u8),
        item: &ItemOp,
        positive: bool,
        composite: bool,
        delta: bool,
    ) -> Vec<f64> {
        let unit = self.unit;
        let values = self.values.entry(key).or_insert_with(|| vec![0.0; 3]);
        let at = usize::from(item.variant) % if composite { 3 } else { 1 };
        match item.step {
            Step::Same => {}
            Step::Grow(by) => values[at] += f64::from(by),
            Step::Fall(by) => {
                values[at] -= f64::from(by);
                if positive {
                    values[at] = values[at].max(0.0);
                }
            }
            Step::Zero => values.fill(0.0),
            Step::Odd(kind) => {
                let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0][usize::from(kind)];
                let mut odds: Vec<f64> = values.iter().map(|v| v * unit).collect();
                odds[at] = odd;
                return odds;
            }
        }
        if delta {
            let small = f64::from(item.labels + 1);
            return values.iter().map(|v| (v % 7.0).max(small) * unit).collect();
        }
        values.iter().map(|v| v * unit).collect()
    }
}

fn labels(id: &str, item: &ItemOp) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    if !id.is_empty() {
        labels.push(pair("_id", id));
    }
    if item.family != 11 {
        match item.labels {
            0 => {}
            1 => labels.push(pair("l", "1")),
            _ => labels.extend([pair("m", "x"), pair("l", "2")]),
        }
        let wish = WISHES[usize::from(item.wish)];
        if !wish.is_empty() {
            labels.push(pair("_aggregate", wish));
        }
    }
    labels
}

fn sample(name: &str, labels: &[(String, String)], value: f64) -> PushedSample {
    PushedSample { name: name.to_owned(), labels: labels.to_vec(), value }
}

fn histogram(family: &mut PushedFamily, labels: &[(String, String)], counts: &[f64], variant: u8) {
    let bounds = if variant == 2 { ["1.0", "5", "+Inf"] } else { ["1.0", "2.5", "+Inf"] };
    let name = family.name.clone();
    let mut below = 0.0;
    for (bound, count) in bounds.iter().zip(counts) {
        below += count;
        let mut labels = labels.to_vec();
        labels.push(("le".to_owned(), (*bound).to_owned()));
        family.samples.push(sample(&format!("{name}_bucket"), &labels, below));
    }
    family.samples.push(sample(&format!("{name}_sum"), labels, counts[0] + 2.0 * counts[1]));
    family.samples.push(sample(&format!("{name}_count"), labels, below));
}

fn summary_samples(
    family: &mut PushedFamily,
    labels: &[(String, String)],
    values: &[f64],
    variant: u8,
) {
    let name = family.name.clone();
    if variant < 2 {
        let mut labels = labels.to_vec();
        labels.push(("quantile".to_owned(), "0.5".to_owned()));
        family.samples.push(sample(&name, &labels, values[1]));
    }
    family.samples.push(sample(&format!("{name}_sum"), labels, values[0] * 3.0));
    family.samples.push(sample(&format!("{name}_count"), labels, values[0]));
}
