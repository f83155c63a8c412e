//! Merging across instances: one accumulator for each merged series, fed value by value, and what
//! it comes to.

use crate::view::Observed;
use sidecar_model::{ABSENT, Aggregation, MetricType, Total, WindowFunction};

/// What to do with a value of a merged series; decided once for each layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Not exposed.
    Hidden,
    /// Of counters, with what departed instances counted.
    Sum,
    /// A sum of live instances only.
    SumOfLive,
    Mean,
    Min,
    Max,
    Count,
    First,
    Last,
    /// Needs all values together.
    List,
    All,
    /// Of what was pushed lately.
    Window,
    Composite,
    CompositeOfLive,
}

impl Code {
    pub(crate) fn of(metric_type: MetricType, function: Aggregation, keeps_departed: bool) -> Code {
        if metric_type.is_composite() {
            return if keeps_departed { Code::Composite } else { Code::CompositeOfLive };
        }
        match function {
            Aggregation::Sum if keeps_departed && metric_type.is_cumulative() => Code::Sum,
            Aggregation::Sum => Code::SumOfLive,
            Aggregation::Mean => Code::Mean,
            Aggregation::Min => Code::Min,
            Aggregation::Max => Code::Max,
            Aggregation::Count => Code::Count,
            Aggregation::First => Code::First,
            Aggregation::Last => Code::Last,
            Aggregation::StdDev | Aggregation::StdVar | Aggregation::Percentile(_) => Code::List,
            Aggregation::All => Code::All,
            Aggregation::Window(_) => Code::Window,
        }
    }

    /// Bases and shares of departed instances take part.
    pub(crate) fn keeps_departed(self) -> bool {
        matches!(self, Code::Sum | Code::Composite)
    }

    /// Merged by an [`Accumulator`].
    pub(crate) fn needs_accumulator(self) -> bool {
        match self {
            Code::Sum | Code::List | Code::All | Code::Composite | Code::CompositeOfLive => false,
            Code::Hidden
            | Code::SumOfLive
            | Code::Mean
            | Code::Min
            | Code::Max
            | Code::Count
            | Code::First
            | Code::Last
            | Code::Window => true,
        }
    }

    pub(crate) fn is_sum(self) -> bool {
        matches!(self, Code::Sum | Code::SumOfLive)
    }
}

/// Accumulates the contributions of one merged series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accumulator {
    total: Total,
    /// Minimum, maximum, first or last value; for sums what infinite values add up to.
    value: f64,
    /// Arrival of the first, change of the last.
    key: u64,
    /// Contributions that are numbers.
    numbers: u32,
    /// Contributions that are not.
    nans: u32,
}

impl Accumulator {
    /// A base belongs to a contribution that was counted before.
    pub(crate) fn add_base(&mut self, base: Total) {
        self.total.add_total(base);
    }

    /// Takes any value in. `changed`: when it was last news; `arrival`: when its instance came.
    #[inline]
    pub(crate) fn take(&mut self, code: Code, value: f64, changed: u64, arrival: u64) {
        if value.is_nan() {
            self.nans += 1;
            return;
        }
        let is_first = self.numbers == 0;
        self.numbers += 1;
        match code {
            Code::Sum | Code::SumOfLive | Code::Mean => {
                if value.is_finite() {
                    self.total.add(value);
                } else {
                    self.value += value;
                }
            }
            Code::Min => self.value = if is_first { value } else { self.value.min(value) },
            Code::Max => self.value = if is_first { value } else { self.value.max(value) },
            Code::First => {
                let earlier = arrival < self.key || (arrival == self.key && value > self.value);
                if is_first || earlier {
                    (self.value, self.key) = (value, arrival);
                }
            }
            Code::Last => {
                let later = changed > self.key || (changed == self.key && value > self.value);
                if is_first || later {
                    (self.value, self.key) = (value, changed);
                }
            }
            Code::Hidden
            | Code::Count
            | Code::List
            | Code::All
            | Code::Window
            | Code::Composite
            | Code::CompositeOfLive => {}
        }
    }

