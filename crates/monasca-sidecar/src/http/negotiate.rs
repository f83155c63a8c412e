//! What the client can read, from its Accept headers.

use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// How a page is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Identity,
    Gzip,
}

/// Gzip when the client names it (or `*`) and does not rule it out with `q=0`.
pub(crate) fn compression(headers: &HeaderMap) -> Compression {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for part in value.to_str().unwrap_or_default().split(',') {
            let mut fields = part.split(';').map(str::trim);
            let name = fields.next().unwrap_or_default();
            let refused = fields.any(|field| {
                let weight = field.strip_prefix("q=").or_else(|| field.strip_prefix("Q="));
                weight.and_then(|text| text.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
            });
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                return if refused { Compression::Identity } else { Compression::Gzip };
            }
            any |= name == "*" && !refused;
        }
    }
    if any { Compression::Gzip } else { Compression::Identity }
}

#[cfg(test)]
mod tests {
    use super::{Compression, compression};
    use hyper::HeaderMap;
    use hyper::header::{ACCEPT_ENCODING, HeaderValue};

    #[test]
    fn gzip_is_chosen_when_it_may_be() {
        for (accepted, expected) in [
            ("gzip", Compression::Gzip),
            ("deflate, GZIP;q=0.5", Compression::Gzip),
            ("gzip;q=0", Compression::Identity),
            ("gzip; q=0.0, *", Compression::Identity),
            ("*", Compression::Gzip),
            ("br", Compression::Identity),
            ("", Compression::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(compression(&headers), expected, "{accepted}");
        }
        assert_eq!(compression(&HeaderMap::new()), Compression::Identity);
    }
}
