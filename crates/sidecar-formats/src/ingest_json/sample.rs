//! The samples of a family: the known one, of which only the number is read, and the parsed one.

use super::decode::Reader;
use super::error::{Read, Reason};
use super::family::text_or_null;
use super::scan::Scanner;
use crate::number::{json_number, json_number_len, parse_f64};
use crate::seen_names::SeenNames;
use sidecar_model::{Problem, ProblemKind, SampleParts, Sink};
use std::borrow::Cow;

/// Arrays and objects open around a sample's fields.
const FIELD_DEPTH: u32 = 4;
/// Up to this many labels, looking for a repeated key compares each with each.
const FEW_LABELS: usize = 32;

/// What a parsed sample comes to, besides its parts.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    value: f64,
    /// Where the value begins, if nothing stands behind it.
    raw_end: Option<usize>,
}

/// What a sample's key stands for.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// Under which key it is written.
    Name(&'static str),
    Labels,
    Value,
    Other,
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    /// Behind `[`: takes in all samples and goes behind `]`.
    pub(super) fn samples(&mut self) -> Read<()> {
        self.each_sample(|reader| if reader.known_sample() { Ok(()) } else { reader.new_sample() })
    }

    /// Behind `[`: finds what is wrong with the samples, and takes nothing in.
    #[cold]
    pub(super) fn check_samples(&mut self) -> Read<()> {
        self.each_sample(|reader| reader.parse_sample().map(drop))
    }

    #[inline]
    fn each_sample(&mut self, read: impl Fn(&mut Self) -> Read<()>) -> Read<()> {
        self.scan.skip_blanks();
        if self.scan.eat(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.sample = Some(index);
            read(self)?;
            index += 1;
            if !self.scan.more(b']')? {
                self.sample = None;
                return Ok(());
            }
        }
    }

    /// Takes the sample in if it is the one that came here last time.
    #[inline]
    fn known_sample(&mut self) -> bool {
        let len = self.sink.next_sample_len();
        let Some((raw, rest)) = self.scan.rest().split_at_checked(len) else { return false };
        if len == 0 || !self.sink.is_next_sample(raw) {
            return false;
        }
        let Some((value, used)) = value_at(rest) else { return false };
        let mut end = self.scan;
        end.at += len + used;
        if !end.eat(b'}') {
            end.skip_blanks();
            if !end.eat(b'}') {
                return false;
            }
        }
        self.scan.at = end.at;
        self.sink.value(value);
        true
    }

    fn new_sample(&mut self) -> Read<()> {
        let start = self.scan.at;
        let parsed = self.parse_sample()?;
        let raw = parsed.raw_end.and_then(|end| self.scan.body.get(start..end));
        match self.sink.sample(raw, &mut self.parts, parsed.value) {
            Ok(()) => Ok(()),
            Err(problem) => self.refused(start, problem),
        }
    }

    /// Parses the sample again for the name of the label at fault: the sink may have moved them.
    #[cold]
    fn refused(&mut self, start: usize, problem: Problem) -> Read<()> {
        self.scan.at = start;
        self.parse_sample()?;
        self.scan.at = start;
        let label = problem.label.and_then(|index| self.parts.labels.get(index));
        let fault: Read<()> = self.scan.fault(Reason::Sink(problem));
        fault.map_err(|fault| match (label, problem.kind) {
            (Some((name, _)), _) => fault.in_field("labels.", name),
            (None, ProblemKind::EmptyName | ProblemKind::NameTooLong) => fault.in_field("", "name"),
            (None, ProblemKind::BadDelta) => fault.in_field("", "value"),
            (None, ProblemKind::TooManyLabels) => fault.in_field("", "labels"),
            (None, _) => fault,
        })
    }

    /// At a sample: reads it into the scratch and goes behind it.
    fn parse_sample(&mut self) -> Read<Parsed> {
        let start = self.scan.at;
        if !self.scan.eat(b'{') {
            self.scan.skip_value(FIELD_DEPTH - 1)?;
            self.scan.at = start;
            return self.scan.fault(Reason::NotASample);
        }
        self.parts.name = None;
        self.parts.labels.clear();
        let (mut value, mut raw_end) = (None, None);
        self.scan.skip_blanks();
        let mut more = !self.scan.eat(b'}');
        while more {
            let field = self.field()?;
            raw_end = None;
            match field {
                Field::Value => {
                    raw_end = Some(self.scan.at);
                    value = Some(in_field("value", read_value(&mut self.scan))?);
                }
                Field::Labels => {
                    let most = self.sink.most_labels();
                    in_field("labels", read_labels(&mut self.scan, &mut self.parts, most))?;
                }
                Field::Name(field) => {
                    if let Some(name) = self.scan.plain_text() {
                        self.parts.name = Some(Cow::Borrowed(name));
                        more = self.scan.more(b'}')?;
                        continue;
                    }
                    self.parts.name =
                        in_field(field, text_or_null(&mut self.scan, Reason::NameNotText))?;
                }
                Field::Other => self.scan.skip_value(FIELD_DEPTH)?,
            }
            more = self.scan.more(b'}')?;
        }
        if let Some(value) = value {
            return Ok(Parsed { value, raw_end });
        }
        self.scan.at = start;
        in_field("value", self.scan.fault(Reason::ValueMissing))
    }

    /// At a key: goes to its value.
    #[inline]
    fn field(&mut self) -> Read<Field> {
        let usual: [(&[u8], Field); 3] = [
            (b"\"name\":", Field::Name("name")),
            (b"\"labels\":", Field::Labels),
            (b"\"value\":", Field::Value),
        ];
        for (word, field) in usual {
            if self.scan.eat_word(word) {
                self.scan.skip_blanks();
                return Ok(field);
            }
        }
        let key = self.scan.key()?;
        Ok(match self.scan.word(key).as_ref() {
            b"name" => Field::Name("name"),
            b"metricName" => Field::Name("metricName"),
            b"labels" => Field::Labels,
            b"value" => Field::Value,
            _ => Field::Other,
        })
    }
}

