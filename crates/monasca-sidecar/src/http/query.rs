//! Query parameters and percent encoding.

use super::Problem;
use std::borrow::Cow;
use std::time::Duration;

/// Longest query that is looked at.
const LONGEST_QUERY_BYTES: usize = 16 * 1024;

/// Name and value of each parameter, decoded, in order; a parameter without `=` has an empty value.
pub(crate) fn parameters(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.len() > LONGEST_QUERY_BYTES {
        return Err(Problem::BadParameter { name: "", message: "the query is too long" });
    }
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((percent_decoded(&spaced(name))?, percent_decoded(&spaced(value))?))
        })
        .collect()
}

/// `true`, `1` or nothing: on; `false` or `0`: off.
pub(crate) fn flag(name: &'static str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::BadParameter { name, message: "use true or false" }),
    }
}

/// `90s`, `1h30m`, or a number of seconds; more than zero.
pub(crate) fn duration(name: &'static str, value: &str) -> Result<Duration, Problem> {
    crate::config::parse_duration(value)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or(Problem::BadParameter { name, message: "use a time such as 90s, 1h30m or seconds" })
}

fn spaced(text: &str) -> Cow<'_, str> {
    if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) }
}

/// The text with `%xx` replaced; refused when that is no UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Result<String, Problem> {
    let bad = Problem::BadParameter { name: "", message: "bad percent encoding" };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let Some((digits, after)) = rest.split_first_chunk::<2>() else { return Err(bad) };
        let value = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|text| u8::from_str_radix(text, 16).ok());
        let Some(value) = value else { return Err(bad) };
        bytes.push(value);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| bad)
}

#[cfg(test)]
mod tests {
    use super::{parameters, percent_decoded};

    #[test]
    fn parameters_are_decoded_in_order() {
        let pairs = parameters("a=1&match[]=x%7Bl%3D%22v+w%22%7D&final&&b=").unwrap();
        let expected = [("a", "1"), ("match[]", "x{l=\"v w\"}"), ("final", ""), ("b", "")];
        assert_eq!(
            pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn bad_encoding_is_refused() {
        for text in ["%", "%1", "%zz", "%+1", "%ff"] {
            assert!(percent_decoded(text).is_err(), "{text}");
        }
    }
}
