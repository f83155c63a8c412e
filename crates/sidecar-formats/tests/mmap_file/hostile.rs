//! Files that are none, or not any more.

use crate::files::{Entry, file};
use crate::state::{MAX_VALUE_BYTES, State};
use sidecar_formats::mmap_file::{
    Extra, FileError, FileKind, GaugeMode, Layout, MAX_KEY_BYTES, Offer, Values, used,
};

const EXTRA: Extra<'static> = Extra { labels: &[], id: "w", pid: "7" };

fn error(bytes: &[u8]) -> FileError {
    Layout::new(bytes, FileKind::Counter).unwrap_err()
}

fn entry(sample: u32) -> Entry {
    Entry::new(format!(r#"["c", "c_total", {{"a": "{sample}"}}, "h"]"#), f64::from(sample))
}

#[test]
fn what_is_used_is_a_number_of_whole_words() {
    assert_eq!(used(&[]), Ok(0));
    assert_eq!(used(&[0; 8]), Ok(0));
    for (number, expected) in [(8, Ok(8)), (65_536, Ok(65_536)), (12, Err(FileError::BadUsed))] {
        assert_eq!(used(&i32::to_ne_bytes(number)), expected);
    }
    assert_eq!(used(&(-8_i32).to_ne_bytes()), Err(FileError::BadUsed));
    assert_eq!(used(&i32::MIN.to_ne_bytes()), Err(FileError::BadUsed));
}

#[test]
fn a_file_that_is_being_made_has_no_values() {
    for len in 0..=8 {
        let layout = Layout::new(&vec![0; len], FileKind::Counter).unwrap();
        assert!(layout.is_empty());
    }
}

#[test]
fn lengths_that_lead_out_of_the_file_are_refused() {
    let good = file(&[entry(1), entry(2)], 16);
    let second = 8 + (good.len() - 8) / 2;
    for len in [0, -1, i32::MIN, i32::MAX, 10_000, 1 << 20] {
        let mut bytes = good.clone();
        bytes[second..second + 4].copy_from_slice(&i32::to_ne_bytes(len));
        assert_eq!(error(&bytes), FileError::BadLength { at: second }, "{len}");
    }
    let long = format!(r#"["c", "c_total", {{"a": "{}"}}]"#, "x".repeat(MAX_KEY_BYTES));
    assert_eq!(error(&file(&[Entry::new(long, 1.0)], 16)), FileError::BadLength { at: 8 });
}

#[test]
fn what_is_no_key_is_refused() {
    for key in [r#"["c", "c_total", {"a": "1"}, "h""#, "{}", "c_total", r#"["c", "c_total", 1]"#] {
        let bytes = file(&[entry(1), Entry::new(key, 1.0)], 16);
        assert!(matches!(error(&bytes), FileError::BadKey { .. }), "{key}");
    }
    let mut bytes = file(&[entry(1)], 16);
    bytes[14] = 0xff;
    assert_eq!(error(&bytes).code(), "bad_key");
}

#[test]
fn values_of_both_widths_are_told_apart_by_the_whole_file() {
    for width in [8, 16] {
        for count in 1..40 {
            let mut entries: Vec<Entry> = (0..count).map(entry).collect();
            for entry in &mut entries {
                entry.time = 1.7e9;
            }
            let bytes = file(&entries, width);
            let layout = Layout::new(&bytes, FileKind::Gauge(GaugeMode::MostRecent)).unwrap();
            let mut values = vec![];
            layout.newest(&bytes, |newest| values.push((newest.value, newest.timestamp)));
            let stamped = if width == 16 { count } else { 0 };
            let expected: Vec<_> = (0..stamped).map(|n| (f64::from(n), 1.7e9)).collect();
            assert_eq!((layout.len(), values), (count as usize, expected));
        }
    }
    let mut mixed = file(&[entry(1)], 8);
    mixed.extend(&file(&[entry(2)], 16)[8..]);
    assert_eq!(error(&mixed).code(), "bad_length");
}

#[test]
fn a_sample_that_the_sink_refuses_costs_itself_alone() {
    let long = Entry::new(
        format!(r#"["c", "c_total", {{"a": "{}"}}, "h"]"#, "x".repeat(MAX_VALUE_BYTES + 1)),
        9.0,
    );
    let unnamed = Entry::new(r#"["", "c_total", {}, "h"]"#, 1.0);
    let bytes = file(&[unnamed, entry(1), long, entry(2)], 16);
    let layout = Layout::new(&bytes, FileKind::Counter).unwrap();
    let mut state = State::default();
    let mut last = Values::default();
    for offer in 0..3 {
        state = state.again();
        let how = if offer == 0 { Offer::All } else { Offer::Changed(&last) };
        let offered = layout.offer(&bytes, &EXTRA, how, &mut state).unwrap();
        assert_eq!(state.values.len(), 2);
        if offer == 0 {
            assert_eq!(offered.refused, 2);
            assert_eq!(offered.first.unwrap().code, "bad_name");
        }
        layout.keep(&bytes, &mut last);
    }
    let label = file(
        &[Entry::new(
            format!(r#"["c", "c_total", {{"b": "1", "a": "{}"}}]"#, "x".repeat(200)),
            1.0,
        )],
        16,
    );
    let layout = Layout::new(&label, FileKind::Counter).unwrap();
    let offered = layout.offer(&label, &EXTRA, Offer::All, &mut State::default()).unwrap();
    let error = offered.first.unwrap();
    assert_eq!((error.code, error.at.as_str()), ("bad_label_value", "metric \"c\""));
    assert!(error.message.ends_with(": label \"a\""), "{}", error.message);
}

#[test]
fn a_fall_of_what_only_rises_is_told() {
    let kept = |value| {
        let bytes = file(&[Entry::new(r#"["c", "c", {}]"#, 1.0), entry(value)], 16);
        let layout = |kind| {
            let layout = Layout::new(&bytes, kind).unwrap();
            let mut last = Values::default();
            layout.keep(&bytes, &mut last);
            (layout, last)
        };
        (bytes.clone(), [layout(FileKind::Counter), layout(FileKind::Gauge(GaugeMode::Min))])
    };
    // The key stays the same: one digit of the value decides.
    let (before, layouts) = kept(5);
    let mut after = before.clone();
    let at = after.len() - 16;
    after[at..at + 8].copy_from_slice(&4.0_f64.to_ne_bytes());
    for ((layout, last), fell) in layouts.iter().zip([true, false]) {
        let difference = layout.compare(&after, last).unwrap();
        assert_eq!((difference.changed, difference.fell), (1, fell));
    }
    let unknown = layouts[0].0.compare(&after, &Values::default()).unwrap();
    assert_eq!((unknown.changed, unknown.fell), (2, false));
}
