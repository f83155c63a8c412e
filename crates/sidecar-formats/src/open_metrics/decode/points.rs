//! The rules about the samples of a family: which values and labels a part may have, that what
//! belongs together stands together, and that a histogram is one.

use super::block::{Block, Part};
use crate::lines::{Fault, Read, Reason};
use crate::number::parse_f64;
use hashbrown::HashTable;
use sidecar_model::{MetricType, SampleParts};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::Range;

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

/// What the open family's samples so far allow the next ones to be.
#[derive(Debug, Default)]
pub(super) struct Points {
    metric_type: MetricType,
    /// The labels of every metric so far, as `write_labels` has them.
    arena: Vec<u8>,
    groups: HashTable<Range<usize>>,
    hasher: foldhash::fast::RandomState,
    /// The metric of the last sample; `None`: no sample came.
    group: Option<Range<usize>>,
    timestamp: Option<f64>,
    /// Name and labels of all samples of the last metric with the last timestamp.
    at_this_time: BTreeSet<Vec<u8>>,
    scratch: Vec<u8>,
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
        self.arena.clear();
        self.groups.clear();
        self.group = None;
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
        if self.group_of(sample, own_label, place)? == Point::Again {
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
    fn group_of(
        &mut self,
        sample: &SampleParts<'_>,
        own_label: Option<&str>,
        place: Place,
    ) -> Read<Point> {
        self.scratch.clear();
        // Infos are told apart by nothing.
        if self.metric_type != MetricType::Info {
            write_labels(&sample.labels, own_label, &mut self.scratch);
        }
        // To milliseconds; the sum makes -0 a 0.
        let timestamp = place.timestamp.map(|seconds| (seconds * 1000.0).trunc() + 0.0);
        let last = self.group.clone().and_then(|group| self.arena.get(group));
        if last == Some(self.scratch.as_slice()) {
            self.check_time(timestamp, place.at)?;
        } else {
            self.begin_group(place.at)?;
            self.timestamp = timestamp;
        }
        if timestamp.is_none() {
            return Ok(Point::New);
        }
        let mut series = sample.name.as_deref().unwrap_or_default().as_bytes().to_vec();
        series.push(SEPARATOR);
        write_labels(&sample.labels, None, &mut series);
        let new = self.at_this_time.insert(series);
        Ok(if new { Point::New } else { Point::Again })
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

    /// The metric in `scratch` is not that of the last sample.
    fn begin_group(&mut self, at: usize) -> Read<()> {
        self.finish()?;
        self.at_this_time.clear();
        let (arena, labels) = (&mut self.arena, self.scratch.as_slice());
        let hash = self.hasher.hash_one(labels);
        let known = self.groups.find(hash, |range| arena.get(range.clone()) == Some(labels));
        if known.is_some() {
            let reason = Reason::Syntax("the samples of a metric must stand together");
            return Fault::at(reason, at);
        }
        let range = arena.len()..arena.len() + labels.len();
        arena.extend_from_slice(labels);
        let hasher = &self.hasher;
        self.groups.insert_unique(hash, range.clone(), |range| {
            hasher.hash_one(arena.get(range.clone()).unwrap_or_default())
        });
        self.group = Some(range);
        Ok(())
    }
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

/// Stands in no text.
const SEPARATOR: u8 = 0xff;

/// Appends the labels but `without` in one order and spelling; an empty one is none.
fn write_labels(labels: &[(Cow<'_, str>, Cow<'_, str>)], without: Option<&str>, out: &mut Vec<u8>) {
    let mut write = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
        if Some(name.as_ref()) != without && !value.is_empty() {
            out.extend_from_slice(name.as_bytes());
            out.push(SEPARATOR);
            out.extend_from_slice(value.as_bytes());
            out.push(SEPARATOR);
        }
    };
    if labels.is_sorted_by(|a, b| a.0 <= b.0) {
        labels.iter().for_each(write);
    } else {
        let mut sorted: Vec<_> = labels.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted.into_iter().for_each(&mut write);
    }
}
