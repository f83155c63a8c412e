//! What holds for every body.

use crate::bodies::{body, edited, edits};
use crate::recorder::{Recorded, Recorder};
use proptest::prelude::*;
use sidecar_formats::DecodeError;
use sidecar_formats::ingest_json::decode;

fn told(body: &[u8], mut sink: Recorder) -> (Result<Recorded, DecodeError>, usize, Recorder) {
    let result = decode(body, &mut sink);
    let followed = sink.followed;
    let (got, memory) = sink.finish();
    (result.map(|()| got), followed, memory)
}

/// What a sink that remembers `before` gets from `body`, against one that remembers nothing.
fn check_memory(before: &[u8], body: &[u8]) -> Result<usize, TestCaseError> {
    let (_, _, memory) = told(before, Recorder::default());
    let (known, followed, again) = told(body, memory);
    let (fresh, ..) = told(body, Recorder::default());
    prop_assert_eq!(&known, &fresh);
    // And once more, with what the second round left.
    let (third, ..) = told(body, again);
    prop_assert_eq!(&third, &fresh);
    Ok(followed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn what_the_sink_remembers_does_not_change_what_a_body_means(
        before in body(), edits in edits(),
    ) {
        check_memory(before.as_bytes(), &edited(&before, &edits))?;
        check_memory(&edited(&before, &edits), before.as_bytes())?;
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check_memory(&bytes, &bytes)?;
    }

    #[test]
    fn a_body_is_taken_apart_as_serde_json_does(body in body(), edits in edits()) {
        let bytes = edited(&body, &edits);
        let (result, ..) = told(&bytes, Recorder::default());
        // Bare words that JSON does not have are ours, and numbers beyond floats where none is used.
        let text = String::from_utf8_lossy(&bytes);
        let ours = text.contains("NaN") || text.contains("Inf");
        match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(_) => {
                let code = result.err().map(|error| error.code);
                prop_assert!(code != Some("bad_json") && code != Some("bad_utf8"), "{code:?}");
            }
            Err(error) => prop_assert!(
                result.is_err() || ours || error.to_string().contains("out of range")
                    || error.to_string().contains("surrogate")
                    || error.to_string().contains("hex escape")
                    || std::str::from_utf8(&bytes).is_err(),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_repeated_body_is_followed_and_its_numbers_are_new() {
    let body = |n: u32| {
        format!(
            r#"[{{"name":"a","type":"counter","values":[{{"name":"a","labels":{{"x":"1"}},"value":{n}}},
            {{"name":"a","labels":{{"x":"2"}},"value":"{n}.5"}}]}},{{"name":"b","values":[{{"value": {n} }}]}}]"#
        )
    };
    let (_, followed, memory) = told(body(1).as_bytes(), Recorder::default());
    assert_eq!(followed, 0);
    let (known, followed, _) = told(body(22).as_bytes(), memory);
    assert_eq!(followed, 3);
    assert_eq!(known, told(body(22).as_bytes(), Recorder::default()).0);
}

#[test]
fn hostile_shapes_take_time_in_proportion_to_their_length() {
    let labels: Vec<String> = (0..100_000).map(|n| format!("\"l{n}\":\"\"")).collect();
    let families = r#"{"values":[{"value":1}],"name":"x"},"#.repeat(50_000);
    let unclosed = r#"[{"name":"x","values":["#.repeat(50_000);
    for body in [
        format!(r#"[{{"name":"x","values":[{{"labels":{{{}}},"value":1}}]}}]"#, labels.join(",")),
        format!("[{families}{{}}]"),
        unclosed,
        "[".repeat(1_000_000),
        format!("[{{\"name\":\"{}", "\\u0041".repeat(200_000)),
        format!("[{{\"name\":\"{}\"}}]", "\\".repeat(1_000_001)),
    ] {
        assert!(told(body.as_bytes(), Recorder::default()).0.is_err());
    }
}
