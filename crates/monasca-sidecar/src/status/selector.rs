//! `match[]=name{label="v",other!="w"}`: text to a [`Selector`].

use crate::http::Problem;
use regex::RegexBuilder;
use sidecar_store::{Matcher, Selector, Value};
use std::sync::Arc;

/// Memory of one compiled pattern.
const LARGEST_PATTERN_BYTES: usize = 1 << 20;
/// Label conditions of one selector.
const MATCHERS_AT_MOST: usize = 64;

const BAD: Problem = Problem::BadParameter {
    name: "match[]",
    message: "use name{label=\"value\",other!=\"value\",third=~\"pattern\"}",
};

/// A name, conditions in braces, or both.
pub(crate) fn parse(text: &str) -> Result<Selector, Problem> {
    let text = text.trim();
    let (name, conditions) = match text.split_once('{') {
        None => (text, None),
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix('}').ok_or(BAD)?)),
    };
    let mut matchers = Vec::new();
    if !name.is_empty() {
        matchers.push(Matcher {
            label: "__name__".to_owned(),
            value: Value::Text(name.to_owned()),
            negated: false,
        });
    }
    let mut rest = conditions.unwrap_or_default().trim_start();
    while !rest.is_empty() {
        let (matcher, after) = match unlike(rest)? {
            Some(unlike) => unlike,
            None => condition(rest)?,
        };
        matchers.push(matcher);
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
        } else if !rest.is_empty() {
            return Err(BAD);
        }
    }
    if matchers.is_empty() || matchers.len() > MATCHERS_AT_MOST {
        return Err(BAD);
    }
    Ok(Selector { matchers })
}

fn condition(text: &str) -> Result<(Matcher, &str), Problem> {
    let (left, right) = text.split_once('=').ok_or(BAD)?;
    let (label, negated) = match left.strip_suffix('!') {
        Some(label) => (label, true),
        None => (left, false),
    };
    let label = label.trim();
    if label.is_empty() || label.contains(['"', '{', '}', ',', '~']) {
        return Err(BAD);
    }
    // `=~` has its mark behind, `!~` instead of the equals sign.
    let (is_pattern, right) = match right.strip_prefix('~') {
        Some(right) if !negated => (true, right),
        Some(_) | None => (false, right),
    };
    let (value, rest) = quoted(right.trim_start())?;
    let value = if is_pattern { pattern(&value)? } else { Value::Text(value) };
    Ok((Matcher { label: label.to_owned(), value, negated }, rest))
}

/// `label!~"pattern"`, if the first comparison is that.
fn unlike(text: &str) -> Result<Option<(Matcher, &str)>, Problem> {
    let Some((label, right)) = text.split_once("!~") else { return Ok(None) };
    let label = label.trim();
    if label.is_empty() || label.contains(['"', '{', '}', ',', '=']) {
        return Ok(None);
    }
    let (value, rest) = quoted(right.trim_start())?;
    let value = pattern(&value)?;
    Ok(Some((Matcher { label: label.to_owned(), value, negated: true }, rest)))
}

/// As in PromQL: the whole value must match. Linear in the value, and limited in size.
fn pattern(text: &str) -> Result<Value, Problem> {
    let regex = RegexBuilder::new(&format!("^(?s:{text})$"))
        .size_limit(LARGEST_PATTERN_BYTES)
        .dfa_size_limit(LARGEST_PATTERN_BYTES)
        .build()
        .map_err(|_| Problem::BadParameter {
            name: "match[]",
            message: "not a regular expression, or too large a one",
        })?;
    Ok(Value::Pattern(Arc::new(move |value| regex.is_match(value))))
}

/// A text in double quotes with the escapes of the exposition format, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), Problem> {
    let mut rest = text.strip_prefix('"').ok_or(BAD)?.chars();
    let mut value = String::new();
    loop {
        match rest.next().ok_or(BAD)? {
            '"' => return Ok((value, rest.as_str())),
            '\\' => match rest.next().ok_or(BAD)? {
                'n' => value.push('\n'),
                plain @ ('"' | '\\') => value.push(plain),
                _ => return Err(BAD),
            },
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use sidecar_model::LabelSet;

    #[test]
    fn selectors_are_read_as_written() {
        let selector = parse(r#" up { a = "x,}\"\n" , b!="", } "#).unwrap();
        let read: Vec<_> = selector
            .matchers
            .iter()
            .map(|m| format!("{} {:?} {}", m.label, m.value, m.negated))
            .collect();
        assert_eq!(read, [r#"__name__ "up" false"#, r#"a "x,}\"\n" false"#, r#"b "" true"#]);
        assert_eq!(parse("up").unwrap().matchers.len(), 1);
        let labels = LabelSet::new(vec![("a", "web-1"), ("b", "x=~y")]).unwrap();
        for (text, expected) in [
            (r#"up{a=~"web-.*"}"#, true),
            (r#"up{a=~"web"}"#, false),
            (r#"up{a!~"web", b=~"x.*y"}"#, true),
            (r#"{a!~"web-.*"}"#, false),
            (r#"{c=~""}"#, true),
            (r#"{b="x=~y", a=~"a|web-1"}"#, true),
        ] {
            assert_eq!(parse(text).unwrap().matches("up", &labels), expected, "{text}");
        }
        for bad in [
            "",
            "{}",
            "up{",
            "up{a}",
            "up{a=b}",
            "up{a=\"b}",
            "up{a=\"b\"c=\"d\"}",
            "{=\"\"}",
            "{a=~\"(\"}",
            "{a!=~\"b\"}",
            "{a=~\"(x{1000}){1000}\"}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
