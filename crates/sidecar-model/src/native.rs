//! Native histograms: buckets whose bounds a schema gives, sparse; how they are added, compared and
//! written as spans. Never reads a wire form.

use std::ops::RangeInclusive;

/// The native buckets of one histogram, as absolute counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// -4 to 8: bucket `index` ends at `2^(index * 2^-schema)`.
    pub schema: i8,
    /// Observations up to this distance from zero are in the zero bucket.
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    /// Index and count, by index, without empty buckets.
    pub positive: Vec<(i32, f64)>,
    /// Of observations below zero, by distance from zero.
    pub negative: Vec<(i32, f64)>,
    /// Counts are not whole numbers.
    pub is_float: bool,
}

/// A run of neighbouring buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the first span: its first index; of others: how many buckets lie between it and the
    /// span before.
    pub offset: i32,
    pub length: u32,
}

/// Why spans and counts do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    #[error("the spans have another length than the counts")]
    OtherLength,
    #[error("a span begins before the end of the one before it")]
    Overlap,
    #[error("a bucket's index does not fit 32 bits")]
    IndexOverflow,
}

impl NativeHistogram {
    pub const SCHEMAS: RangeInclusive<i8> = -4..=8;

    /// Adds this histogram to `total`: at the lower of the two resolutions, under the wider zero
    /// bucket, counts conserved.
    ///
    /// Where resolutions or zero buckets differ, the zero bucket ends where a bucket of the common
    /// resolution does, and takes in the buckets below. Where it ends depends neither on which
    /// buckets hold something nor on the order in which histograms are added: a zero bucket that
    /// grew with a later observation would look like a restart.
    pub fn merge_into(&self, total: &mut NativeHistogram) {
        let schema = self.schema.min(total.schema);
        #[expect(clippy::float_cmp, reason = "the same threshold, or another")]
        let alike = self.schema == total.schema && self.zero_threshold == total.zero_threshold;
        let threshold = self.zero_threshold.max(total.zero_threshold);
        let threshold = if alike { threshold } else { end_of_bucket(threshold, schema) };
        total.reduce_to(schema);
        for (mine, theirs) in
            [(&self.positive, &mut total.positive), (&self.negative, &mut total.negative)]
        {
            let reduced = reduced(mine, self.schema, schema);
            *theirs = added(theirs, reduced.as_deref().unwrap_or(mine));
        }
        total.zero_count += self.zero_count;
        if !alike {
            total.widen_zero_bucket(threshold);
        }
        total.count += self.count;
        total.sum += self.sum;
        total.is_float |= self.is_float;
    }

    /// Lowers the resolution, each step of which makes one bucket of two.
    pub fn reduce_to(&mut self, schema: i8) {
        for buckets in [&mut self.positive, &mut self.negative] {
            if let Some(fewer) = reduced(buckets, self.schema, schema) {
                *buckets = fewer;
            }
        }
        self.schema = self.schema.min(schema);
    }

    /// Lowers the resolution until there are at most `max` buckets, or it can be no lower.
    pub fn limit_buckets(&mut self, max: usize) {
        while self.positive.len() + self.negative.len() > max
            && self.schema > *Self::SCHEMAS.start()
        {
            self.reduce_to(self.schema - 1);
        }
    }

    /// Observations in all buckets; those that were NaN are in none.
    pub fn in_buckets(&self) -> f64 {
        let of = |buckets: &[(i32, f64)]| buckets.iter().map(|(_, count)| count).sum::<f64>();
        self.zero_count + of(&self.positive) + of(&self.negative)
    }

    /// Whether `new`, of the same series, cannot have grown out of `old`.
    pub fn has_reset(old: &NativeHistogram, new: &NativeHistogram) -> bool {
        if new.count < old.count
            || new.schema > old.schema
            || new.zero_threshold < old.zero_threshold
        {
            return true;
        }
        let mut old = old.clone();
        if old.zero_threshold < new.zero_threshold {
            let cut = |buckets: &[(i32, f64)]| {
                buckets.iter().any(|(index, _)| {
                    bound(*index, old.schema) > new.zero_threshold
                        && bound(index.saturating_sub(1), old.schema) < new.zero_threshold
                })
            };
            if cut(&old.positive) || cut(&old.negative) {
                return true;
            }
            old.widen_zero_bucket(new.zero_threshold);
        }
        if new.zero_count < old.zero_count {
            return true;
        }
        old.reduce_to(new.schema);
        any_falls(&old.positive, &new.positive) || any_falls(&old.negative, &new.negative)
    }

