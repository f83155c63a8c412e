//! The samples of summaries and histograms, which share one metric.
//!
//! Numbers change their width and with it the lengths before them, so nothing in a metric's bytes
//! can be remembered as such. What stands for the raw bytes of such a sample: the metric's labels
//! as written, the bits of its bound, and a byte that says which part it is.

use super::decode::Reader;
use super::error::Read;
use super::fields::{bucket, histogram, metric, quantile, summary};
use super::metric::unix_seconds;
use super::native::Native;
use super::wire::{Fields, text};
use crate::number::write_value;
use sidecar_model::{MetricType, Sink, base_name};
use std::borrow::Cow;

/// A metric, and where its labels stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labelled<'a> {
    pub(super) metric: &'a [u8],
    /// Length of the labels at the metric's beginning; `None`: there are others.
    pub(super) leading: Option<usize>,
}

/// A sample among those of one metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Bucket(f64),
    Quantile(f64),
    Sum,
    Count,
    Created,
}

impl Part {
    /// No tag of a value's message is so low: see the raw bytes of scalars.
    const fn number(self) -> u8 {
        match self {
            Part::Bucket(_) => 0,
            Part::Quantile(_) => 1,
            Part::Sum => 2,
            Part::Count => 3,
            Part::Created => 4,
        }
    }

    /// The label that the part has besides the metric's.
    const fn bound(self) -> Option<(&'static str, f64)> {
        match self {
            Part::Bucket(bound) => Some(("le", bound)),
            Part::Quantile(quantile) => Some(("quantile", quantile)),
            Part::Sum | Part::Count | Part::Created => None,
        }
    }

