//! House rules that can be checked as text.

use std::path::{Path, PathBuf};

const LONGEST_FILE_LINES: usize = 700;

struct Source {
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust files of the workspace's crates.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 20, "the sources are elsewhere");
    found
}

/// Files for which `breaks` is true.
fn offenders(breaks: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut paths: Vec<String> = sources()
        .iter()
        .filter(|source| breaks(source))
        .map(|source| source.path.display().to_string())
        .collect();
    paths.sort();
    paths
}

const NONE: [&str; 0] = [];

#[test]
fn nothing_is_left_to_do() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["X", "XX"].concat()];
    assert_eq!(offenders(|source| marks.iter().any(|mark| source.text.contains(mark))), NONE);
}

#[test]
fn no_file_is_called_mod() {
    assert_eq!(offenders(|source| source.path.ends_with(["mod", ".rs"].concat())), NONE);
}

#[test]
fn every_file_says_at_the_top_what_it_owns() {
    let of_tests = |source: &Source| {
        source.path.ends_with("tests.rs") || source.path.iter().any(|part| part == "tests")
    };
    assert_eq!(offenders(|source| !of_tests(source) && !source.text.starts_with("//! ")), NONE);
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    assert_eq!(offenders(|source| source.text.lines().count() > LONGEST_FILE_LINES), NONE);
}

#[test]
fn no_test_is_skipped_or_expects_a_panic() {
    let marks = [["#[ig", "nore"].concat(), ["#[should_", "panic"].concat()];
    assert_eq!(offenders(|source| marks.iter().any(|mark| source.text.contains(mark))), NONE);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let places = ["/home/", "/root/", "/work/", "../shared"];
    let own = |source: &Source| source.path.ends_with("tests/it/tidy.rs");
    let knows = |source: &Source| places.iter().any(|place| source.text.contains(place));
    assert_eq!(offenders(|source| !own(source) && knows(source)), NONE);
}

#[test]
fn dependencies_point_one_way() {
    for (dependent, wrong) in [
        ("sidecar-model", vec!["sidecar-formats", "sidecar-store", "tokio", "hyper", "serde"]),
        ("sidecar-formats", vec!["sidecar-store", "tokio", "hyper", "serde"]),
        ("sidecar-store", vec!["sidecar-formats", "tokio", "hyper", "serde"]),
    ] {
        let manifest = root().join("crates").join(dependent).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        let (_, after) = text.split_once("[dependencies]").unwrap();
        let dependencies = after.split("\n[").next().unwrap();
        for name in wrong {
            let named = dependencies.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            });
            assert!(!named, "{dependent} depends on {name}");
        }
    }
}

#[test]
fn only_one_file_chooses_a_status_and_one_reads_the_clocks() {
    let own = |source: &Source| source.path.to_string_lossy().contains("monasca-sidecar/src/");
    let status = ["Status", "Code::"].concat();
    let statuses = offenders(|source| own(source) && source.text.contains(&status));
    assert!(statuses.iter().all(|path| path.ends_with("http/problem.rs")), "{statuses:?}");
    let now = ["Instant", "::now("].concat();
    let clocks = offenders(|source| own(source) && source.text.contains(&now));
    assert!(clocks.iter().all(|path| path.ends_with("src/clock.rs")), "{clocks:?}");
}

#[test]
fn the_middle_row_does_not_know_each_other() {
    let middle = ["access", "listen", "ingest", "expose", "maintain", "multiproc", "status"];
    let below = ["admission", "http", "telemetry", "clock", "config", "journal"];
    let meets = |source: &Source| {
        let path = source.path.to_string_lossy().replace('\\', "/");
        let Some((_, inner)) = path.split_once("monasca-sidecar/src/") else { return false };
        let room = inner.split(['/', '.']).next().unwrap();
        let named = |other: &&str| source.text.contains(&format!("crate::{other}::"));
        let others = || middle.iter().filter(|other| **other != room);
        (middle.contains(&room) || below.contains(&room)) && others().any(named)
    };
    assert_eq!(offenders(meets), NONE);
}
