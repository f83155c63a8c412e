//! What a writer has of one series: random, and as the samples that it pushes.

use proptest::prelude::*;
use proptest::sample::select;
use sidecar_model::{
    ExemplarParts, FamilyHeader, MetricType, NativeHistogram, Problem, SampleParts, Sink,
};
use sidecar_store::Stager;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bounds that histograms choose from, as clients write them.
const BOUNDS: [(&str, f64); 5] =
    [("0.25", 0.25), ("1.0", 1.0), ("2.5", 2.5), ("5", 5.0), ("10.0", 10.0)];
/// A sum's unit has no exact float: what is added in another order may differ by an ulp.
const UNIT: f64 = 0.1;

/// What one writer has of a series of the family `m`.
#[derive(Clone, Debug)]
pub(crate) struct Contribution {
    /// Which of the family's series.
    pub(crate) series: u8,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Counter(u32),
    Classic(Classic),
    Summary { sum: Option<u32>, count: u32 },
    Native(Classic, Option<NativeHistogram>),
    Info,
    States([bool; 3]),
}

/// Observations by bound, not cumulative; those above all bounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classic {
    pub(crate) buckets: BTreeMap<usize, u32>,
    pub(crate) above: u32,
    pub(crate) sum: Option<u32>,
}

impl Classic {
    pub(crate) fn count(&self) -> u32 {
        self.buckets.values().sum::<u32>() + self.above
    }

    /// Cumulative, by the bound's text.
    fn lines(&self) -> Vec<(&'static str, f64)> {
        let mut below = 0;
        let cumulative = self.buckets.iter().map(|(bound, count)| {
            below += count;
            (BOUNDS[*bound].0, f64::from(below))
        });
        let mut lines: Vec<_> = cumulative.collect();
        lines.push(("+Inf", f64::from(self.count())));
        lines
    }

    /// Observations up to `bound` as far as is known.
    pub(crate) fn up_to(&self, bound: f64) -> f64 {
        let known = self.buckets.iter().filter(|(own, _)| BOUNDS[**own].1 <= bound);
        f64::from(known.map(|(_, count)| count).sum::<u32>())
    }

    pub(crate) fn bounds(&self) -> Vec<f64> {
        self.buckets.keys().map(|bound| BOUNDS[*bound].1).collect()
    }
}

// ---- random ones

pub(crate) fn counters() -> impl Strategy<Value = Value> {
    (0..1000_u32).prop_map(Value::Counter)
}

fn classic() -> impl Strategy<Value = Classic> {
    let buckets = prop::collection::btree_map(0..BOUNDS.len(), 0..20_u32, 0..BOUNDS.len());
    (buckets, 0..5_u32, prop::option::weighted(0.8, 1..1000_u32)).prop_map(
        |(buckets, above, sum)| {
            let classic = Classic { buckets, above, sum };
            let empty = classic.count() == 0;
            Classic { sum: sum.map(|sum| if empty { 0 } else { sum }), ..classic }
        },
    )
}

pub(crate) fn classics() -> impl Strategy<Value = Value> {
    classic().prop_map(Value::Classic)
}

pub(crate) fn summaries() -> impl Strategy<Value = Value> {
    (prop::option::weighted(0.8, 1..1000_u32), 1..50_u32)
        .prop_map(|(sum, count)| Value::Summary { sum, count })
}

pub(crate) fn infos() -> impl Strategy<Value = Value> {
    Just(Value::Info)
}

pub(crate) fn states() -> impl Strategy<Value = Value> {
    any::<[bool; 3]>().prop_map(Value::States)
}

/// Buckets between 2^-3 and 2^3, and a zero bucket that may reach into them.
fn native() -> impl Strategy<Value = NativeHistogram> {
    let thresholds = select(&[0.0, 1e-128, 0.125, 0.3, 0.5, 1.5][..]);
    (select(&[-2_i8, 0, 1, 3, 4][..]), thresholds, 0..4_u32, any::<bool>()).prop_flat_map(
        |(schema, zero_threshold, zero_count, is_float)| {
            let most = if schema < 0 { 1 } else { 3 << schema };
            let buckets = || {
                let step = if is_float { 0.5 } else { 1.0 };
                let count = (1..9_u32).prop_map(move |n| f64::from(n) * step);
                prop::collection::btree_map(-most..=most, count, 0..6)
            };
            (buckets(), buckets(), 1..1000_u32).prop_map(move |(positive, negative, sum)| {
                // What lies in the zero bucket has no bucket of its own.
                let end =
                    |index: i32| (f64::from(index) * f64::from(-i32::from(schema)).exp2()).exp2();
                let outside = |buckets: BTreeMap<i32, f64>| {
                    buckets.into_iter().filter(|(index, _)| end(*index) > zero_threshold).collect()
                };
                let mut native = NativeHistogram {
                    schema,
                    zero_threshold,
                    zero_count: f64::from(zero_count),
                    count: 0.0,
                    sum: f64::from(sum) * UNIT,
                    positive: outside(positive),
                    negative: outside(negative),
                    is_float,
                };
                native.count = native.in_buckets();
                native.sum = if native.count == 0.0 { 0.0 } else { native.sum };
                native
            })
        },
    )
}

/// With native buckets, or now and then without.
pub(crate) fn natives() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => native().prop_map(|native| Value::Native(Classic::default(), Some(native))),
        1 => classic().prop_map(|classic| Value::Native(classic, None)),
    ]
}

