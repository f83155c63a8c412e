//! Which compression a request's Content-Encoding names.

use crate::http::Problem;
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    /// The framed stream, not the bare block.
    Snappy,
    Zstd,
}

/// None for a plain body. Two compressions one over the other are refused: nobody needs them, and
/// they multiply what a small body can become.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Problem> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            let Some(coding) = named(name.trim_ascii())? else { continue };
            if found.replace(coding).is_some() {
                return Err(Problem::UnsupportedEncoding);
            }
        }
    }
    Ok(found)
}

fn named(name: &[u8]) -> Result<Option<Coding>, Problem> {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    if name.is_empty() || is("identity") {
        Ok(None)
    } else if is("gzip") || is("x-gzip") {
        Ok(Some(Coding::Gzip))
    } else if is("deflate") {
        Ok(Some(Coding::Deflate))
    } else if is("snappy") || is("x-snappy-framed") {
        Ok(Some(Coding::Snappy))
    } else if is("zstd") {
        Ok(Some(Coding::Zstd))
    } else {
        Err(Problem::UnsupportedEncoding)
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding, coding};
    use crate::http::Problem;
    use hyper::HeaderMap;
    use hyper::header::{CONTENT_ENCODING, HeaderValue};

    fn of(values: &[&'static str]) -> Result<Option<Coding>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        coding(&headers)
    }

    #[test]
    fn names_are_read_in_any_case_and_identity_is_nothing() {
        assert_eq!(of(&[]), Ok(None));
        for plain in ["", "identity", " Identity ", "identity, identity", ","] {
            assert_eq!(of(&[plain]), Ok(None), "{plain}");
        }
        for (name, expected) in [
            ("gzip", Coding::Gzip),
            ("X-GZip", Coding::Gzip),
            ("identity, gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("Snappy", Coding::Snappy),
            ("x-snappy-framed", Coding::Snappy),
            ("zstd,", Coding::Zstd),
        ] {
            assert_eq!(of(&[name]), Ok(Some(expected)), "{name}");
        }
        assert_eq!(of(&["identity", "zstd"]), Ok(Some(Coding::Zstd)));
    }

    #[test]
    fn an_unknown_compression_and_two_in_a_row_are_refused() {
        for name in ["br", "gzip, gzip", "zstd,gzip", "gzip br", "gzip;q=1", "x-snappy", "*"] {
            assert_eq!(of(&[name]), Err(Problem::UnsupportedEncoding), "{name}");
        }
        assert_eq!(of(&["gzip", "gzip"]), Err(Problem::UnsupportedEncoding));
    }
}
