//! Names as the formats without UTF-8 can carry them. The one place that knows which characters
//! are legal there, and the scheme `underscores` that replaces the others.

use std::borrow::Cow;

/// Whether every format can carry this metric name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_plain_metric_name(name: &str) -> bool {
    is_plain(name, metric_char)
}

/// Whether every format can carry this label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_label_name(name: &str) -> bool {
    is_plain(name, label_char)
}

/// [`is_plain_label_name`] of UTF-8 bytes.
#[inline]
pub(crate) fn is_plain_label_bytes(name: &[u8]) -> bool {
    let leads_plainly = name.first().is_some_and(|byte| !byte.is_ascii_digit());
    leads_plainly && name.iter().all(|byte| label_char(*byte))
}

/// The metric name under the scheme `underscores`: `_` for each character that is not allowed, or
/// not there.
pub fn plain_metric_name(name: &str) -> Cow<'_, str> {
    underscores(name, metric_char)
}

/// The label name under the scheme `underscores`.
pub fn plain_label_name(name: &str) -> Cow<'_, str> {
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
    let replaced = name.chars().map(|char| {
        let stays = u8::try_from(char).is_ok_and(allowed) && !(first && char.is_ascii_digit());
        first = false;
        if stays { char } else { '_' }
    });
    Cow::Owned(replaced.collect())
}

#[cfg(test)]
mod tests {
    use super::{is_plain_metric_name, plain_label_name, plain_metric_name};

    #[test]
    fn names_get_an_underscore_for_each_other_character() {
        for (name, expected) in [
            ("http.status:sum", "http_status:sum"),
            ("0name", "_name"),
            ("a0", "a0"),
            ("Björn x", "Bj_rn_x"),
            ("日本", "__"),
        ] {
            assert_eq!(plain_metric_name(name), expected);
        }
        assert_eq!(plain_label_name("a:b"), "a_b");
        assert!(is_plain_metric_name("a:b_1"));
        assert!(!is_plain_metric_name(""));
        assert!(!is_plain_metric_name("1a"));
    }
}
