//! What holds for every file.

use crate::files::{Application, application, naive, with_changes};
use crate::state::{Series, State};
use proptest::prelude::*;
use sidecar_formats::mmap_file::{Extra, FileKind, GaugeMode, Layout, Offer, Values};
use std::collections::BTreeMap;

const EXTRA: Extra<'static> = Extra { labels: &[], id: "w", pid: "7" };

fn kinds() -> Vec<FileKind> {
    let mut kinds = vec![FileKind::Counter, FileKind::Histogram, FileKind::Summary];
    kinds.extend([GaugeMode::LiveSum, GaugeMode::Min, GaugeMode::LiveMax].map(FileKind::Gauge));
    kinds
}

fn layout(application: &Application) -> Layout {
    Layout::new(&application.bytes(), application.kind).unwrap()
}

fn pushed(application: &Application, layout: &Layout, offer: Offer<'_>, state: State) -> State {
    let mut state = state.again();
    let offered = layout.offer(&application.bytes(), &EXTRA, offer, &mut state).unwrap();
    assert_eq!(offered.refused, 0);
    state
}

/// As the naive reading has them: without the instance, with the labels' own names, sorted.
fn plain(values: &BTreeMap<Series, u64>) -> BTreeMap<Series, u64> {
    let plain = |(header, name, labels): &Series| {
        let kept = labels.iter().filter(|(name, _)| name != "_id");
        let own = |name: &str| name.strip_prefix("exported_").unwrap_or(name).to_owned();
        let mut labels: Vec<_> = kept.map(|(name, value)| (own(name), value.clone())).collect();
        labels.sort();
        (header.clone(), name.clone(), labels)
    };
    values.iter().map(|(series, value)| (plain(series), *value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_read_as_a_naive_reading_has_it(application in application(kinds())) {
        let layout = layout(&application);
        let state = pushed(&application, &layout, Offer::All, State::default());
        prop_assert_eq!(plain(&state.values), naive(&application));
        prop_assert_eq!(state.order.len(), layout.len() - layout.left_out());
    }

    #[test]
    fn what_changed_comes_to_the_same_as_everything(
        application in application(kinds()),
        rounds in prop::collection::vec(prop::collection::vec((any::<usize>(), 0_u32..1000), 0..5), 1..4),
    ) {
        let layout = layout(&application);
        let mut state = pushed(&application, &layout, Offer::All, State::default());
        let mut last = Values::default();
        layout.keep(&application.bytes(), &mut last);
        let mut now = application;
        for changes in rounds {
            now = with_changes(&now, &changes);
            let difference = layout.compare(&now.bytes(), &last).unwrap();
            state = pushed(&now, &layout, Offer::Changed(&last), state);
            let all = pushed(&now, &layout, Offer::All, State::default());
            prop_assert_eq!(&state.values, &all.values);
            // The first label set finds the place; behind it everything is followed.
            let set = match now.kind {
                FileKind::Histogram => 6,
                FileKind::Summary => 2,
                FileKind::Counter | FileKind::Gauge(_) | FileKind::Ruby => 1,
            };
            prop_assert!(state.parsed <= 1 && state.followed <= set * (1 + difference.changed));
            prop_assert_eq!(state.parsed + state.followed + state.skipped, all.order.len());
            layout.keep(&now.bytes(), &mut last);
            prop_assert_eq!(layout.compare(&now.bytes(), &last), Some(Default::default()));
        }
    }

    #[test]
    fn a_file_that_grew_keeps_the_order_of_what_it_had(
        application in application(kinds()), had in 0_usize..40,
    ) {
        let mut before = application.clone();
        before.entries.truncate(had);
        let (old, new) = (layout(&before), layout(&application));
        prop_assert!(old.used() <= new.used());
        let state = pushed(&before, &old, Offer::All, State::default());
        let order = state.order.clone();
        let state = pushed(&application, &new, Offer::All, state);
        let kept: Vec<_> = state.order.iter().filter(|s| order.contains(s)).cloned().collect();
        prop_assert_eq!(kept, order);
        prop_assert_eq!(plain(&state.values), naive(&application));
    }

    #[test]
    fn files_with_the_same_keys_share_a_layout_and_others_do_not(
        application in application(kinds()), other in application(kinds()), value in 0_u32..1000,
    ) {
        let layout = layout(&application);
        let changed = with_changes(&application, &[(0, value), (3, value)]);
        prop_assert!(layout.fits(&changed.bytes(), application.kind));
        prop_assert!(layout.compare(&changed.bytes(), &Values::default()).is_some());
        let keys = |application: &Application| -> Vec<String> {
            application.entries.iter().map(|entry| entry.key.clone()).collect()
        };
        let same = other.kind == application.kind
            && other.width == application.width
            && keys(&other) == keys(&application);
        let empty = other.entries.is_empty() && application.entries.is_empty();
        prop_assert_eq!(
            layout.fits(&other.bytes(), other.kind),
            same || (empty && other.kind == application.kind)
        );
    }

    #[test]
    fn any_bytes_get_an_answer(
        application in application(kinds()),
        edits in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut in any::<usize>(),
        tail in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let layout = layout(&application);
        let mut last = Values::default();
        layout.keep(&application.bytes(), &mut last);
        let mut bytes = application.bytes();
        for (at, byte) in edits {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        bytes.extend(tail);
        // With its own layout, if it has one, and with that of the file that it is no longer.
        let own = Layout::new(&bytes, application.kind).ok();
        for layout in own.iter().chain([&layout]) {
            layout.compare(&bytes, &last);
            for offer in [Offer::All, Offer::Changed(&last)] {
                layout.offer(&bytes, &EXTRA, offer, &mut State::default()).unwrap();
            }
            layout.keep(&bytes, &mut last);
        }
    }
}
