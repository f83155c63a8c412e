//! The rules about the samples of a family: which values and labels a part may have, that what
//! belongs together stands together, and that a histogram is one.

use super::block::{Block, Part};
use crate::lines::{Fault, Read, Reason};
use crate::number::parse_f64;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use sidecar_model::{MetricType, SampleParts};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::BuildHasher;

/// Whether a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    New,
    /// It came before with this timestamp.
    Again,
}

/// A sample besides its name and labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) part: Part,
    /// Where its line begins.
    pub(super) at: usize,
    pub(super) value: f64,
    pub(super) timestamp: Option<f64>,
}

/// Stands for a set of labels, in whatever order: two sums of hashes with random seeds. Other labels
/// have another one but by a chance that is no one's to bring about.
type Fingerprint = [u64; 2];

/// What the open family's samples so far allow the next ones to be.
#[derive(Debug, Default)]
pub(super) struct Points {
    metric_type: MetricType,
    hashers: [RandomState; 2],
    metrics: HashSet<Fingerprint, RandomState>,
    /// The metric of the last sample; `None`: no sample came.
    metric: Option<Fingerprint>,
    timestamp: Option<f64>,
    /// All samples of the last metric with the last timestamp.
    at_this_time: HashSet<Fingerprint, RandomState>,
    histogram: Option<Histogram>,
    /// The bound of the last sample, a bucket.
    bound: f64,
}

/// The samples of a histogram so far.
#[derive(Clone, Copy, Debug, Default)]
struct Histogram {
    /// Where the last of them stands.
    at: usize,
    bound: Option<f64>,
    cumulated: f64,
    count: Option<f64>,
    sum: bool,
    gauge_sum: bool,
    negative_bounds: bool,
    negative_gauge_sum: bool,
}

impl Points {
    pub(super) fn begin(&mut self, metric_type: MetricType) {
        self.metric_type = metric_type;
        self.metrics.clear();
        self.metric = None;
        self.at_this_time.clear();
    }

    /// At the end of the family.
    pub(super) fn finish(&mut self) -> Read<()> {
        self.histogram.take().map_or(Ok(()), |histogram| histogram.check_whole())
    }

    pub(super) fn check(
        &mut self,
        block: &Block<'_>,
        sample: &SampleParts<'_>,
        place: Place,
    ) -> Read<Point> {
        let own_label = match (self.metric_type, place.part) {
            (MetricType::StateSet, _) => Some(&*block.name),
            (_, Part::Bucket) => Some("le"),
            (_, Part::Quantile) => Some("quantile"),
            _ => None,
        };
        let own_value = own_label.and_then(|own| {
            sample.labels.iter().find(|(name, _)| name == own).map(|(_, value)| value.as_ref())
        });
        self.check_value(place, own_value)?;
        if self.metric_of(sample, own_label, place)? == Point::Again {
            return Ok(Point::Again);
        }
        if matches!(self.metric_type, MetricType::Histogram | MetricType::GaugeHistogram) {
            let bound = self.bound;
            self.histogram.get_or_insert_default().take(place, bound)?;
        }
        Ok(Point::New)
    }

    pub(super) fn check_exemplar(&self, part: Part, value: f64, at: usize) -> Read<()> {
        let wrong = |text| Fault::at(Reason::BadExemplar(text), at);
        match part {
            Part::Total => Ok(()),
            Part::Bucket if value <= self.bound => Ok(()),
            Part::Bucket => wrong("the exemplar's value is not in the bucket"),
            Part::Value
            | Part::Quantile
            | Part::Sum
            | Part::Count
            | Part::GaugeSum
            | Part::GaugeCount
            | Part::Created => wrong("only totals and buckets have exemplars"),
        }
    }

    fn check_value(&mut self, place: Place, own_value: Option<&str>) -> Read<()> {
        let Place { part, value, at, .. } = place;
        let wrong = |text| Fault::at(Reason::WrongValue(text), at);
        match (self.metric_type, part) {
            (MetricType::StateSet, _) if own_value.is_none() => {
                let reason = "a state needs a label of the metric's name";
                return Fault::at(Reason::BadLabels(reason), at);
            }
            (MetricType::StateSet, _) if ![0.0, 1.0].contains(&value) => {
                return wrong("a state must be 0 or 1");
            }
            (MetricType::Info, _) if ![1.0].contains(&value) => return wrong("an info must be 1"),
            (_, Part::Bucket) => self.bound = bucket_bound(own_value, at)?,
            (_, Part::Quantile) => check_quantile(own_value, at)?,
            _ => {}
        }
        let (counts, whole) = match part {
            Part::Bucket | Part::Count | Part::GaugeCount => (true, true),
            Part::Total | Part::Sum => (true, false),
            Part::Quantile | Part::GaugeSum | Part::Created | Part::Value => (false, false),
        };
        if value.is_nan() && (counts || part == Part::GaugeSum) {
            return wrong("this part must not be NaN");
        }
        if value < 0.0 && (counts || part == Part::Quantile) {
            return wrong("this part must not be negative");
        }
        if whole && value.fract() != 0.0 {
            return wrong("a count must be an integer");
        }
        Ok(())
    }

