//! Decodes a body, text 0.0.4 or 1.0.0 (which only adds names in quotes), into a [`Sink`].
//!
//! A line that came at this place last time costs a comparison and its number; a family's lines,
//! a comparison and a look at its name, because that no family is described twice is for each
//! body to show. All other lines are parsed.
//!
//! As in Prometheus's own parser the samples of a family may stand apart. Stricter than that one:
//! a sample needs a blank or a brace behind its name. More lenient: CRLF, no end of the last line,
//! blanks behind a type, and a sample whose name fits the open family belongs to it whatever
//! other families there are.

use super::families::{Families, Family, plain_block_name, read_block};
use crate::error::DecodeError;
use crate::lines::{Fault, Grammar, Lines, Read, Reason, refused, token_len, value_at};
use crate::{PAUSE_BYTES, Timestamps};
use sidecar_model::{FamilyHeader, Problem, SampleParts, Sink};
use std::borrow::Cow;

#[derive(Clone, Copy, Debug)]
pub(super) struct Text;

impl Grammar for Text {
    const LENIENT: bool = true;
    const CODE: &'static str = "bad_text";

    fn unknown_escape(_: char) -> Option<char> {
        None
    }
}

/// Gives `sink` what the body says. After an error the sink holds a part of it.
pub fn decode<S: Sink>(
    body: &[u8],
    timestamps: Timestamps,
    sink: &mut S,
) -> Result<(), DecodeError> {
    let mut reader = Reader {
        lines: Lines::new(body),
        timestamps,
        sink,
        parts: SampleParts::default(),
        families: Families::default(),
        open: None,
    };
    reader.document().map_err(|fault| fault.explain(body, Text::CODE))
}

#[derive(Debug)]
struct Reader<'a, 's, S> {
    lines: Lines<'a, Text>,
    timestamps: Timestamps,
    sink: &'s mut S,
    /// Scratch of every sample that is parsed.
    parts: SampleParts<'a>,
    families: Families<'a>,
    /// The family that the sink holds open.
    open: Option<usize>,
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    fn document(&mut self) -> Read<()> {
        let (pause, mut pause_at) = (self.sink.pause(), PAUSE_BYTES);
        loop {
            if self.open.is_some() && self.known_sample() {
                continue;
            }
            if self.lines.at >= pause_at {
                pause_at = self.lines.at + PAUSE_BYTES;
                pause();
            }
            self.lines.skip_blanks();
            match self.lines.peek() {
                None => break,
                Some(b'\n') => self.lines.at += 1,
                Some(b'\r') if self.line_ends_at(self.lines.at).is_some() => self.lines.at += 1,
                Some(b'#') => {
                    if !self.known_header() {
                        self.comment_or_block()?;
                    }
                }
                Some(_) => self.new_sample()?,
            }
        }
        for index in 0..self.families.len() {
            if self.families.get(index).is_some_and(|family| !family.told) {
                self.tell(index, None)?;
            }
        }
        Ok(())
    }

    /// Takes the sample in if it is the one that came here last time.
    #[inline]
    fn known_sample(&mut self) -> bool {
        let len = self.sink.next_sample_len();
        let Some((raw, rest)) = self.lines.rest().split_at_checked(len) else { return false };
        if len == 0 || !self.sink.is_next_sample(raw) {
            return false;
        }
        let Some((value, used)) = value_at(rest) else { return false };
        let end = self.lines.at + len + used;
        if self.lines.body.get(end) == Some(&b'\n') {
            self.lines.at = end + 1;
        } else {
            let Ok(end) = self.line_tail(end) else { return false };
            self.lines.at = end;
        }
        self.sink.value(value);
        true
    }

