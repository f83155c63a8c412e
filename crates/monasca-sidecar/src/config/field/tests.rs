use super::super::Config;
use super::super::keys::{KEYS, find};
use super::super::listener::address;
use super::{size, size_text};
use std::time::Duration;

/// What the key becomes, as text, or why not.
fn check(name: &str, typed: &str, expected: &str) {
    let key = find(name).unwrap();
    let mut config = Config::default();
    let got = match key.set(&mut config, &[typed]) {
        Ok(()) => key.texts(&config).join(" "),
        Err(wrong) => format!("error: {}", wrong.message),
    };
    assert_eq!(got, expected, "{name} {typed:?}");
}

#[test]
fn every_default_is_read_back_from_its_own_text() {
    let defaults = Config::default();
    for key in KEYS {
        let mut config = defaults.clone();
        let texts = key.texts(&defaults);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        key.set(&mut config, &texts).unwrap();
        assert_eq!(format!("{config:?}"), format!("{defaults:?}"), "{}", key.name);
    }
}

#[test]
fn every_key_sets_a_field_of_its_own() {
    for key in KEYS {
        let typed = match key.placeholder() {
            "ADDR" => "10.1.2.3:5",
            "FORMAT" => "json",
            "LEVEL" => "debug",
            "LABEL" => "pod",
            "PAST" => "baseline",
            "BOOL" => "true",
            "DURATION" => "77s",
            "SIZE" if key.name == "limits.max_memory" => "20MiB",
            "SIZE" => "12345",
            "STATUS" => "202",
            "TEMPORALITY" => "delta",
            "WHAT" => "reject",
            "WHEN" => "always",
            "ORIGIN" => "https://shop.example",
            _ => "77",
        };
        let mut config = Config::default();
        key.set(&mut config, &[typed]).unwrap();
        let changed: Vec<&str> = KEYS
            .iter()
            .filter(|key| key.texts(&config) != key.texts(&Config::default()))
            .map(|key| key.name)
            .collect();
        assert_eq!(changed, [key.name]);
    }
}

#[test]
fn an_address_has_an_ip_and_a_port() {
    check("listen", "127.0.0.1:0", "127.0.0.1:0");
    check("listen", "[::1]:4888", "[::1]:4888");
    check("listen", ":4888", "[::]:4888");
    check("listen", "localhost:80", "127.0.0.1:80");
    for typed in
        ["", "4888", "127.0.0.1", "::1:4888", "example.org:80", ":", ":65536", ":+8", ": 8"]
    {
        let expected = format!(
            "error: {typed:?}: write IP:PORT, [IPv6]:PORT, :PORT, unix:PATH or systemd[:NAME]"
        );
        check("listen", typed, &expected);
    }
}

#[test]
fn one_address_cannot_be_listened_on_twice_but_free_ports_can() {
    let key = find("listen").unwrap();
    let mut config = Config::default();
    let wrong = key.set(&mut config, &["127.0.0.1:1", "localhost:1"]).unwrap_err();
    assert_eq!((wrong.index, wrong.message.as_str()), (1, "\"localhost:1\" is given twice"));
    key.set(&mut config, &["127.0.0.1:0", "127.0.0.1:0"]).unwrap();
    assert_eq!(config.listen.len(), 2);
}

#[test]
fn a_slip_in_the_log_level_does_not_silence_the_log() {
    check("log_level", "debug", "debug");
    check("log_level", "info,hyper=warn", "info,hyper=warn");
    let message = "use off, error, warn, info, debug, trace, or MODULE=LEVEL";
    check("log_level", "inof", &format!("error: \"inof\": {message}"));
    check("log_level", "", &format!("error: \"\": {message}"));
    let key = find("log_level").unwrap();
    let wrong = key.set(&mut Config::default(), &["hyper=loud"]).unwrap_err();
    assert!(wrong.message.starts_with("\"hyper=loud\": "), "{}", wrong.message);
}

#[test]
fn a_choice_lists_what_is_allowed() {
    check("log_format", "xml", "error: \"xml\": use text or json");
    check("unknown_past", "half", "error: \"half\": use full or baseline");
    check("strict", "yes", "error: \"yes\": use true or false");
}

#[test]
fn labels_with_a_meaning_cannot_be_instance_or_worker_labels() {
    check("instance_labels", "pod", "pod");
    check("instance_labels", "_id", "error: _id always names the instance");
    check("instance_labels", "", "error: a label name cannot be empty");
    for (name, purpose) in
        [("instance_labels", "name an instance"), ("worker_label", "show the slot")]
    {
        for label in ["_aggregate", "le", "quantile", "__name__"] {
            let expected = format!("error: {label} has a meaning of its own and cannot {purpose}");
            check(name, label, &expected);
        }
    }
}

#[test]
fn zero_is_refused_where_it_would_refuse_everything() {
    for key in KEYS.iter().filter(|key| key.name.starts_with("limits.") || key.name == "decay") {
        check(key.name, "0", "error: must be more than zero");
    }
    check("decay", "0.0001", "error: must be more than zero");
    for name in ["warmup", "shutdown_delay", "drain_timeout", "resume_window", "retain"] {
        check(name, "0", "0s");
    }
}

#[test]
fn a_limit_beyond_what_the_store_can_keep_is_refused() {
    check("limits.max_label_value", "65535", "65535");
    let message = "error: 65536 bytes is more than the most, 65535 bytes";
    for name in ["limits.max_label_value", "limits.max_label_name", "limits.max_name"] {
        check(name, "64KiB", message);
    }
    check("limits.max_series", "4294967296", "error: 4294967296 is more than the most, 4294967295");
    check("limits.max_header", "8191", "error: 8191 bytes is less than the least, 8192 bytes");
}

#[test]
fn numbers_are_whole() {
    check("limits.max_series", "5_000_000", "5000000");
    for typed in ["", "-1", "+1", "1.5", "1e3", "5M", "0x10", "99999999999999999999999"] {
        check("limits.max_series", typed, &format!("error: {typed:?}: write a whole number"));
    }
}

#[test]
fn sizes_are_read_with_and_without_a_unit() {
    for (text, bytes) in [
        ("32MiB", 32 << 20),
        ("512KiB", 512 << 10),
        ("1GiB", 1 << 30),
        ("33554432", 32 << 20),
        ("10B", 10),
        ("64kB", 64_000),
        ("2MB", 2_000_000),
        ("0", 0),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
        assert_eq!(size(&size_text(bytes)), Ok(bytes));
    }
    for text in ["", "MiB", "1 MiB", "1mib", "1.5MiB", "-1", "32M", "1KiBB"] {
        assert!(size(text).unwrap_err().contains("write a size such as 32MiB"), "{text}");
    }
    assert_eq!(size("99999999999GiB"), Err("\"99999999999GiB\": too large".to_owned()));
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = Config::default();
    assert_eq!(config.listen, [address("127.0.0.1:4888").unwrap()]);
    assert_eq!(config.store.decay, Duration::from_secs(60));
    assert_eq!(config.store.resume_window, Duration::from_secs(3600));
    assert_eq!(config.store.retain, Duration::from_secs(86400));
    assert_eq!(config.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.http.body_bytes, 32 * 1024 * 1024);
    assert_eq!(config.store.limits.labels_per_series, 64);
}
