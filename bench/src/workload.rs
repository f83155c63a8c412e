//! The fixed workloads W1 to W4: which instances push which series, and the bytes of each push as JSON.
//!
//! The bytes are part of the definition of every published figure. A test holds their digests; a change
//! here makes older figures incomparable and needs a new workload name instead.

use std::fmt::Write as _;

use crate::body::{Body, Format};
use crate::exposition;

/// How many digits every counter value has, so that it can be overwritten in place.
pub const COUNTER_DIGITS: usize = 13;

const AGGREGATIONS: [&str; 4] = ["sum", "min", "max", "mean"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/// The shape of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Writing processes, each with its own `_id`.
    pub instances: usize,
    /// Metric families of each instance.
    pub families: usize,
    /// Label sets of each family.
    pub series_per_family: usize,
    /// Samples in one push.
    pub samples_per_request: usize,
    /// Keep-alive connections that push at the same time.
    pub connections: usize,
}

impl Workload {
    /// W1 a gunicorn service, W2 a fleet, W3 a wide registry, W4 one sample a push.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (instances, families, series_per_family, samples_per_request, connections) = match name
        {
            "W1" => (16, 50, 10, 500, 8),
            "W2" => (1000, 20, 10, 200, 16),
            "W3" => (4, 100, 2500, 5000, 4),
            "W4" => (16, 50, 10, 1, 64),
            _ => return None,
        };
        Some(Self { instances, families, series_per_family, samples_per_request, connections })
    }

    /// Every body of one pass, in the order in which a single connection would send them: all instances
    /// push their first part, then all push their second part, and so on.
    #[must_use]
    pub fn bodies(&self, format: Format, variant: usize, counter: u64) -> Vec<Body> {
        let per_instance = self.families * self.series_per_family;
        let part = self.samples_per_request.clamp(1, per_instance.max(1));
        let mut bodies = Vec::new();
        for start in (0..per_instance).step_by(part) {
            let end = (start + part).min(per_instance);
            for instance in 0..self.instances {
                let samples: Vec<_> =
                    (start..end).map(|n| self.sample(instance, n, variant)).collect();
                let mut body = match format {
                    Format::Json => json_body(&instance_id(instance), &samples, counter),
                    Format::Text => exposition::text(&samples, counter),
                    Format::Protobuf => exposition::protobuf(&samples, counter),
                };
                if format != Format::Json {
                    body.path = format!("/metrics/job/bench/_id/{}", instance_id(instance));
                    // What a PUT leaves out goes: a part of an instance's series has to be a POST.
                    body.method = if part == per_instance { "PUT" } else { "POST" };
                }
                bodies.push(body);
            }
        }
        bodies
    }

    fn sample(&self, instance: usize, n: usize, variant: usize) -> Sample {
        let (family, series) = (n / self.series_per_family, n % self.series_per_family);
        let aggregate = AGGREGATIONS.get(family % AGGREGATIONS.len()).copied().unwrap_or("sum");
        let counted = aggregate == "sum";
        Sample {
            family,
            name: format!("app_bench_family_{family:03}{}", if counted { "_total" } else { "" }),
            labels: [
                ("_aggregate", aggregate.to_owned()),
                (
                    "method",
                    METHODS.get(series % METHODS.len()).copied().unwrap_or("GET").to_owned(),
                ),
                ("route", format!("/api/v1/resource/{series}")),
                ("code", if series % 7 == 3 { "500" } else { "200" }.to_owned()),
            ],
            gauge: (!counted).then(|| gauge_value(instance, family, series, variant)),
        }
    }
}

/// One sample of a workload, in whatever format it is pushed.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The number of its family.
    pub family: usize,
    /// The name of its family and its own.
    pub name: String,
    /// All labels but `_id`, which the body or the path has.
    pub labels: [(&'static str, String); 4],
    /// The value of a gauge; counters all have the round's value.
    pub gauge: Option<f64>,
}

impl Sample {
    /// The type, as JSON and text write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.gauge.is_some() { "gauge" } else { "counter" }
    }

    /// The help text of its family.
    #[must_use]
    pub fn help(&self) -> String {
        format!("Benchmark family number {}.", self.family)
    }
}

