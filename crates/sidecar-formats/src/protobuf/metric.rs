//! A metric of a family: its labels, and the value of a counter, gauge or untyped one. The known
//! sample is not parsed; only its number is read.
//!
//! Raw bytes of such a sample: the metric from its first label to the tag of its value's message,
//! if nothing stands behind that message. They hold no length that an exemplar or a created time
//! would change.

use super::composite::{Labelled, Part};
use super::decode::Reader;
use super::error::{Read, Reason};
use super::fields::{counter, exemplar, label, metric, timestamp};
use super::wire::{Fields, Value, delimited};
use crate::Timestamps;
use sidecar_model::{ExemplarParts, Problem, Sink};
use std::borrow::Cow;

/// The tag of a label, in the one way that writers write it.
const LABEL_TAG: u8 = 0x0a;
/// The tag of a value in its message.
const VALUE_TAG: u8 = 0x09;

/// A message that holds one value.
#[derive(Debug)]
pub(super) struct Scalar {
    field: u32,
    /// The field's tag, in the one way that writers write it.
    tag: u8,
    word: &'static str,
}

impl Scalar {
    pub(super) const COUNTER: Scalar =
        Scalar { field: metric::COUNTER, tag: 0x1a, word: "counter" };
    pub(super) const GAUGE: Scalar = Scalar { field: metric::GAUGE, tag: 0x12, word: "gauge" };
    pub(super) const UNTYPED: Scalar =
        Scalar { field: metric::UNTYPED, tag: 0x2a, word: "untyped value" };
}

/// What such a message says.
#[derive(Clone, Copy, Debug, Default)]
struct Number<'a> {
    value: f64,
    exemplar: Option<&'a [u8]>,
    start: Option<&'a [u8]>,
}

/// A metric taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) labelled: Labelled<'a>,
    pub(super) message: &'a [u8],
    /// Labels, then the message, and nothing else.
    plain: bool,
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    #[inline]
    pub(super) fn scalar(&mut self, metric: &'a [u8], kind: &Scalar) -> Read<()> {
        let len = self.sink.next_sample_len();
        if let Some((raw, rest)) = metric.split_at_checked(len)
            && raw.last() == Some(&kind.tag)
            && let Some(message) = all_of(rest)
            && self.sink.is_next_sample(raw)
        {
            if let Some(value) = lone_value(message) {
                self.sink.value(value);
                return Ok(());
            }
            let number = Number::of(message, kind)?;
            self.sink.value(number.value);
            let labelled = Labelled { metric, leading: Some(len - 1) };
            return self.behind_scalar(labelled, number);
        }
        self.new_scalar(metric, kind)
    }

    fn new_scalar(&mut self, metric: &'a [u8], kind: &Scalar) -> Read<()> {
        let parts = self.take_apart(metric, kind.field, kind.word)?;
        let number = Number::of(parts.message, kind)?;
        self.parts.name = None;
        self.read_labels(metric)?;
        let raw = parts.labelled.leading.and_then(|len| metric.get(..len.saturating_add(1)));
        let raw = raw.filter(|raw| parts.plain && raw.last() == Some(&kind.tag));
        let taken = self.sink.sample(raw, &mut self.parts, number.value);
        self.accepted(metric, taken)?;
        self.behind_scalar(parts.labelled, number)
    }

    fn behind_scalar(&mut self, labelled: Labelled<'a>, number: Number<'a>) -> Read<()> {
        if let Some(exemplar) = number.exemplar {
            self.exemplar(exemplar)?;
        }
        match number.start {
            Some(start) => self.part(labelled, Part::Created, unix_seconds(start)?),
            None => Ok(()),
        }
    }

    /// Finds the parts of a metric whose value is in the field `own`.
    pub(super) fn take_apart(
        &self,
        metric: &'a [u8],
        own: u32,
        word: &'static str,
    ) -> Read<Parts<'a>> {
        let leading = leading_labels(metric, self.sink.most_labels())?;
        let mut fields = Fields::of(metric.get(leading..).unwrap_or_default());
        let (mut message, mut late_labels, mut others) = (None, false, false);
        while let Some((number, value)) = fields.next()? {
            match number {
                metric::LABEL => late_labels = true,
                metric::TIMESTAMP_MS => {
                    value.varint()?;
                    if self.timestamps == Timestamps::Reject {
                        return Err(Reason::Timestamp);
                    }
                    others = true;
                }
                number if number == own => {
                    if message.replace(value.bytes()?).is_some() {
                        return Err(Reason::ValueTwice(word));
                    }
                }
                _ => others = true,
            }
        }
        let labelled = Labelled { metric, leading: (!late_labels).then_some(leading) };
        let message = message.ok_or(Reason::ValueMissing(word))?;
        Ok(Parts { labelled, message, plain: !late_labels && !others })
    }

    /// Reads all labels of a metric into the scratch.
    pub(super) fn read_labels(&mut self, metric: &'a [u8]) -> Read<()> {
        let most = self.sink.most_labels();
        let labels = &mut self.parts.labels;
        labels.clear();
        let mut fields = Fields::of(metric);
        while let Some((number, value)) = fields.next()? {
            if number == metric::LABEL {
                let (name, value) = label_pair(value)?;
                labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
                if labels.len() > most {
                    return Err(Reason::Sink(Problem::TOO_MANY_LABELS));
                }
            }
        }
        Ok(())
    }

    /// What the sink says of a sample; a refused label's name is read again, since the sink may
    /// have moved it.
    pub(super) fn accepted(&mut self, metric: &'a [u8], taken: Result<(), Problem>) -> Read<()> {
        let Err(problem) = taken else { return Ok(()) };
        if let Some(index) = problem.label {
            self.read_labels(metric)?;
            self.place.label = self.parts.labels.get(index).map(|(name, _)| name.to_string());
        }
        Err(Reason::Sink(problem))
    }

    /// Gives the sink an exemplar of the last sample.
    pub(super) fn exemplar(&mut self, message: &'a [u8]) -> Read<()> {
        let mut parts = ExemplarParts::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                exemplar::LABEL => {
                    let (name, value) = label_pair(value)?;
                    parts.labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
                }
                exemplar::VALUE => parts.value = value.double()?,
                exemplar::TIMESTAMP => parts.timestamp = Some(unix_seconds(value.bytes()?)?),
                _ => {}
            }
        }
        self.sink.exemplar(&parts);
        Ok(())
    }
}

