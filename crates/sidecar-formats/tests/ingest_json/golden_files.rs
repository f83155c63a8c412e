//! Files beside what they must come to. `UPDATE_GOLDEN=1` writes the latter anew, except where CI is
//! set.

use std::fs;
use std::path::{Path, PathBuf};

/// The `*.in` of a folder of `testdata/`, of which there are more than `missing`.
#[allow(dead_code, reason = "not every format has such files")]
pub(crate) fn inputs(folder: &str, missing: usize) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(folder);
    let mut inputs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "in"))
        .collect();
    inputs.sort();
    assert!(inputs.len() > missing, "golden files are missing");
    inputs
}

#[expect(clippy::disallowed_methods, reason = "a test helper: switches and files of its own")]
pub(crate) fn check(inputs: &[PathBuf], outcome: impl Fn(&Path) -> String) {
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|v| v == "1");
    assert!(!(update && std::env::var("CI").is_ok()), "UPDATE_GOLDEN is not for CI");
    let mut wrong = vec![];
    for path in inputs {
        let out = outcome(path);
        let expected = path.with_extension("out");
        if update {
            fs::write(&expected, &out).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != out {
            wrong.push(format!("{}:\n{out}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
