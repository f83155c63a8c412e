//! Metrics with their numbers: what stands behind a point's labels.

use super::fields::{
    bucket, counter, exemplar, histogram, metric, quantile, span, summary, timestamp,
};
use super::put;
use super::render::{field_and_kind, write_labels};
use sidecar_model::{
    ABSENT, Bound, Escaping, Exemplar, Extras, MetricType, NativeHistogram, Point, PointKind,
    is_absent,
};

/// Unix seconds from the year 1 to 9999: what a `Timestamp` may say.
const TIMES: std::ops::Range<f64> = -62_135_596_800.0..253_402_300_800.0;

/// A point of a family, with what it has in this exposition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) point: &'a Point,
    /// Its labels as they are written.
    pub(super) labels: &'a [u8],
    pub(super) values: &'a [f64],
    /// Where the values begin among the family's.
    pub(super) first: usize,
    /// In which place it is among the points.
    pub(super) index: usize,
    pub(super) extras: &'a Extras,
    pub(super) metric_type: MetricType,
    pub(super) escaping: Escaping,
}

impl Shown<'_> {
    /// Appends the metric as a field of its family, if the point is there.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let there = match &self.point.kind {
            PointKind::Scalar | PointKind::Summary(_) => self.values.iter().any(|v| !is_absent(*v)),
            PointKind::Histogram(_) => self.values.first().is_some_and(|v| !is_absent(*v)),
        };
        if !there {
            return;
        }
        let (field, _) = field_and_kind(self.metric_type);
        put::nested(super::fields::family::METRIC, out, |out| {
            out.extend_from_slice(self.labels);
            put::nested(field, out, |out| match &self.point.kind {
                PointKind::Scalar => self.scalar(out),
                PointKind::Histogram(bounds) => self.histogram(bounds, out),
                PointKind::Summary(quantiles) => self.summary(quantiles, out),
            });
        });
    }

    fn value(&self, nth: usize) -> f64 {
        self.values.get(nth).copied().unwrap_or(ABSENT)
    }

    fn scalar(&self, out: &mut Vec<u8>) {
        put::double(counter::VALUE, self.value(0), out);
        if self.metric_type == MetricType::Counter {
            self.exemplar(0, counter::EXEMPLAR, out);
            self.start(counter::START, out);
        }
    }

    fn summary(&self, quantiles: &[Bound], out: &mut Vec<u8>) {
        let (sum, count) = (self.value(quantiles.len()), self.value(quantiles.len() + 1));
        if !is_absent(count) {
            put::int(summary::COUNT, rounded(count), out);
        }
        put::double(summary::SUM, known_or_nan(sum), out);
        for (bound, value) in quantiles.iter().zip(self.values) {
            if !is_absent(*value) {
                put::nested(summary::QUANTILE, out, |out| {
                    put::double(quantile::QUANTILE, bound.value, out);
                    put::double(quantile::VALUE, *value, out);
                });
            }
        }
        self.start(summary::START, out);
    }

    fn histogram(&self, bounds: &[Bound], out: &mut Vec<u8>) {
        let at = self.index;
        let native = self.extras.natives.binary_search_by_key(&at, |native| native.0 as usize);
        let native = native.ok().and_then(|at| self.extras.natives.get(at));
        let classic = self.values.get(..bounds.len()).unwrap_or_default();
        let (count, sum) = match native {
            Some((_, native)) => (native.count, native.sum),
            None => (self.value(bounds.len().saturating_sub(1)), self.value(bounds.len())),
        };
        let is_float = match native {
            Some((_, native)) => native.is_float,
            None => !classic.iter().all(|count| is_whole(*count)),
        };
        put_classic_count(is_float, (histogram::COUNT, histogram::COUNT_FLOAT), count, out);
        put::double(histogram::SUM, known_or_nan(sum), out);
        // A bucket that only says the count again is none of a purely native histogram's.
        let buckets = if native.is_some() && bounds.len() == 1 { &[] } else { bounds };
        for (nth, (bound, count)) in buckets.iter().zip(classic).enumerate() {
            put::nested(histogram::BUCKET, out, |out| {
                let fields = (bucket::COUNT, bucket::COUNT_FLOAT);
                put_classic_count(!is_whole(*count), fields, *count, out);
                put::double(bucket::UPPER_BOUND, bound.value, out);
                self.exemplar(nth, bucket::EXEMPLAR, out);
            });
        }
        if let Some((_, native)) = native {
            put_native(native, out);
        }
        if self.metric_type == MetricType::Histogram {
            self.start(histogram::START, out);
        }
        if buckets.is_empty()
            && let Some(found) = self.exemplar_of(0)
            && found.timestamp.is_some()
        {
            // Native buckets' exemplars are nothing without their time.
            put::nested(histogram::EXEMPLAR, out, |out| self.put_exemplar(found, out));
        }
    }

    fn start(&self, field: u32, out: &mut Vec<u8>) {
        let start = self.extras.created.get(self.index).copied().unwrap_or(ABSENT);
        put_time(field, start, out);
    }

    /// Of the point's `nth` value.
    fn exemplar_of(&self, nth: usize) -> Option<&Exemplar> {
        let all = &self.extras.exemplars;
        let at = self.first.saturating_add(nth);
        let found = all.binary_search_by_key(&at, |exemplar| exemplar.0 as usize).ok()?;
        all.get(found).map(|(_, exemplar)| &**exemplar)
    }

    fn exemplar(&self, nth: usize, field: u32, out: &mut Vec<u8>) {
        if let Some(found) = self.exemplar_of(nth) {
            put::nested(field, out, |out| self.put_exemplar(found, out));
        }
    }

    fn put_exemplar(&self, found: &Exemplar, out: &mut Vec<u8>) {
        // A label of an exemplar has the number that one of a metric has.
        const { assert!(exemplar::LABEL == metric::LABEL) };
        write_labels(&found.labels, &[], self.escaping, out);
        put::double(exemplar::VALUE, found.value, out);
        put_time(exemplar::TIMESTAMP, found.timestamp.unwrap_or(ABSENT), out);
    }
}

