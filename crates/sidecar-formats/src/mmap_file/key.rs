//! One key: `["c", "c_total", {"a": "2"}, "help"]`, as `json.dumps` writes it. Older clients leave the
//! help out, or have the labels' names and values in two lists.

use super::text::{Scanner, resolved};
use std::borrow::Cow;

/// A key with its escapes resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key<'a> {
    pub metric: Cow<'a, str>,
    pub sample: Cow<'a, str>,
    /// In the order written.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub help: Cow<'a, str>,
}

impl<'a> Key<'a> {
    /// `None`: not a key as a client writes it.
    pub fn parse(key: &'a [u8]) -> Option<Key<'a>> {
        let mut labels = Vec::new();
        let outline = Outline::parse(key, &mut labels)?;
        let resolve = |(name, value)| (resolved(name), resolved(value));
        Some(Key {
            metric: resolved(outline.metric),
            sample: resolved(outline.sample),
            labels: labels.into_iter().map(resolve).collect(),
            help: resolved(outline.help),
        })
    }
}

/// Where the parts of a key are, escapes and all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline<'a> {
    pub(super) metric: &'a str,
    pub(super) sample: &'a str,
    pub(super) help: &'a str,
}

impl<'a> Outline<'a> {
    /// `labels` is filled with the key's.
    pub(super) fn parse(
        key: &'a [u8],
        labels: &mut Vec<(&'a str, &'a str)>,
    ) -> Option<Outline<'a>> {
        labels.clear();
        let mut scanner = Scanner::new(std::str::from_utf8(key).ok()?);
        scanner.expect(b'[')?;
        let metric = scanner.text()?;
        scanner.expect(b',')?;
        let sample = scanner.text()?;
        scanner.expect(b',')?;
        let mut help = "";
        if scanner.eat(b'{') {
            object(&mut scanner, labels)?;
            if scanner.eat(b',') && !scanner.eat_null() {
                help = scanner.text()?;
            }
        } else {
            lists(&mut scanner, labels)?;
        }
        scanner.expect(b']')?;
        scanner.is_at_end().then_some(Outline { metric, sample, help })
    }
}

/// Behind the brace that opens it.
fn object<'a>(scanner: &mut Scanner<'a>, labels: &mut Vec<(&'a str, &'a str)>) -> Option<()> {
    if scanner.eat(b'}') {
        return Some(());
    }
    loop {
        let name = scanner.text()?;
        scanner.expect(b':')?;
        labels.push((name, scanner.text()?));
        if !scanner.eat(b',') {
            return scanner.expect(b'}');
        }
    }
}

/// The names, and behind them the values.
fn lists<'a>(scanner: &mut Scanner<'a>, labels: &mut Vec<(&'a str, &'a str)>) -> Option<()> {
    list(scanner, |name| {
        labels.push((name, ""));
        Some(())
    })?;
    scanner.expect(b',')?;
    let mut at = 0;
    list(scanner, |value| {
        labels.get_mut(at)?.1 = value;
        at += 1;
        Some(())
    })?;
    (at == labels.len()).then_some(())
}

fn list<'a>(scanner: &mut Scanner<'a>, mut take: impl FnMut(&'a str) -> Option<()>) -> Option<()> {
    scanner.expect(b'[')?;
    if scanner.eat(b']') {
        return Some(());
    }
    loop {
        take(scanner.text()?)?;
        if !scanner.eat(b',') {
            return scanner.expect(b']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    fn told(key: &str) -> Option<String> {
        let key = Key::parse(key.as_bytes())?;
        let labels: Vec<String> = key.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Some(format!("{} {} {{{}}} {}", key.metric, key.sample, labels.join(","), key.help))
    }

    #[test]
    fn every_spelling_of_a_key_is_read() {
        for (key, meaning) in [
            (r#"["c", "c_total", {"a": "2"}, "h\u00e9"]"#, "c c_total {a=2} hé"),
            (r#"["c", "c_total", {}, ""]"#, "c c_total {} "),
            (r#"["c", "c_total", {"a": "2", "b": "x y"}]"#, "c c_total {a=2,b=x y} "),
            (r#"["c", "c", ["a", "b"], ["1", "2"]]"#, "c c {a=1,b=2} "),
            (r#"["c", "c", [], []]"#, "c c {} "),
            (r#"["c","c_total",{"a":"2"},null]"#, "c c_total {a=2} "),
            (r#"["\"", "\\", {"a": "\n"}, "é"]"#, "\" \\ {a=\n} é"),
        ] {
            assert_eq!(told(key).as_deref(), Some(meaning), "{key}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for key in [
            "",
            "[]",
            "{}",
            r#"["c"]"#,
            r#"["c", "c_total"]"#,
            r#"["c", "c_total", {}"#,
            r#" ["c", "c_total", {}]"#,
            r#"["c", "c_total", {}, 1]"#,
            r#"["c", "c_total", {}, "h", "x"]"#,
            r#"["c", "c_total", {"a": 1}, "h"]"#,
            r#"["c", "c_total", {"a"}, "h"]"#,
            r#"["c", "c_total", {"a": "1",}, "h"]"#,
            r#"["c", 1, {}, "h"]"#,
            r#"["c", "c", ["a"], []]"#,
            r#"["c", "c", [], ["a"]]"#,
            r#"["c", "c", ["a"]]"#,
        ] {
            assert_eq!(told(key), None, "{key}");
        }
        assert_eq!(Key::parse(b"[\"c\", \"\xff\", {}]"), None);
    }
}
