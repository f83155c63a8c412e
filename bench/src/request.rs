//! Whole HTTP requests, built before the clock starts; only counter digits change afterwards.

use crate::body::{Body, Format};
use crate::workload::COUNTER_DIGITS;

/// One request ready to be written to a socket.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    format: Format,
    counters: Vec<usize>,
    samples: usize,
}

impl Request {
    /// A push of `body` to `path`.
    #[must_use]
    pub fn push(host: &str, path: &str, body: &Body) -> Self {
        let mut bytes = format!(
            "{} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: loadgen\r\nContent-Type: {}\r\n\
             Content-Length: {}\r\n\r\n",
            body.method,
            body.format.content_type(),
            body.bytes.len()
        )
        .into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(&body.bytes);
        let counters = body.counters.iter().map(|at| at + head).collect();
        Self { bytes, format: body.format, counters, samples: body.samples }
    }

    /// A scrape of `path` in the format `accept`.
    #[must_use]
    pub fn scrape(host: &str, path: &str, accept: &str, accept_encoding: Option<&str>) -> Self {
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: loadgen\r\nAccept: {accept}\r\n"
        );
        if let Some(encoding) = accept_encoding {
            text.push_str("Accept-Encoding: ");
            text.push_str(encoding);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        Self { bytes: text.into_bytes(), format: Format::Text, counters: Vec::new(), samples: 0 }
    }

    /// Overwrites every counter with `value`, which must have [`COUNTER_DIGITS`] digits.
    pub fn set_counters(&mut self, value: u64) {
        if self.counters.is_empty() {
            return;
        }
        match self.format {
            Format::Json | Format::Text => self.overwrite(&digits(value)),
            Format::Protobuf => self.overwrite(&(value as f64).to_le_bytes()),
        }
    }

    fn overwrite(&mut self, value: &[u8]) {
        for at in &self.counters {
            if let Some(place) = self.bytes.get_mut(*at..*at + value.len()) {
                place.copy_from_slice(value);
            }
        }
    }

    /// Head and body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many samples it carries.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }
}

fn digits(value: u64) -> [u8; COUNTER_DIGITS] {
    let mut digits = [b'0'; COUNTER_DIGITS];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    #[test]
    fn only_counter_digits_change_between_rounds() {
        let shape = Workload {
            instances: 1,
            families: 2,
            series_per_family: 1,
            samples_per_request: 2,
            connections: 1,
        };
        for format in [Format::Json, Format::Text, Format::Protobuf] {
            let old = shape.bodies(format, 0, 1_000_000_000_000).swap_remove(0);
            let new = shape.bodies(format, 0, 2_000_000_000_001).swap_remove(0);
            let mut request = Request::push("h:1", "/v1/ingest", &old);
            request.set_counters(2_000_000_000_001);
            assert_eq!(request.bytes(), Request::push("h:1", "/v1/ingest", &new).bytes());
        }
    }
}
