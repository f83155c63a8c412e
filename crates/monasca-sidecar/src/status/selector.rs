//! `match[]=name{label="v",other!="w"}`: text to a [`Selector`].

use crate::http::Problem;
use sidecar_store::{Matcher, Selector};

/// Label conditions of one selector.
const MATCHERS_AT_MOST: usize = 64;

const BAD: Problem = Problem::BadParameter {
    name: "match[]",
    message: "use name{label=\"value\",other!=\"value\"}",
};

/// A name, conditions in braces, or both.
pub(super) fn parse(text: &str) -> Result<Selector, Problem> {
    let text = text.trim();
    let (name, conditions) = match text.split_once('{') {
        None => (text, None),
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix('}').ok_or(BAD)?)),
    };
    let mut matchers = Vec::new();
    if !name.is_empty() {
        matchers.push(Matcher {
            label: "__name__".to_owned(),
            value: name.to_owned(),
            negated: false,
        });
    }
    let mut rest = conditions.unwrap_or_default().trim_start();
    while !rest.is_empty() {
        let (matcher, after) = condition(rest)?;
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
    let (value, rest) = quoted(right.trim_start())?;
    Ok((Matcher { label: label.to_owned(), value, negated }, rest))
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

    #[test]
    fn selectors_are_read_as_written() {
        let selector = parse(r#" up { a = "x,}\"\n" , b!="", } "#).unwrap();
        let read: Vec<_> = selector
            .matchers
            .iter()
            .map(|m| (m.label.as_str(), m.value.as_str(), m.negated))
            .collect();
        assert_eq!(read, [("__name__", "up", false), ("a", "x,}\"\n", false), ("b", "", true)]);
        assert_eq!(parse("up").unwrap().matchers.len(), 1);
        for bad in
            ["", "{}", "up{", "up{a}", "up{a=b}", "up{a=\"b}", "up{a=\"b\"c=\"d\"}", "{=\"\"}"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
