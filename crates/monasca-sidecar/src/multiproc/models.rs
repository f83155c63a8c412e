//! Workers that others are like: who has the same files with the same keys begins with their series.

use sidecar_formats::mmap_file::{FileKind, Layout};
use sidecar_model::Tick;
use sidecar_store::{Begin, Room, Share, Standing, Store};
use std::sync::{Arc, Weak};

/// So many different ones are remembered; the newest last.
const REMEMBERED: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Models(Vec<Model>);

/// A worker whose instance has what these layouts have, and nothing else.
#[derive(Debug)]
struct Model {
    id: String,
    standing: Standing,
    layouts: Vec<(FileKind, Weak<Layout>)>,
}

impl Models {
    /// The worker's first push was taken, all of it.
    pub(super) fn add(
        &mut self,
        id: &str,
        standing: Standing,
        layouts: &[(FileKind, Arc<Layout>)],
    ) {
        if self.0.iter().any(|model| model.has(layouts)) {
            return;
        }
        if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        let layouts = layouts.iter().map(|(kind, layout)| (*kind, Arc::downgrade(layout)));
        self.0.push(Model { id: id.to_owned(), standing, layouts: layouts.collect() });
    }

    /// The worker has other keys now, or is gone.
    pub(super) fn remove(&mut self, id: &str) {
        self.0.retain(|model| model.id != id);
    }

    /// Makes the instance of a worker that begins, if one is there that it is like.
    pub(super) fn begin(
        &self,
        id: &str,
        layouts: &[(FileKind, Arc<Layout>)],
        room: Option<&dyn Room>,
        (store, now): (&Store, Tick),
    ) {
        let Some(model) = self.0.iter().find(|model| model.has(layouts)) else { return };
        if store.standing(&model.id) != Some(model.standing) {
            return;
        }
        // Under the label `pid` no two workers have the same series.
        let has_pid = |kind| matches!(kind, FileKind::Gauge(mode) if mode.has_pid());
        let share = match layouts.iter().any(|(kind, _)| has_pid(*kind)) {
            true => Share::Totals,
            false => Share::Everything,
        };
        let begin = Begin { id, like: &model.id, share, room };
        // Where the journal is full the push will say so.
        store.begin_like(&begin, now).unwrap_or_default();
    }
}

impl Model {
    fn has(&self, layouts: &[(FileKind, Arc<Layout>)]) -> bool {
        self.layouts.len() == layouts.len()
            && self.layouts.iter().zip(layouts).all(|(kept, (kind, layout))| {
                kept.0 == *kind && std::ptr::eq(kept.1.as_ptr(), Arc::as_ptr(layout))
            })
    }
}