    /// Takes all buckets that end at or below `threshold` into the zero bucket.
    fn widen_zero_bucket(&mut self, threshold: f64) {
        self.zero_threshold = threshold;
        if threshold <= 0.0 {
            return;
        }
        for buckets in [&mut self.positive, &mut self.negative] {
            let inside =
                buckets.partition_point(|(index, _)| bound(*index, self.schema) <= threshold);
            self.zero_count += buckets.drain(..inside).map(|(_, count)| count).sum::<f64>();
        }
    }

    /// Buckets as spans and their counts. Between spans at least two empty buckets lie: one is
    /// written out, which is shorter.
    pub fn to_spans(buckets: &[(i32, f64)]) -> (Vec<Span>, Vec<f64>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut counts = Vec::with_capacity(buckets.len());
        let mut next = 0_i32;
        for (index, count) in buckets {
            let gap = index.wrapping_sub(next);
            match spans.last_mut() {
                Some(span) if (0..=1).contains(&gap) => {
                    counts.extend((0..gap).map(|_| 0.0));
                    span.length += 1 + gap.unsigned_abs();
                }
                Some(_) | None => spans.push(Span { offset: gap, length: 1 }),
            }
            counts.push(*count);
            next = index.wrapping_add(1);
        }
        (spans, counts)
    }

    /// Buckets of spans and their counts, without empty ones.
    pub fn from_spans(spans: &[Span], counts: &[f64]) -> Result<Vec<(i32, f64)>, SpanError> {
        let all: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if usize::try_from(all).ok() != Some(counts.len()) {
            return Err(SpanError::OtherLength);
        }
        let mut buckets = Vec::with_capacity(counts.len());
        let mut counts = counts.iter();
        let mut next = 0_i64;
        for (nth, span) in spans.iter().enumerate() {
            if nth > 0 && span.offset < 0 {
                return Err(SpanError::Overlap);
            }
            next += i64::from(span.offset);
            for count in counts.by_ref().take(usize::try_from(span.length).unwrap_or(usize::MAX)) {
                let index = i32::try_from(next).map_err(|_| SpanError::IndexOverflow)?;
                if *count != 0.0 {
                    buckets.push((index, *count));
                }
                next += 1;
            }
        }
        Ok(buckets)
    }
}

/// The upper end of a bucket.
fn bound(index: i32, schema: i8) -> f64 {
    (f64::from(index) * f64::from(-i32::from(schema)).exp2()).exp2()
}

/// The lowest end of a bucket that is not below `threshold`.
fn end_of_bucket(threshold: f64, schema: i8) -> f64 {
    if threshold <= 0.0 || !threshold.is_finite() {
        return threshold;
    }
    let guess = (threshold.log2() * f64::from(schema).exp2()).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "at most 1074 * 2^8")]
    let guess = guess as i32;
    // A logarithm can be off by its last digit.
    let mut index = guess - 1;
    while bound(index, schema) < threshold {
        index += 1;
    }
    bound(index, schema).min(f64::MAX)
}

/// The buckets at a lower resolution; `None`: they are not above it.
fn reduced(buckets: &[(i32, f64)], from: i8, to: i8) -> Option<Vec<(i32, f64)>> {
    let steps = from.checked_sub(to).filter(|steps| *steps > 0)?;
    let mut fewer: Vec<(i32, f64)> = Vec::with_capacity(buckets.len());
    for (index, count) in buckets {
        let index = ((i64::from(*index) - 1) >> steps) + 1;
        let index = i32::try_from(index).unwrap_or(i32::MIN);
        match fewer.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            Some(_) | None => fewer.push((index, *count)),
        }
    }
    Some(fewer)
}

fn added(a: &[(i32, f64)], b: &[(i32, f64)]) -> Vec<(i32, f64)> {
    let mut sums = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (None, None) => return sums,
            (Some(x), Some(y)) if x.0 == y.0 => {
                a.next().zip(b.next()).map(|(x, y)| (x.0, x.1 + y.1))
            }
            (Some(x), Some(y)) if y.0 < x.0 => b.next(),
            (Some(_), _) => a.next(),
            (None, Some(_)) => b.next(),
        };
        sums.extend(next);
    }
}

/// Whether a bucket of `old` has less in `new`.
fn any_falls(old: &[(i32, f64)], new: &[(i32, f64)]) -> bool {
    let mut new = new.iter().copied().peekable();
    old.iter().any(|(index, count)| {
        while new.next_if(|(other, _)| other < index).is_some() {}
        let now = new.next_if(|(other, _)| other == index).map_or(0.0, |(_, now)| now);
        now < *count
    })
}
