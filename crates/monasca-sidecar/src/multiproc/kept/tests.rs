use super::file::{NAME, ReadError, move_aside, read, write};
use super::{GaugeSample, Kept, KeptError, KeptMode};
use proptest::prelude::*;
use sidecar_formats::mmap_file::Stamped;
use std::fs::{self, File};
use std::path::PathBuf;

fn sample(mode: KeptMode, labels: &[(&str, &str)], value: f64, time: f64) -> GaugeSample {
    GaugeSample {
        family: "g".to_owned(),
        help: "of g".to_owned(),
        mode,
        name: "g".to_owned(),
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        value,
        time,
    }
}

/// What is kept of the only series.
fn only(kept: &Kept) -> f64 {
    let samples: Vec<f64> = kept.samples().map(|sample| sample.value).collect();
    assert_eq!(samples.len(), 1);
    samples[0]
}

#[test]
fn each_mode_makes_one_value_of_many_workers() {
    use KeptMode::{Max, Min, MostRecent, Sum};
    let workers = [(3.0, 20.0), (1.0, 30.0), (2.0, 10.0)];
    for (mode, expected) in [(Min, 1.0), (Max, 3.0), (Sum, 6.0), (MostRecent, 1.0)] {
        let mut kept = Kept::default();
        for (number, (value, time)) in workers.iter().enumerate() {
            kept.join(&format!("d/{number}"), &[sample(mode, &[], *value, *time)]).unwrap();
        }
        assert_eq!(only(&kept), expected, "{mode:?}");
    }
}

#[test]
fn a_worker_joins_once_however_often_it_is_tried() {
    let mut kept = Kept::default();
    for _ in 0..2 {
        kept.join("d/7/a", &[sample(KeptMode::Sum, &[], 4.0, 0.0)]).unwrap();
        kept = Kept::decode(&kept.encode()).unwrap();
    }
    assert_eq!(only(&kept), 4.0);
    // Its number is used again by another process.
    kept.join("d/7/b", &[sample(KeptMode::Sum, &[], 1.0, 0.0)]).unwrap();
    assert_eq!(only(&kept), 5.0);
}

#[test]
fn one_that_was_never_set_shows_nothing() {
    let mut kept = Kept::default();
    kept.join("d/7/a", &[sample(KeptMode::MostRecent, &[], 0.0, 0.0)]).unwrap();
    assert_eq!(kept.samples().count(), 0);
}

#[test]
fn a_value_that_is_no_number_hides_no_other() {
    for mode in [KeptMode::Min, KeptMode::Max, KeptMode::Sum] {
        for values in [[f64::NAN, 2.0], [2.0, f64::NAN]] {
            let mut kept = Kept::default();
            for (number, value) in values.iter().enumerate() {
                kept.join(&number.to_string(), &[sample(mode, &[], *value, 0.0)]).unwrap();
            }
            assert_eq!(only(&kept), 2.0, "{mode:?} of {values:?}");
        }
    }
}

#[test]
fn labels_in_another_order_are_the_same_series() {
    let mut kept = Kept::default();
    kept.join("1", &[sample(KeptMode::Sum, &[("a", "1"), ("b", "2")], 1.0, 0.0)]).unwrap();
    kept.join("2", &[sample(KeptMode::Sum, &[("b", "2"), ("a", "1")], 2.0, 0.0)]).unwrap();
    assert_eq!(only(&kept), 3.0);
}

#[test]
fn what_a_later_program_wrote_is_told_apart_from_damage() {
    let text = String::from_utf8(Kept::default().encode()).unwrap();
    let (covered, _) = text.rsplit_once(super::BEFORE_SUM).unwrap();
    let later = covered.replacen("\"version\":1", "\"version\":2", 1);
    let sum = crc32c::crc32c(later.as_bytes());
    let later = format!("{later}{}{sum:08x}\"}}\n", super::BEFORE_SUM);
    assert!(matches!(Kept::decode(later.as_bytes()), Err(KeptError::Version(2))));
}

