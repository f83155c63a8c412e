//! What samples are called, and which labels they are given.

use crate::files::{Entry, file};
use crate::state::State;
use sidecar_formats::mmap_file::{
    Extra, FileKind, GaugeMode, Key, Layout, Offer, Values, offer_values,
};

fn told(kind: FileKind, keys: &[&str], labels: &[(&str, &str)]) -> String {
    let entries: Vec<Entry> = keys.iter().map(|key| Entry::new(*key, 1.0)).collect();
    let bytes = file(&entries, 16);
    let labels: Vec<_> = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let extra = Extra { labels: &labels, id: "w", pid: "7" };
    let mut state = State::default();
    let layout = Layout::new(&bytes, kind).unwrap();
    layout.offer(&bytes, &extra, Offer::All, &mut state).unwrap();
    state.rendered()
}

#[test]
fn gauges_of_each_process_have_its_pid() {
    for mode in [GaugeMode::All, GaugeMode::LiveAll] {
        assert_eq!(
            told(FileKind::Gauge(mode), &[r#"["g", "g", {"a": "1", "pid": "9"}, "h"]"#], &[]),
            "gauge g \"h\"\n  g {a=\"1\", exported_pid=\"9\", pid=\"7\", _id=\"w\"} 1.0\n"
        );
    }
    assert_eq!(
        told(FileKind::Gauge(GaugeMode::LiveMin), &[r#"["g", "g", {"pid": "9"}, "h"]"#], &[]),
        "gauge g min \"h\"\n  g {pid=\"9\", _id=\"w\"} 1.0\n"
    );
}

#[test]
fn labels_that_would_be_taken_for_ours_are_renamed() {
    assert_eq!(
        told(
            FileKind::Counter,
            &[
                r#"["c", "c_total", {"_id": "1", "_aggregate": "max", "job": "2"}]"#,
                r#"["c", "c_total", {"exported_job": "1", "job": "2"}]"#,
            ],
            &[("job", "web")],
        ),
        "counter c \"\"\n  \
         c_total {exported__id=\"1\", exported__aggregate=\"max\", exported_job=\"2\", job=\"web\", _id=\"w\"} 1.0\n  \
         c_total {exported_job=\"1\", exported_exported_job=\"2\", job=\"web\", _id=\"w\"} 1.0\n"
    );
}

#[test]
fn a_histogram_has_its_sum_first_and_no_count_of_its_own() {
    assert_eq!(
        told(
            FileKind::Histogram,
            &[
                r#"["h", "h_bucket", {"a": "1", "le": "+Inf"}, "x"]"#,
                r#"["h", "h_count", {"a": "1"}, "x"]"#,
                r#"["h", "h_bucket", {"le": "10.0"}, "x"]"#,
                r#"["h", "h_bucket", {"a": "1", "le": "10.0"}, "x"]"#,
                r#"["h", "h_bucket", {"le": "9.5", "a": "1"}, "x"]"#,
                r#"["h", "h_sum", {"a": "1"}, "x"]"#,
            ],
            &[],
        ),
        "histogram h \"x\"\n  \
         h_sum {a=\"1\", _id=\"w\"} 1.0\n  \
         h_bucket {le=\"9.5\", a=\"1\", _id=\"w\"} 1.0\n  \
         h_bucket {a=\"1\", le=\"10.0\", _id=\"w\"} 2.0\n  \
         h_bucket {a=\"1\", le=\"+Inf\", _id=\"w\"} 3.0\n"
    );
}

#[test]
fn other_labels_for_all_make_other_series_of_what_is_remembered() {
    let bytes = file(&[Entry::new(r#"["c", "c_total", {}]"#, 1.0)], 16);
    let layout = Layout::new(&bytes, FileKind::Counter).unwrap();
    let mut state = State::default();
    for job in ["a", "b"] {
        let labels = [("job".to_owned(), job.to_owned())];
        let extra = Extra { labels: &labels, id: "w", pid: "7" };
        state = state.again();
        layout.offer(&bytes, &extra, Offer::All, &mut state).unwrap();
    }
    assert_eq!(state.values.len(), 2);
}

#[test]
fn the_newest_values_are_offered_one_by_one() {
    let keys =
        [r#"["g", "g", {}, "h"]"#, r#"["g", "g", {"a": "\n"}, "h"]"#, r#"["x", "x", {}, "h"]"#];
    let kind = FileKind::Gauge(GaugeMode::MostRecent);
    let entry = |(at, key): (usize, &&str)| Entry {
        time: f64::from(u32::try_from(at).unwrap()),
        ..Entry::new(*key, 5.0)
    };
    let bytes = file(&keys.iter().enumerate().map(entry).collect::<Vec<_>>(), 16);
    let layout = Layout::new(&bytes, kind).unwrap();
    let mut newest = vec![];
    layout.newest(&bytes, |stamped| newest.push((stamped.key, stamped.value)));
    assert_eq!(newest, [(keys[1].as_bytes(), 5.0), (keys[2].as_bytes(), 5.0)]);
    let extra = Extra { labels: &[], id: "newest", pid: "" };
    let mut state = State::default();
    for offer in [Offer::All, Offer::Changed(&Values::default())] {
        layout.offer(&bytes, &extra, offer, &mut state).unwrap();
        assert!(state.order.is_empty(), "they are not offered as others are");
    }
    for _ in 0..2 {
        state = state.again();
        offer_values(kind, newest.iter().copied(), &extra, &mut state).unwrap();
        assert_eq!(
            state.rendered(),
            "gauge g \"h\"\n  g {a=\"\\n\", _id=\"newest\"} 5.0\n\
             gauge x \"h\"\n  x {_id=\"newest\"} 5.0\n"
        );
    }
    assert_eq!((state.parsed, state.followed), (1, 1));
    assert_eq!(Key::parse(newest[0].0).unwrap().labels, [("a".into(), "\n".into())]);
}
