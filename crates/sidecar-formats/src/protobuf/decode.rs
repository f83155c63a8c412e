//! Decodes a body into a [`Sink`]: families, and what is wrong where.
//!
//! Raw bytes of a header are those of the family before its first metric, without the family's
//! length, which changes with its metrics. They are given out only where no field of the header
//! stands behind a metric.

use super::error::{Read, Reason};
use super::fields::{family, kind};
use super::metric::Scalar;
use super::wire::{Fields, delimited, text, varint};
use crate::{DecodeError, Timestamps};
use sidecar_model::{FamilyHeader, MetricType, SampleParts, Sink, Temporality};
use std::borrow::Cow;

/// The tag of a metric, in the one way that writers write it.
const METRIC_TAG: u8 = 0x22;
/// Bytes of a name that a place repeats.
const MAX_PLACE_BYTES: usize = 200;

/// Gives `sink` what the body says. After an error the sink holds a part of it.
///
/// Places of errors count families and metrics from 1.
pub fn decode<S: Sink>(
    body: &[u8],
    timestamps: Timestamps,
    sink: &mut S,
) -> Result<(), DecodeError> {
    let mut reader = Reader {
        sink,
        timestamps,
        parts: SampleParts::default(),
        key: Vec::new(),
        family: Outline::default(),
        place: Place::default(),
    };
    reader.body(body).map_err(|reason| reader.explain(reason))
}

#[derive(Debug)]
pub(super) struct Reader<'a, 's, S> {
    pub(super) sink: &'s mut S,
    pub(super) timestamps: Timestamps,
    /// Scratch of every sample that is parsed.
    pub(super) parts: SampleParts<'a>,
    /// Scratch: what stands for the raw bytes of a sample that shares its metric with others.
    pub(super) key: Vec<u8>,
    pub(super) family: Outline<'a>,
    pub(super) place: Place<'a>,
}

/// Where we are, for errors.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    family: usize,
    /// The family's bytes, or what there is of them.
    bytes: &'a [u8],
    metric: usize,
    pub(super) label: Option<String>,
}

/// A family's fields, unchecked.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    pub(super) name: &'a [u8],
    help: &'a [u8],
    unit: &'a [u8],
    pub(super) metric_type: MetricType,
    /// Where the first metric stands; with none, where the family ends.
    metrics_from: usize,
    /// A field of the header stands behind a metric.
    late_fields: bool,
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    fn body(&mut self, body: &'a [u8]) -> Read<()> {
        let mut rest = body;
        while !rest.is_empty() {
            self.place = Place { family: self.place.family + 1, ..Place::default() };
            let mut start = rest;
            varint(&mut start)?;
            self.place.bytes = start;
            let family = delimited(&mut rest)?;
            self.place.bytes = family;
            self.family(family)?;
        }
        Ok(())
    }

    fn family(&mut self, bytes: &'a [u8]) -> Read<()> {
        self.family = Outline::of(bytes)?;
        let (header, metrics) =
            bytes.split_at_checked(self.family.metrics_from).unwrap_or_default();
        let raw = (!self.family.late_fields && !header.is_empty()).then_some(header);
        let known = raw.is_some_and(|raw| {
            self.sink.next_header_len() == raw.len() && self.sink.follow_header(raw)
        });
        if !known {
            let header = self.family.header()?;
            self.sink.header(raw, &header).map_err(Reason::Sink)?;
        }
        match self.family.metric_type {
            MetricType::Counter => self.scalars(metrics, &Scalar::COUNTER),
            MetricType::Gauge => self.scalars(metrics, &Scalar::GAUGE),
            MetricType::Summary => self.each_metric(metrics, Self::summary),
            MetricType::Histogram | MetricType::GaugeHistogram => {
                self.each_metric(metrics, Self::histogram)
            }
            MetricType::Unknown | MetricType::Info | MetricType::StateSet => {
                self.scalars(metrics, &Scalar::UNTYPED)
            }
        }
    }

    fn scalars(&mut self, metrics: &'a [u8], kind: &Scalar) -> Read<()> {
        self.each_metric(metrics, |reader, metric| reader.scalar(metric, kind))
    }

    #[inline]
    fn each_metric(
        &mut self,
        mut metrics: &'a [u8],
        read: impl Fn(&mut Self, &'a [u8]) -> Read<()>,
    ) -> Read<()> {
        loop {
            let metric = match metrics.split_first() {
                None => return Ok(()),
                Some((tag, rest)) if *tag == METRIC_TAG => {
                    metrics = rest;
                    delimited(&mut metrics)?
                }
                Some(_) => {
                    let mut fields = Fields::of(metrics);
                    let field = fields.next()?;
                    metrics = fields.rest;
                    match field {
                        Some((family::METRIC, value)) => value.bytes()?,
                        Some(_) | None => continue,
                    }
                }
            };
            self.place.metric += 1;
            read(self, metric)?;
        }
    }

    #[cold]
    fn explain(&self, reason: Reason) -> DecodeError {
        let mut at = String::new();
        if self.place.family > 0 {
            at.push_str(&format!("family {}", self.place.family));
            let name = String::from_utf8_lossy(name_of(self.place.bytes));
            if !name.is_empty() {
                at.push_str(&format!(" ({})", shortened(&name)));
            }
        }
        if self.place.metric > 0 {
            at.push_str(&format!(", metric {}", self.place.metric));
        }
        if let Some(label) = &self.place.label {
            at.push_str(&format!(", label {}", shortened(label)));
        }
        DecodeError { code: reason.code(), at, message: reason.to_string() }
    }
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_PLACE_BYTES)).unwrap_or_default()
}

