//! The native part of a histogram: spans with deltas or counts become absolute counts.

use super::MAX_NATIVE_BUCKETS;
use super::composite::count as count_of;
use super::error::{Read, Reason};
use super::fields::{histogram, span};
use super::wire::{Fields, Value, unzigzag, varint};
use sidecar_model::{NativeHistogram, Span};

/// The fields as they came.
#[derive(Debug, Default)]
pub(super) struct Native<'a> {
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    positive: Buckets<'a>,
    negative: Buckets<'a>,
}

/// One sign's; deltas and counts as runs of bytes, packed or one by one.
#[derive(Debug, Default)]
struct Buckets<'a> {
    spans: Vec<Span>,
    /// Of all spans together.
    length: u64,
    deltas: Vec<Value<'a>>,
    counts: Vec<Value<'a>>,
}

impl<'a> Native<'a> {
    /// Takes a field of a histogram in if it is of the native part.
    pub(super) fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            histogram::SCHEMA => self.schema = value.sint32()?,
            histogram::ZERO_THRESHOLD => self.zero_threshold = value.double()?,
            histogram::ZERO_COUNT => self.zero_count = value.varint()?,
            histogram::ZERO_COUNT_FLOAT => self.zero_count_float = value.double()?,
            histogram::NEGATIVE_SPAN => self.negative.span(value)?,
            histogram::NEGATIVE_DELTA => run(&mut self.negative.deltas, value)?,
            histogram::NEGATIVE_COUNT => run(&mut self.negative.counts, value)?,
            histogram::POSITIVE_SPAN => self.positive.span(value)?,
            histogram::POSITIVE_DELTA => run(&mut self.positive.deltas, value)?,
            histogram::POSITIVE_COUNT => run(&mut self.positive.counts, value)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn is_there(&self) -> bool {
        self.zero_threshold > 0.0
            || self.zero_count > 0
            || self.zero_count_float > 0.0
            || !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
    }

    pub(super) fn is_float(&self) -> bool {
        self.zero_count_float > 0.0
            || !self.positive.counts.is_empty()
            || !self.negative.counts.is_empty()
    }

    pub(super) fn histogram(&self, count: f64, sum: f64, is_float: bool) -> Read<NativeHistogram> {
        let schema =
            i8::try_from(self.schema).ok().filter(|s| NativeHistogram::SCHEMAS.contains(s));
        let schema = schema.ok_or(Reason::Native("the schema must be from -4 to 8"))?;
        if !self.zero_threshold.is_finite() || self.zero_threshold < 0.0 {
            return Err(Reason::Native("the zero threshold must be finite and not negative"));
        }
        let zero_count = if is_float { self.zero_count_float } else { count_of(self.zero_count) };
        let found = NativeHistogram {
            schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum,
            positive: self.positive.absolute(is_float)?,
            negative: self.negative.absolute(is_float)?,
            is_float,
        };
        if !(found.zero_count.is_finite() && found.zero_count >= 0.0) {
            return Err(Reason::Native("the zero count must be finite and not negative"));
        }
        // What is not in a bucket was NaN. Sums of floats may be off by their last digits.
        if !is_float && found.in_buckets() > found.count {
            return Err(Reason::Native("more observations in the buckets than the count says"));
        }
        Ok(found)
    }
}

impl Buckets<'_> {
    fn span(&mut self, value: Value<'_>) -> Read<()> {
        let (mut offset, mut length) = (0, 0_u64);
        let mut fields = Fields::of(value.bytes()?);
        while let Some((number, value)) = fields.next()? {
            match number {
                span::OFFSET => offset = value.sint32()?,
                span::LENGTH => length = value.varint()?,
                _ => {}
            }
        }
        let length = u32::try_from(length).map_err(|_| Reason::TooManyBuckets)?;
        self.length = self.length.saturating_add(u64::from(length));
        let fits = usize::try_from(self.length).is_ok_and(|all| all <= MAX_NATIVE_BUCKETS);
        if !fits || self.spans.len() >= MAX_NATIVE_BUCKETS {
            return Err(Reason::TooManyBuckets);
        }
        self.spans.push(Span { offset, length });
        Ok(())
    }

    fn absolute(&self, is_float: bool) -> Read<Vec<(i32, f64)>> {
        let counts = if is_float { floats(&self.counts)? } else { sums(&self.deltas)? };
        if counts.iter().any(|count| !(count.is_finite() && *count >= 0.0)) {
            return Err(Reason::Native("a bucket's count must be finite and not negative"));
        }
        NativeHistogram::from_spans(&self.spans, &counts).map_err(Reason::Spans)
    }
}

/// Numbers come packed into one field, or each in its own.
fn run<'a>(runs: &mut Vec<Value<'a>>, value: Value<'a>) -> Read<()> {
    if runs.len() >= MAX_NATIVE_BUCKETS {
        return Err(Reason::TooManyBuckets);
    }
    runs.push(value);
    Ok(())
}

fn push(counts: &mut Vec<f64>, count: f64) -> Read<()> {
    if counts.len() >= MAX_NATIVE_BUCKETS {
        return Err(Reason::TooManyBuckets);
    }
    counts.push(count);
    Ok(())
}

/// Each delta is from the bucket before.
fn sums(deltas: &[Value<'_>]) -> Read<Vec<f64>> {
    let mut counts = Vec::new();
    let mut sum = 0_i64;
    let mut add = |delta: u64| {
        sum =
            sum.checked_add(unzigzag(delta)).ok_or(Reason::Native("a bucket's count overflows"))?;
        let whole = u64::try_from(sum);
        let whole = whole.map_err(|_| Reason::Native("a bucket's count is negative"))?;
        push(&mut counts, count_of(whole))
    };
    for run in deltas {
        match *run {
            Value::Varint(delta) => add(delta)?,
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    add(varint(&mut packed)?)?;
                }
            }
            Value::Fixed64(_) | Value::Fixed32(_) => return Err(Reason::WrongWireType),
        }
    }
    Ok(counts)
}

fn floats(runs: &[Value<'_>]) -> Read<Vec<f64>> {
    let mut counts = Vec::new();
    for run in runs {
        match *run {
            Value::Fixed64(bytes) => push(&mut counts, f64::from_le_bytes(bytes))?,
            Value::Bytes(packed) => {
                let (chunks, rest) = packed.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(Reason::Truncated);
                }
                for bytes in chunks {
                    push(&mut counts, f64::from_le_bytes(*bytes))?;
                }
            }
            Value::Varint(_) | Value::Fixed32(_) => return Err(Reason::WrongWireType),
        }
    }
    Ok(counts)
}
