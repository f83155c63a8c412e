//! How contributions of several instances become one value.

use crate::{MetricType, Window};
use std::fmt;
use std::str::FromStr;

/// An aggregation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    Sum,
    Mean,
    Min,
    Max,
    Count,
    First,
    Last,
    StdDev,
    StdVar,
    /// Percent, 0 to 100; 50 is the median.
    Percentile(u8),
    /// Not merged: each live instance is shown under its slot.
    All,
    /// Of what was pushed lately, instead of what was pushed last.
    Window(Window),
}

/// What to say of a text that names no function.
pub(crate) const FUNCTIONS: &str = "unknown aggregation: use one of sum mean avg min max count first last \
     stddev stdvar median p<NN> all, or a window of at most a day: \
     mean avg sum min max followed by <N><s|m|h>, like mean5m";

impl Aggregation {
    /// Whether a family of this type may be aggregated so.
    pub const fn allowed_for(self, metric_type: MetricType) -> bool {
        match metric_type {
            MetricType::Gauge | MetricType::Unknown => true,
            MetricType::Counter => !matches!(self, Aggregation::All),
            MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary => {
                matches!(self, Aggregation::Sum)
            }
            MetricType::Info | MetricType::StateSet => {
                matches!(self, Aggregation::Last | Aggregation::Max | Aggregation::All)
            }
        }
    }

    /// The window, if it is one.
    pub const fn window(self) -> Option<Window> {
        match self {
            Aggregation::Window(window) => Some(window),
            Aggregation::Sum
            | Aggregation::Mean
            | Aggregation::Min
            | Aggregation::Max
            | Aggregation::Count
            | Aggregation::First
            | Aggregation::Last
            | Aggregation::StdDev
            | Aggregation::StdVar
            | Aggregation::Percentile(_)
            | Aggregation::All => None,
        }
    }

    pub const fn default_for(metric_type: MetricType) -> Aggregation {
        match metric_type {
            MetricType::Counter
            | MetricType::Histogram
            | MetricType::GaugeHistogram
            | MetricType::Summary => Aggregation::Sum,
            MetricType::Gauge | MetricType::Unknown => Aggregation::Last,
            MetricType::Info | MetricType::StateSet => Aggregation::Max,
        }
    }
}

/// The text names no function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{FUNCTIONS}")]
pub struct UnknownAggregation;

impl FromStr for Aggregation {
    type Err = UnknownAggregation;

    fn from_str(text: &str) -> Result<Self, UnknownAggregation> {
        Ok(match text {
            "sum" => Aggregation::Sum,
            "mean" | "avg" => Aggregation::Mean,
            "min" => Aggregation::Min,
            "max" => Aggregation::Max,
            "count" => Aggregation::Count,
            "first" => Aggregation::First,
            "last" => Aggregation::Last,
            "stddev" => Aggregation::StdDev,
            "stdvar" => Aggregation::StdVar,
            "median" => Aggregation::Percentile(50),
            "all" => Aggregation::All,
            other => match Window::parse(other) {
                Some(window) => Aggregation::Window(window),
                None => return percentile(other),
            },
        })
    }
}

fn percentile(text: &str) -> Result<Aggregation, UnknownAggregation> {
    let digits = text.strip_prefix('p').ok_or(UnknownAggregation)?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UnknownAggregation);
    }
    match digits.parse::<u8>() {
        Ok(percent) if percent <= 100 => Ok(Aggregation::Percentile(percent)),
        Ok(_) | Err(_) => Err(UnknownAggregation),
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Aggregation::Sum => "sum",
            Aggregation::Mean => "mean",
            Aggregation::Min => "min",
            Aggregation::Max => "max",
            Aggregation::Count => "count",
            Aggregation::First => "first",
            Aggregation::Last => "last",
            Aggregation::StdDev => "stddev",
            Aggregation::StdVar => "stdvar",
            Aggregation::Percentile(50) => "median",
            Aggregation::Percentile(percent) => return write!(out, "p{percent:02}"),
            Aggregation::All => "all",
            Aggregation::Window(window) => return write!(out, "{window}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Aggregation;
    use crate::MetricType;

    #[test]
    fn every_function_is_read_back_from_its_own_name() {
        for text in ["sum", "mean", "min", "max", "count", "first", "last", "stddev", "stdvar"]
            .into_iter()
            .chain(["median", "p01", "p90", "p99", "p100", "all"])
        {
            assert_eq!(text.parse::<Aggregation>().unwrap().to_string(), text);
        }
        assert_eq!("avg".parse(), Ok(Aggregation::Mean));
        for text in ["", "SUM", "p", "p101", "p-1", "p1.5", "p0001", "average"] {
            assert!(text.parse::<Aggregation>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_is_read_back_from_its_own_name() {
        for text in ["mean5m", "sum5m", "max1h", "min30s", "mean1s", "sum24h", "max90s", "sum90m"] {
            assert_eq!(text.parse::<Aggregation>().unwrap().to_string(), text);
        }
        for (text, same) in [("avg5m", "mean5m"), ("sum300s", "sum5m"), ("max60m", "max1h")] {
            assert_eq!(text.parse::<Aggregation>(), same.parse(), "{text}");
        }
    }

    #[test]
    fn a_window_is_of_a_whole_number_from_a_second_to_a_day() {
        for text in [
            "mean0s",
            "sum25h",
            "sum86401s",
            "max",
            "mean5",
            "mean5d",
            "mean-5m",
            "mean+5m",
            "mean5.5m",
            "mean 5m",
            "last5m",
            "count5m",
            "p505m",
            "sumh",
            "sum99999999999h",
            "sum4294967295h",
            "sum５m",
        ] {
            assert_eq!(
                text.parse::<Aggregation>().ok().and_then(Aggregation::window),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn windows_are_for_single_values() {
        let window: Aggregation = "mean5m".parse().unwrap();
        for metric_type in [MetricType::Gauge, MetricType::Unknown, MetricType::Counter] {
            assert!(window.allowed_for(metric_type), "{metric_type}");
        }
        for metric_type in [
            MetricType::Histogram,
            MetricType::GaugeHistogram,
            MetricType::Summary,
            MetricType::Info,
            MetricType::StateSet,
        ] {
            assert!(!window.allowed_for(metric_type), "{metric_type}");
        }
    }

    #[test]
    fn what_names_no_function_is_told_all_of_them() {
        let told = "average".parse::<Aggregation>().unwrap_err().to_string();
        for part in ["sum mean avg", "p<NN> all", "<N><s|m|h>", "mean5m"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
