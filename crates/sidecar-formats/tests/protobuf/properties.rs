//! What holds for every body.

use crate::bodies::{any_body, edited, edits};
use crate::decode::told;
use crate::recorder::Recorder;
use proptest::prelude::*;

/// What a sink that remembers `before` gets from `body`, against one that remembers nothing.
fn check_memory(before: &[u8], body: &[u8]) -> Result<(), TestCaseError> {
    let (_, memory) = told(before, Recorder::default());
    let (known, again) = told(body, memory);
    let (fresh, _) = told(body, Recorder::default());
    prop_assert_eq!(&known, &fresh);
    // And once more, with what the second round left.
    prop_assert_eq!(&told(body, again).0, &fresh);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(3000), ..ProptestConfig::default() })]

    #[test]
    fn what_the_sink_remembers_does_not_change_what_a_body_means(
        before in any_body(), other in any_body(), edits in edits(),
    ) {
        let changed = edited(&before, &edits);
        check_memory(&before, &changed)?;
        check_memory(&changed, &before)?;
        check_memory(&before, &other)?;
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check_memory(&bytes, &bytes)?;
    }

    #[test]
    fn a_body_that_ends_too_early_is_refused(body in any_body(), end in any::<prop::sample::Index>()) {
        let (whole, _) = told(&body, Recorder::default());
        let Ok(whole) = whole else { return Ok(()) };
        let part = &body[..end.index(body.len() + 1)];
        // Where a family ends a body may end.
        if let Ok(got) = told(part, Recorder::default()).0 {
            prop_assert_eq!(&whole.families[..got.families.len()], &got.families[..]);
        }
    }
}