/// The first name in a family that need not be whole.
fn name_of(family: &[u8]) -> &[u8] {
    let mut fields = Fields::of(family);
    while let Ok(Some((number, value))) = fields.next() {
        if number == family::NAME {
            return value.bytes().unwrap_or_default();
        }
    }
    &[]
}

impl<'a> Outline<'a> {
    fn of(bytes: &'a [u8]) -> Read<Outline<'a>> {
        let mut outline = Outline { metric_type: MetricType::Counter, ..Outline::default() };
        let mut fields = Fields::of(bytes);
        let mut metrics_from = None;
        loop {
            let at = bytes.len() - fields.rest.len();
            if let Some((&METRIC_TAG, mut rest)) = fields.rest.split_first() {
                metrics_from.get_or_insert(at);
                delimited(&mut rest)?;
                fields.rest = rest;
                continue;
            }
            let Some((number, value)) = fields.next()? else { break };
            match number {
                family::METRIC => {
                    value.bytes()?;
                    metrics_from.get_or_insert(at);
                    continue;
                }
                family::NAME => outline.name = value.bytes()?,
                family::HELP => outline.help = value.bytes()?,
                family::UNIT => outline.unit = value.bytes()?,
                family::TYPE => outline.metric_type = metric_type(value.varint()?)?,
                _ => continue,
            }
            outline.late_fields |= metrics_from.is_some();
        }
        outline.metrics_from = metrics_from.unwrap_or(bytes.len());
        Ok(outline)
    }

    fn header(&self) -> Read<FamilyHeader<'a>> {
        Ok(FamilyHeader {
            name: Cow::Borrowed(text(self.name)?),
            metric_type: self.metric_type,
            help: Cow::Borrowed(text(self.help)?),
            unit: Cow::Borrowed(text(self.unit)?),
            temporality: Temporality::Cumulative,
            aggregation: None,
        })
    }
}

const fn metric_type(number: u64) -> Read<MetricType> {
    match number {
        kind::COUNTER => Ok(MetricType::Counter),
        kind::GAUGE => Ok(MetricType::Gauge),
        kind::SUMMARY => Ok(MetricType::Summary),
        kind::UNTYPED => Ok(MetricType::Unknown),
        kind::HISTOGRAM => Ok(MetricType::Histogram),
        kind::GAUGE_HISTOGRAM => Ok(MetricType::GaugeHistogram),
        _ => Err(Reason::UnknownType),
    }
}