    /// Takes in what many values of a window have come to: their sum, minimum or maximum.
    pub(crate) fn take_observed(&mut self, function: WindowFunction, value: f64, count: u32) {
        let is_first = self.numbers == 0;
        self.numbers = self.numbers.saturating_add(count);
        match function {
            WindowFunction::Mean | WindowFunction::Sum if value.is_finite() => {
                self.total.add(value);
            }
            WindowFunction::Mean | WindowFunction::Sum => self.value += value,
            WindowFunction::Min | WindowFunction::Max if is_first => self.value = value,
            WindowFunction::Min => self.value = self.value.min(value),
            WindowFunction::Max => self.value = self.value.max(value),
        }
    }

    /// What was taken in of a window; `None`: nothing.
    pub(crate) fn observed(&self, function: WindowFunction) -> Option<Observed> {
        let value = self.result_of_window(function);
        (self.numbers > 0).then_some(Observed { count: self.numbers.into(), value })
    }

    pub(crate) fn result_of_window(&self, function: WindowFunction) -> f64 {
        self.result(match function {
            WindowFunction::Mean => Code::Mean,
            WindowFunction::Sum => Code::SumOfLive,
            WindowFunction::Min => Code::Min,
            WindowFunction::Max => Code::Max,
        })
    }

    /// What it comes to; [`ABSENT`] without contributions.
    pub(crate) fn result(&self, code: Code) -> f64 {
        if self.numbers == 0 {
            return if self.nans > 0 { f64::NAN } else { ABSENT };
        }
        let sum = if self.value == 0.0 { self.total.value() } else { self.value };
        let result = match code {
            Code::Sum | Code::SumOfLive => sum,
            Code::Mean => sum / f64::from(self.numbers),
            Code::Min | Code::Max | Code::First | Code::Last => self.value,
            Code::Count => f64::from(self.numbers),
            Code::Hidden
            | Code::List
            | Code::All
            | Code::Window
            | Code::Composite
            | Code::CompositeOfLive => ABSENT,
        };
        if result.is_nan() && !sidecar_model::is_absent(result) { f64::NAN } else { result }
    }
}

/// Standard deviation, variance and percentiles: of the population, in any order of `values`.
pub(crate) fn of_list(function: Aggregation, values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let numbers = values.iter().position(|v| v.is_nan()).unwrap_or(values.len());
    let numbers = values.get(..numbers).unwrap_or_default();
    if numbers.is_empty() {
        return if values.is_empty() { ABSENT } else { f64::NAN };
    }
    match function {
        Aggregation::StdVar => variance(numbers),
        Aggregation::StdDev => variance(numbers).sqrt(),
        Aggregation::Percentile(percent) => quantile(f64::from(percent) / 100.0, numbers),
        Aggregation::Sum
        | Aggregation::Mean
        | Aggregation::Min
        | Aggregation::Max
        | Aggregation::Count
        | Aggregation::First
        | Aggregation::Last
        | Aggregation::All
        | Aggregation::Window(_) => ABSENT,
    }
}

fn variance(values: &[f64]) -> f64 {
    let count = count_of(values);
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count
}

/// PromQL's `quantile`: linear between the two nearest ranks.
fn quantile(q: f64, sorted: &[f64]) -> f64 {
    let rank = q * (count_of(sorted) - 1.0);
    let lower = rank.floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within")]
    let at = lower as usize;
    let weight = rank - lower;
    let below = sorted.get(at).copied().unwrap_or(ABSENT);
    let above = sorted.get(at + 1).copied().unwrap_or(below);
    if weight == 0.0 { below } else { below * (1.0 - weight) + above * weight }
}

fn count_of(values: &[f64]) -> f64 {
    u32::try_from(values.len()).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the results are exact")]
mod tests {
    use super::of_list;
    use sidecar_model::Aggregation;

    #[test]
    fn percentiles_interpolate_as_promql_does() {
        let median = |values: &[f64]| of_list(Aggregation::Percentile(50), &mut values.to_vec());
        assert_eq!(median(&[1.0, 2.0, 4.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(of_list(Aggregation::Percentile(90), &mut [0.0, 10.0]), 9.0);
        assert_eq!(of_list(Aggregation::Percentile(100), &mut [3.0, 10.0, f64::NAN]), 10.0);
    }

    #[test]
    fn deviation_is_of_the_population() {
        assert_eq!(of_list(Aggregation::StdVar, &mut [1.0, 3.0]), 1.0);
        assert_eq!(
            of_list(Aggregation::StdDev, &mut [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]),
            2.0
        );
        assert!(of_list(Aggregation::StdDev, &mut [f64::NAN]).is_nan());
    }
}
