//! Each `testdata/protobuf/*.in` (text form of the messages behind `#`, then the bytes that another
//! implementation makes of it, in hexadecimal) beside what it must come to. `UPDATE_GOLDEN=1` writes
//! the latter anew, except where CI is set.

use crate::recorder::Recorder;
use sidecar_formats::Timestamps;
use sidecar_formats::protobuf::decode;
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

fn bytes_of(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let digits = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::bytes);
    let digits: Vec<u8> =
        digits.map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/protobuf");
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
    assert!(inputs.len() > 10, "golden files are missing");
    let mut wrong = vec![];
    for path in inputs {
        let (out, _) = outcome(&bytes_of(&path), Recorder::default());
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
        let body = bytes_of(&path);
        let (first, memory) = outcome(&body, Recorder::default());
        assert_eq!(first, outcome(&body, memory).0, "{}", path.display());
    }
}
