//! Random expositions, and what a reader of their pages gets.

#![allow(clippy::wildcard_enum_match_arm, reason = "most types are alike here")]

use crate::recorder::{Event, Family, Recorded};
use proptest::prelude::*;
use sidecar_model::{
    ABSENT, Bound, Exemplar, ExemplarParts, Exposition, Extras, FamilyExposition, FamilyLayout,
    LabelSet, MetricType, NativeHistogram, Point, PointKind, base_name,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An exposition and what its page says.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) exposition: Exposition,
    pub(crate) expected: Recorded,
}

/// What one point has besides its labels; cut to what its type has.
#[derive(Clone, Debug)]
struct Numbers {
    value: f64,
    counts: [u32; 3],
    created: Option<u32>,
    exemplar: Option<(u32, bool)>,
    native: Option<NativeHistogram>,
}

type Labels = BTreeMap<String, String>;
type Parts = (String, MetricType, String, String, BTreeMap<Labels, Numbers>);

fn native() -> impl Strategy<Value = NativeHistogram> {
    let buckets = || prop::collection::btree_map(-9..20_i32, 1..50_u32, 0..5);
    (-4..9_i8, 0..3_u32, 0..5_u32, buckets(), buckets(), any::<bool>()).prop_map(
        |(schema, threshold, zeros, positive, negative, is_float)| {
            // The zero count of a float is not zero, so that it is read as one.
            let add = if is_float { 0.5 } else { 0.0 };
            let floats = |buckets: BTreeMap<i32, u32>| -> Vec<(i32, f64)> {
                buckets.into_iter().map(|(at, n)| (at, f64::from(n) + add)).collect()
            };
            let mut found = NativeHistogram {
                schema,
                zero_threshold: f64::from(threshold) / 1e6,
                zero_count: f64::from(zeros) + add,
                count: 0.0,
                sum: 1.5,
                positive: floats(positive),
                negative: floats(negative),
                is_float,
            };
            found.count = found.in_buckets();
            found
        },
    )
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let value = prop_oneof![4 => any::<f64>(), 2 => Just(3.0), 1 => Just(ABSENT)];
    (
        value,
        any::<[u32; 3]>(),
        prop::option::of(any::<u32>()),
        prop::option::of((any::<u32>(), any::<bool>())),
        prop::option::of(native()),
    )
        .prop_map(|(value, counts, created, exemplar, native)| Numbers {
            value,
            counts,
            created,
            exemplar,
            native,
        })
}

fn one_family(name: &'static str) -> impl Strategy<Value = Parts> {
    let labels = prop::collection::btree_map(name, ".{1,3}", 0..3);
    let labels = labels.prop_filter("a label needs a name", |labels| !labels.contains_key(""));
    let types = prop::sample::select(vec![
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
        MetricType::Summary,
        MetricType::Unknown,
        MetricType::Info,
    ]);
    (name, types, ".{0,5}", ".{0,2}", prop::collection::btree_map(labels, numbers(), 0..4))
}

pub(crate) fn any_case() -> impl Strategy<Value = Case> {
    prop::collection::vec(one_family("[a-cé]{1,2}"), 0..4).prop_map(|families| {
        let mut case = Case { exposition: Exposition::default(), expected: Recorded::default() };
        let families: BTreeMap<String, Parts> =
            families.into_iter().map(|family| (family.0.clone(), family)).collect();
        for (id, parts) in families.into_values().enumerate() {
            let (family, expected) = built(id as u64, parts);
            if !expected.events.is_empty() {
                case.expected.families.push(expected);
            }
            case.exposition.families.push(family);
        }
        case
    })
}

pub(crate) fn any_exposition() -> impl Strategy<Value = Exposition> {
    prop::collection::vec(one_family("[a._0:é]{0,3}|le"), 0..5).prop_map(|families| {
        let families: BTreeMap<String, Parts> =
            families.into_iter().map(|family| (family.0.clone(), family)).collect();
        let built = families.into_values().enumerate().map(|(id, p)| built(id as u64, p).0);
        Exposition { families: built.collect() }
    })
}

fn built(id: u64, (name, metric_type, help, unit, points): Parts) -> (FamilyExposition, Family) {
    let suffix = match metric_type {
        MetricType::Counter => "_total",
        MetricType::Info => "_info",
        _ => "",
    };
    let shown_type = if metric_type == MetricType::Info { MetricType::Gauge } else { metric_type };
    let mut made = Making {
        name: format!("{name}{suffix}"),
        metric_type,
        points: vec![],
        values: vec![],
        extras: Extras::default(),
        events: vec![],
    };
    let mut points: Vec<(LabelSet, Numbers)> = points
        .into_iter()
        .map(|(labels, numbers)| (LabelSet::new(labels.into_iter().collect()).unwrap(), numbers))
        .collect();
    points.sort_by(|a, b| a.0.cmp(&b.0));
    for (labels, numbers) in points {
        made.point(labels, &numbers);
    }
    let header = format!("{shown_type} {} help {help:?} unit {unit:?} Cumulative", made.name);
    let layout = FamilyLayout {
        id,
        name: name.into(),
        metric_type,
        suffixed: true,
        help: help.into(),
        unit: unit.into(),
        points: made.points,
    };
    let family =
        FamilyExposition { layout: Arc::new(layout), values: made.values, extras: made.extras };
    (family, Family { header, events: made.events })
}

