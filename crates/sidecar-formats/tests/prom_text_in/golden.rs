//! Each `testdata/prom_text_in/*.in` beside what it must come to. `UPDATE_GOLDEN=1` writes the
//! latter anew, except where CI is set.

use crate::recorder::Recorder;
use sidecar_formats::Timestamps;
use sidecar_formats::prom_text::decode;
use std::fs;
use std::path::{Path, PathBuf};

fn outcome(body: &[u8], mut sink: Recorder) -> (String, Recorder) {
    match decode(body, Timestamps::Drop, &mut sink) {
        Ok(()) => (format!("ok\n{}", sink.rendered()), sink.finish().1),
        Err(error) => {
            (format!("{}\nat {:?}\n{}\n", error.code, error.at, error.message), Recorder::default())
        }
    }
}

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/prom_text_in");
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
        let (out, _) = outcome(&fs::read(&path).unwrap(), Recorder::default());
        let refused = path.file_name().unwrap().to_str().unwrap().starts_with("bad_");
        let by_sink =
            path.ends_with("label_too_many.in") || path.ends_with("label_reserved_by_sink.in");
        assert_eq!(!out.starts_with("ok\n"), refused || by_sink, "{}:\n{out}", path.display());
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
        let (first, memory) = outcome(&body, Recorder::default());
        let (second, _) = outcome(&body, memory);
        assert_eq!(first, second, "{}", path.display());
    }
}

#[test]
fn timestamps_are_refused_where_they_are_told_to_be() {
    let refusal = |body: &str| {
        decode(body.as_bytes(), Timestamps::Reject, &mut Recorder::default())
            .map_err(|error| (error.code, error.message))
    };
    assert_eq!(refusal("x 1\nx{a=\"b\"} 2 \n"), Ok(()));
    let message = "samples with timestamps are refused here (line 2, column 5)".to_owned();
    assert_eq!(refusal("x 1\nx 2 3\n"), Err(("timestamp_not_allowed", message)));
    assert_eq!(refusal("x 1 y\n").unwrap_err().0, "bad_timestamp");
}
