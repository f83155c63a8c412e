//! Every mistake in a file is found, each at its own line and column.

use super::super::resolve::resolve_text;
use std::path::Path;

/// The errors of `text`, one a line.
fn check(text: &str, expected: &[&str]) {
    let errors = match resolve_text(Path::new("f"), text) {
        Ok(config) => panic!("accepted: {text}\n{config:?}"),
        Err(errors) => errors,
    };
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn all_errors_of_a_file_are_found_in_the_order_of_its_lines() {
    check(
        "\
decay: soon
resume_window: 0
dcay: 3s
listen:
  - 127.0.0.1:1
  - 127.0.0.1
log_format: xml
decay: 5s
strict:
instance_labels: [pod, pod]
limits:
  max_series: 0
  max_label_value: 70000
  max_bodi: 3
  max_body: 1 TB
rules:
  - match: {name: a}
    aggregate: averg
  - match: {name: b}
retain: [1h]
",
        &[
            "f:1:8: decay: \"soon\": not a duration: write 90s, 1h30m, 500ms or a number of seconds",
            "f:3:1: dcay: unknown key: did you mean decay?",
            "f:6:5: listen: \"127.0.0.1\": write IP:PORT, [IPv6]:PORT, :PORT, unix:PATH or \
             systemd[:NAME]",
            "f:7:13: log_format: \"xml\": use text or json",
            "f:8:1: decay: given twice, first in line 1",
            "f:9:1: strict: has no value",
            "f:10:24: instance_labels: \"pod\" is given twice",
            "f:12:15: limits.max_series: must be more than zero",
            "f:13:20: limits.max_label_value: 70000 bytes is more than the most, 65535 bytes",
            "f:14:3: limits.max_bodi: unknown key: did you mean limits.max_body?",
            "f:15:13: limits.max_body: \"1 TB\": write a size such as 32MiB, 512KiB or a number of bytes",
            "f:18:16: rules[0].aggregate: \"averg\": unknown aggregation: use one of sum mean avg \
             min max count first last stddev stdvar median p<NN> all, or a window of at most a day: \
             mean avg sum min max followed by <N><s|m|h>, like mean5m",
            "f:19:5: rules[1]: sets nothing: give one of aggregate, type, decay, departed, \
             unknown_past, bounds, drop_labels, drop",
            "f:20:9: retain: must be one value, not a list",
        ],
    );
}

#[test]
fn a_key_in_the_wrong_place_is_pointed_to_the_right_one() {
    check("max_series: 1", &["f:1:1: max_series: unknown key: did you mean limits.max_series?"]);
    check(
        "limits: {series: 1}",
        &["f:1:10: limits.series: unknown key: did you mean limits.max_series?"],
    );
    check(
        "limits.max_series: 1",
        &["f:1:1: limits.max_series: write it as max_series in the map limits"],
    );
    check("rule: []", &["f:1:1: rule: unknown key: did you mean rules?"]);
    check("colour: red", &["f:1:1: colour: unknown key"]);
}

#[test]
fn a_value_of_the_wrong_shape_is_refused() {
    check("- decay: 3", &["f:1:1: must be a map of keys to values"]);
    check("limits: 3", &["f:1:9: limits: must be a map of keys to values"]);
    check("decay: {a: 1}", &["f:1:8: decay: must be one value, not a map"]);
    check("listen: []", &["f:1:9: listen: must have at least one address"]);
    check("listen: [[a]]", &["f:1:10: listen: must be one value, not a list"]);
    check("rules: {a: 1}", &["f:1:8: rules: must be a list"]);
    check("rules: [3]", &["f:1:9: rules[0]: must be a map of keys to values"]);
    check("rules: [~]", &["f:1:9: rules[0]: is empty"]);
}

#[test]
fn what_concerns_a_family_needs_a_rule_that_matches_by_name_alone() {
    check(
        "\
rules:
  - match: {labels: {env: test}}
    aggregate: sum
    type: gauge
    decay: 5s
    departed: drop
    unknown_past: full
    drop_labels: [env]
",
        &[
            "f:3:5: rules[0].aggregate: concerns a whole family: the rule must match by name alone",
            "f:4:5: rules[0].type: concerns a whole family: the rule must match by name alone",
            "f:5:5: rules[0].decay: concerns a whole family: the rule must match by name alone",
            "f:6:5: rules[0].departed: concerns a whole family: the rule must match by name alone",
            "f:7:5: rules[0].unknown_past: concerns a whole family: the rule must match by name alone",
        ],
    );
}

#[test]
fn every_mistake_in_a_rule_has_its_place() {
    check(
        "\
rules:
  - drop: true
  - match: {}
    drop: maybe
  - match: {name: '', labels: {}}
    drop: true
  - match: {name: 'http_[a-z]+', label: x}
    drop_lables: [a]
    departed: forget
  - match: {name: a}
    type: meter
    decay: 0
    unknown_past: half
  - match: {name: b}
    type: info
    aggregate: mean
  - match: {name: c}
    drop_labels: [x, x, '']
  - match: {name: d}
    drop: false
    drop_labels: []
  - match: d
    drop: true
  - match: {name: e}
    type: histogram
",
        &[
            "f:2:5: rules[0]: has no match; `match: {name: \"*\"}` is every family",
            "f:3:12: rules[1].match: matches on nothing: give name, labels or both",
            "f:4:11: rules[1].drop: \"maybe\": use true or false",
            "f:5:19: rules[2].match.name: an empty glob matches no name",
            "f:5:31: rules[2].match.labels: has no label: leave it out",
            "f:7:19: rules[3].match.name: \"http_[a-z]+\": a glob knows only * and ?, not [",
            "f:7:34: rules[3].match.label: unknown key: did you mean labels?",
            "f:8:5: rules[3].drop_lables: unknown key: did you mean drop_labels?",
            "f:9:15: rules[3].departed: \"forget\": use keep or drop",
            "f:11:11: rules[4].type: \"meter\": unknown metric type: use one of counter gauge \
             histogram summary unknown untyped info stateset gaugehistogram",
            "f:12:12: rules[4].decay: must be more than zero",
            "f:13:19: rules[4].unknown_past: \"half\": use full or baseline",
            "f:16:16: rules[5].aggregate: mean is not possible for the type info",
            "f:18:22: rules[6].drop_labels: \"x\" is given twice",
            "f:18:25: rules[6].drop_labels: a label name cannot be empty",
            "f:19:5: rules[7]: sets nothing: give one of aggregate, type, decay, departed, \
             unknown_past, bounds, drop_labels, drop",
            "f:22:12: rules[8].match: must be a map of keys to values",
            "f:25:11: rules[9].type: histogram cannot be given by rule: its samples must say so",
        ],
    );
}

#[test]
fn what_two_keys_say_together_is_checked_where_one_stands() {
    check("decay: 3s\nretain: 5m", &["f:2:9: retain: retain is shorter than resume_window"]);
    check("resume_window: 48h", &["f:1:16: resume_window: retain is shorter than resume_window"]);
    check(
        "retain: 5m\nresume_window: x",
        &[
            "f:2:16: resume_window: \"x\": not a duration: write 90s, 1h30m, 500ms or a number of seconds",
        ],
    );
    check(
        "limits:\n  max_body: 1GiB\n",
        &["f:2:13: limits.max_body: limits.max_body_memory is less than limits.max_body"],
    );
}

#[test]
fn an_empty_section_and_a_file_of_comments_change_nothing() {
    for text in ["", "# nothing\n", "limits:\nrules:\n", "limits: {}\nrules: []\n"] {
        assert!(resolve_text(Path::new("f"), text).is_ok(), "{text}");
    }
}
