//! The files of Ruby's `DirectFileStore`, made as its source makes them.

use crate::state::State;
use proptest::prelude::*;
use sidecar_formats::mmap_file::{Extra, FileKind, FileName, Layout, Offer, Values, used};
use sidecar_model::MetricType;

const EXTRA: Extra<'static> = Extra { labels: &[], id: "w", pid: "7" };

fn file(entries: &[(&str, f64)], width: usize) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (key, value) in entries {
        let padded = format!("{key}{}", " ".repeat(8 - (key.len() + 4) % 8));
        bytes.extend(i32::try_from(padded.len()).unwrap().to_ne_bytes());
        bytes.extend(padded.as_bytes());
        bytes.extend(value.to_ne_bytes());
        if width == 16 {
            bytes.extend(12_345.678_f64.to_ne_bytes());
        }
    }
    let used = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    bytes
}

fn told(name: &str, entries: &[(&str, f64)]) -> String {
    let name = FileName::parse(name).unwrap();
    let mut told = vec![];
    for width in [8, 16] {
        let bytes = file(entries, width);
        assert_eq!(used(&bytes), Ok(bytes.len()));
        let layout = Layout::of_file(&bytes, name.kind, name.metric).unwrap();
        let mut state = State::default();
        layout.offer(&bytes, &EXTRA, Offer::All, &mut state).unwrap();
        assert_eq!(state.order.len(), layout.len());
        told.push(state.rendered());
    }
    assert_eq!(told[0], told[1]);
    told.remove(0)
}

#[test]
fn what_the_keys_tell_decides_the_type() {
    assert_eq!(
        told("metric_http_requests_total___7.bin", &[("", 1.0), ("code=200&path=%2Fa+b%26", 2.0)]),
        "counter http_requests_total \"\"\n  \
         http_requests_total {_id=\"w\"} 1.0\n  \
         http_requests_total {code=\"200\", path=\"/a b&\", _id=\"w\"} 2.0\n"
    );
    assert_eq!(
        told("metric_queue___7.bin", &[("pid=7&q=a", 3.0)]),
        "gauge queue \"\"\n  queue {pid=\"7\", q=\"a\", _id=\"w\"} 3.0\n"
    );
    assert_eq!(
        told("metric_queue___7.bin", &[("q=h%C3%A9", 3.0)]),
        "unknown queue \"\"\n  queue {q=\"hé\", _id=\"w\"} 3.0\n"
    );
    assert_eq!(
        told("metric_s___7.bin", &[("a=1&quantile=count", 3.0), ("a=1&quantile=sum", 4.5)]),
        "summary s \"\"\n  s_count {a=\"1\", _id=\"w\"} 3.0\n  s_sum {a=\"1\", _id=\"w\"} 4.5\n"
    );
}

#[test]
fn a_histogram_has_the_buckets_that_were_met_and_the_count_of_all() {
    let entries = [
        ("a=1&le=2.5", 2.0),
        ("a=1&le=sum", 9.0),
        ("a=2&le=sum", 100.0),
        ("a=2&le=%2BInf", 1.0),
        ("a=1&le=0.5", 3.0),
        ("a=2&le=0.5", 4.0),
    ];
    assert_eq!(
        told("metric_h___7.bin", &entries),
        "histogram h \"\"\n  \
         h_sum {a=\"1\", _id=\"w\"} 9.0\n  \
         h_bucket {a=\"1\", le=\"0.5\", _id=\"w\"} 3.0\n  \
         h_bucket {a=\"1\", le=\"2.5\", _id=\"w\"} 5.0\n  \
         h_count {a=\"1\", _id=\"w\"} 5.0\n  \
         h_sum {a=\"2\", _id=\"w\"} 100.0\n  \
         h_bucket {a=\"2\", le=\"0.5\", _id=\"w\"} 4.0\n  \
         h_bucket {a=\"2\", le=\"+Inf\", _id=\"w\"} 5.0\n"
    );
}

#[test]
fn files_of_other_metrics_or_forms_do_not_share_a_layout() {
    let bytes = file(&[("a=1", 1.0)], 16);
    let layout = Layout::of_file(&bytes, FileKind::Ruby, "a").unwrap();
    assert_eq!(layout.metric_type(), MetricType::Unknown);
    assert!(layout.fits_file(&bytes, FileKind::Ruby, "a"));
    assert!(!layout.fits_file(&bytes, FileKind::Ruby, "b"));
    assert!(!layout.fits_file(&bytes, FileKind::Counter, "a"));
    assert!(Layout::new(&bytes, FileKind::Counter).is_err());
}

const KEYS: [&str; 9] =
    ["", "a=1", "a=2&b=x+y", "le=sum", "le=1", "le=%2BInf", "a=1&le=0.5", "quantile=sum", "pid=7"];

proptest! {
    #[test]
    fn what_changed_comes_to_the_same_as_everything(
        keys in prop::sample::subsequence(KEYS.to_vec(), 0..9).prop_shuffle(),
        rounds in prop::collection::vec(prop::collection::vec(0_u32..4, 9), 1..4),
        metric in prop::sample::select(vec!["metric_x___7.bin", "metric_x_total___7.bin"]),
    ) {
        let name = FileName::parse(metric).unwrap();
        let bytes_of = |values: &[u32]| {
            let entries: Vec<_> =
                keys.iter().zip(values).map(|(key, value)| (*key, f64::from(*value))).collect();
            file(&entries, 16)
        };
        let first = bytes_of(&[0; 9]);
        let layout = Layout::of_file(&first, name.kind, name.metric).unwrap();
        let mut last = Values::default();
        let mut state = State::default();
        layout.offer(&first, &EXTRA, Offer::All, &mut state).unwrap();
        layout.keep(&first, &mut last);
        for values in &rounds {
            let bytes = bytes_of(values);
            prop_assert!(layout.fits_file(&bytes, name.kind, name.metric));
            prop_assert!(layout.compare(&bytes, &last).is_some());
            state = state.again();
            layout.offer(&bytes, &EXTRA, Offer::Changed(&last), &mut state).unwrap();
            prop_assert!(state.parsed <= 2, "the first finds the place");
            let mut all = State::default();
            layout.offer(&bytes, &EXTRA, Offer::All, &mut all).unwrap();
            prop_assert_eq!(&state.values, &all.values);
            layout.keep(&bytes, &mut last);
            prop_assert_eq!(layout.compare(&bytes, &last), Some(Default::default()));
        }
    }

    #[test]
    fn any_bytes_get_an_answer(
        keys in prop::collection::vec(prop::sample::select(KEYS.to_vec()), 0..6),
        edits in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cut in any::<usize>(),
    ) {
        let name = FileName::parse("metric_x___7.bin").unwrap();
        let entries: Vec<_> = keys.iter().map(|key| (*key, 1.0)).collect();
        let good = file(&entries, 16);
        let mut bytes = good.clone();
        for (at, byte) in edits {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        let known = Layout::of_file(&good, name.kind, name.metric).unwrap();
        let own = Layout::of_file(&bytes, name.kind, name.metric).ok();
        for layout in own.iter().chain([&known]) {
            layout.offer(&bytes, &EXTRA, Offer::All, &mut State::default()).unwrap();
        }
    }
}