    /// Behind a value: checks what follows and gives where the next line begins.
    fn line_tail(&self, end: usize) -> Read<usize> {
        let mut lines = self.lines;
        lines.at = end;
        lines.skip_blanks();
        if let Some(next) = self.line_ends_at(lines.at) {
            return Ok(next);
        }
        let start = lines.at;
        lines.at += token_len(lines.rest());
        let token = std::str::from_utf8(lines.since(start)).unwrap_or_default();
        if token.parse::<i64>().is_err() {
            let reason = Reason::BadTimestamp("a timestamp must be an integer: milliseconds");
            return Fault::at(reason, start);
        }
        lines.skip_blanks();
        let Some(next) = self.line_ends_at(lines.at) else {
            return lines.fault(Reason::Syntax("something behind the timestamp"));
        };
        match self.timestamps {
            Timestamps::Drop => Ok(next),
            Timestamps::Reject => Fault::at(Reason::TimestampNotAllowed, start),
        }
    }

    /// Where the next line begins, if this one ends at `at`.
    fn line_ends_at(&self, at: usize) -> Option<usize> {
        match self.lines.body.get(at..)? {
            [] | [b'\r'] => Some(self.lines.body.len()),
            [b'\n', ..] => Some(at + 1),
            [b'\r', b'\n', ..] => Some(at + 2),
            [..] => None,
        }
    }

    /// Opens the family whose lines came here last time, if they stand here again, with a sample
    /// of it behind them, and are the first about it.
    fn known_header(&mut self) -> bool {
        let len = self.sink.next_header_len();
        let Some((raw, rest)) = self.lines.rest().split_at_checked(len) else { return false };
        let Some(name) = plain_block_name(raw) else { return false };
        let start = self.lines.at;
        let mut family = Family::new(Cow::Borrowed(name), start);
        family.raw = Some((start, start + len));
        match rest.strip_prefix(name.as_bytes()) {
            Some([b'{' | b' ' | b'\t', ..]) => {}
            // Of a type whose samples have other names, perhaps. (Without a type the family has no
            // such samples, and is told only when one of its own comes.)
            Some(_) => {
                let mut lines = self.lines;
                match read_block(&mut lines) {
                    Ok(Some(block)) if lines.at == start + len && block.typed => family = block,
                    Ok(_) | Err(_) => return false,
                }
            }
            None => return false,
        }
        if self.families.find(name).is_some() || !self.sink.follow_header(raw) {
            return false;
        }
        family.told = true;
        self.lines.at += len;
        self.open = Some(self.families.add(family));
        true
    }

    /// At a number sign: reads the line, and all about the same family that follow.
    fn comment_or_block(&mut self) -> Read<()> {
        let Some(block) = read_block(&mut self.lines)? else { return Ok(()) };
        let index = match self.families.find(&block.name) {
            None => self.families.add(block),
            Some(index) => {
                self.families.parse(index, self.lines)?;
                self.families.extend(index, block)?;
                index
            }
        };
        match self.families.get(index) {
            Some(family) if family.typed || family.told => self.tell(index, family.raw),
            // Its type may still come; a sample of it tells it.
            Some(_) | None => {
                self.open = None;
                Ok(())
            }
        }
    }

    fn new_sample(&mut self) -> Read<()> {
        let start = self.lines.at;
        let (raw_end, value) = self.parse_sample()?;
        let next = self.line_tail(self.lines.at)?;
        self.lines.at = next;
        let Some(name) = self.parts.name.clone() else { return Ok(()) };
        self.choose_family(&name, start, raw_end)?;
        let raw = self.lines.body.get(start..raw_end);
        match self.sink.sample(raw, &mut self.parts, value) {
            Ok(()) => Ok(()),
            Err(problem) => self.refused(start, problem),
        }
    }

    /// Parses the sample again for the name of the label at fault: the sink may have moved them.
    #[cold]
    fn refused(&mut self, start: usize, problem: Problem) -> Read<()> {
        self.lines.at = start;
        self.parse_sample()?;
        refused(problem, start, &self.parts.labels)
    }

