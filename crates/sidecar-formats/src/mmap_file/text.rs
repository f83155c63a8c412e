//! The little of JSON that keys consist of: texts in quotes, and what stands between them.

use crate::quoted;
use std::borrow::Cow;

/// A place in a key. A method that finds something else than it looks for gives `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    key: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(key: &'a str) -> Scanner<'a> {
        Scanner { key, at: 0 }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.key.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether `byte` comes next; if so goes behind it and the blanks that follow.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
            self.skip_blanks();
        }
        there
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    pub(super) fn eat_null(&mut self) -> bool {
        let there = self.key.get(self.at..).is_some_and(|rest| rest.starts_with("null"));
        if there {
            self.at += 4;
            self.skip_blanks();
        }
        there
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.key.len()
    }

    /// What stands between the quotes that come next, its escapes checked but not resolved.
    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a str> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut end = quoted::end_in_json(self.key.as_bytes(), start);
        while self.key.as_bytes().get(end) == Some(&b'\\') {
            end = quoted::end_in_json(self.key.as_bytes(), end + self.escape_len(end)?);
        }
        if self.key.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.skip_blanks();
        self.key.get(start..end)
    }

    fn escape_len(&self, at: usize) -> Option<usize> {
        let escape = self.key.as_bytes().get(at..)?;
        match escape.get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
            b'u' => hex4(escape.get(2..)?).map(|_| 6),
            _ => None,
        }
    }
}

/// The text with its escapes resolved. Half of a character, which Python writes for a byte that was
/// no UTF-8, becomes the replacement character.
pub(super) fn resolved(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (char, len) = one_escape(escape);
        out.push(char);
        rest = escape.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What the escape says whose backslash stands before `bytes`, and how long it is.
fn one_escape(escape: &str) -> (char, usize) {
    let char = match escape.as_bytes().first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(escape.as_bytes()),
        Some(other) => char::from(*other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (char, 1)
}

fn unicode_escape(escape: &[u8]) -> (char, usize) {
    let code_at = |at: usize| escape.get(at..).and_then(hex4);
    let first = code_at(1).unwrap_or(0xd800);
    if let Some(char) = char::from_u32(first) {
        return (char, 5);
    }
    let second = (escape.get(5..7) == Some(b"\\u".as_slice())).then(|| code_at(7)).flatten();
    match second {
        Some(second) if first < 0xdc00 && (0xdc00..0xe000).contains(&second) => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        Some(_) | None => (char::REPLACEMENT_CHARACTER, 5),
    }
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes
        .first_chunk::<4>()?
        .iter()
        .try_fold(0, |code, byte| Some(code << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::{Scanner, resolved};

    #[test]
    fn escapes_are_resolved_and_halves_of_characters_replaced() {
        let raw = r#"a\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00b"#;
        let json = format!("\"{raw}\" ");
        let mut scanner = Scanner::new(&json);
        assert_eq!(scanner.text(), Some(raw));
        assert!(scanner.is_at_end());
        assert_eq!(resolved(raw), "a\"\\/\u{8}\u{c}\n\r\té😀b");
        assert_eq!(
            resolved(r"\ud83d \ude00\ud83d\u0041 \udcff"),
            "\u{fffd} \u{fffd}\u{fffd}A \u{fffd}"
        );
    }

    #[test]
    fn what_is_no_text_is_none() {
        for json in
            ["", "a", "\"", "\"a", r#""\x""#, r#""\u12""#, r#""\u12g4""#, "\"\\\"", "\"a\nb\""]
        {
            assert_eq!(Scanner::new(json).text(), None, "{json}");
        }
    }
}