#[inline]
fn in_field<T>(field: &'static str, read: Read<T>) -> Read<T> {
    read.map_err(|fault| fault.in_field("", field))
}

/// The value that `bytes` begin with, and its length.
#[inline]
fn value_at(bytes: &[u8]) -> Option<(f64, usize)> {
    match json_number(bytes) {
        Some(found) => Some(found),
        None => word_value(bytes),
    }
}

/// A value that is no JSON number: a bare word, or a number in quotes.
fn word_value(bytes: &[u8]) -> Option<(f64, usize)> {
    let words: [(&[u8], f64); 4] = [
        (b"null", f64::NAN),
        (b"NaN", f64::NAN),
        (b"Infinity", f64::INFINITY),
        (b"-Infinity", f64::NEG_INFINITY),
    ];
    if let Some((word, value)) = words.into_iter().find(|(word, _)| bytes.starts_with(word)) {
        return Some((value, word.len()));
    }
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut scan = Scanner::new(bytes);
    let raw = scan.raw_text().ok()?;
    let text = scan.text(raw).ok()?;
    Some((parse_f64(text.as_bytes())?, scan.at))
}

#[inline]
fn read_value(scan: &mut Scanner<'_>) -> Read<f64> {
    if let Some((value, len)) = value_at(scan.rest()) {
        scan.at += len;
        return Ok(value);
    }
    let start = scan.at;
    scan.skip_value(FIELD_DEPTH)?;
    scan.at = start;
    scan.fault(Reason::BadValue)
}

/// At the value of `labels`: reads them into `parts`, a repeated key's last one; no more than `most` keys.
fn read_labels<'a>(scan: &mut Scanner<'a>, parts: &mut SampleParts<'a>, most: usize) -> Read<()> {
    let start = scan.at;
    let labels = &mut parts.labels;
    labels.clear();
    if scan.eat_word(b"null") {
        return Ok(());
    }
    if !scan.eat(b'{') {
        scan.skip_value(FIELD_DEPTH)?;
        scan.at = start;
        return scan.fault(Reason::LabelsNotAnObject);
    }
    scan.skip_blanks();
    let mut more = !scan.eat(b'}');
    let (mut seen, mut alike) = (SeenNames::default(), false);
    while more {
        // Two branches that end apart: what the usual one pushes never goes through memory first.
        if let Some((name, value)) = plain_label(scan) {
            alike |= seen.may_have(name);
            labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        } else {
            let (name, value) = read_label(scan)?;
            alike |= seen.may_have(&name);
            labels.push((name, value));
        }
        // As many again before the next look: what repeated keys cost does not grow with their number.
        if labels.len() > most.saturating_mul(2) {
            drop_repeated(labels);
            if labels.len() > most {
                scan.at = start;
                return scan.fault(Reason::Sink(Problem::TOO_MANY_LABELS));
            }
        }
        more = scan.more(b'}')?;
    }
    if alike {
        drop_repeated(labels);
    }
    Ok(())
}

