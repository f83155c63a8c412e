//! A family of the body: its header, wherever its fields stand, and the way to its samples.

use super::decode::Reader;
use super::error::{Fault, Read, Reason};
use super::scan::{RawText, Scanner};
use sidecar_model::{Aggregation, FamilyHeader, Problem, ProblemKind, Sink, Temporality};
use std::borrow::Cow;

/// Arrays and objects open around a family's fields.
const FIELD_DEPTH: u32 = 2;

/// What the fields read so far say.
#[derive(Debug, Default)]
struct Fields<'a> {
    header: FamilyHeader<'a>,
    named: bool,
    /// The writer asks to leave the family out (prom-client's `omit`).
    omitted: bool,
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    pub(super) fn family(&mut self) -> Read<()> {
        let (start, mark) = (self.scan.at, self.sink.mark());
        let done = self.known_family() || {
            self.scan.at = start;
            self.sink.rewind(mark);
            !self.late_fields && self.family_in_order().unwrap_or(false)
        };
        if !done {
            self.scan.at = start;
            self.sample = None;
            self.sink.rewind(mark);
            self.family_looked_over()?;
        }
        self.sample = None;
        Ok(())
    }

    /// The header is the one that came here last time.
    fn known_family(&mut self) -> bool {
        let len = self.sink.next_header_len();
        let Some((raw, _)) = self.scan.rest().split_at_checked(len) else { return false };
        if len == 0 || !self.sink.follow_header(raw) {
            return false;
        }
        self.scan.at += len;
        self.samples().is_ok() && self.ends_here()
    }

    fn ends_here(&mut self) -> bool {
        self.scan.skip_blanks();
        self.scan.eat(b'}')
    }

    /// In one go, if all fields stand before the values.
    fn family_in_order(&mut self) -> Read<bool> {
        let start = self.scan.at;
        let mut fields = Fields::default();
        if !self.scan.eat(b'{') {
            return Ok(false);
        }
        self.scan.skip_blanks();
        loop {
            let key = self.scan.key()?;
            if self.scan.word(key).as_ref() == b"values" {
                break;
            }
            fields.read(&mut self.scan, key)?;
            if !self.scan.more(b'}')? {
                return Ok(false);
            }
        }
        if !fields.named || fields.omitted || !self.scan.eat(b'[') {
            return Ok(false);
        }
        self.open(Some(start), &fields.header)?;
        self.samples()?;
        self.late_fields = !self.ends_here();
        Ok(!self.late_fields)
    }

    /// All fields first, then the samples.
    fn family_looked_over(&mut self) -> Read<()> {
        let start = self.scan.at;
        let mut fields = Fields::default();
        let (samples, raw_start) = self.look_over(start, &mut fields)?;
        let end = self.scan.at;
        if fields.omitted {
            return Ok(());
        }
        self.scan.at = samples.unwrap_or(start);
        self.open(raw_start, &fields.header)?;
        if samples.is_some() {
            self.samples()?;
        }
        self.scan.at = end;
        Ok(())
    }

    /// Reads all fields; gives where the samples begin and, if nothing stands behind them, where
    /// the header began.
    fn look_over(
        &mut self,
        start: usize,
        fields: &mut Fields<'a>,
    ) -> Read<(Option<usize>, Option<usize>)> {
        let (mut samples, mut raw_start) = (None, None);
        if self.scan.peek() != Some(b'{') {
            self.scan.skip_value(FIELD_DEPTH - 1)?;
            self.scan.at = start;
            return self.scan.fault(Reason::NotAFamily);
        }
        self.scan.at += 1;
        self.scan.skip_blanks();
        let mut more = !self.scan.eat(b'}');
        while more {
            let key = self.scan.key()?;
            if self.scan.word(key).as_ref() == b"values" {
                samples = self.skip_samples()?;
                raw_start = samples.map(|_| start);
            } else {
                fields.read(&mut self.scan, key)?;
                raw_start = None;
            }
            more = self.scan.more(b'}')?;
        }
        if fields.named {
            return Ok((samples, raw_start));
        }
        self.scan.at = start;
        self.scan.fault(Reason::NameMissing).map_err(|fault: Box<Fault>| fault.in_field("", "name"))
    }

    /// At the value of `values`: goes behind it and gives where its first sample would stand.
    fn skip_samples(&mut self) -> Read<Option<usize>> {
        let start = self.scan.at;
        if self.scan.eat_word(b"null") {
            return Ok(None);
        }
        let skipped = self.scan.skip_value(FIELD_DEPTH);
        let end = self.scan.at;
        self.scan.at = start;
        let array = self.scan.eat(b'[');
        if skipped.is_ok() && array {
            self.scan.at = end;
            return Ok(Some(start + 1));
        }
        if array {
            // The place in the sample says more than the place in the family.
            self.check_samples()?;
        }
        skipped.map_err(|fault| fault.in_field("", "values"))?;
        self.scan
            .fault(Reason::ValuesNotAnArray)
            .map_err(|fault: Box<Fault>| fault.in_field("", "values"))
    }

    /// Opens the family whose samples begin here.
    fn open(&mut self, raw_start: Option<usize>, header: &FamilyHeader<'_>) -> Read<()> {
        let raw = raw_start.and_then(|start| self.scan.body.get(start..self.scan.at));
        match self.sink.header(raw, header) {
            Ok(()) => Ok(()),
            Err(problem) => {
                let fault: Read<()> = self.scan.fault(Reason::Sink(problem));
                fault.map_err(|fault| match header_field(problem) {
                    Some(field) => fault.in_field("", field),
                    None => fault,
                })
            }
        }
    }
}