/// The value that all counters have in a round. It rises with time and with each round, so that phases
/// run one after the other never make a counter fall; a thousand of them add up to less than 2^53.
#[must_use]
pub fn counter_value(started: u64, round: u64) -> u64 {
    1_000_000_000_000 + (started + round) % 7_900_000_000_000
}

fn json_body(id: &str, samples: &[Sample], counter: u64) -> Body {
    let mut out = String::from("[");
    let mut counters = Vec::new();
    let mut open = None;
    for sample in samples {
        let (name, kind) = (&sample.name, sample.kind());
        // Writing to a String cannot fail.
        if open == Some(sample.family) {
            out.push(',');
        } else {
            if open.is_some() {
                out.push_str("]},");
            }
            let help = sample.help();
            let _ = write!(
                out,
                "{{\"name\":\"{name}\",\"type\":\"{kind}\",\"help\":\"{help}\",\"values\":["
            );
            open = Some(sample.family);
        }
        let _ = write!(out, "{{\"name\":\"{name}\",\"labels\":{{\"_id\":\"{id}\"");
        for (label, value) in &sample.labels {
            let _ = write!(out, ",\"{label}\":\"{value}\"");
        }
        out.push_str("},\"value\":");
        let _ = match sample.gauge {
            Some(value) => write!(out, "{value}}}"),
            None => {
                counters.push(out.len());
                write!(out, "{counter}}}")
            }
        };
    }
    out.push_str("]}]");
    let bytes = out.into_bytes();
    Body {
        format: Format::Json,
        method: "POST",
        path: String::from("/v1/ingest"),
        bytes,
        counters,
        samples: samples.len(),
    }
}

fn instance_id(instance: usize) -> String {
    let spread = (instance as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    format!("web-{instance:04}.pod-{spread:x}")
}

/// The same value for the same place in every run: a third are integers, the others have a fraction of a
/// few or of many digits, because number text of different length costs a decoder differently.
fn gauge_value(instance: usize, family: usize, series: usize, variant: usize) -> f64 {
    let mut x = ((instance as u64) << 40)
        ^ ((family as u64) << 24)
        ^ ((series as u64) << 4)
        ^ variant as u64;
    x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 33;
    let bits = x >> 8;
    match x % 3 {
        0 => (bits & 0xF_FFFF) as f64,
        1 => (bits & 0xFFFF) as f64 / 1000.0,
        _ => (bits & 0xFFFF_FFFF) as f64 / 4_294_967_296.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str, variant: usize) -> (usize, u64) {
        let bodies =
            Workload::named(name).unwrap().bodies(Format::Json, variant, 1_000_000_000_000);
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in bodies.iter().flat_map(|b| &b.bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        (bodies.len(), hash)
    }

    #[test]
    fn the_bytes_of_the_workloads_never_change() {
        assert_eq!(digest("W1", 0), (16, 0x66b9_ad3d_86cd_e91d));
        assert_eq!(digest("W1", 1), (16, 0x9db0_d6a2_ae4b_6fa4));
        assert_eq!(digest("W2", 0), (1000, 0xa765_fd1a_629f_3403));
        assert_eq!(digest("W4", 0), (8000, 0x987b_9575_3a88_d9a3));
    }

    #[test]
    fn a_push_is_json_with_the_samples_it_claims() {
        let body = Workload::named("W1")
            .unwrap()
            .bodies(Format::Json, 0, 1_000_000_000_000)
            .swap_remove(3);
        let json: serde_json::Value = serde_json::from_slice(&body.bytes).unwrap();
        let families = json.as_array().unwrap();
        let samples: usize = families.iter().map(|f| f["values"].as_array().unwrap().len()).sum();
        assert_eq!((families.len(), samples, body.samples), (50, 500, 500));
    }

    #[test]
    fn every_counter_position_holds_a_counter() {
        for body in Workload::named("W4").unwrap().bodies(Format::Json, 1, 1_234_567_890_123) {
            for at in body.counters {
                assert_eq!(&body.bytes[at..at + COUNTER_DIGITS], b"1234567890123");
            }
        }
    }

    #[test]
    fn counters_rise_and_a_thousand_of_them_stay_exact() {
        assert!(counter_value(17_800_000_000_000, 1) > counter_value(17_800_000_000_000, 0));
        assert!(counter_value(7_899_999_999_999, 0) * 1000 < 1 << 53);
        assert_eq!(counter_value(0, 0).to_string().len(), COUNTER_DIGITS);
    }
}