#[test]
fn a_key_is_written_as_the_client_writes_it() {
    let odd = [("l\u{e9}", "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}"), ("m", "\u{1f600}")];
    let mut kept = Kept::default();
    kept.join("1", &[sample(KeptMode::Max, &odd, 1.0, 0.0)]).unwrap();
    kept.join("2", &[sample(KeptMode::Max, &[], 1.0, 0.0)]).unwrap();
    let keys: Vec<Vec<u8>> = kept.samples().map(|sample| sample.key).collect();
    let expected =
        r#"["g", "g", {"l\u00e9": "a\"\\\n\r\t\b\f\u0001\u007f", "m": "\ud83d\ude00"}, "of g"]"#;
    assert_eq!(String::from_utf8_lossy(&keys[0]), r#"["g", "g", {}, "of g"]"#);
    assert_eq!(String::from_utf8_lossy(&keys[1]), expected);
    // And what is read from a file is what was there.
    let stamped = Stamped { key: &keys[1], value: 1.0, timestamp: 0.0 };
    let mut again = Kept::default();
    again.join("1", &[GaugeSample::new(KeptMode::Max, stamped).unwrap()]).unwrap();
    assert_eq!(again.samples().next().unwrap().key, keys[1]);
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        (-1000_i32..1000).prop_map(f64::from),
        prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
    ]
}

fn any_kept() -> impl Strategy<Value = Kept> {
    let mode = prop::sample::select(vec![
        KeptMode::Min,
        KeptMode::Max,
        KeptMode::Sum,
        KeptMode::MostRecent,
    ]);
    let text = "[a-c\"\\\\\n\u{e9},:{}]{0,4}";
    let labels = prop::collection::btree_map(text, text, 0..3);
    let one = (text, text, mode, labels, any_value(), any_value());
    let worker = prop::collection::vec(one, 0..4);
    prop::collection::vec(worker, 0..5).prop_map(|workers| {
        let mut kept = Kept::default();
        for (number, samples) in workers.into_iter().enumerate() {
            let samples: Vec<GaugeSample> = samples
                .into_iter()
                .map(|(family, help, mode, labels, value, time)| GaugeSample {
                    name: family.clone(),
                    family,
                    help,
                    mode,
                    labels: labels.into_iter().collect(),
                    value,
                    time,
                })
                .collect();
            kept.join(&format!("d/{number}"), &samples).unwrap();
        }
        kept
    })
}

proptest! {
    #[test]
    fn what_was_kept_is_read_back(kept in any_kept()) {
        let bytes = kept.encode();
        let read = Kept::decode(&bytes).unwrap();
        prop_assert_eq!(read.encode(), bytes);
        prop_assert_eq!(read.samples().count(), kept.samples().count());
        for (read, kept) in read.samples().zip(kept.samples()) {
            prop_assert!(read.value == kept.value || (read.value.is_nan() && kept.value.is_nan()));
            prop_assert_eq!(read.key, kept.key);
        }
    }

    #[test]
    fn a_changed_byte_is_seen(kept in any_kept(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = kept.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Kept::decode(&bytes).is_err());
    }

    #[test]
    fn a_part_of_it_is_seen(kept in any_kept(), at in any::<prop::sample::Index>()) {
        let bytes = kept.encode();
        prop_assert!(Kept::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Kept::decode(&bytes).is_err());
    }
}

// ---- on the disk

/// An empty directory, until the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kept-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_written_file_is_read_and_nothing_is_left_beside_it() {
    let folder = Folder::new("written");
    assert!(read(folder.open()).unwrap().is_none());
    let mut kept = Kept::default();
    for number in 0..3 {
        kept.join(&number.to_string(), &[sample(KeptMode::Sum, &[], 1.0, 0.0)]).unwrap();
        // Left by a crash.
        fs::create_dir_all(&folder.0).unwrap();
        File::create(folder.0.join("monasca_sidecar_kept.json.new")).unwrap();
        write(folder.open(), &kept).unwrap();
        assert_eq!(read(folder.open()).unwrap().unwrap(), kept);
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_link_put_in_its_place_is_not_followed() {
    let folder = Folder::new("link");
    let elsewhere = folder.0.join("elsewhere");
    File::create(&elsewhere).unwrap();
    for name in [NAME, "monasca_sidecar_kept.json.new"] {
        std::os::unix::fs::symlink(&elsewhere, folder.0.join(name)).unwrap();
    }
    assert!(matches!(read(folder.open()), Err(ReadError::Content(KeptError::Damaged))));
    write(folder.open(), &Kept::default()).unwrap();
    assert_eq!(fs::metadata(&elsewhere).unwrap().len(), 0);
    assert!(read(folder.open()).unwrap().is_some());
}

#[test]
fn a_damaged_one_is_moved_aside_beside_earlier_ones() {
    let folder = Folder::new("aside");
    for number in 1..3 {
        File::create(folder.0.join(NAME)).unwrap();
        assert!(matches!(read(folder.open()), Err(ReadError::Content(KeptError::Damaged))));
        assert_eq!(move_aside(folder.open()).unwrap(), format!("{NAME}.corrupt-{number}"));
    }
    assert!(read(folder.open()).unwrap().is_none());
}
