//! Each `testdata/open_metrics_in/*.in` beside what it must come to. `UPDATE_GOLDEN=1` writes the
//! latter anew, except where CI is set.
//!
//! The Python client's parser agrees on which of them are bodies of this format, but for these
//! `bad_*` that it takes:
//! - `blank_before_brace`, `blank_in_labels`, `blank_around_equals`, `metadata_two_blanks`: it skips
//!   blanks, where the grammar has exactly one or none.
//! - `help_backslash_at_end`: the grammar has a character behind each backslash.
//! - `exemplar_name`: it takes a name in quotes in any list of labels; an exemplar has none.
//! - `exemplar_not_in_bucket`: it does not compare; the specification wants the value in the bucket.
//! - `value_signed_nan`, `value_large`: Python's own reading of numbers.
//! - `value_composite`: native histograms of a later version of the format.

use crate::with_exemplars::WithExemplars;
use sidecar_formats::Timestamps;
use sidecar_formats::open_metrics::decode;
use std::fs;
use std::path::{Path, PathBuf};

fn outcome(body: &[u8], mut sink: WithExemplars) -> (String, WithExemplars) {
    match decode(body, Timestamps::Drop, &mut sink) {
        Ok(()) => (format!("ok\n{}", sink.rendered()), sink.finish().1),
        Err(error) => (
            format!("{}\nat {:?}\n{}\n", error.code, error.at, error.message),
            WithExemplars::default(),
        ),
    }
}

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/open_metrics_in");
    let mut inputs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "in"))
        .collect();
    inputs.sort();
    inputs
}

#[expect(clippy::disallowed_methods, reason = "a test helper: switches and files of its own")]
#[test]
fn each_body_comes_to_what_its_golden_file_says() {
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|v| v == "1");
    assert!(!(update && std::env::var("CI").is_ok()), "UPDATE_GOLDEN is not for CI");
    let inputs = inputs();
    assert!(inputs.len() > 100, "golden files are missing");
    let mut wrong = vec![];
    for path in inputs {
        let (out, _) = outcome(&fs::read(&path).unwrap(), WithExemplars::default());
        let refused = path.file_name().unwrap().to_str().unwrap().starts_with("bad_");
        assert_eq!(!out.starts_with("ok\n"), refused, "{}:\n{out}", path.display());
        let expected = path.with_extension("out");
        if update {
            fs::write(&expected, &out).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != out {
            wrong.push(format!("{}:\n{out}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_golden_body_comes_to_the_same_when_it_is_repeated() {
    for path in inputs() {
        let body = fs::read(&path).unwrap();
        let (first, memory) = outcome(&body, WithExemplars::default());
        let (second, _) = outcome(&body, memory);
        assert_eq!(first, second, "{}", path.display());
    }
}

#[test]
fn timestamps_are_refused_where_they_are_told_to_be() {
    let refusal = |body: &str| {
        decode(body.as_bytes(), Timestamps::Reject, &mut WithExemplars::default())
            .map_err(|error| (error.code, error.message))
    };
    let exemplar = "# TYPE a counter\na_total 1 # {x=\"y\"} 1 2\n# EOF\n";
    assert_eq!(refusal(exemplar), Ok(()));
    let message = "samples with timestamps are refused here (line 2, column 5)".to_owned();
    assert_eq!(refusal("x 1\ny 2 3\n# EOF\n"), Err(("timestamp_not_allowed", message)));
}