// ---- as samples

/// Which part of what it has a writer pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Half,
    All,
    /// A process that has just started.
    Nothing,
}

/// One push.
pub(crate) struct Pushed<'a> {
    pub(crate) metric_type: MetricType,
    pub(crate) id: &'a str,
    pub(crate) contribution: &'a Contribution,
    pub(crate) stage: Stage,
    /// Value of the exemplar of each counter and bucket, and when it began to count.
    pub(crate) extras: Option<f64>,
}

impl Pushed<'_> {
    pub(crate) fn offer(&self, sink: &mut Stager<'_>) -> Result<(), Problem> {
        let header = FamilyHeader {
            name: "m".into(),
            metric_type: self.metric_type,
            ..FamilyHeader::default()
        };
        sink.header(None, &header)?;
        match &self.contribution.value {
            Value::Counter(value) => {
                self.sample(sink, "m_total", None, self.part(*value), true)?;
                self.created(sink)
            }
            Value::Classic(classic) => self.classic(sink, classic),
            Value::Summary { sum, count } => {
                if let Some(sum) = sum {
                    self.sample(sink, "m_sum", None, self.part(*sum) * UNIT, false)?;
                }
                self.sample(sink, "m_count", None, self.part(*count), false)?;
                self.created(sink)
            }
            Value::Native(classic, None) => self.classic(sink, classic),
            Value::Native(_, Some(native)) => self.native(sink, native),
            Value::Info => self.sample(sink, "m_info", None, 1.0, false),
            Value::States(states) => {
                for (state, on) in ["x", "y", "z"].into_iter().zip(states) {
                    self.sample(sink, "m", Some(("m", state)), f64::from(u8::from(*on)), false)?;
                }
                Ok(())
            }
        }
    }

    fn part(&self, value: u32) -> f64 {
        f64::from(match self.stage {
            Stage::Half => value / 2,
            Stage::All => value,
            Stage::Nothing => 0,
        })
    }

    fn sample(
        &self,
        sink: &mut Stager<'_>,
        name: &'static str,
        label: Option<(&'static str, &'static str)>,
        value: f64,
        has_exemplar: bool,
    ) -> Result<(), Problem> {
        sink.sample(None, &mut self.parts(name, label), value)?;
        if let Some(value) = self.extras.filter(|_| has_exemplar) {
            sink.exemplar(&ExemplarParts { value, ..ExemplarParts::default() });
        }
        Ok(())
    }

    fn parts(
        &self,
        name: &'static str,
        label: Option<(&'static str, &'static str)>,
    ) -> SampleParts<'_> {
        let own = [("l", Cow::Owned(self.contribution.series.to_string()))];
        let id = (!self.id.is_empty()).then_some(("_id", Cow::Borrowed(self.id)));
        let label = label.map(|(name, value)| (name, Cow::Borrowed(value)));
        let labels = own.into_iter().chain(id).chain(label);
        let labels = labels.map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        SampleParts { name: Some(name.into()), labels }
    }

    fn created(&self, sink: &mut Stager<'_>) -> Result<(), Problem> {
        match self.extras {
            Some(created) => self.sample(sink, "m_created", None, created, false),
            None => Ok(()),
        }
    }

    fn classic(&self, sink: &mut Stager<'_>, classic: &Classic) -> Result<(), Problem> {
        let part = |count: &u32| match self.stage {
            Stage::Half => count / 2,
            Stage::All => *count,
            Stage::Nothing => 0,
        };
        let staged = Classic {
            buckets: classic.buckets.iter().map(|(bound, count)| (*bound, part(count))).collect(),
            above: part(&classic.above),
            sum: classic.sum,
        };
        let gauge = self.metric_type == MetricType::GaugeHistogram;
        for (le, count) in staged.lines() {
            self.sample(sink, "m_bucket", Some(("le", le)), count, true)?;
        }
        if let Some(sum) = staged.sum {
            let name = if gauge { "m_gsum" } else { "m_sum" };
            self.sample(sink, name, None, self.part(sum) * UNIT, false)?;
        }
        let name = if gauge { "m_gcount" } else { "m_count" };
        self.sample(sink, name, None, f64::from(staged.count()), false)?;
        if gauge { Ok(()) } else { self.created(sink) }
    }

    fn native(&self, sink: &mut Stager<'_>, native: &NativeHistogram) -> Result<(), Problem> {
        let part = |count: f64| match self.stage {
            Stage::Half => (count / 2.0).floor(),
            Stage::All => count,
            Stage::Nothing => 0.0,
        };
        let buckets = |buckets: &[(i32, f64)]| {
            let staged = buckets.iter().map(|(index, count)| (*index, part(*count)));
            staged.filter(|(_, count)| *count > 0.0).collect()
        };
        let mut staged = NativeHistogram {
            zero_count: part(native.zero_count),
            positive: buckets(&native.positive),
            negative: buckets(&native.negative),
            ..native.clone()
        };
        staged.count = staged.in_buckets();
        staged.sum = if staged.count == native.count { native.sum } else { 0.0 };
        self.sample(sink, "m_bucket", Some(("le", "+Inf")), staged.count, false)?;
        self.sample(sink, "m_sum", None, staged.sum, false)?;
        self.sample(sink, "m_count", None, staged.count, false)?;
        sink.native(&mut self.parts("m", None), staged)
    }
}
