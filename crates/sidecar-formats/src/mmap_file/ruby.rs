//! The files of Ruby's `DirectFileStore` (`metric_requests_total___7.bin`): one for each metric of each
//! process, laid out as Python's but for the keys, which are labels as in a query (`code=200&pid=7`),
//! their padding being part of their length.
//!
//! Type, help and aggregation stand nowhere. What the keys tell is told; else the type is unknown, which
//! rules may set.

use super::FileError;
use super::layout::{Form, Walk, Width};
use sidecar_model::MetricType;
use std::borrow::Cow;

/// What the file's values are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) name: Box<str>,
    pub(super) metric_type: MetricType,
}

/// Which value of its label set a key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Value,
    Sum,
    Count,
    /// Not cumulative.
    Bucket,
}

impl Part {
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Part::Value => "",
            Part::Sum => "_sum",
            Part::Count => "_count",
            Part::Bucket => "_bucket",
        }
    }
}

impl Metric {
    /// Goes over all keys for what they have in common.
    pub(super) fn of(name: &str, bytes: &[u8], width: Width) -> Result<Metric, FileError> {
        let mut walk = Walk::new(bytes, width, Form::Ruby);
        let (mut is_histogram, mut is_summary, mut has_pid, mut is_empty) =
            (true, true, true, true);
        let mut labels = Vec::new();
        loop {
            let at = walk.at();
            let Some((key, _)) = walk.next()? else { break };
            parse(key, &mut labels).ok_or(FileError::BadKey { at })?;
            let value = |wanted: &str| labels.iter().find(|(n, _)| n == wanted).map(|(_, v)| &**v);
            is_histogram &= value("le").is_some_and(|le| le == "sum" || bound(le).is_some());
            is_summary &= matches!(value("quantile"), Some("sum" | "count"));
            has_pid &= value("pid").is_some();
            is_empty = false;
        }
        let metric_type = if is_empty {
            MetricType::Unknown
        } else if is_histogram {
            MetricType::Histogram
        } else if is_summary {
            MetricType::Summary
        } else if name.ends_with("_total") {
            MetricType::Counter
        } else if has_pid {
            // Each process's value by itself, as only gauges have it by default.
            MetricType::Gauge
        } else {
            MetricType::Unknown
        };
        Ok(Metric { name: name.into(), metric_type })
    }

    /// Takes the label that tells the part out of the labels.
    pub(super) fn part(&self, labels: &mut Labels<'_>) -> Part {
        let name = match self.metric_type {
            MetricType::Histogram => "le",
            MetricType::Summary => "quantile",
            MetricType::Counter
            | MetricType::Gauge
            | MetricType::Unknown
            | MetricType::Info
            | MetricType::StateSet
            | MetricType::GaugeHistogram => return Part::Value,
        };
        let Some(at) = labels.iter().position(|(label, _)| label == name) else {
            return Part::Value;
        };
        let part = match labels.get(at).map(|(_, value)| &**value) {
            Some("sum") => Part::Sum,
            Some("count") => Part::Count,
            Some(_) | None => return Part::Bucket,
        };
        labels.remove(at);
        part
    }
}

pub(super) type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

pub(super) fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// The labels of a key, blanks behind it and all. `None`: it is none.
pub(super) fn parse<'a>(key: &'a [u8], labels: &mut Labels<'a>) -> Option<()> {
    labels.clear();
    let text = std::str::from_utf8(key).ok()?.trim_end_matches(' ');
    let is_legal = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.' | b'-' | b'~' | b'*' | b'+' | b'%' | b'=' | b'&')
    };
    if !text.bytes().all(is_legal) {
        return None;
    }
    if text.is_empty() {
        return Some(());
    }
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').filter(|(name, _)| !name.is_empty())?;
        labels.push((decoded(name), decoded(value)));
    }
    Some(())
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let hex = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let escaped = hex(0).zip(hex(1)).and_then(|(a, b)| u8::try_from(a * 16 + b).ok());
        (rest, _) = match (byte, escaped) {
            (b'%', Some(escaped)) => (behind.get(2..).unwrap_or_default(), out.push(escaped)),
            (b'+', _) => (behind, out.push(b' ')),
            (other, _) => (behind, out.push(*other)),
        };
    }
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{decoded, parse};

    #[test]
    fn labels_are_those_of_a_query() {
        for (key, expected) in [
            ("    ", vec![]),
            ("code=200&pid=7 ", vec![("code", "200"), ("pid", "7")]),
            ("a=&b=x+y%26%3D%2B%25", vec![("a", ""), ("b", "x y&=+%")]),
            ("a=h%C3%A9", vec![("a", "hé")]),
        ] {
            let mut labels = vec![];
            assert_eq!(parse(key.as_bytes(), &mut labels), Some(()), "{key}");
            assert_eq!(
                labels,
                expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect::<Vec<_>>()
            );
        }
        assert_eq!(decoded("%ff%zz%4"), "\u{fffd}%zz%4");
        for key in ["a", "=1", "a=1&", "a=1 b", "[\"c\", \"c\", {}]", "a=\u{e9}", "a=1\0"] {
            assert_eq!(parse(key.as_bytes(), &mut vec![]), None, "{key}");
        }
    }
}
