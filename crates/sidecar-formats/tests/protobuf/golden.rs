//! Each `testdata/protobuf/*.in` (text form of the messages behind `#`, then the bytes that another
//! implementation makes of it, in hexadecimal) beside what it must come to. `UPDATE_GOLDEN=1` writes
//! the latter anew, except where CI is set.

use crate::golden_files;
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
    golden_files::inputs("protobuf", 10)
}

#[test]
fn each_body_comes_to_what_its_golden_file_says() {
    golden_files::check(&inputs(), |path| {
        let (out, _) = outcome(&bytes_of(path), Recorder::default());
        out
    });
}

#[test]
fn each_golden_body_comes_to_the_same_when_it_is_repeated() {
    for path in inputs() {
        let body = bytes_of(&path);
        let (first, memory) = outcome(&body, Recorder::default());
        assert_eq!(first, outcome(&body, memory).0, "{}", path.display());
    }
}
