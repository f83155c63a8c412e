//! Decodes a body into a [`Sink`]: strictly, since this format is valid as a whole or not at all.
//!
//! Every line is parsed, because most rules are about several lines and values: whether a body
//! keeps them cannot be remembered. What the sink remembers saves it the work on what was parsed.

mod block;
mod names;
mod points;

use crate::error::DecodeError;
use crate::lines::{Fault, Grammar, Lines, Read, Reason, refused, token_len};
use crate::number::parse_f64;
use crate::{PAUSE_BYTES, Timestamps};
use block::{Block, Part, read_block};
use names::Names;
use points::{Place, Point, Points};
use sidecar_model::{ExemplarParts, Problem, SampleParts, Sink};
use std::borrow::Cow;

/// Characters that the labels of an exemplar may have.
const MAX_EXEMPLAR_CHARS: usize = 128;

#[derive(Clone, Copy, Debug)]
struct OpenMetrics;

impl Grammar for OpenMetrics {
    const LENIENT: bool = false;
    const CODE: &'static str = "bad_open_metrics";

    fn unknown_escape(char: char) -> Option<char> {
        Some(char)
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
        exemplar: SampleParts::default(),
        names: Names::default(),
        points: Points::default(),
        open: None,
    };
    reader.document().map_err(|fault| fault.explain(body, OpenMetrics::CODE))
}

#[derive(Debug)]
struct Reader<'a, 's, S> {
    lines: Lines<'a, OpenMetrics>,
    timestamps: Timestamps,
    sink: &'s mut S,
    /// Scratch of every sample and exemplar.
    parts: SampleParts<'a>,
    exemplar: SampleParts<'a>,
    names: Names<'a>,
    points: Points,
    /// The family whose samples come.
    open: Option<Block<'a>>,
}

/// What stands on a sample's line behind its name and labels.
#[derive(Clone, Copy, Debug)]
struct Tail {
    value_start: usize,
    value: f64,
    timestamp: Option<f64>,
    exemplar: Option<Exemplar>,
}

#[derive(Clone, Copy, Debug)]
struct Exemplar {
    at: usize,
    value: f64,
    timestamp: Option<f64>,
}

