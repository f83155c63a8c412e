//! What a push says of itself in its headers and query: sequence, final, strict, decay,
//! temporality, idempotency key.

use crate::http::{Problem, query};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use sidecar_model::Temporality;
use sidecar_store::{PushMeta, Sequence};
use std::time::Duration;

const PUSH_SEQUENCE: HeaderName = HeaderName::from_static("push-sequence");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The same as `?ttl=`, for clients whose URL is fixed.
pub(super) const PUSH_TTL: HeaderName = HeaderName::from_static("push-ttl");
const LONGEST_KEY_BYTES: usize = 255;
const LONGEST_EPOCH_BYTES: usize = 255;

#[derive(Debug, Default)]
pub(super) struct Marks {
    sequence: Option<OwnSequence>,
    is_final: bool,
    strict: bool,
    pub(super) ttl: Option<Duration>,
    pub(super) temporality: Option<Temporality>,
    /// Scope and key.
    pub key: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct OwnSequence {
    epoch: String,
    n: u64,
    acked: u64,
}

impl Marks {
    pub(super) fn read(
        headers: &HeaderMap,
        query: Option<&str>,
        path: &str,
    ) -> Result<Marks, Problem> {
        let mut marks = Marks {
            sequence: headers.get(PUSH_SEQUENCE).map(sequence).transpose()?,
            key: headers.get(IDEMPOTENCY_KEY).map(|header| key(header, path)).transpose()?,
            ..Marks::default()
        };
        if let Some(query) = query {
            marks.read_query(query)?;
        }
        Ok(marks)
    }

    pub(super) fn meta(&self) -> PushMeta<'_> {
        PushMeta {
            sequence: self.sequence.as_ref().map(|own| Sequence {
                epoch: &own.epoch,
                n: own.n,
                acked: own.acked,
            }),
            is_final: self.is_final,
            strict: self.strict,
            ttl: self.ttl,
            temporality: self.temporality,
            ..PushMeta::default()
        }
    }

    fn read_query(&mut self, query: &str) -> Result<(), Problem> {
        for (name, value) in query::parameters(query)? {
            match name.as_str() {
                "final" => self.is_final = query::flag("final", &value)?,
                "strict" => self.strict = query::flag("strict", &value)?,
                "ttl" => self.ttl = Some(query::duration("ttl", &value)?),
                "temporality" => self.temporality = Some(temporality(&value)?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn temporality(value: &str) -> Result<Temporality, Problem> {
    match value {
        "delta" => Ok(Temporality::Delta),
        "cumulative" => Ok(Temporality::Cumulative),
        _ => Err(Problem::BadParameter { name: "temporality", message: "use delta or cumulative" }),
    }
}

/// `<epoch>.<n>.<acked>`, split from the right: an epoch may have dots.
fn sequence(header: &HeaderValue) -> Result<OwnSequence, Problem> {
    let text = header.to_str().map_err(|_| Problem::BadSequence)?;
    let mut parts = text.rsplitn(3, '.');
    let (acked, n, epoch) = (parts.next(), parts.next(), parts.next());
    let (Some(acked), Some(n), Some(epoch)) = (count(acked), count(n), epoch) else {
        return Err(Problem::BadSequence);
    };
    // What is acknowledged was sent before.
    if epoch.is_empty() || epoch.len() > LONGEST_EPOCH_BYTES || acked >= n {
        return Err(Problem::BadSequence);
    }
    Ok(OwnSequence { epoch: epoch.to_owned(), n, acked })
}

fn count(text: Option<&str>) -> Option<u64> {
    text.filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// Keys of one path are apart from those of others.
fn key(header: &HeaderValue, path: &str) -> Result<String, Problem> {
    let text = header.to_str().map_err(|_| Problem::BadKey)?;
    let fits = (1..=LONGEST_KEY_BYTES).contains(&text.len());
    if !fits || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::BadKey);
    }
    Ok(format!("{path} {text}"))
}

#[cfg(test)]
mod tests {
    use super::{Marks, OwnSequence, sequence};
    use crate::http::Problem;
    use hyper::HeaderMap;
    use hyper::header::HeaderValue;
    use std::time::Duration;

    #[test]
    fn a_sequence_is_split_from_the_right() {
        let read = |text| sequence(&HeaderValue::from_static(text));
        let expected = OwnSequence { epoch: "a.b".to_owned(), n: 7, acked: 6 };
        assert_eq!(read("a.b.7.6"), Ok(expected));
        for bad in ["", "a", "a.1", ".1.0", "a.-1.0", "a.+1.0", "a.1.", "a.1.x", "a.0.0", "a.1.1"] {
            assert_eq!(read(bad), Err(Problem::BadSequence), "{bad}");
        }
        assert_eq!(read("a.18446744073709551616.0"), Err(Problem::BadSequence));
    }

    #[test]
    fn bad_values_of_known_parameters_are_refused_and_others_ignored() {
        let read = |query| Marks::read(&HeaderMap::new(), Some(query), "/v1/ingest");
        let marks = read("final=true&ttl=1h30m&x=y").unwrap();
        assert_eq!((marks.is_final, marks.ttl), (true, Some(Duration::from_secs(5400))));
        for bad in ["final=maybe", "strict=2", "ttl=soon", "ttl=0", "ttl=", "temporality=both"] {
            assert!(matches!(read(bad), Err(Problem::BadParameter { .. })), "{bad}");
        }
    }
}
