//! Each `testdata/ingest_json/*.in` beside what it must come to. `UPDATE_GOLDEN=1` writes the
//! latter anew, except where CI is set.

use crate::golden_files;
use crate::recorder::Recorder;
use sidecar_formats::ingest_json::decode;
use std::fs;
use std::path::PathBuf;

fn outcome(body: &[u8], mut sink: Recorder) -> (String, Recorder) {
    match decode(body, &mut sink) {
        Ok(()) => (format!("ok\n{}", sink.rendered()), sink.finish().1),
        Err(error) => {
            (format!("{}\nat {:?}\n{}\n", error.code, error.at, error.message), Recorder::default())
        }
    }
}

fn inputs() -> Vec<PathBuf> {
    golden_files::inputs("ingest_json", 50)
}

#[test]
fn each_body_comes_to_what_its_golden_file_says() {
    golden_files::check(&inputs(), |path| {
        let (out, _) = outcome(&fs::read(path).unwrap(), Recorder::default());
        out
    });
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
