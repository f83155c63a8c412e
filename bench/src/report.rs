//! A finished run as one JSON object.

use serde::Serialize;

use crate::drive::{Outcome, Tally};

/// Latencies of answered requests in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    n: usize,
    mean: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    max: Option<f64>,
}

impl Latency {
    /// The nearest-rank percentiles; none of them for no request at all.
    #[must_use]
    pub fn of(nanos: &[u64]) -> Self {
        let mut sorted = nanos.to_vec();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.max(1) - 1).map(|nanos| millis(*nanos))
        };
        let sum: u64 = sorted.iter().sum();
        let mean = (!sorted.is_empty()).then(|| rounded(sum as f64 / sorted.len() as f64 / 1e6, 4));
        Self {
            n: sorted.len(),
            mean,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

/// What `loadgen` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether all that was asked for was sent before the time was over.
    pub complete: bool,
    requests: usize,
    samples: u64,
    seconds: f64,
    req_per_s: f64,
    samples_per_s: f64,
    sent_mb_per_s: f64,
    mean_request_bytes: f64,
    latency_ms: Latency,
    errors: u64,
    non_2xx: u64,
    statuses: std::collections::BTreeMap<u16, u64>,
    connects: u64,
    client_cpu_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bad_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scrape_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scrape_series: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    side: Option<SideReport>,
}

/// What happened to the scrapes beside the pushes.
#[derive(Clone, Debug, Serialize)]
struct SideReport {
    side_scrape_ms: Latency,
    side_bytes: f64,
    side_errors: u64,
}

impl Report {
    /// Sums up `outcome`; `cpu_seconds` is what this process used during it.
    #[must_use]
    pub fn new(outcome: &Outcome, complete: bool, cpu_seconds: f64) -> Self {
        let main = &outcome.main;
        let seconds = outcome.wall.as_secs_f64();
        let requests = main.latencies.len();
        Self {
            complete,
            requests,
            samples: main.samples,
            seconds: rounded(seconds, 4),
            req_per_s: rounded(requests as f64 / seconds, 1),
            samples_per_s: rounded(main.samples as f64 / seconds, 1),
            sent_mb_per_s: rounded(main.sent as f64 / seconds / 1e6, 2),
            mean_request_bytes: mean(main.sent, requests),
            latency_ms: Latency::of(&main.latencies),
            errors: main.errors,
            non_2xx: main.refused,
            statuses: main.statuses.clone(),
            connects: main.connects,
            client_cpu_s: rounded(cpu_seconds, 6),
            first_error: main.first_error.clone(),
            bad_body: main.refusal.as_ref().map(|body| String::from_utf8_lossy(body).into_owned()),
            scrape_bytes: None,
            scrape_series: None,
            side: outcome.side.as_ref().map(SideReport::new),
        }
    }

    /// Adds what the last page was.
    #[must_use]
    pub fn with_page(mut self, main: &Tally) -> Self {
        self.scrape_bytes = Some(main.page.bytes());
        self.scrape_series = Some(main.page.series());
        self
    }
}

impl SideReport {
    fn new(side: &Tally) -> Self {
        Self {
            side_scrape_ms: Latency::of(&side.latencies),
            side_bytes: mean(side.received, side.latencies.len()),
            side_errors: side.errors + side.refused,
        }
    }
}

fn mean(total: u64, count: usize) -> f64 {
    rounded(total as f64 / count.max(1) as f64, 0)
}

fn millis(nanos: u64) -> f64 {
    rounded(nanos as f64 / 1e6, 4)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let nanos: Vec<u64> = (1..=1000).rev().map(|ms| ms * 1_000_000).collect();
        let latency = Latency::of(&nanos);
        assert_eq!(
            (latency.p50, latency.p99, latency.p999, latency.max),
            (Some(500.0), Some(990.0), Some(999.0), Some(1000.0))
        );
    }

    #[test]
    fn no_request_has_no_latency() {
        let latency = Latency::of(&[]);
        assert_eq!((latency.n, latency.mean, latency.p50, latency.max), (0, None, None, None));
    }
}
