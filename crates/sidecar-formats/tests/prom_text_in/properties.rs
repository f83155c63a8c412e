//! What holds for every body.

use crate::bodies::body;
use crate::edits::{edited, edits};
use crate::recorder::{Recorded, Recorder};
use proptest::prelude::*;
use sidecar_formats::prom_text::decode;
use sidecar_formats::{DecodeError, Timestamps};

fn told(body: &[u8], mut sink: Recorder) -> (Result<Recorded, DecodeError>, usize, Recorder) {
    let result = decode(body, Timestamps::Drop, &mut sink);
    let followed = sink.followed;
    let (got, memory) = sink.finish();
    (result.map(|()| got), followed, memory)
}

/// What a sink that remembers `before` gets from `body`, against one that remembers nothing.
fn check_memory(before: &[u8], body: &[u8]) -> Result<(), TestCaseError> {
    let (_, _, memory) = told(before, Recorder::default());
    let (known, _, again) = told(body, memory);
    let (fresh, ..) = told(body, Recorder::default());
    prop_assert_eq!(&known, &fresh);
    // And once more, with what the second round left.
    let (third, ..) = told(body, again);
    prop_assert_eq!(&third, &fresh);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(3000), ..ProptestConfig::default() })]

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
}

#[test]
fn a_repeated_body_is_followed_and_its_numbers_are_new() {
    let body = |n: u32| {
        format!(
            "# HELP a A\n# TYPE a counter\na{{x=\"1\"}} {n}\na{{x=\"2\"}} {n}.5 17\n\
             # TYPE h histogram\nh_bucket{{le=\"+Inf\"}} {n}\nh_sum 1e{n}\nh_count {n}\r\n\
             untyped {n}\nuntyped{{a=\"b\"}} NaN\n{{\"q.q\",a=\"b\"}} {n}\n{{\"q.q\",a=\"c\"}} {n}\n"
        )
    };
    let (_, followed, memory) = told(body(1).as_bytes(), Recorder::default());
    assert_eq!(followed, 0);
    let (known, followed, _) = told(body(22).as_bytes(), memory);
    // But the first samples of families without lines of their own.
    assert_eq!(followed, 7);
    assert_eq!(known, told(body(22).as_bytes(), Recorder::default()).0);
}

#[test]
fn hostile_shapes_take_time_in_proportion_to_their_length() {
    let labels: Vec<String> = (0..100_000).map(|n| format!("l{n}=\"\"")).collect();
    let helps: String = (0..100_000).map(|n| format!("# HELP a{n} x\n")).collect();
    let alternating = "a 1\nb 1\n".repeat(100_000);
    for body in [
        format!("x{{{}}} 1\n", labels.join(",")),
        format!("{helps}\n{{}}"),
        format!("{alternating}\n{{}}"),
        "# HELP a x\n".repeat(100_000),
        "# x\n".repeat(100_000) + "x",
        format!("x{{a=\"{}", "\\n".repeat(500_000)),
        format!("# HELP x {}", "\\".repeat(1_000_001)),
        format!("x {}", "1".repeat(1_000_001)),
    ] {
        assert!(told(body.as_bytes(), Recorder::default()).0.is_err());
    }
}
