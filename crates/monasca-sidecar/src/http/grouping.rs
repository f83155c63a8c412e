//! The grouping key in a path, `job/<job>{/<label>/<value>}`, as Pushgateway clients write it.
//!
//! The path is split first and decoded then, so that an encoded slash is part of a value.

use super::Problem;
use super::query::percent_decoded;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sidecar_model::{Escaping, unescape_name};
use sidecar_store::GroupKey;

/// A name with this suffix has its value in base64, which can carry slashes and nothing at all.
const BASE64_SUFFIX: &str = "@base64";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// `path` begins with `job`. The labels of the path, `job` among them.
pub(super) fn group_key(path: &str) -> Result<GroupKey, Problem> {
    let labels = labels(path)?;
    match labels.first() {
        Some((name, job)) if name == "job" && !job.is_empty() => {
            let job = job.clone();
            // The path's own job goes before a label of that name behind it.
            Ok(GroupKey::new(labels.into_iter().chain([("job".to_owned(), job)])))
        }
        Some(_) | None => Err(bad("job", "job name is required")),
    }
}

/// Any labels, or none.
pub(super) fn label_pairs(path: &str) -> Result<GroupKey, Problem> {
    labels(path).map(GroupKey::new)
}

fn labels(path: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut parts: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    // A slash at the end is an empty value behind a name, and nothing behind a value.
    if parts.len() % 2 == 1 && parts.last() == Some(&"") {
        parts.pop();
    }
    if parts.len() % 2 == 1 {
        let last = parts.last().copied().unwrap_or_default();
        return Err(bad(last, "a label without a value: names and values come in pairs"));
    }
    let pairs = parts.chunks_exact(2).map(|pair| match pair {
        [name, value] => label(name, value),
        _ => Err(Problem::NotFound),
    });
    pairs.collect()
}

fn label(name: &str, value: &str) -> Result<(String, String), Problem> {
    let name = percent_decoded(name)?;
    let (name, value) = match name.strip_suffix(BASE64_SUFFIX) {
        Some(plain) => (plain.to_owned(), from_base64(&name, value)?),
        None => (name, percent_decoded(value)?),
    };
    // As the Pushgateway takes names that no path of old could carry.
    let name = unescape_name(&name, Escaping::Values).into_owned();
    if name.is_empty() || name.starts_with("__") || name == "_aggregate" {
        return Err(bad(&name, "improper label name"));
    }
    Ok((name, value))
}

/// Padding may be there or not; `=` alone is an empty value.
fn from_base64(name: &str, value: &str) -> Result<String, Problem> {
    let value = percent_decoded(value)?;
    let bytes = BASE64
        .decode(value.trim_end_matches('='))
        .map_err(|_| bad(name, "the value is not base64 of the URL alphabet"))?;
    String::from_utf8(bytes).map_err(|_| bad(name, "the value is not UTF-8"))
}

fn bad(at: &str, message: &'static str) -> Problem {
    Problem::BadGroupingKey { at: at.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::{group_key, label_pairs};
    use crate::http::Problem;

    fn read(path: &str) -> Result<String, Problem> {
        group_key(path).map(|key| {
            let labels = key.labels().iter().map(|(name, value)| format!("{name}={value}"));
            labels.collect::<Vec<_>>().join(",")
        })
    }

    #[test]
    fn keys_are_read_as_clients_write_them() {
        for (path, expected) in [
            ("job/a", "job=a"),
            ("job/a/", "job=a"),
            ("job/a/instance/b", "instance=b,job=a"),
            ("job/a/x/", "job=a,x="),
            ("job@base64/YS9i", "job=a/b"),
            ("job@base64/L3Zhci90bXA=/x@base64/=", "job=/var/tmp,x="),
            ("job@base64/L3Zhci90bXA/x@base64/8J-Riw", "job=/var/tmp,x=\u{1f44b}"),
            ("job/a%2Fb/x/c%20d+e", "job=a/b,x=c d+e"),
            ("job/a/job/b", "job=a"),
            ("job/a/_id/7", "_id=7,job=a"),
            ("job/%C3%A9", "job=é"),
            ("job/a/U__http_2e_status/b", "http.status=b,job=a"),
            ("job/a/U__x_y/b", "U__x_y=b,job=a"),
        ] {
            assert_eq!(read(path).as_deref(), Ok(expected), "{path}");
        }
        assert!(label_pairs("").is_ok_and(|key| key.labels().is_empty()));
        assert!(label_pairs("a/b").is_ok_and(|key| key.labels().len() == 1));
    }

    #[test]
    fn bad_keys_are_refused() {
        for path in [
            "job",
            "job/",
            "job@base64/=",
            "job/a/x",
            "job/a//b",
            "job/a/__x/b",
            "job/a/_aggregate/sum",
            "job@base64/!!",
            "job/%ff",
            "x/y",
            "job@base64/_w",
        ] {
            assert!(read(path).is_err(), "{path}");
        }
    }
}