    /// At a sample: reads it into the scratch and gives where its value begins, and the value.
    fn parse_sample(&mut self) -> Read<(usize, f64)> {
        self.parts.name = None;
        self.parts.labels.clear();
        let lines = &mut self.lines;
        let start = lines.at;
        if lines.peek() != Some(b'{') {
            let name = lines.metric_name()?;
            if name.is_empty() {
                return lines.fault(Reason::BadName);
            }
            if !matches!(lines.peek(), Some(b'{' | b' ' | b'\t')) {
                return lines.fault(Reason::Syntax("expected a blank or { behind the name"));
            }
            self.parts.name = Some(Cow::Borrowed(name));
            lines.skip_blanks();
        }
        if lines.eat(b'{') {
            lines.labels(&mut self.parts, self.sink.most_labels())?;
            if self.parts.name.is_none() {
                return Fault::at(Reason::NameMissing, start);
            }
            lines.skip_blanks();
        }
        let value_start = lines.at;
        let value = lines.value()?;
        Ok((value_start, value))
    }

    /// Opens the family that the sample from `start` to `end` belongs to.
    #[inline]
    fn choose_family(&mut self, name: &str, start: usize, end: usize) -> Read<()> {
        if let Some(index) = self.open
            && self.families.get(index).is_some_and(|family| family.name == name)
        {
            return Ok(());
        }
        self.choose_other_family(name, start, end)
    }

    fn choose_other_family(&mut self, name: &str, start: usize, end: usize) -> Read<()> {
        if let Some(index) = self.open {
            self.families.parse(index, self.lines)?;
            if self.families.get(index).is_some_and(|family| family.has(name)) {
                return Ok(());
            }
        }
        for index in self.families.candidates(name) {
            self.families.parse(index, self.lines)?;
            if let Some(family) = self.families.get(index)
                && family.has(name)
            {
                return self.tell(index, family.raw);
            }
        }
        self.open_untyped(name, start, end)
    }

    /// Opens the family of a sample that no line told of.
    fn open_untyped(&mut self, name: &str, start: usize, end: usize) -> Read<()> {
        // Up to the byte that ends the name; a name in quotes may stand anywhere before the value.
        let end = match self.lines.body.get(start) {
            Some(b'{') => end,
            Some(_) | None => start + name.len() + 1,
        };
        let name = match &self.parts.name {
            Some(Cow::Borrowed(name)) => Cow::Borrowed(*name),
            Some(Cow::Owned(_)) | None => Cow::Owned(name.to_owned()),
        };
        let mut family = Family::new(name, start);
        (family.parsed, family.raw) = (true, Some((start, end)));
        let index = self.families.add(family);
        let raw = self.lines.body.get(start..end).unwrap_or_default();
        if self.sink.next_header_len() == raw.len() && self.sink.follow_header(raw) {
            self.told(index);
            return Ok(());
        }
        self.tell(index, Some((start, end)))
    }

    fn told(&mut self, index: usize) {
        if let Some(family) = self.families.get_mut(index) {
            family.told = true;
        }
        self.open = Some(index);
    }

    /// Opens the family in the sink. `raw`: where what may be remembered of it stands.
    fn tell(&mut self, index: usize, raw: Option<(usize, usize)>) -> Read<()> {
        self.families.parse(index, self.lines)?;
        let Some(family) = self.families.get(index) else { return Ok(()) };
        let header = FamilyHeader {
            name: Cow::Borrowed(&family.name),
            metric_type: family.metric_type,
            help: Cow::Borrowed(family.help.as_deref().unwrap_or_default()),
            ..FamilyHeader::default()
        };
        let raw = raw.and_then(|(start, end)| self.lines.body.get(start..end));
        match self.sink.header(raw, &header) {
            Ok(()) => {
                self.told(index);
                Ok(())
            }
            Err(problem) => refused::<_, &str, ()>(problem, family.at, &[]),
        }
    }
}
