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

use crate::golden_files;
use crate::with_exemplars::WithExemplars;
use sidecar_formats::Timestamps;
use sidecar_formats::open_metrics::decode;
use std::fs;
use std::path::PathBuf;

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
    golden_files::inputs("open_metrics_in", 100)
}

#[test]
fn each_body_comes_to_what_its_golden_file_says() {
    golden_files::check(&inputs(), |path| {
        let (out, _) = outcome(&fs::read(path).unwrap(), WithExemplars::default());
        let refused = path.file_name().unwrap().to_str().unwrap().starts_with("bad_");
        assert_eq!(!out.starts_with("ok\n"), refused, "{}:\n{out}", path.display());
        out
    });
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
