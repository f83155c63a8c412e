//! Whole HTTP requests, built before the clock starts; only counter digits change afterwards.

use crate::workload::{Body, COUNTER_DIGITS};

/// One request ready to be written to a socket.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    counters: Vec<usize>,
    samples: usize,
}

impl Request {
    /// A push of `body` to `path`.
    #[must_use]
    pub fn push(host: &str, path: &str, body: &Body) -> Self {
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: loadgen\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.json.len()
        )
        .into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(&body.json);
        let counters = body.counters.iter().map(|at| at + head).collect();
        Self { bytes, counters, samples: body.samples }
    }

    /// A scrape of `path`.
    #[must_use]
    pub fn scrape(host: &str, path: &str, accept_encoding: Option<&str>) -> Self {
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: loadgen\r\nAccept: text/plain;version=0.0.4\r\n"
        );
        if let Some(encoding) = accept_encoding {
            text.push_str("Accept-Encoding: ");
            text.push_str(encoding);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        Self { bytes: text.into_bytes(), counters: Vec::new(), samples: 0 }
    }

    /// Overwrites every counter with `value`, which must have [`COUNTER_DIGITS`] digits.
    pub fn set_counters(&mut self, value: u64) {
        if self.counters.is_empty() {
            return;
        }
        let mut digits = [b'0'; COUNTER_DIGITS];
        let mut rest = value;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for at in &self.counters {
            if let Some(place) = self.bytes.get_mut(*at..*at + COUNTER_DIGITS) {
                place.copy_from_slice(&digits);
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
        let old = shape.bodies(0, 1_000_000_000_000).swap_remove(0);
        let new = shape.bodies(0, 2_000_000_000_001).swap_remove(0);
        let mut request = Request::push("h:1", "/v1/ingest", &old);
        request.set_counters(2_000_000_000_001);
        assert_eq!(request.bytes(), Request::push("h:1", "/v1/ingest", &new).bytes());
    }
}