impl<'a, S: Sink> Reader<'a, '_, S> {
    fn document(&mut self) -> Read<()> {
        let (pause, mut pause_at) = (self.sink.pause(), PAUSE_BYTES);
        loop {
            if self.lines.at >= pause_at {
                pause_at = self.lines.at + PAUSE_BYTES;
                pause();
            }
            match self.lines.peek() {
                Some(b'#') if self.end()? => break,
                Some(b'#') => {
                    let block = read_block(&mut self.lines)?;
                    let raw_end = self.lines.at;
                    self.open(block, raw_end)?;
                }
                Some(b'\n') => return self.lines.fault(Reason::Syntax("a blank line")),
                Some(_) => self.sample()?,
                None => return self.lines.fault(Reason::Syntax("# EOF is missing at the end")),
            }
        }
        self.points.finish()
    }

    /// At a number sign: whether it begins the last line.
    fn end(&mut self) -> Read<bool> {
        if !self.lines.eat_word(b"# EOF") {
            return Ok(false);
        }
        match self.lines.rest() {
            [] | [b'\n'] => Ok(true),
            [..] => self.lines.fault(Reason::Syntax("something behind # EOF")),
        }
    }

    /// Opens the family, of which all up to `raw_end` may be remembered.
    fn open(&mut self, block: Block<'a>, raw_end: usize) -> Read<()> {
        self.points.finish()?;
        self.names.add(&block)?;
        self.points.begin(block.metric_type());
        let raw = self.lines.body.get(block.at..raw_end).unwrap_or_default();
        let known = self.sink.next_header_len() == raw.len() && self.sink.follow_header(raw);
        if !known {
            let done = self.sink.header(Some(raw), &block.header());
            done.or_else(|problem| refused::<_, &str, ()>(problem, block.at, &[]))?;
        }
        self.open = Some(block);
        Ok(())
    }

    fn sample(&mut self) -> Read<()> {
        let start = self.lines.at;
        self.read_name_and_labels()?;
        let tail = self.read_tail()?;
        let part = self.part(start, tail.value_start)?;
        let Some(block) = &self.open else { return Ok(()) };
        let place = Place { part, at: start, value: tail.value, timestamp: tail.timestamp };
        let point = self.points.check(block, &self.parts, place)?;
        let exemplar = match tail.exemplar {
            Some(exemplar) => {
                self.points.check_exemplar(part, exemplar.value, exemplar.at)?;
                Some(exemplar)
            }
            None => None,
        };
        match point {
            Point::New => self.take(start, &tail, exemplar),
            // Of those with one timestamp the first counts.
            Point::Again => Ok(()),
        }
    }

    /// Which part of the open family the sample is; of one that is none of it a family is opened.
    fn part(&mut self, start: usize, value_start: usize) -> Read<Part> {
        let name = self.parts.name.as_deref().unwrap_or_default();
        if let Some(part) = self.open.as_ref().and_then(|block| block.part(name)) {
            return Ok(part);
        }
        // Up to the byte that ends the name; a name in quotes may stand anywhere before the value.
        let raw_end = match self.lines.body.get(start) {
            Some(b'{') => value_start,
            Some(_) | None => start + name.len() + 1,
        };
        let name = self.parts.name.clone().unwrap_or_default();
        self.open(Block::without_lines(name, start), raw_end)?;
        Ok(Part::Value)
    }

    fn take(&mut self, start: usize, tail: &Tail, exemplar: Option<Exemplar>) -> Read<()> {
        let raw = self.lines.body.get(start..tail.value_start).unwrap_or_default();
        if self.sink.next_sample_len() == raw.len() && self.sink.is_next_sample(raw) {
            self.sink.value(tail.value);
        } else if let Err(problem) = self.sink.sample(Some(raw), &mut self.parts, tail.value) {
            return self.refused(start, problem);
        }
        if let Some(exemplar) = exemplar {
            let labels = std::mem::take(&mut self.exemplar.labels);
            let Exemplar { value, timestamp, .. } = exemplar;
            self.sink.exemplar(&ExemplarParts { labels, value, timestamp });
        }
        Ok(())
    }

    /// Parses the sample again for the name of the label at fault: the sink may have moved them.
    #[cold]
    fn refused(&mut self, start: usize, problem: Problem) -> Read<()> {
        self.lines.at = start;
        self.read_name_and_labels()?;
        refused(problem, start, &self.parts.labels)
    }

    /// At a sample: reads it up to the blank behind its labels.
    fn read_name_and_labels(&mut self) -> Read<()> {
        self.parts.name = None;
        self.parts.labels.clear();
        let lines = &mut self.lines;
        let start = lines.at;
        if lines.peek() != Some(b'{') {
            let name = lines.metric_name()?;
            if name.is_empty() {
                return lines.fault(Reason::BadName);
            }
            self.parts.name = Some(Cow::Borrowed(name));
        }
        if lines.eat(b'{') {
            lines.labels(&mut self.parts, self.sink.most_labels())?;
            if self.parts.name.is_none() {
                return Fault::at(Reason::NameMissing, start);
            }
        }
        if !lines.eat(b' ') {
            return lines.fault(Reason::Syntax("expected one blank before the value"));
        }
        Ok(())
    }

    /// At a value: reads the rest of the line and goes behind it.
    #[inline]
    fn read_tail(&mut self) -> Read<Tail> {
        let value_start = self.lines.at;
        let value = self.lines.value()?;
        let mut tail = Tail { value_start, value, timestamp: None, exemplar: None };
        if self.lines.eat(b'\n') {
            return Ok(tail);
        }
        self.read_more(&mut tail)?;
        Ok(tail)
    }

    fn read_more(&mut self, tail: &mut Tail) -> Read<()> {
        if !self.lines.rest().starts_with(b" # ") {
            let at = self.lines.at + 1;
            tail.timestamp = self.read_timestamp()?;
            if tail.timestamp.is_some() && self.timestamps == Timestamps::Reject {
                return Fault::at(Reason::TimestampNotAllowed, at);
            }
        }
        let at = self.lines.at;
        if self.lines.eat_word(b" # ") {
            tail.exemplar = Some(self.read_exemplar(at + 1)?);
        }
        if self.lines.eat(b'\n') {
            return Ok(());
        }
        self.lines.fault(Reason::Syntax("expected the end of the line"))
    }

    /// Behind a value: reads the timestamp if there is one.
    fn read_timestamp(&mut self) -> Read<Option<f64>> {
        if !self.lines.eat(b' ') {
            return Ok(None);
        }
        let rest = self.lines.rest();
        let len = token_len(rest);
        let timestamp = rest.get(..len).and_then(parse_f64).filter(|value| value.is_finite());
        if timestamp.is_none() {
            let reason = Reason::BadTimestamp("a timestamp must be a finite number: seconds");
            return self.lines.fault(reason);
        }
        self.lines.at += len;
        Ok(timestamp)
    }

    fn read_exemplar(&mut self, at: usize) -> Read<Exemplar> {
        // It has no name that could stand in quotes.
        self.exemplar.name = Some(Cow::Borrowed(""));
        self.exemplar.labels.clear();
        if !self.lines.eat(b'{') {
            return self.lines.fault(Reason::BadExemplar("an exemplar must begin with {"));
        }
        self.lines.labels(&mut self.exemplar, MAX_EXEMPLAR_CHARS)?;
        let labels = self.exemplar.labels.iter();
        let chars: usize =
            labels.map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if chars > MAX_EXEMPLAR_CHARS {
            let reason = Reason::BadExemplar("labels of an exemplar with more than 128 characters");
            return Fault::at(reason, at);
        }
        if !self.lines.eat(b' ') {
            return self.lines.fault(Reason::BadExemplar("expected the value of the exemplar"));
        }
        let value = self.lines.value()?;
        let timestamp = self.read_timestamp()?;
        Ok(Exemplar { at, value, timestamp })
    }
}