struct Making {
    name: String,
    metric_type: MetricType,
    points: Vec<Point>,
    values: Vec<f64>,
    extras: Extras,
    events: Vec<Event>,
}

impl Making {
    fn point(&mut self, labels: LabelSet, numbers: &Numbers) {
        let absent = sidecar_model::is_absent(numbers.value);
        let cumulative = self.metric_type.is_cumulative();
        let created = numbers.created.filter(|_| cumulative).map(|n| f64::from(n) / 4.0);
        self.extras.created.push(created.unwrap_or(ABSENT));
        let before = self.events.len();
        let kind = match self.metric_type {
            MetricType::Histogram | MetricType::GaugeHistogram => {
                self.histogram(&labels, numbers, absent)
            }
            MetricType::Summary => self.summary(&labels, numbers, absent),
            _ => {
                if self.metric_type == MetricType::Counter {
                    self.exemplar(numbers, self.values.len());
                }
                self.values.push(numbers.value);
                self.sample("", &labels, None, numbers.value);
                if self.metric_type == MetricType::Counter {
                    self.exemplar_event(numbers);
                }
                PointKind::Scalar
            }
        };
        if let Some(created) = created {
            let base = base_name(self.metric_type, &self.name).to_owned();
            let event =
                Event::Sample(Some(format!("{base}_created")), pairs(&labels), created.to_bits());
            // Created times come before native buckets.
            let at = match self.events.last() {
                Some(Event::Native(_)) => self.events.len() - 1,
                _ => self.events.len(),
            };
            self.events.insert(at, event);
        }
        if absent {
            self.events.truncate(before);
        }
        self.points.push(Point { labels, kind });
    }

    fn histogram(&mut self, labels: &LabelSet, numbers: &Numbers, absent: bool) -> PointKind {
        let first = self.values.len();
        let [a, b, c] = numbers.counts.map(f64::from);
        let native = numbers.native.clone();
        let classic = native.is_none() || numbers.exemplar.is_none();
        let count = native.as_ref().map_or(a + b + c, |native| native.count);
        let (bounds, counts): (&[f64], Vec<f64>) = if classic {
            (&[0.5, 1e6, f64::INFINITY], vec![a, a + b, count])
        } else {
            (&[f64::INFINITY], vec![count])
        };
        let texts = ["0.5", "1e+06", "+Inf"];
        let texts = &texts[3 - bounds.len()..];
        self.values.extend(&counts);
        self.values.push(1.5);
        if absent {
            self.values[first] = ABSENT;
        }
        self.exemplar(numbers, self.values.len() - 2);
        for (text, count) in texts.iter().zip(&counts) {
            self.sample("_bucket", labels, Some(("le", text)), *count);
        }
        let timed = numbers.exemplar.is_some_and(|(_, timed)| timed);
        if classic || timed {
            self.exemplar_event(numbers);
        }
        self.sample("_sum", labels, None, 1.5);
        self.sample("_count", labels, None, count);
        if let Some(native) = native {
            self.events.push(Event::Native(format!("{:?} {native:?}", pairs(labels))));
            let index = self.points.len() as u32;
            self.extras.natives.push((index, Arc::new(native)));
        }
        PointKind::Histogram(
            bounds.iter().map(|value| Bound { value: *value, text: "x".into() }).collect(),
        )
    }

    fn summary(&mut self, labels: &LabelSet, numbers: &Numbers, absent: bool) -> PointKind {
        let count = f64::from(numbers.counts[0]);
        let values = [2.0, -1.0, 1.5, count];
        self.values.extend(if absent { [ABSENT; 4] } else { values });
        self.sample("", labels, Some(("quantile", "0.5")), 2.0);
        self.sample("", labels, Some(("quantile", "0.999")), -1.0);
        self.sample("_sum", labels, None, 1.5);
        self.sample("_count", labels, None, count);
        let bound = |value: f64| Bound { value, text: "x".into() };
        PointKind::Summary([bound(0.5), bound(0.999)].into())
    }

    fn sample(&mut self, suffix: &str, labels: &LabelSet, bound: Option<(&str, &str)>, value: f64) {
        let name = (!suffix.is_empty()).then(|| format!("{}{suffix}", self.name));
        let mut labels = pairs(labels);
        labels.extend(bound.map(|(name, text)| (name.to_owned(), text.to_owned())));
        self.events.push(Event::Sample(name, labels, value.to_bits()));
    }

    fn exemplar(&mut self, numbers: &Numbers, index: usize) {
        if let Some(exemplar) = exemplar(numbers) {
            self.extras.exemplars.push((index as u32, Arc::new(exemplar)));
        }
    }

    fn exemplar_event(&mut self, numbers: &Numbers) {
        if let Some(exemplar) = exemplar(numbers) {
            let parts = ExemplarParts {
                labels: vec![("trace".into(), "é".into())],
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            };
            self.events.push(Event::Exemplar(format!("{parts:?}")));
        }
    }
}

fn exemplar(numbers: &Numbers) -> Option<Exemplar> {
    let (value, timed) = numbers.exemplar?;
    let value = f64::from(value);
    let labels = LabelSet::new(vec![("trace", "é")]).unwrap();
    Some(Exemplar { labels, value, timestamp: timed.then_some(value / 4.0) })
}

fn pairs(labels: &LabelSet) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
