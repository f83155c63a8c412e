//! Names as the formats without UTF-8 can carry them. The one place that knows which characters
//! are legal there.

use std::borrow::Cow;

/// A metric name with `_` for each character outside `[a-zA-Z0-9_:]`, and for a leading digit.
pub fn legacy_metric_name(name: &str) -> Cow<'_, str> {
    legacy(name, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// A label name with `_` for each character outside `[a-zA-Z0-9_]`, and for a leading digit.
pub fn legacy_label_name(name: &str) -> Cow<'_, str> {
    legacy(name, |c| c.is_ascii_alphanumeric() || c == '_')
}

fn legacy(name: &str, legal: impl Fn(char) -> bool) -> Cow<'_, str> {
    let leads_with_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !leads_with_digit && name.chars().all(&legal) {
        return Cow::Borrowed(name);
    }
    let replaced = name.chars().enumerate().map(|(at, c)| {
        let ok = legal(c) && !(at == 0 && c.is_ascii_digit());
        if ok { c } else { '_' }
    });
    Cow::Owned(replaced.collect())
}

#[cfg(test)]
mod tests {
    use super::{legacy_label_name, legacy_metric_name};

    #[test]
    fn each_illegal_character_becomes_one_underscore() {
        assert_eq!(legacy_metric_name("http:requests_total"), "http:requests_total");
        assert_eq!(legacy_metric_name("a.b-é"), "a_b__");
        assert_eq!(legacy_metric_name("1a2"), "_a2");
        assert_eq!(legacy_label_name("a:b"), "a_b");
    }
}
