//! The committed example and reference table are what the code makes.

use super::super::Config;
use super::super::resolve::resolve_text;
use super::{JOBS_SAMPLE, LISTENERS_SAMPLE, RULES_SAMPLE, WIDTH, table, text};
use std::path::{Path, PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares the file with `expected`; UPDATE_GOLDEN=1 writes it instead, but never in CI.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, and a source file of its own")]
fn check_golden(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        assert!(std::env::var_os("CI").is_none(), "UPDATE_GOLDEN is refused in CI");
        std::fs::write(path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, expected, "{}: run the test with UPDATE_GOLDEN=1", path.display());
}

#[test]
fn the_committed_example_is_the_generated_one() {
    check_golden(&docs("config.example.yaml"), &text());
}

#[test]
fn the_documented_table_is_the_generated_one() {
    const BEGIN: &str = "<!-- generated: keys -->\n";
    const END: &str = "<!-- end of generated -->\n";
    let path = docs("configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    check_golden(&path, &format!("{before}{BEGIN}{}{END}{after}", table()));
}

#[test]
fn the_example_is_exactly_the_defaults() {
    let config = resolve_text(Path::new("example"), &text()).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn the_sample_rules_of_the_example_are_valid() {
    let config = resolve_text(Path::new("sample"), RULES_SAMPLE).unwrap();
    assert_eq!(config.store.rules.len(), 4);
}

#[test]
fn the_sample_jobs_of_the_example_are_valid() {
    let config = resolve_text(Path::new("sample"), JOBS_SAMPLE).unwrap();
    assert_eq!(config.push.ttl_of("nightly_dump"), Some(std::time::Duration::from_secs(26 * 3600)));
    assert_eq!(config.push.ttl_of("web"), None);
    assert_eq!(config.push.temporality_of("lambda"), sidecar_model::Temporality::Delta);
    assert_eq!(config.push.temporality_of("web"), sidecar_model::Temporality::Cumulative);
    assert_eq!(config.store.jobs.len(), 4);
    assert_eq!(config.store.jobs[2].instance_labels, ["pod"]);
    assert_eq!(config.store.jobs[3].max_instances, Some(2_000));
    assert_eq!(config.push.jobs[3].max_samples_per_second, Some(500_000));
}

#[test]
fn the_sample_listeners_of_the_example_are_valid() {
    let doors = resolve_text(Path::new("sample"), LISTENERS_SAMPLE).unwrap().doors();
    let rights: Vec<String> = doors.iter().map(|door| door.rights.to_string()).collect();
    assert_eq!(rights, ["push", "push,scrape,admin", "scrape"]);
}

#[test]
fn jobs_that_match_or_set_nothing_are_told_so() {
    for (text, expected) in [
        ("jobs: [{ttl: 1h}]", "sample:1:8: jobs[0]: has no match: a glob for the job's name"),
        (
            "jobs: [{match: a}]",
            "sample:1:8: jobs[0]: sets nothing: give one of ttl, temporality, instance_labels, \
             max_series, max_instances, max_samples_per_second",
        ),
        ("jobs: [{match: a, ttl: soon}]", "sample:1:24: jobs[0].ttl: "),
        ("jobs: [{match: a, temporality: both}]", "sample:1:32: jobs[0].temporality: "),
        (
            "jobs: [{match: a, instance_labels: [pod, _id]}]",
            "sample:1:42: jobs[0].instance_labels: _id always names the instance",
        ),
        ("jobs: [{match: a, ttl: 1h, x: 1}]", "sample:1:28: jobs[0].x: "),
        ("jobs: 1", "sample:1:7: jobs: must be a list"),
    ] {
        let errors = resolve_text(Path::new("sample"), text).unwrap_err();
        assert!(errors[0].to_string().starts_with(expected), "{text}: {}", errors[0]);
    }
}

#[test]
fn the_example_fits_a_terminal() {
    for line in text().lines() {
        assert!(line.len() <= WIDTH + 2, "{line}");
    }
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    for (name, least) in [("configuration.md", 3), ("security.md", 3)] {
        let page = std::fs::read_to_string(docs(name)).unwrap();
        let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
        let of_the_daemon = blocks
            .filter(|block| !block.contains("scrape_configs") && !block.contains("# web.yml"));
        assert!(of_the_daemon.clone().count() >= least, "{name}");
        for block in of_the_daemon {
            resolve_text(Path::new(name), block).unwrap();
        }
    }
}
