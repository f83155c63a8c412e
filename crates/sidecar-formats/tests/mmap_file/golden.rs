//! What real clients wrote (`testdata/mmap_file/make.py`), beside what it must come to.

use crate::golden_files;
use crate::state::State;
use sidecar_formats::mmap_file::{Extra, FileKind, FileName, Layout, Offer, offer_values, used};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of files, one for each version of the client.
fn versions() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/mmap_file");
    let mut versions: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    versions.sort();
    assert!(versions.len() >= 4, "golden files are missing");
    versions
}

pub(crate) fn files(version: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(version)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn told(name: &str, bytes: &[u8]) -> String {
    let FileName { kind, pid, .. } = FileName::parse(name).unwrap();
    assert_eq!(used(bytes), Ok(bytes.len()), "{name}");
    let labels = [("instance".to_owned(), "here".to_owned())];
    let extra = Extra { labels: &labels, id: "w", pid };
    let layout = Layout::new(bytes, kind).unwrap();
    let mut state = State::default();
    let mut out = format!("{name}: {} values, {} left out\n", layout.len(), layout.left_out());
    layout.newest(bytes, |newest| {
        writeln!(out, "  at {}:", newest.timestamp).unwrap();
        offer_values(kind, [(newest.key, newest.value)], &extra, &mut state).unwrap();
    });
    let offered = layout.offer(bytes, &extra, Offer::All, &mut state).unwrap();
    assert_eq!(offered.refused, 0);
    out + &state.rendered()
}

#[test]
fn what_clients_wrote_is_read() {
    golden_files::check(&versions(), |version| {
        let files = files(version);
        files.iter().map(|(name, bytes)| told(name, bytes)).collect()
    });
}

#[test]
fn zeros_behind_what_is_used_are_no_part_of_a_file() {
    for version in versions() {
        for (name, mut bytes) in files(&version) {
            let len = bytes.len();
            bytes.resize(1 << 16, 0);
            assert_eq!(used(&bytes), Ok(len), "{name}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_gets_an_answer() {
    for version in versions() {
        for (name, bytes) in files(&version) {
            let kind = FileName::parse(&name).unwrap().kind;
            for end in 0..bytes.len() {
                let cut = &bytes[..end];
                let layout = Layout::new(cut, kind);
                // Only at an entry's end is it a file.
                assert!(layout.is_err() || end % 8 == 0 || end < 8, "{name} cut at {end}");
                if let (Ok(layout), FileKind::Counter) = (layout, kind) {
                    assert!(layout.len() * 40 <= end, "{name} cut at {end}");
                }
            }
        }
    }
}