fn header_field(problem: Problem) -> Option<&'static str> {
    match problem.kind {
        ProblemKind::EmptyName | ProblemKind::NameTooLong => Some("name"),
        ProblemKind::HelpTooLong => Some("help"),
        ProblemKind::BadAggregation | ProblemKind::AggregationNotAllowed => Some("aggregator"),
        ProblemKind::EmptyLabelName
        | ProblemKind::LabelNameTooLong
        | ProblemKind::ReservedLabelName
        | ProblemKind::LabelValueTooLong
        | ProblemKind::DuplicateLabel
        | ProblemKind::TooManyLabels
        | ProblemKind::BadBound
        | ProblemKind::BadQuantile
        | ProblemKind::BadDelta
        | ProblemKind::SeveralIds
        | ProblemKind::OutOfMemory => None,
    }
}

impl<'a> Fields<'a> {
    /// At the value of the field `key`: takes it in if it is a known one.
    fn read(&mut self, scan: &mut Scanner<'a>, key: RawText) -> Read<()> {
        let word = scan.word(key);
        let read = match word.as_ref() {
            b"name" => self.name(scan),
            b"type" => self.metric_type(scan),
            b"help" => text_or_null(scan, Reason::HelpNotText)
                .map(|text| self.header.help = text.unwrap_or_default()),
            b"unit" => text_or_null(scan, Reason::UnitNotText)
                .map(|text| self.header.unit = text.unwrap_or_default()),
            b"temporality" => self.temporality(scan),
            b"aggregator" => self.aggregator(scan),
            _ => scan.skip_value(FIELD_DEPTH),
        };
        read.map_err(|fault| fault.in_field("", &String::from_utf8_lossy(&word)))
    }

    fn name(&mut self, scan: &mut Scanner<'a>) -> Read<()> {
        let name = text_or_null(scan, Reason::NameNotText)?;
        self.named = name.is_some();
        self.header.name = name.unwrap_or_default();
        Ok(())
    }

    fn metric_type(&mut self, scan: &mut Scanner<'a>) -> Read<()> {
        self.header.metric_type =
            word_or_null(scan, Reason::UnknownType, |word| word.parse().ok())?.unwrap_or_default();
        Ok(())
    }

    fn temporality(&mut self, scan: &mut Scanner<'a>) -> Read<()> {
        let known = |word: &str| match word {
            "cumulative" => Some(Temporality::Cumulative),
            "delta" => Some(Temporality::Delta),
            _ => None,
        };
        self.header.temporality =
            word_or_null(scan, Reason::UnknownTemporality, known)?.unwrap_or_default();
        Ok(())
    }

    fn aggregator(&mut self, scan: &mut Scanner<'a>) -> Read<()> {
        let known = |word: &str| match word {
            "omit" => Some(None),
            "average" => Some(Some(Aggregation::Mean)),
            other => other.parse().ok().map(Some),
        };
        let asked = word_or_null(scan, Reason::UnknownAggregator, known)?;
        self.omitted = asked == Some(None);
        self.header.aggregation = asked.flatten();
        Ok(())
    }
}

/// At a value that must be a string; `null` is the same as no such field.
pub(super) fn text_or_null<'a>(
    scan: &mut Scanner<'a>,
    otherwise: Reason,
) -> Read<Option<Cow<'a, str>>> {
    let start = scan.at;
    if scan.peek() == Some(b'"') {
        let raw = scan.raw_text()?;
        return scan.text(raw).map(Some);
    }
    if scan.eat_word(b"null") {
        return Ok(None);
    }
    // What is no value at all is an error of the JSON.
    scan.skip_value(FIELD_DEPTH)?;
    scan.at = start;
    scan.fault(otherwise)
}

/// At a value that must be a string with a meaning.
fn word_or_null<T>(
    scan: &mut Scanner<'_>,
    otherwise: Reason,
    meaning: impl Fn(&str) -> Option<T>,
) -> Read<Option<T>> {
    let start = scan.at;
    let Some(word) = text_or_null(scan, otherwise)? else { return Ok(None) };
    if let Some(found) = meaning(&word) {
        return Ok(Some(found));
    }
    scan.at = start;
    scan.fault(otherwise)
}