    /// Finds the metric that the sample is of: it must be the last one, or new.
    fn metric_of(
        &mut self,
        sample: &SampleParts<'_>,
        own_label: Option<&str>,
        place: Place,
    ) -> Read<Point> {
        // Infos are told apart by nothing.
        let metric = if self.metric_type == MetricType::Info {
            [0; 2]
        } else {
            self.fingerprint(&sample.labels, own_label)
        };
        // To milliseconds; the sum makes -0 a 0.
        let timestamp = place.timestamp.map(|seconds| (seconds * 1000.0).trunc() + 0.0);
        if self.metric == Some(metric) {
            self.check_time(timestamp, place.at)?;
        } else {
            self.begin_metric(metric, place.at)?;
            self.timestamp = timestamp;
        }
        if timestamp.is_none() {
            return Ok(Point::New);
        }
        let name = self.hashers.each_ref().map(|hasher| hasher.hash_one(&sample.name));
        let series = add(name, self.fingerprint(&sample.labels, None));
        let new = self.at_this_time.insert(series);
        Ok(if new { Point::New } else { Point::Again })
    }

    /// Of the labels but `without`; an empty one is none.
    #[inline]
    fn fingerprint(
        &self,
        labels: &[(Cow<'_, str>, Cow<'_, str>)],
        without: Option<&str>,
    ) -> Fingerprint {
        let counted = |(name, value): &&(Cow<'_, str>, Cow<'_, str>)| {
            !value.is_empty() && without.is_none_or(|without| name != without)
        };
        labels.iter().filter(counted).fold([0; 2], |sum, label| {
            let (name, value) = (label.0.as_ref(), label.1.as_ref());
            add(sum, self.hashers.each_ref().map(|hasher| hasher.hash_one((name, value))))
        })
    }

    /// The sample is of the same metric as the last one.
    fn check_time(&mut self, timestamp: Option<f64>, at: usize) -> Read<()> {
        let wrong = |text| Fault::at(Reason::BadTimestamp(text), at);
        match (self.timestamp, timestamp) {
            (None, None) => return Ok(()),
            (Some(last), Some(now)) => match last.total_cmp(&now) {
                Ordering::Greater if self.metric_type != MetricType::Info => {
                    return wrong("timestamps of a metric must not go back");
                }
                Ordering::Greater | Ordering::Less => {
                    self.at_this_time.clear();
                    self.finish()?;
                }
                Ordering::Equal => {}
            },
            (Some(_), None) | (None, Some(_)) => {
                return wrong("all samples of a metric must have timestamps, or none");
            }
        }
        self.timestamp = timestamp;
        Ok(())
    }

    /// The sample is of another metric than the last one.
    fn begin_metric(&mut self, metric: Fingerprint, at: usize) -> Read<()> {
        self.finish()?;
        if !self.at_this_time.is_empty() {
            self.at_this_time.clear();
        }
        if !self.metrics.insert(metric) {
            let reason = Reason::Syntax("the samples of a metric must stand together");
            return Fault::at(reason, at);
        }
        self.metric = Some(metric);
        Ok(())
    }
}

fn add(a: Fingerprint, b: Fingerprint) -> Fingerprint {
    let ([a, also_a], [b, also_b]) = (a, b);
    [a.wrapping_add(b), also_a.wrapping_add(also_b)]
}

impl Histogram {
    /// `bound`: of a bucket.
    fn take(&mut self, place: Place, bound: f64) -> Read<()> {
        let Place { part, value, at, .. } = place;
        self.at = at;
        match part {
            Part::Bucket => {
                if self.bound.is_some_and(|last| bound <= last) {
                    return Fault::at(Reason::BadBound("the bounds of buckets must rise"), at);
                }
                if value < self.cumulated {
                    return Fault::at(Reason::WrongValue("buckets must not fall"), at);
                }
                self.negative_bounds |= bound < 0.0;
                (self.bound, self.cumulated) = (Some(bound), value);
            }
            Part::Count | Part::GaugeCount => self.count = Some(value),
            Part::Sum => self.sum = true,
            Part::GaugeSum => {
                self.gauge_sum = true;
                self.negative_gauge_sum |= value < 0.0;
            }
            Part::Value | Part::Quantile | Part::Total | Part::Created => {}
        }
        Ok(())
    }

    fn check_whole(&self) -> Read<()> {
        let wrong = |text| Fault::at(Reason::Syntax(text), self.at);
        if self.bound != Some(f64::INFINITY) {
            return wrong("a histogram needs a bucket +Inf");
        }
        let summed = self.sum || self.gauge_sum;
        match self.count {
            Some(count) if count - self.cumulated != 0.0 => {
                wrong("the count must be that of bucket +Inf")
            }
            Some(_) if !summed => wrong("a count needs a sum"),
            None if summed => wrong("a sum needs a count"),
            Some(_) | None if self.sum && self.negative_bounds => {
                wrong("no sum where a bound is negative")
            }
            Some(_) | None if self.negative_gauge_sum && !self.negative_bounds => {
                wrong("the sum is negative, but no bound is")
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn bucket_bound(le: Option<&str>, at: usize) -> Read<f64> {
    let bound = le.and_then(|le| parse_f64(le.as_bytes()));
    match bound {
        Some(bound) if bound == f64::INFINITY && le != Some("+Inf") => {
            Fault::at(Reason::BadBound("the last bound must be written +Inf"), at)
        }
        Some(bound) if !bound.is_nan() => Ok(bound),
        Some(_) | None => Fault::at(Reason::BadBound("a bucket needs a label le, a number"), at),
    }
}

fn check_quantile(quantile: Option<&str>, at: usize) -> Read<()> {
    let quantile = quantile.and_then(|text| parse_f64(text.as_bytes()));
    if quantile.is_some_and(|quantile| (0.0..=1.0).contains(&quantile)) {
        return Ok(());
    }
    let reason = "a quantile needs a label quantile, a number from 0 to 1";
    Fault::at(Reason::BadQuantile(reason), at)
}
