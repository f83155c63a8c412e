//! What the formats made of lines share: names, quoted texts, label lists and values, borrowed
//! from the body. Knows no families; what only one of the formats allows, its [`Grammar`] says.

mod error;
mod labels;

pub(crate) use error::{Fault, Read, Reason, refused};

use crate::number::{json_number, parse_f64};
use crate::quoted;
use std::borrow::Cow;
use std::marker::PhantomData;

/// How much of the body is checked to be UTF-8 at a time: once a text is asked for, those behind
/// it most often are too, and a long check costs little more than a short one.
const WINDOW_BYTES: usize = 2048;

/// What one of the formats allows and the other does not.
pub(crate) trait Grammar: Copy {
    /// Blanks between any two tokens, and a comma behind the last label.
    const LENIENT: bool;
    /// The code of what is no line of the format.
    const CODE: &'static str;
    /// What an escape that nobody defined stands for; `None`: it is refused.
    fn unknown_escape(char: char) -> Option<char>;
}

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a, G> {
    pub(crate) body: &'a [u8],
    pub(crate) at: usize,
    /// A part of the body that is known to be UTF-8, and where it begins.
    window: &'a str,
    window_start: usize,
    grammar: PhantomData<G>,
}

impl<'a, G: Grammar> Lines<'a, G> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Lines { body, at: 0, window: "", window_start: 0, grammar: PhantomData }
    }

    #[cold]
    pub(crate) fn fault<T>(&self, reason: Reason) -> Read<T> {
        Fault::at(reason, self.at)
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// From `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.body.get(start..self.at).unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether `byte` stands here; if so goes behind it.
    #[inline(always)]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Whether `word` stands here; if so goes behind it.
    pub(crate) fn eat_word(&mut self, word: &[u8]) -> bool {
        let there = self.rest().starts_with(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// The bytes up to the next byte that `stops`, or to the end; goes there.
    #[inline]
    pub(crate) fn until(&mut self, stops: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|byte| stops(*byte)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// The rest of the line without its end; goes behind that.
    pub(crate) fn line(&mut self) -> &'a [u8] {
        let line = self.until(|byte| byte == b'\n');
        self.eat(b'\n');
        line
    }

    /// The bytes from `start` to `end` as text.
    #[inline]
    pub(crate) fn text(&mut self, start: usize, end: usize) -> Read<&'a str> {
        let first = start.wrapping_sub(self.window_start);
        match self.window.get(first..first.wrapping_add(end - start)) {
            Some(text) => Ok(text),
            None => self.text_from_new_window(start, end),
        }
    }

    #[inline(never)]
    fn text_from_new_window(&mut self, start: usize, end: usize) -> Read<&'a str> {
        let enough = end.max(start + WINDOW_BYTES).min(self.body.len());
        let bytes = self.body.get(start..enough).unwrap_or_default();
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default())
                .unwrap_or_default(),
        };
        (self.window, self.window_start) = (valid, start);
        match valid.get(..end - start) {
            Some(text) => Ok(text),
            None => Fault::at(Reason::NotUtf8, start + valid.len()),
        }
    }

    /// The metric name that stands here without quotes; empty if none does.
    #[inline]
    pub(crate) fn metric_name(&mut self) -> Read<&'a str> {
        self.name(METRIC_START, METRIC_CHAR)
    }

    /// The label name that stands here without quotes; empty if none does.
    #[inline]
    pub(crate) fn label_name(&mut self) -> Read<&'a str> {
        self.name(LABEL_START, LABEL_CHAR)
    }

    #[inline]
    fn name(&mut self, first: u8, others: u8) -> Read<&'a str> {
        let start = self.at;
        if self.peek().is_some_and(|byte| has_class(byte, first)) {
            self.at += 1;
            while let Some(byte) = self.peek()
                && has_class(byte, others)
            {
                self.at += 1;
            }
        }
        self.text(start, self.at)
    }

    /// The name that stands here in a line about a family, in quotes or not; empty if none does.
    pub(crate) fn family_name(&mut self) -> Read<Cow<'a, str>> {
        if self.peek() == Some(b'"') {
            return self.quoted(Reason::BadName);
        }
        self.metric_name().map(Cow::Borrowed)
    }

    /// At a quote: the text up to the next one, its escapes resolved; `reason`: what is wrong when
    /// there is none or an escape is not known.
    #[inline]
    pub(crate) fn quoted(&mut self, reason: Reason) -> Read<Cow<'a, str>> {
        let start = self.at + 1;
        let end = quoted::end_on_line(self.body, start);
        if self.body.get(end) != Some(&b'"') {
            self.at = start;
            return self.quoted_with_escapes(reason).map(Cow::Owned);
        }
        self.at = end + 1;
        self.text(start, end).map(Cow::Borrowed)
    }

    #[cold]
    fn quoted_with_escapes(&mut self, reason: Reason) -> Read<String> {
        let mut out = String::new();
        loop {
            let start = self.at;
            self.at = quoted::end_on_line(self.body, start);
            out.push_str(self.text(start, self.at)?);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut out, reason)?,
                Some(_) | None => return self.fault(reason),
            }
        }
        self.at += 1;
        Ok(out)
    }

    /// At a backslash: adds what it and the next character stand for.
    pub(crate) fn escape(&mut self, out: &mut String, reason: Reason) -> Read<()> {
        let start = self.at;
        let char = match self.body.get(start + 1) {
            Some(b'n') => '\n',
            Some(char @ (b'\\' | b'"')) => char::from(*char),
            Some(b'\n') | None => return self.fault(reason),
            Some(_) => return self.other_escape(out, reason),
        };
        self.at += 2;
        out.push(char);
        Ok(())
    }

    fn other_escape(&mut self, out: &mut String, reason: Reason) -> Read<()> {
        let start = self.at + 1;
        let len = match self.body.get(start) {
            Some(0xf0..) => 4,
            Some(0xe0..) => 3,
            Some(0xc0..) => 2,
            Some(_) | None => 1,
        };
        let end = (start + len).min(self.body.len());
        let char = self.text(start, end)?.chars().next();
        let Some(char) = char.and_then(G::unknown_escape) else { return self.fault(reason) };
        out.push('\\');
        out.push(char);
        self.at = end;
        Ok(())
    }

    /// The help text of `len` bytes that stands here, its escapes resolved; goes behind its line.
    pub(crate) fn help_with_escapes(&mut self, len: usize) -> Read<String> {
        let end = self.at + len;
        let mut out = String::with_capacity(len);
        while self.at < end {
            let start = self.at;
            let plain = self.until(|byte| matches!(byte, b'\\' | b'\n')).len();
            let stop = (start + plain).min(end);
            out.push_str(self.text(start, stop)?);
            if self.at < end {
                self.escape(&mut out, Reason::BadHelp)?;
            }
        }
        self.line();
        Ok(out)
    }

    /// The number that stands here; goes behind it.
    #[inline]
    pub(crate) fn value(&mut self) -> Read<f64> {
        match value_at(self.rest()) {
            Some((value, len)) => {
                self.at += len;
                Ok(value)
            }
            None => self.fault(Reason::BadValue),
        }
    }
}

