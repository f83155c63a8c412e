use super::super::resolve::{keep_fixed, resolve_text};
use super::super::{Config, MultiprocDirectory};
use std::path::Path;

fn directories(text: &str) -> Vec<MultiprocDirectory> {
    resolve_text(Path::new("f"), text).unwrap().multiproc.directories
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_directory_is_a_path_or_a_map() {
    let plain = MultiprocDirectory { path: "/a".into(), labels: Vec::new() };
    let labels = pairs(&[("job", "web"), ("tier", "1")]);
    let labelled = MultiprocDirectory { path: "/b".into(), labels };
    for text in [
        "multiproc: {dirs: [/a, {path: /b, job: web, labels: {tier: 1}}]}",
        "multiproc:\n  dirs:\n    - /a\n    - path: /b\n      job: web\n      labels:\n        tier: 1\n",
    ] {
        assert_eq!(directories(text), [plain.clone(), labelled.clone()], "{text}");
    }
    assert_eq!(directories("multiproc: {dirs: /a}"), [plain]);
    assert_eq!(directories("multiproc: {dirs: []}"), []);
}

#[test]
fn what_is_wrong_with_a_directory_is_told_with_its_place() {
    for (directory, expected) in [
        ("{job: a}", "f:1:20: multiproc.dirs[0]: has no path"),
        ("{path: \"\"}", "f:1:27: multiproc.dirs[0].path: a path cannot be empty"),
        ("{path: /a, jobs: a}", "f:1:31: multiproc.dirs[0].jobs: unknown key: did you mean job?"),
        (
            "{path: /a, labels: {le: a}}",
            "f:1:44: multiproc.dirs[0].labels.le: le has a meaning of its own",
        ),
        (
            "{path: /a, job: a, labels: {job: b}}",
            "f:1:53: multiproc.dirs[0].labels.job: job is given twice",
        ),
        ("/a, {path: /a}", "f:1:24: multiproc.dirs[1]: the directory is given twice"),
    ] {
        let text = format!("multiproc: {{dirs: [{directory}]}}");
        let errors = resolve_text(Path::new("f"), &text).unwrap_err();
        assert_eq!(errors[0].to_string(), expected, "{text}");
    }
}

#[test]
fn a_reload_changes_no_directory_and_no_label_of_one() {
    let read = |text: &str| -> Config { resolve_text(Path::new("f"), text).unwrap() };
    let previous = read("multiproc: {dirs: [{path: /a, job: a}]}");
    let mut same = previous.clone();
    assert_eq!(keep_fixed(&previous, &mut same), [""; 0]);
    let mut changed = read("multiproc: {dirs: [{path: /a, job: b}], interval: 5s}");
    assert_eq!(keep_fixed(&previous, &mut changed), ["multiproc.interval", "multiproc.dirs"]);
    assert_eq!(changed.multiproc, previous.multiproc);
}
