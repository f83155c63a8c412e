//! The lines about a family, and which part of it a sample is.

use super::OpenMetrics;
use crate::lines::{Fault, Lines, Read, Reason};
use sidecar_model::{FamilyHeader, MetricType};
use std::borrow::Cow;

/// What a sample is of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The value of a type without suffixes, a state, or an info.
    Value,
    Quantile,
    Total,
    Bucket,
    Sum,
    Count,
    /// Of a histogram of gauges.
    GaugeSum,
    GaugeCount,
    Created,
}

/// What samples of a type have behind the family's name.
pub(super) const fn suffixes(metric_type: MetricType) -> &'static [(&'static str, Part)] {
    match metric_type {
        MetricType::Counter => &[("_total", Part::Total), ("_created", Part::Created)],
        MetricType::Histogram => &[
            ("_bucket", Part::Bucket),
            ("_sum", Part::Sum),
            ("_count", Part::Count),
            ("_created", Part::Created),
        ],
        MetricType::Summary => &[
            ("", Part::Quantile),
            ("_sum", Part::Sum),
            ("_count", Part::Count),
            ("_created", Part::Created),
        ],
        MetricType::GaugeHistogram => {
            &[("_bucket", Part::Bucket), ("_gsum", Part::GaugeSum), ("_gcount", Part::GaugeCount)]
        }
        MetricType::Info => &[("_info", Part::Value)],
        MetricType::Gauge | MetricType::Unknown | MetricType::StateSet => &[("", Part::Value)],
    }
}

#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) name: Cow<'a, str>,
    /// Where it begins.
    pub(super) at: usize,
    metric_type: Option<MetricType>,
    help: Option<Cow<'a, str>>,
    unit: Option<&'a str>,
}

impl<'a> Block<'a> {
    pub(super) fn without_lines(name: Cow<'a, str>, at: usize) -> Block<'a> {
        Block { name, at, metric_type: None, help: None, unit: None }
    }

    pub(super) fn metric_type(&self) -> MetricType {
        self.metric_type.unwrap_or_default()
    }

    pub(super) fn part(&self, sample: &str) -> Option<Part> {
        let suffix = sample.strip_prefix(&*self.name)?;
        let mut suffixes = suffixes(self.metric_type()).iter();
        suffixes.find(|(known, _)| *known == suffix).map(|(_, part)| *part)
    }

    pub(super) fn header(&self) -> FamilyHeader<'_> {
        FamilyHeader {
            name: Cow::Borrowed(&self.name),
            metric_type: self.metric_type(),
            help: Cow::Borrowed(self.help.as_deref().unwrap_or_default()),
            unit: Cow::Borrowed(self.unit.unwrap_or_default()),
            ..FamilyHeader::default()
        }
    }

    fn check_unit(&self) -> Read<()> {
        let Some(unit) = self.unit.filter(|unit| !unit.is_empty()) else { return Ok(()) };
        let stem = self.name.strip_suffix(unit);
        if !stem.is_some_and(|stem| stem.ends_with('_')) {
            let reason = Reason::BadUnit("the unit must stand at the end of the name, behind _");
            return Fault::at(reason, self.at);
        }
        if matches!(self.metric_type(), MetricType::Info | MetricType::StateSet) {
            return Fault::at(Reason::BadUnit("a metric of this type has no unit"), self.at);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keyword {
    Type,
    Help,
    Unit,
}

/// At a number sign: reads all lines about the family.
pub(super) fn read_block<'a>(lines: &mut Lines<'a, OpenMetrics>) -> Read<Block<'a>> {
    let start = lines.at;
    let (keyword, name) = read_keyword(lines)?;
    let mut block = Block::without_lines(name, start);
    read_rest(lines, start, keyword, &mut block)?;
    loop {
        let start = lines.at;
        if lines.peek() != Some(b'#') || lines.rest().starts_with(b"# EOF") {
            break;
        }
        let (keyword, name) = read_keyword(lines)?;
        if name != block.name {
            lines.at = start;
            break;
        }
        read_rest(lines, start, keyword, &mut block)?;
    }
    block.check_unit()?;
    Ok(block)
}

fn read_keyword<'a>(lines: &mut Lines<'a, OpenMetrics>) -> Read<(Keyword, Cow<'a, str>)> {
    let keywords: [(&[u8], Keyword); 3] =
        [(b"# TYPE ", Keyword::Type), (b"# HELP ", Keyword::Help), (b"# UNIT ", Keyword::Unit)];
    let Some((_, keyword)) = keywords.into_iter().find(|(word, _)| lines.eat_word(word)) else {
        return lines.fault(Reason::Syntax("expected # TYPE, # HELP, # UNIT or # EOF"));
    };
    let name = lines.family_name()?;
    if name.is_empty() || !lines.eat(b' ') {
        return lines.fault(Reason::BadName);
    }
    Ok((keyword, name))
}

fn read_rest<'a>(
    lines: &mut Lines<'a, OpenMetrics>,
    start: usize,
    keyword: Keyword,
    block: &mut Block<'a>,
) -> Read<()> {
    match keyword {
        Keyword::Type if block.metric_type.is_some() => Fault::at(Reason::SecondType, start),
        Keyword::Help if block.help.is_some() => Fault::at(Reason::SecondHelp, start),
        Keyword::Unit if block.unit.is_some() => {
            Fault::at(Reason::BadUnit("a second UNIT for this metric"), start)
        }
        Keyword::Type => {
            block.metric_type = Some(read_type(lines)?);
            Ok(())
        }
        Keyword::Help => {
            block.help = Some(read_help(lines)?);
            Ok(())
        }
        Keyword::Unit => {
            let (start, len) = (lines.at, lines.line().len());
            block.unit = Some(lines.text(start, start + len)?);
            Ok(())
        }
    }
}

fn read_type(lines: &mut Lines<'_, OpenMetrics>) -> Read<MetricType> {
    let start = lines.at;
    match std::str::from_utf8(lines.line()).unwrap_or_default() {
        // The other text format's word.
        "untyped" => Fault::at(Reason::UnknownType, start),
        word => word.parse().or_else(|_| Fault::at(Reason::UnknownType, start)),
    }
}

fn read_help<'a>(lines: &mut Lines<'a, OpenMetrics>) -> Read<Cow<'a, str>> {
    let start = lines.at;
    let line = lines.line();
    if line.contains(&b'\\') {
        lines.at = start;
        return lines.help_with_escapes(line.len()).map(Cow::Owned);
    }
    lines.text(start, start + line.len()).map(Cow::Borrowed)
}
