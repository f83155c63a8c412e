//! The model's types as bytes. A label set is checked: the rest of the store takes it as it is.

use super::{Corrupt, Reader, Stored, Writer, stored, stored_choice};
use sidecar_model::{
    Aggregation, Bound, Exemplar, LabelSet, MetricType, NativeHistogram, Role, Temporality, Tick,
    Total, Window,
};
use std::sync::Arc;
use std::time::Duration;

stored_choice!(MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
    Summary = 3,
    Unknown = 4,
    Info = 5,
    StateSet = 6,
    GaugeHistogram = 7,
});

stored_choice!(Role { Value = 0, Bucket = 1, Sum = 2, Count = 3, Quantile = 4, Created = 5 });

stored_choice!(Temporality { Cumulative = 0, Delta = 1 });

stored!(Exemplar { labels, value, timestamp });

impl Stored for Aggregation {
    fn put(&self, out: &mut Writer<'_>) {
        let code = match self {
            Aggregation::Sum => 101,
            Aggregation::Mean => 102,
            Aggregation::Min => 103,
            Aggregation::Max => 104,
            Aggregation::Count => 105,
            Aggregation::First => 106,
            Aggregation::Last => 107,
            Aggregation::StdDev => 108,
            Aggregation::StdVar => 109,
            Aggregation::All => 110,
            Aggregation::Percentile(percent) => *percent,
            Aggregation::Window(window) => {
                out.byte(111);
                window.put(out);
                return;
            }
        };
        out.byte(code);
    }

    fn take(from: &mut Reader<'_>) -> Result<Aggregation, Corrupt> {
        Ok(match from.byte()? {
            101 => Aggregation::Sum,
            102 => Aggregation::Mean,
            103 => Aggregation::Min,
            104 => Aggregation::Max,
            105 => Aggregation::Count,
            106 => Aggregation::First,
            107 => Aggregation::Last,
            108 => Aggregation::StdDev,
            109 => Aggregation::StdVar,
            110 => Aggregation::All,
            111 => Aggregation::Window(Stored::take(from)?),
            percent @ 0..=100 => Aggregation::Percentile(percent),
            _ => return Err(Corrupt("an aggregation")),
        })
    }
}

impl Stored for Window {
    fn put(&self, out: &mut Writer<'_>) {
        out.text(self.to_string().as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<Window, Corrupt> {
        Window::parse(from.str()?).ok_or(Corrupt("a window"))
    }
}

impl Stored for Tick {
    fn put(&self, out: &mut Writer<'_>) {
        out.number(self.as_millis());
    }

    fn take(from: &mut Reader<'_>) -> Result<Tick, Corrupt> {
        from.number().map(Tick::from_millis)
    }
}

impl Stored for Duration {
    fn put(&self, out: &mut Writer<'_>) {
        out.number(self.as_secs());
        out.number(u64::from(self.subsec_nanos()));
    }

    fn take(from: &mut Reader<'_>) -> Result<Duration, Corrupt> {
        let (seconds, nanos) = (from.number()?, u32::take(from)?);
        if nanos < 1_000_000_000 {
            Ok(Duration::new(seconds, nanos))
        } else {
            Err(Corrupt("a time"))
        }
    }
}

impl Stored for Total {
    fn put(&self, out: &mut Writer<'_>) {
        let (high, low) = self.parts();
        out.float(high);
        out.float(low);
    }

    fn take(from: &mut Reader<'_>) -> Result<Total, Corrupt> {
        Ok(Total::from_parts(from.float()?, from.float()?))
    }
}

impl Stored for Arc<[Bound]> {
    fn put(&self, out: &mut Writer<'_>) {
        out.bounds(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Arc<[Bound]>, Corrupt> {
        from.bounds()
    }
}

impl Stored for Arc<Exemplar> {
    fn put(&self, out: &mut Writer<'_>) {
        Exemplar::put(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Arc<Exemplar>, Corrupt> {
        Exemplar::take(from).map(Arc::new)
    }
}

impl Stored for LabelSet {
    fn put(&self, out: &mut Writer<'_>) {
        out.text(self.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<LabelSet, Corrupt> {
        canonical(from).map(LabelSet::from_canonical)
    }
}

/// The canonical bytes of a label set: names that rise, all of it text.
pub(crate) fn canonical<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Corrupt> {
    let bytes = from.text()?;
    if LabelSet::is_canonical(bytes) { Ok(bytes) } else { Err(Corrupt("a label set")) }
}

impl Stored for NativeHistogram {
    fn put(&self, out: &mut Writer<'_>) {
        let NativeHistogram {
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive,
            negative,
            is_float,
        } = self;
        out.signed(i64::from(*schema));
        [zero_threshold, zero_count, count, sum].iter().for_each(|value| out.float(**value));
        positive.put(out);
        negative.put(out);
        is_float.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<NativeHistogram, Corrupt> {
        let schema = i8::try_from(from.signed()?).unwrap_or(i8::MAX);
        let histogram = NativeHistogram {
            schema,
            zero_threshold: from.float()?,
            zero_count: from.float()?,
            count: from.float()?,
            sum: from.float()?,
            positive: buckets(from)?,
            negative: buckets(from)?,
            is_float: bool::take(from)?,
        };
        if NativeHistogram::SCHEMAS.contains(&schema) && !histogram.zero_threshold.is_nan() {
            Ok(histogram)
        } else {
            Err(Corrupt("a native histogram"))
        }
    }
}

fn buckets(from: &mut Reader<'_>) -> Result<Vec<(i32, f64)>, Corrupt> {
    let buckets: Vec<(i32, f64)> = Vec::take(from)?;
    if buckets.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        Ok(buckets)
    } else {
        Err(Corrupt("buckets out of order"))
    }
}
