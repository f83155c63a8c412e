//! The JSON scanner: tokens of a body, borrowed; knows nothing of metrics.
//!
//! Besides JSON it takes the bare tokens `NaN`, `Infinity` and `-Infinity`, which Python writes.

use super::MAX_DEPTH;
use super::error::{Fault, Read, Reason};
use crate::PAUSE_BYTES;
use crate::number;
use crate::quoted;
use std::borrow::Cow;

/// How much of the body is checked to be UTF-8 at a time: once a string is asked for, those behind
/// it most often are too, and a long check costs little more than a short one.
const WINDOW_BYTES: usize = 2048;

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
    /// A part of the body that is known to be UTF-8, and where it begins.
    window: &'a str,
    window_start: usize,
    pause: fn(),
}

/// Where a string stands between its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawText {
    start: usize,
    end: usize,
    escaped: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(body: &'a [u8]) -> Scanner<'a> {
        Scanner::pausing(body, || {})
    }

    /// `pause` is called between parts of what is skipped.
    pub(super) fn pausing(body: &'a [u8], pause: fn()) -> Scanner<'a> {
        Scanner { body, at: 0, window: "", window_start: 0, pause }
    }

    #[cold]
    pub(super) fn fault<T>(&self, reason: Reason) -> Read<T> {
        fault_at(reason, self.at)
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether `byte` stands here; if so goes behind it.
    #[inline(always)]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Whether `word` stands here; if so goes behind it.
    pub(super) fn eat_word(&mut self, word: &[u8]) -> bool {
        let there = self.rest().starts_with(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// Behind an element or member: whether another follows; if not, goes behind `close`.
    #[inline(always)]
    pub(super) fn more(&mut self, close: u8) -> Read<bool> {
        self.skip_blanks();
        if self.eat(b',') {
            self.skip_blanks();
            return Ok(true);
        }
        if self.eat(close) {
            return Ok(false);
        }
        self.fault(Reason::Json(if close == b'}' { "expected , or }" } else { "expected , or ]" }))
    }

    /// At a key: reads it and goes to its value.
    #[inline]
    pub(super) fn key(&mut self) -> Read<RawText> {
        if self.peek() != Some(b'"') {
            return self.fault(Reason::Json("expected a key in quotes"));
        }
        let key = self.raw_text()?;
        if !self.eat(b':') {
            self.skip_blanks();
            if !self.eat(b':') {
                return self.fault(Reason::Json("expected :"));
            }
        }
        self.skip_blanks();
        Ok(key)
    }

    /// At a string's first quote: goes behind its last one.
    #[inline]
    pub(super) fn raw_text(&mut self) -> Read<RawText> {
        let start = self.at + 1;
        let end = quoted::end_in_json(self.body, start);
        self.at = end;
        if self.eat(b'"') {
            return Ok(RawText { start, end, escaped: false });
        }
        self.raw_text_with_escapes(start)
    }

    #[cold]
    fn raw_text_with_escapes(&mut self, start: usize) -> Read<RawText> {
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.skip_escape()?,
                Some(_) => return self.fault(Reason::Json("a control character in a string")),
                None => return self.fault(Reason::Json("a string without an end")),
            }
            self.at = quoted::end_in_json(self.body, self.at);
        }
        self.at += 1;
        Ok(RawText { start, end: self.at - 1, escaped: true })
    }

    fn skip_escape(&mut self) -> Read<()> {
        let len = match self.body.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if hex4(self.body.get(self.at + 2..).unwrap_or_default()).is_some() => 6,
            Some(_) | None => return self.fault(Reason::Json("an unknown escape")),
        };
        self.at += len;
        Ok(())
    }

    /// At a value: goes behind it. `depth`: how many arrays and objects are open around it.
    pub(super) fn skip_value(&mut self, depth: u32) -> Read<()> {
        // One bit for each open level: set for an object.
        let mut objects = 0_u64;
        let mut open = 0_u32;
        let mut pause_at = self.at + PAUSE_BYTES;
        loop {
            if self.at >= pause_at {
                pause_at = self.at + PAUSE_BYTES;
                (self.pause)();
            }
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth + open >= MAX_DEPTH {
                        return self.fault(Reason::TooDeep);
                    }
                    self.at += 1;
                    open += 1;
                    objects = (objects << 1) | u64::from(bracket == b'{');
                    self.skip_blanks();
                    if !self.eat(close_of(objects)) {
                        if objects & 1 == 1 {
                            self.key()?;
                        }
                        continue;
                    }
                    objects >>= 1;
                    open -= 1;
                }
                Some(b'"') => {
                    self.raw_text()?;
                }
                Some(_) | None => self.skip_scalar()?,
            }
            loop {
                if open == 0 {
                    return Ok(());
                }
                if self.more(close_of(objects))? {
                    break;
                }
                objects >>= 1;
                open -= 1;
            }
            if objects & 1 == 1 {
                self.key()?;
            }
        }
    }

    fn skip_scalar(&mut self) -> Read<()> {
        if let Some(len) = number::json_number_len(self.rest()) {
            self.at += len;
            return Ok(());
        }
        let words: [&[u8]; 6] = [b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity"];
        if words.iter().any(|word| self.eat_word(word)) {
            return Ok(());
        }
        self.fault(Reason::Json("expected a value"))
    }
}

const fn close_of(objects: u64) -> u8 {
    if objects & 1 == 1 { b'}' } else { b']' }
}

