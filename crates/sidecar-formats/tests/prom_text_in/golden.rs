//! Each `testdata/prom_text_in/*.in` beside what it must come to. `UPDATE_GOLDEN=1` writes the
//! latter anew, except where CI is set.

use crate::golden_files;
use crate::recorder::Recorder;
use sidecar_formats::Timestamps;
use sidecar_formats::prom_text::decode;
use std::fs;
use std::path::PathBuf;

fn outcome(body: &[u8], mut sink: Recorder) -> (String, Recorder) {
    match decode(body, Timestamps::Drop, &mut sink) {
        Ok(()) => (format!("ok\n{}", sink.rendered()), sink.finish().1),
        Err(error) => {
            (format!("{}\nat {:?}\n{}\n", error.code, error.at, error.message), Recorder::default())
        }
    }
}

fn inputs() -> Vec<PathBuf> {
    golden_files::inputs("prom_text_in", 100)
}

#[test]
fn each_body_comes_to_what_its_golden_file_says() {
    golden_files::check(&inputs(), |path| {
        let (out, _) = outcome(&fs::read(path).unwrap(), Recorder::default());
        let refused = path.file_name().unwrap().to_str().unwrap().starts_with("bad_");
        let by_sink =
            path.ends_with("label_too_many.in") || path.ends_with("label_reserved_by_sink.in");
        assert_eq!(!out.starts_with("ok\n"), refused || by_sink, "{}:\n{out}", path.display());
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
