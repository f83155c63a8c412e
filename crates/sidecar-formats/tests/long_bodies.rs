//! What is long and no sample: others may go first while it is read, and labels without end are not read.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]

use sidecar_formats::{DecodeError, Timestamps, ingest_json, open_metrics, prom_text, protobuf};
use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, SampleParts, Sink,
};
use std::cell::Cell;

const MOST_LABELS: usize = 50;
const MEBIBYTE: usize = 1 << 20;

thread_local! {
    static PAUSES: Cell<usize> = const { Cell::new(0) };
}

/// Remembers nothing and takes everything.
struct Nothing;

impl Sink for Nothing {
    fn most_labels(&self) -> usize {
        MOST_LABELS
    }

    fn pause(&self) -> fn() {
        || PAUSES.set(PAUSES.get() + 1)
    }

    fn next_header_len(&self) -> usize {
        0
    }

    fn follow_header(&mut self, _: &[u8]) -> bool {
        false
    }

    fn header(&mut self, _: Option<&[u8]>, _: &FamilyHeader<'_>) -> Result<(), Problem> {
        Ok(())
    }

    fn next_sample_len(&self) -> usize {
        0
    }

    fn is_next_sample(&self, _: &[u8]) -> bool {
        false
    }

    fn value(&mut self, _: f64) {}

    fn skip(&mut self, _: usize) -> bool {
        false
    }

    fn sample(
        &mut self,
        _: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        _: f64,
    ) -> Result<(), Problem> {
        assert!(sample.labels.len() <= 2 * MOST_LABELS, "a decoder stops");
        Ok(())
    }

    fn exemplar(&mut self, _: &ExemplarParts<'_>) {}

    fn native(&mut self, _: &mut SampleParts<'_>, _: NativeHistogram) -> Result<(), Problem> {
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: 0, parsed: 0, headers: 0 }
    }

    fn rewind(&mut self, _: Mark) {}
}

fn json(labels: &str) -> Result<(), DecodeError> {
    let sample = format!(r#"{{"name":"g","labels":{{{labels}}},"value":1}}"#);
    let body = format!(r#"[{{"name":"g","type":"gauge","help":"","values":[{sample}]}}]"#);
    ingest_json::decode(body.as_bytes(), &mut Nothing)
}

fn text(labels: &str) -> Result<(), DecodeError> {
    prom_text::decode(format!("g{{{labels}}} 1\n").as_bytes(), Timestamps::Drop, &mut Nothing)
}

fn lines(labels: &str) -> Result<(), DecodeError> {
    let body = format!("# TYPE g gauge\ng{{{labels}}} 1\n# EOF\n");
    open_metrics::decode(body.as_bytes(), Timestamps::Drop, &mut Nothing)
}

fn message(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let mut rest = content.len();
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
    out.extend(content);
    out
}

/// A gauge with so many labels, before and behind its value.
fn binary(before: usize, behind: usize) -> Result<(), DecodeError> {
    let label = |n: usize| {
        let pair = [message(0x0a, format!("l{n}").as_bytes()), message(0x12, b"x")].concat();
        message(0x0a, &pair)
    };
    let value = message(0x12, &[&[0x09][..], &1.0_f64.to_le_bytes()].concat());
    let labels: Vec<u8> = (0..before).flat_map(label).collect();
    let late: Vec<u8> = (before..before + behind).flat_map(label).collect();
    let metric = [labels, value, late].concat();
    let family = [message(0x0a, b"g"), vec![0x18, 1], message(0x22, &metric)].concat();
    let body = message(0, &family).split_off(1);
    protobuf::decode(&body, Timestamps::Drop, &mut Nothing)
}

fn code(result: Result<(), DecodeError>) -> &'static str {
    result.err().map_or("", |error| error.code)
}

#[test]
fn labels_without_end_are_refused_before_all_are_read() {
    for (count, expected) in [(MOST_LABELS, ""), (200_000, "too_many_labels")] {
        let json_labels: Vec<String> = (0..count).map(|n| format!(r#""l{n}":"x""#)).collect();
        assert_eq!(code(json(&json_labels.join(","))), expected);
        let labels: Vec<String> = (0..count).map(|n| format!(r#"l{n}="x""#)).collect();
        assert_eq!(code(text(&labels.join(","))), expected);
        assert_eq!(code(lines(&labels.join(","))), expected);
        assert_eq!(code(binary(count, 0)), expected);
        assert_eq!(code(binary(0, count)), expected);
    }
}

#[test]
fn of_keys_that_repeat_the_last_counts_however_many_there_are() {
    let repeated: Vec<String> = (0..200_000).map(|n| format!(r#""l{}":"{n}""#, n % 40)).collect();
    assert_eq!(code(json(&repeated.join(","))), "");
}

#[test]
fn others_may_go_first_while_much_is_read_that_is_no_sample() {
    let pauses_of = |read: &dyn Fn() -> Result<(), DecodeError>| {
        PAUSES.set(0);
        read().unwrap();
        PAUSES.get()
    };
    let zeros = "0,".repeat(2 * MEBIBYTE);
    let ignored = format!(r#"[{{"name":"g","type":"gauge","more":[{zeros}0],"values":[]}}]"#);
    let comments = "# a comment\n".repeat(MEBIBYTE / 4);
    for pauses in [
        pauses_of(&|| ingest_json::decode(ignored.as_bytes(), &mut Nothing)),
        pauses_of(&|| prom_text::decode(comments.as_bytes(), Timestamps::Drop, &mut Nothing)),
    ] {
        assert!((40..200).contains(&pauses), "{pauses}");
    }
    assert_eq!(pauses_of(&|| json(r#""a":"b""#)), 0);
}
