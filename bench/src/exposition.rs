//! The workloads' samples in Prometheus formats, and groups of one sample each.
//!
//! Protobuf is written by hand: a generated encoder would bring a compiler along for five small messages.

use std::fmt::Write as _;

use crate::body::{Body, Format};
use crate::workload::Sample;

const VARINT: u8 = 0;
const DOUBLE: u8 = 1;
const BYTES: u8 = 2;
const TYPE_COUNTER: u8 = 0;
const TYPE_GAUGE: u8 = 1;

/// `samples` as text 0.0.4; all counters are `counter`.
#[must_use]
pub fn text(samples: &[Sample], counter: u64) -> Body {
    let mut out = String::new();
    let mut counters = Vec::new();
    let mut open = None;
    for sample in samples {
        let name = &sample.name;
        // Writing to a String cannot fail.
        if open != Some(sample.family) {
            let (help, kind) = (sample.help(), sample.kind());
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            open = Some(sample.family);
        }
        out.push_str(name);
        for (n, (label, value)) in sample.labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            let _ = write!(out, "{before}{label}=\"{value}\"");
        }
        out.push_str("} ");
        let _ = match sample.gauge {
            Some(value) => writeln!(out, "{value}"),
            None => {
                counters.push(out.len());
                writeln!(out, "{counter}")
            }
        };
    }
    body(Format::Text, out.into_bytes(), counters, samples.len())
}

/// `samples` as length-delimited `MetricFamily` messages; all counters are `counter`.
#[must_use]
pub fn protobuf(samples: &[Sample], counter: u64) -> Body {
    let mut out = Vec::new();
    let mut counters = Vec::new();
    for family in samples.chunk_by(|a, b| a.family == b.family) {
        let (message, places) = metric_family(family, counter);
        varint(&mut out, message.len());
        counters.extend(places.into_iter().map(|at| out.len() + at));
        out.extend_from_slice(&message);
    }
    body(Format::Protobuf, out, counters, samples.len())
}

/// `count` groups without `_id` of one counter each, all of one family.
#[must_use]
pub fn groups(count: usize, counter: u64) -> Vec<Body> {
    let head = "# HELP bench_group_total One sample a group.\n# TYPE bench_group_total counter\nbench_group_total ";
    let group = |n| {
        let bytes = format!("{head}{counter}\n").into_bytes();
        let path = format!("/metrics/job/bench/instance/host-{n:06}");
        Body { path, ..body(Format::Text, bytes, vec![head.len()], 1) }
    };
    (0..count).map(group).collect()
}

fn body(format: Format, bytes: Vec<u8>, counters: Vec<usize>, samples: usize) -> Body {
    let path = String::from("/metrics/job/bench");
    Body { format, method: "PUT", path, bytes, counters, samples }
}

/// One `MetricFamily`, and where its counters' doubles are.
fn metric_family(samples: &[Sample], counter: u64) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut counters) = (Vec::new(), Vec::new());
    if let Some(first) = samples.first() {
        field(&mut out, 1, first.name.as_bytes());
        field(&mut out, 2, first.help().as_bytes());
        let kind = if first.gauge.is_some() { TYPE_GAUGE } else { TYPE_COUNTER };
        out.extend_from_slice(&[tag(3, VARINT), kind]);
    }
    for sample in samples {
        let message = metric(sample, counter);
        field(&mut out, 4, &message);
        if sample.gauge.is_none() {
            counters.push(out.len() - size_of::<f64>());
        }
    }
    (out, counters)
}

/// One `Metric`; its value is the last eight bytes.
fn metric(sample: &Sample, counter: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in &sample.labels {
        let mut pair = Vec::new();
        field(&mut pair, 1, name.as_bytes());
        field(&mut pair, 2, value.as_bytes());
        field(&mut out, 1, &pair);
    }
    let (number, value) = match sample.gauge {
        Some(value) => (2, value),
        None => (3, counter as f64),
    };
    let mut message = vec![tag(1, DOUBLE)];
    message.extend_from_slice(&value.to_le_bytes());
    field(&mut out, number, &message);
    out
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(tag(number, BYTES));
    varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn tag(number: u8, wire: u8) -> u8 {
    number << 3 | wire
}

fn varint(out: &mut Vec<u8>, value: usize) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{COUNTER_DIGITS, Workload};

    const COUNTER: u64 = 1_234_567_890_123;

    #[test]
    fn a_text_push_has_the_samples_of_the_json_push() {
        let body = Workload::named("W1").unwrap().bodies(Format::Text, 0, COUNTER).swap_remove(3);
        let text = std::str::from_utf8(&body.bytes).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((samples, body.samples, text.matches("# TYPE").count()), (500, 500, 50));
        assert!(text.starts_with(
            "# HELP app_bench_family_000_total Benchmark family number 0.\n\
             # TYPE app_bench_family_000_total counter\n\
             app_bench_family_000_total{_aggregate=\"sum\",method=\"GET\",route=\"/api/v1/resource/0\",code=\"200\"} 1234567890123\n"
        ));
        assert!(body.path.starts_with("/metrics/job/bench/_id/web-0003"));
        for at in body.counters {
            assert_eq!(&body.bytes[at..at + COUNTER_DIGITS], b"1234567890123");
        }
    }

    #[test]
    fn a_part_of_an_instance_is_posted_so_that_the_others_stay() {
        let methods = |name| {
            let bodies = Workload::named(name).unwrap().bodies(Format::Text, 0, COUNTER);
            bodies.iter().map(|body| body.method).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(methods("W2"), ["PUT"].into());
        assert_eq!(methods("W4"), ["POST"].into());
    }

    #[test]
    fn protobuf_is_one_delimited_message_a_family() {
        let body =
            Workload::named("W1").unwrap().bodies(Format::Protobuf, 0, COUNTER).swap_remove(0);
        let (mut rest, mut families) = (&body.bytes[..], 0);
        while !rest.is_empty() {
            // Every family of W1 is between 128 and 16,383 bytes long: a varint of two bytes.
            let length = usize::from(rest[0] & 0x7F) | usize::from(rest[1]) << 7;
            assert_eq!((rest[0] >> 7, rest[1] >> 7, rest[2]), (1, 0, 0x0A));
            rest = &rest[2 + length..];
            families += 1;
        }
        assert_eq!((families, body.samples, body.counters.len()), (50, 500, 130));
        for at in body.counters {
            assert_eq!(body.bytes[at..at + 8], 1_234_567_890_123_f64.to_le_bytes());
            assert_eq!(body.bytes[at - 1], 0x09);
        }
    }

    #[test]
    fn groups_differ_in_their_path_alone() {
        let bodies = groups(3, COUNTER);
        assert_eq!(bodies[0].bytes, bodies[2].bytes);
        assert_eq!(bodies[2].path, "/metrics/job/bench/instance/host-000002");
        let at = bodies[1].counters[0];
        assert_eq!(&bodies[1].bytes[at..], b"1234567890123\n");
    }
}
