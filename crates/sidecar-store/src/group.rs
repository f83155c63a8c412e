//! A composite value of one instance: a histogram or summary with its parts at consecutive
//! positions. Buckets are kept non-cumulative, so that merging adds and exposed buckets rise.

use crate::outcome::Reason;
use sidecar_model::{ABSENT, Bound, MetricType, is_absent};
use std::sync::Arc;

/// Parts in position order: one for each bound, then the sum, then the count.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) series: u32,
    /// Position of the first part.
    pub(crate) first: u32,
    pub(crate) bounds: Arc<[Bound]>,
    pub(crate) metric_type: MetricType,
    /// How many parts a push of this group has.
    pub(crate) pushed_parts: u32,
    pub(crate) state: GroupState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupState {
    Live,
    /// What an earlier life with other bounds counted: adds to the sum, is never written again.
    Frozen,
    /// Counts nowhere; its positions go at the end of the push.
    Dead,
}

impl Group {
    pub(crate) fn len(&self) -> usize {
        self.bounds.len() + 2
    }

    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let first = self.first as usize;
        first..first + self.len()
    }

    pub(crate) fn sum_at(&self) -> usize {
        self.bounds.len()
    }

    pub(crate) fn count_at(&self) -> usize {
        self.bounds.len() + 1
    }
}

/// Turns the parts of one push, as written (buckets cumulative, [`ABSENT`] where none was), into
/// what is kept: buckets non-cumulative, a count that is always there for histograms. True when a
/// sum that is not finite was left out.
pub(crate) fn settle(metric_type: MetricType, parts: &mut [f64]) -> Result<bool, Reason> {
    let Some((bounds, [sum, count])) = parts.split_last_chunk_mut::<2>() else {
        return Err(Reason::IncompleteHistogram);
    };
    let left_out = !is_absent(*sum) && !sum.is_finite();
    if left_out {
        *sum = ABSENT;
    }
    if metric_type == MetricType::Summary {
        check_count(*count)?;
    } else {
        settle_buckets(bounds, count)?;
    }
    Ok(left_out)
}

fn settle_buckets(buckets: &mut [f64], count: &mut f64) -> Result<(), Reason> {
    let infinite = buckets.last_mut().ok_or(Reason::IncompleteHistogram)?;
    match (is_absent(*infinite), is_absent(*count)) {
        (true, true) => return Err(Reason::IncompleteHistogram),
        (true, false) => *infinite = *count,
        (false, true) => *count = *infinite,
        (false, false) if infinite.total_cmp(count).is_eq() => {}
        (false, false) => return Err(mismatch(*infinite, *count)),
    }
    check_count(*count)?;
    let mut below = 0.0;
    for bucket in buckets {
        check_count(*bucket)?;
        let cumulative = *bucket;
        if cumulative < below {
            return Err(Reason::FallingBuckets);
        }
        *bucket = cumulative - below;
        below = cumulative;
    }
    Ok(())
}

fn mismatch(infinite: f64, count: f64) -> Reason {
    match check_count(infinite).and(check_count(count)) {
        Ok(()) => Reason::CountMismatch,
        Err(reason) => reason,
    }
}

fn check_count(count: f64) -> Result<(), Reason> {
    if is_absent(count) || (count.is_finite() && count >= 0.0) {
        Ok(())
    } else {
        Err(Reason::BadValue)
    }
}

/// Whether the settled parts `new` show that the process behind `old` began anew.
pub(crate) fn falls(metric_type: MetricType, old: &[f64], new: &[f64]) -> bool {
    let counted = match metric_type {
        MetricType::Histogram => old.len().saturating_sub(2),
        MetricType::Summary => 0,
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Unknown
        | MetricType::Info
        | MetricType::StateSet
        | MetricType::GaugeHistogram => return false,
    };
    let fell = |at: usize| match (old.get(at), new.get(at)) {
        (Some(old), Some(new)) => !is_absent(*old) && !is_absent(*new) && new < old,
        _ => false,
    };
    let count = old.len().wrapping_sub(1);
    (0..counted).any(fell) || fell(count)
}

#[cfg(test)]
mod tests {
    use super::settle;
    use crate::outcome::Reason;
    use sidecar_model::{ABSENT, MetricType};

    fn settled(parts: &[f64]) -> Result<Vec<f64>, Reason> {
        let mut parts = parts.to_vec();
        settle(MetricType::Histogram, &mut parts).map(|_| parts)
    }

    #[test]
    fn buckets_are_kept_non_cumulative_and_the_count_is_the_last_bucket() {
        assert_eq!(settled(&[1.0, 3.0, 3.0, 9.5, ABSENT]), Ok(vec![1.0, 2.0, 0.0, 9.5, 3.0]));
        assert_eq!(settled(&[1.0, ABSENT, 9.5, 4.0]), Ok(vec![1.0, 3.0, 9.5, 4.0]));
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_refused() {
        assert_eq!(settled(&[3.0, 1.0, 0.0, 1.0]), Err(Reason::FallingBuckets));
        assert_eq!(settled(&[1.0, 2.0, 0.0, 3.0]), Err(Reason::CountMismatch));
        assert_eq!(settled(&[1.0, ABSENT, 0.0, ABSENT]), Err(Reason::IncompleteHistogram));
        assert_eq!(settled(&[f64::NAN, 2.0, 0.0, 2.0]), Err(Reason::BadValue));
        assert_eq!(settled(&[-1.0, 2.0, 0.0, 2.0]), Err(Reason::BadValue));
    }
}