/// The value that `bytes` begin with, and its length.
#[inline]
pub(crate) fn value_at(bytes: &[u8]) -> Option<(f64, usize)> {
    if let Some((value, len)) = json_number(bytes)
        && matches!(bytes.get(len), Some(b'\n' | b' '))
    {
        return Some((value, len));
    }
    token_value(bytes)
}

fn token_value(bytes: &[u8]) -> Option<(f64, usize)> {
    let len = token_len(bytes);
    Some((parse_f64(bytes.get(..len)?)?, len))
}

/// How many bytes stand before the next blank or end of line.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    let len = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    len.unwrap_or(bytes.len())
}

const METRIC_START: u8 = 1;
const METRIC_CHAR: u8 = 2;
const LABEL_START: u8 = 4;
const LABEL_CHAR: u8 = 8;

/// Which of the above each byte is.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let letter = byte.is_ascii_alphabetic() || byte == b'_';
        let mut class = 0;
        if letter {
            class = METRIC_START | METRIC_CHAR | LABEL_START | LABEL_CHAR;
        } else if byte.is_ascii_digit() {
            class = METRIC_CHAR | LABEL_CHAR;
        } else if byte == b':' {
            class = METRIC_START | METRIC_CHAR;
        }
        #[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
        {
            classes[byte as usize] = class;
        }
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

#[inline(always)]
fn has_class(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}