/// The format has no word for a sum that is not known, and without one readers take zero.
const fn known_or_nan(sum: f64) -> f64 {
    if is_absent(sum) { f64::NAN } else { sum }
}

/// Whether the number fits the integer fields, exactly.
fn is_whole(count: f64) -> bool {
    (0.0..9_223_372_036_854_775_808.0).contains(&count) && count.fract() == 0.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn rounded(count: f64) -> u64 {
    count.round() as u64
}

fn put_count(is_float: bool, field: u32, count: f64, out: &mut Vec<u8>) {
    if is_float {
        put::double(field, count, out);
    } else {
        put::int(field, rounded(count), out);
    }
}

/// A count that is not whole is written rounded too, for readers that know no float histograms; for
/// the others the float goes first.
fn put_classic_count(is_float: bool, (whole, float): (u32, u32), count: f64, out: &mut Vec<u8>) {
    put::int(whole, rounded(count), out);
    if is_float {
        put::double(float, count, out);
    }
}

/// Appends a `Timestamp` of Unix seconds, if it can say them.
fn put_time(field: u32, time: f64, out: &mut Vec<u8>) {
    if !TIMES.contains(&time) {
        return;
    }
    let mut seconds = time.floor();
    let mut nanos = ((time - seconds) * 1e9).round();
    if nanos >= 1e9 {
        (seconds, nanos) = (seconds + 1.0, 0.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the years 1 to 9999")]
    let (seconds, nanos) = (seconds as i64, nanos as i64);
    put::nested(field, out, |out| {
        if seconds != 0 {
            put::int(timestamp::SECONDS, seconds.cast_unsigned(), out);
        }
        if nanos != 0 {
            put::int(timestamp::NANOS, nanos.cast_unsigned(), out);
        }
    });
}

fn put_native(native: &NativeHistogram, out: &mut Vec<u8>) {
    put::int(histogram::SCHEMA, put::zigzag(i64::from(native.schema)), out);
    put::double(histogram::ZERO_THRESHOLD, native.zero_threshold, out);
    let zero_field =
        if native.is_float { histogram::ZERO_COUNT_FLOAT } else { histogram::ZERO_COUNT };
    put_count(native.is_float, zero_field, native.zero_count, out);
    let negative = (histogram::NEGATIVE_SPAN, histogram::NEGATIVE_DELTA, histogram::NEGATIVE_COUNT);
    put_buckets(&native.negative, native.is_float, negative, out);
    let positive = (histogram::POSITIVE_SPAN, histogram::POSITIVE_DELTA, histogram::POSITIVE_COUNT);
    put_buckets(&native.positive, native.is_float, positive, out);
    if native.positive.is_empty() && native.negative.is_empty() && native.zero_threshold <= 0.0 {
        // Else readers would take an empty histogram for a classic one.
        put_span(histogram::POSITIVE_SPAN, 0, 0, out);
    }
}

fn put_span(field: u32, offset: i32, length: u32, out: &mut Vec<u8>) {
    put::nested(field, out, |out| {
        put::int(span::OFFSET, put::zigzag(i64::from(offset)), out);
        put::int(span::LENGTH, u64::from(length), out);
    });
}

fn put_buckets(
    buckets: &[(i32, f64)],
    is_float: bool,
    (spans_field, deltas_field, counts_field): (u32, u32, u32),
    out: &mut Vec<u8>,
) {
    if buckets.is_empty() {
        return;
    }
    let (spans, counts) = NativeHistogram::to_spans(buckets);
    for span in spans {
        put_span(spans_field, span.offset, span.length, out);
    }
    if is_float {
        put::nested(counts_field, out, |out| {
            counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        });
        return;
    }
    put::nested(deltas_field, out, |out| {
        let mut before = 0_i64;
        for count in counts {
            let count = rounded(count).min(i64::MAX.cast_unsigned()).cast_signed();
            put::varint(put::zigzag(count - before), out);
            before = count;
        }
    });
}
