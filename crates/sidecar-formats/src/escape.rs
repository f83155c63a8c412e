//! The only escaping: label values, help texts, and names for formats that carry only letters,
//! digits and underscores.

use std::borrow::Cow;

/// Appends a label value for a text format: `\\`, `\"` and `\n` are the escapes.
pub fn label_value(text: &str, out: &mut Vec<u8>) {
    write_escaped(text, |byte| matches!(byte, b'\\' | b'"' | b'\n'), out);
}

/// Appends a help text for text 0.0.4: `\\` and `\n` are the escapes.
pub fn help(text: &str, out: &mut Vec<u8>) {
    write_escaped(text, |byte| matches!(byte, b'\\' | b'\n'), out);
}

fn write_escaped(text: &str, special: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| special(*byte)) {
        let Some((plain, [byte, behind @ ..])) = rest.split_at_checked(at) else { break };
        out.extend_from_slice(plain);
        out.extend_from_slice(&[b'\\', if *byte == b'\n' { b'n' } else { *byte }]);
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// Whether every format can carry this metric name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_plain_metric_name(name: &str) -> bool {
    is_plain(name, metric_char)
}

/// Whether every format can carry this label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_label_name(name: &str) -> bool {
    is_plain(name, label_char)
}

/// The metric name under the scheme `underscores`: each character that is not allowed, or not
/// there, becomes `_`.
pub fn metric_name(name: &str) -> Cow<'_, str> {
    underscores(name, metric_char)
}

/// The label name under the scheme `underscores`.
pub fn label_name(name: &str) -> Cow<'_, str> {
    underscores(name, label_char)
}

const fn metric_char(byte: u8) -> bool {
    byte == b':' || label_char(byte)
}

const fn label_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[inline]
fn is_plain(name: &str, allowed: fn(u8) -> bool) -> bool {
    let first = name.as_bytes().first();
    first.is_some_and(|byte| !byte.is_ascii_digit()) && name.bytes().all(allowed)
}

fn underscores(name: &str, allowed: fn(u8) -> bool) -> Cow<'_, str> {
    if is_plain(name, allowed) {
        return Cow::Borrowed(name);
    }
    let mut first = true;
    Cow::Owned(
        name.chars()
            .map(|char| {
                let stays =
                    u8::try_from(char).is_ok_and(allowed) && !(first && char.is_ascii_digit());
                first = false;
                if stays { char } else { '_' }
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::{help, is_plain_metric_name, label_name, label_value, metric_name};

    fn escaped(text: &str, escape: fn(&str, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn label_values_escape_backslash_quote_and_line_feed() {
        assert_eq!(escaped("a\\b\"c\nd\té", label_value), "a\\\\b\\\"c\\nd\té");
        assert_eq!(escaped("", label_value), "");
        assert_eq!(escaped("\n\n", label_value), "\\n\\n");
    }

    #[test]
    fn help_leaves_quotes_alone() {
        assert_eq!(escaped("say \"x\"\\\n", help), "say \"x\"\\\\\\n");
    }

    #[test]
    fn names_get_an_underscore_for_each_other_character() {
        for (name, expected) in [
            ("http.status:sum", "http_status:sum"),
            ("0name", "_name"),
            ("a0", "a0"),
            ("Björn x", "Bj_rn_x"),
            ("日本", "__"),
        ] {
            assert_eq!(metric_name(name), expected);
        }
        assert_eq!(label_name("a:b"), "a_b");
        assert!(is_plain_metric_name("a:b_1"));
        assert!(!is_plain_metric_name(""));
        assert!(!is_plain_metric_name("1a"));
    }
}
