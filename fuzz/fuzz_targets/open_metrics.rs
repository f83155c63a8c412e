//! Any bytes as a body: no panic, and what a sink remembers of one body (the input up to the first
//! 0xff byte, or all of it) changes nothing about what the other (what follows, or the same) means.
#![no_main]

#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../../crates/sidecar-formats/tests/ingest_json/recorder.rs"]
mod recorder;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../../crates/sidecar-formats/tests/open_metrics_in/with_exemplars.rs"]
mod with_exemplars;

use libfuzzer_sys::fuzz_target;
use recorder::Recorded;
use sidecar_formats::open_metrics::decode;
use sidecar_formats::{DecodeError, Timestamps};
use with_exemplars::WithExemplars;

type Told = (Recorded, Vec<(usize, String)>);

fn told(body: &[u8], mut sink: WithExemplars) -> (Result<Told, DecodeError>, WithExemplars) {
    let result = decode(body, Timestamps::Drop, &mut sink);
    let (got, memory) = sink.finish();
    (result.map(|()| got), memory)
}

fuzz_target!(|input: &[u8]| {
    let (before, body) = match input.iter().position(|byte| *byte == 0xff) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, input),
    };
    let (_, memory) = told(before, WithExemplars::default());
    let (fresh, _) = told(body, WithExemplars::default());
    let (known, memory) = told(body, memory);
    assert_eq!(known, fresh);
    assert_eq!(told(body, memory).0, fresh);
});