    fn name(self, metric_type: MetricType, family: &str) -> Option<String> {
        match self {
            Part::Bucket(_) => Some(format!("{family}_bucket")),
            Part::Quantile(_) => None,
            Part::Sum => Some(format!("{family}_sum")),
            Part::Count => Some(format!("{family}_count")),
            Part::Created => Some(format!("{}_created", base_name(metric_type, family))),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are floats in the model")]
pub(super) const fn count(count: u64) -> f64 {
    count as f64
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    /// Gives the sink one of a metric's samples.
    pub(super) fn part(&mut self, of: Labelled<'a>, part: Part, value: f64) -> Read<()> {
        let key = of.leading.and_then(|len| of.metric.get(..len));
        if let Some(labels) = key {
            let bits = part.bound().map_or(0, |(_, bound)| bound.to_bits());
            self.key.clear();
            self.key.extend_from_slice(labels);
            self.key.extend_from_slice(&bits.to_le_bytes());
            self.key.push(part.number());
            if self.sink.next_sample_len() == self.key.len() && self.sink.is_next_sample(&self.key)
            {
                self.sink.value(value);
                return Ok(());
            }
        }
        self.read_labels(of.metric)?;
        if let Some((label, bound)) = part.bound() {
            self.parts.labels.push((Cow::Borrowed(label), Cow::Owned(bound_text(bound))));
        }
        let name = part.name(self.family.metric_type, text(self.family.name)?);
        self.parts.name = name.map(Cow::Owned);
        let raw = key.map(|_| self.key.as_slice());
        let taken = self.sink.sample(raw, &mut self.parts, value);
        self.accepted(of.metric, taken)
    }

    pub(super) fn summary(&mut self, bytes: &'a [u8]) -> Read<()> {
        let parts = self.take_apart(bytes, metric::SUMMARY, "summary")?;
        let (mut observed, mut sum, mut start) = (0.0, 0.0, None);
        let mut fields = Fields::of(parts.message);
        while let Some((number, value)) = fields.next()? {
            match number {
                summary::COUNT => observed = count(value.varint()?),
                summary::SUM => sum = value.double()?,
                summary::START => start = Some(unix_seconds(value.bytes()?)?),
                summary::QUANTILE => {
                    let (quantile, value) = quantile_value(value.bytes()?)?;
                    self.part(parts.labelled, Part::Quantile(quantile), value)?;
                }
                _ => {}
            }
        }
        self.part(parts.labelled, Part::Sum, sum)?;
        self.part(parts.labelled, Part::Count, observed)?;
        match start {
            Some(start) => self.part(parts.labelled, Part::Created, start),
            None => Ok(()),
        }
    }

    pub(super) fn histogram(&mut self, bytes: &'a [u8]) -> Read<()> {
        let parts = self.take_apart(bytes, metric::HISTOGRAM, "histogram")?;
        let of = parts.labelled;
        let facts = Facts::of(parts.message)?;
        let mut below = f64::NEG_INFINITY;
        let mut fields = Fields::of(parts.message);
        while let Some((number, value)) = fields.next()? {
            if number == histogram::BUCKET {
                let bucket = Bucket::of(value.bytes()?)?;
                self.part(of, Part::Bucket(bucket.bound), bucket.count)?;
                if let Some(exemplar) = bucket.exemplar {
                    self.exemplar(exemplar)?;
                }
                self.native_exemplars(&facts, below, bucket.bound)?;
                below = bucket.bound;
            }
        }
        if below < f64::INFINITY {
            self.part(of, Part::Bucket(f64::INFINITY), facts.count)?;
            self.native_exemplars(&facts, below, f64::INFINITY)?;
        }
        self.part(of, Part::Sum, facts.sum)?;
        self.part(of, Part::Count, facts.count)?;
        if let Some(start) = facts.start
            && self.family.metric_type == MetricType::Histogram
        {
            self.part(of, Part::Created, start)?;
        }
        if !facts.native.is_there() {
            return Ok(());
        }
        let native = facts.native.histogram(facts.count, facts.sum, facts.is_float)?;
        self.read_labels(of.metric)?;
        self.parts.name = None;
        let taken = self.sink.native(&mut self.parts, native);
        self.accepted(of.metric, taken)
    }

    /// The exemplars of the native part that lie in the bucket taken in last.
    fn native_exemplars(&mut self, facts: &Facts<'a>, below: f64, bound: f64) -> Read<()> {
        for (value, exemplar) in &facts.exemplars {
            if below < *value && *value <= bound {
                self.exemplar(exemplar)?;
            }
        }
        Ok(())
    }
}

fn bound_text(bound: f64) -> String {
    let mut text = Vec::new();
    write_value(bound, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn quantile_value(message: &[u8]) -> Read<(f64, f64)> {
    let (mut quantile, mut found) = (0.0, 0.0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            quantile::QUANTILE => quantile = value.double()?,
            quantile::VALUE => found = value.double()?,
            _ => {}
        }
    }
    Ok((quantile, found))
}

/// A classic bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket<'a> {
    bound: f64,
    /// Cumulative.
    count: f64,
    exemplar: Option<&'a [u8]>,
}

impl<'a> Bucket<'a> {
    fn of(message: &'a [u8]) -> Read<Bucket<'a>> {
        let mut found = Bucket { bound: 0.0, count: 0.0, exemplar: None };
        let mut float = 0.0;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                bucket::COUNT => found.count = count(value.varint()?),
                bucket::UPPER_BOUND => found.bound = value.double()?,
                bucket::EXEMPLAR => found.exemplar = Some(value.bytes()?),
                bucket::COUNT_FLOAT => float = value.double()?,
                _ => {}
            }
        }
        if float > 0.0 {
            found.count = float;
        }
        Ok(found)
    }
}

/// What a histogram says besides its classic buckets.
#[derive(Debug, Default)]
struct Facts<'a> {
    count: f64,
    is_float: bool,
    sum: f64,
    start: Option<f64>,
    native: Native<'a>,
    /// Of the native part, by value.
    exemplars: Vec<(f64, &'a [u8])>,
}

impl<'a> Facts<'a> {
    fn of(message: &'a [u8]) -> Read<Facts<'a>> {
        let mut found = Facts::default();
        let mut float = 0.0;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                histogram::BUCKET => {}
                histogram::COUNT => found.count = count(value.varint()?),
                histogram::COUNT_FLOAT => float = value.double()?,
                histogram::SUM => found.sum = value.double()?,
                histogram::START => found.start = Some(unix_seconds(value.bytes()?)?),
                histogram::EXEMPLAR => {
                    let exemplar = value.bytes()?;
                    found.exemplars.push((exemplar_value(exemplar)?, exemplar));
                }
                _ => found.native.field(number, value)?,
            }
        }
        if float > 0.0 {
            found.count = float;
        }
        found.is_float = float > 0.0 || found.native.is_float();
        Ok(found)
    }
}

fn exemplar_value(message: &[u8]) -> Read<f64> {
    let mut found = 0.0;
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        if number == super::fields::exemplar::VALUE {
            found = value.double()?;
        }
    }
    Ok(found)
}