#[cold]
fn fault_at<T>(reason: Reason, offset: usize) -> Read<T> {
    Err(Box::new(Fault { reason, offset, field: None }))
}

impl<'a> Scanner<'a> {
    fn raw_bytes(&self, raw: RawText) -> &'a [u8] {
        self.body.get(raw.start..raw.end).unwrap_or_default()
    }

    /// The text, checked and with its escapes resolved.
    #[inline]
    pub(super) fn text(&mut self, raw: RawText) -> Read<Cow<'a, str>> {
        if raw.escaped {
            return self.unescaped(raw).map(Cow::Owned);
        }
        let (start, end) =
            (raw.start.wrapping_sub(self.window_start), raw.end.wrapping_sub(self.window_start));
        match self.window.get(start..end) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => self.text_from_new_window(raw).map(Cow::Borrowed),
        }
    }

    /// The string that stands here, if it has no escapes and is known to be UTF-8; else stays here.
    /// The fast path of [`Scanner::raw_text`] and [`Scanner::text`]: what it gives fits registers.
    #[inline(always)]
    pub(super) fn plain_text(&mut self) -> Option<&'a str> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let end = quoted::end_in_json(self.body, start);
        if self.body.get(end) != Some(&b'"') {
            return None;
        }
        let first = start.wrapping_sub(self.window_start);
        let text = self.window.get(first..first.wrapping_add(end - start))?;
        self.at = end + 1;
        Some(text)
    }

    #[inline(never)]
    fn text_from_new_window(&mut self, raw: RawText) -> Read<&'a str> {
        let enough = raw.end.max(raw.start + WINDOW_BYTES).min(self.body.len());
        let bytes = self.body.get(raw.start..enough).unwrap_or_default();
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default())
                .unwrap_or_default(),
        };
        (self.window, self.window_start) = (valid, raw.start);
        match valid.get(..raw.end - raw.start) {
            Some(text) => Ok(text),
            None => fault_at(Reason::NotUtf8, raw.start + valid.len()),
        }
    }

    /// For comparing with known words: what cannot be read equals none.
    #[inline]
    pub(super) fn word(&self, raw: RawText) -> Cow<'a, [u8]> {
        if raw.escaped {
            return Cow::Owned(self.unescaped(raw).map(String::into_bytes).unwrap_or_default());
        }
        Cow::Borrowed(self.raw_bytes(raw))
    }

    #[cold]
    fn unescaped(&self, raw: RawText) -> Read<String> {
        let all = self.raw_bytes(raw);
        let mut out = String::with_capacity(all.len());
        let mut rest = all;
        loop {
            let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
            let (text, escape) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            let offset = raw.start + all.len() - rest.len();
            match std::str::from_utf8(text) {
                Ok(text) => out.push_str(text),
                Err(error) => return fault_at(Reason::NotUtf8, offset + error.valid_up_to()),
            }
            let Some((char, len)) = one_escape(escape) else {
                return if escape.is_empty() {
                    Ok(out)
                } else {
                    fault_at(Reason::LoneSurrogate, offset + plain)
                };
            };
            out.push(char);
            rest = escape.get(len..).unwrap_or_default();
        }
    }
}

/// The character that the escape at the start of `bytes` stands for, and the escape's length.
fn one_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match bytes.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes),
        other => char::from(*other),
    };
    Some((char, 2))
}

fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex4(bytes.get(2..)?)?;
    if let Some(char) = char::from_u32(first) {
        return Some((char, 6));
    }
    let second = hex4(bytes.get(6..)?.strip_prefix(b"\\u")?)?;
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(code)?, 12))
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes
        .first_chunk::<4>()?
        .iter()
        .try_fold(0, |code, byte| Some(code << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::Scanner;
    use crate::ingest_json::error::Reason;

    fn text(json: &str) -> Result<String, Reason> {
        let mut scanner = Scanner::new(json.as_bytes());
        let raw = scanner.raw_text().map_err(|fault| fault.reason)?;
        scanner.text(raw).map(|text| text.into_owned()).map_err(|fault| fault.reason)
    }

    fn skipped(json: &str) -> Result<usize, Reason> {
        let mut scanner = Scanner::new(json.as_bytes());
        scanner.skip_value(0).map_err(|fault| fault.reason)?;
        Ok(scanner.at)
    }

    #[test]
    fn escapes_are_resolved_and_halves_of_characters_refused() {
        assert_eq!(
            text(r#""a\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00b""#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\té😀b"
        );
        for json in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\ud83dx""#] {
            assert_eq!(text(json), Err(Reason::LoneSurrogate), "{json}");
        }
        for json in [r#""\x""#, r#""\u12""#, r#""\u12g4""#, r#""\""#, "\"a\nb\"", "\"a"] {
            assert!(matches!(text(json), Err(Reason::Json(_))), "{json}");
        }
    }

    #[test]
    fn whole_values_are_skipped() {
        for json in
            ["{}", "[]", r#"{"a":[1,{"b":null},"]"],"c":-Infinity}"#, "[ [ ] , { } ]", "NaN"]
        {
            assert_eq!(skipped(json), Ok(json.len()), "{json}");
        }
        for json in ["", "[1", "[1,]", "{,}", r#"{"a"}"#, r#"{"a":1,}"#, "[}", "tru", "+1"] {
            assert!(matches!(skipped(json), Err(Reason::Json(_))), "{json}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(skipped(&nested(32)), Ok(64));
        assert_eq!(skipped(&nested(33)), Err(Reason::TooDeep));
    }
}