impl<'a> Number<'a> {
    fn of(message: &'a [u8], kind: &Scalar) -> Read<Number<'a>> {
        let mut found = Number::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                counter::VALUE => found.value = value.double()?,
                counter::EXEMPLAR if kind.field == metric::COUNTER => {
                    found.exemplar = Some(value.bytes()?);
                }
                counter::START if kind.field == metric::COUNTER => {
                    found.start = Some(value.bytes()?);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The value that is all of the message.
#[inline]
fn lone_value(message: &[u8]) -> Option<f64> {
    let (tag, value) = message.split_first()?;
    let value = <[u8; 8]>::try_from(value).ok()?;
    (*tag == VALUE_TAG).then(|| f64::from_le_bytes(value))
}

/// What stands behind a length that reaches exactly to the end.
#[inline]
fn all_of(mut bytes: &[u8]) -> Option<&[u8]> {
    let message = delimited(&mut bytes).ok()?;
    bytes.is_empty().then_some(message)
}

/// How many bytes the labels take that the metric begins with.
fn leading_labels(metric: &[u8], most: usize) -> Read<usize> {
    let (mut rest, mut count) = (metric, 0);
    while let Some((&LABEL_TAG, mut label)) = rest.split_first() {
        count += 1;
        if count > most {
            return Err(Reason::Sink(Problem::TOO_MANY_LABELS));
        }
        delimited(&mut label)?;
        rest = label;
    }
    Ok(metric.len() - rest.len())
}

#[inline]
fn label_pair(pair: Value<'_>) -> Read<(&str, &str)> {
    let (mut name, mut text) = ("", "");
    let mut fields = Fields::of(pair.bytes()?);
    while let Some((number, value)) = fields.next()? {
        match number {
            label::NAME => name = value.text()?,
            label::VALUE => text = value.text()?,
            _ => {}
        }
    }
    Ok((name, text))
}

/// A `Timestamp` message as Unix seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of this age are exact, nanoseconds are small"
)]
#[expect(clippy::cast_possible_truncation, reason = "so the wire form says of int32")]
pub(super) fn unix_seconds(message: &[u8]) -> Read<f64> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            timestamp::SECONDS => seconds = value.varint()?.cast_signed(),
            timestamp::NANOS => nanos = value.varint()? as i32,
            _ => {}
        }
    }
    Ok(seconds as f64 + f64::from(nanos) / 1e9)
}
