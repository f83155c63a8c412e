//! Any bytes as a file of Python's multiprocess mode or of Ruby's store: no panic; a layout that they have is
//! that of the same bytes again; and what changed comes to the same as everything.
//!
//! The fifth byte, which nobody reads, chooses the kind, the sixth which byte from the end is another one
//! in the second reading.
#![no_main]

#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../../crates/sidecar-formats/tests/mmap_file/state.rs"]
mod state;

use libfuzzer_sys::fuzz_target;
use sidecar_formats::mmap_file::{Difference, Extra, FileKind, GaugeMode, Layout, Offer, Values};
use state::State;
use std::collections::HashSet;

const EXTRA: Extra<'static> = Extra { labels: &[], id: "w", pid: "7" };

fuzz_target!(|bytes: &[u8]| {
    let [_, _, _, _, kind, changed, ..] = bytes else { return };
    let kinds = [
        FileKind::Counter,
        FileKind::Histogram,
        FileKind::Summary,
        FileKind::Gauge(GaugeMode::LiveAll),
        FileKind::Gauge(GaugeMode::MostRecent),
        FileKind::Ruby,
    ];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    let Ok(layout) = Layout::of_file(bytes, kind, "m") else { return };
    assert!(layout.fits(bytes, kind));
    let mut keys = HashSet::new();
    let mut is_new = true;
    layout.each(bytes, |stamped| is_new &= keys.insert(stamped.key));
    if !is_new {
        // No client writes a key twice; which value counts then is left open.
        return;
    }
    let push = |bytes: &[u8], offer: Offer<'_>, state: State| {
        let mut state = state.again();
        layout.offer(bytes, &EXTRA, offer, &mut state).unwrap();
        state
    };
    let state = push(bytes, Offer::All, State::default());
    let mut last = Values::default();
    layout.keep(bytes, &mut last);
    assert_eq!(layout.compare(bytes, &last), Some(Difference::default()));
    let mut other = bytes.to_vec();
    if let Some(byte) = other.iter_mut().rev().nth(usize::from(*changed)) {
        *byte ^= 1;
    }
    if layout.fits(&other, kind) {
        let changed = push(&other, Offer::Changed(&last), state.clone());
        assert_eq!(changed.values, push(&other, Offer::All, state).values);
    }
});