/// The label that stands here, if both parts are plain; else stays here.
#[inline(always)]
fn plain_label<'a>(scan: &mut Scanner<'a>) -> Option<(&'a str, &'a str)> {
    let start = scan.at;
    if let Some(name) = scan.plain_text()
        && scan.eat(b':')
    {
        scan.skip_blanks();
        if let Some(value) = scan.plain_text() {
            return Some((name, value));
        }
    }
    scan.at = start;
    None
}

/// The label that stands here.
fn read_label<'a>(scan: &mut Scanner<'a>) -> Read<(Cow<'a, str>, Cow<'a, str>)> {
    let raw = scan.key()?;
    let name = scan.text(raw)?;
    match read_label_value(scan) {
        Ok(value) => Ok((name, value)),
        Err(fault) => Err(fault.in_field("labels.", &name)),
    }
}

fn read_label_value<'a>(scan: &mut Scanner<'a>) -> Read<Cow<'a, str>> {
    let start = scan.at;
    if scan.peek() == Some(b'"') {
        let raw = scan.raw_text()?;
        return scan.text(raw);
    }
    if let Some(len) = json_number_len(scan.rest()) {
        scan.at += len;
        return Ok(written(scan, start));
    }
    for word in ["true", "false", "NaN", "Infinity", "-Infinity"] {
        if scan.eat_word(word.as_bytes()) {
            return Ok(Cow::Borrowed(word));
        }
    }
    scan.skip_value(FIELD_DEPTH + 1)?;
    scan.at = start;
    scan.fault(Reason::BadLabelValue)
}

/// The token from `start` to here as it is written.
fn written<'a>(scan: &Scanner<'a>, start: usize) -> Cow<'a, str> {
    let bytes = scan.body.get(start..scan.at).unwrap_or_default();
    String::from_utf8_lossy(bytes)
}

type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Keeps the last of each name.
#[inline]
fn drop_repeated(labels: &mut Labels<'_>) {
    let mut rest = labels.as_slice();
    if rest.len() > FEW_LABELS {
        return drop_repeated_of_many(labels);
    }
    while let Some(((name, _), behind)) = rest.split_first() {
        if behind.iter().any(|(other, _)| other == name) {
            return drop_repeated_of_many(labels);
        }
        rest = behind;
    }
}

#[cold]
fn drop_repeated_of_many(labels: &mut Labels<'_>) {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    // Stable: among equal names the last one written stands last.
    order.sort_by(|a, b| labels.get(*a).map(|l| &l.0).cmp(&labels.get(*b).map(|l| &l.0)));
    let mut kept = vec![true; labels.len()];
    for (a, b) in order.iter().zip(order.iter().skip(1)) {
        if labels.get(*a).map(|l| &l.0) == labels.get(*b).map(|l| &l.0)
            && let Some(kept) = kept.get_mut(*a)
        {
            *kept = false;
        }
    }
    let mut kept = kept.into_iter();
    labels.retain(|_| kept.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::drop_repeated;
    use std::borrow::Cow;

    #[test]
    fn of_a_repeated_key_the_last_one_stays_however_many_there_are() {
        for count in [3, 31, 40, 3000_usize] {
            let mut labels: Vec<_> = (0..count)
                .map(|n| (Cow::from(format!("l{}", n % 20)), Cow::from(n.to_string())))
                .collect();
            drop_repeated(&mut labels);
            let expected: Vec<String> =
                (count.saturating_sub(20)..count).map(|n| n.to_string()).collect();
            assert_eq!(labels.iter().map(|l| l.1.to_string()).collect::<Vec<_>>(), expected);
        }
    }
}
