//! Layouts of files with the same keys, kept once: the workers of an application mostly have the same.

use sidecar_formats::mmap_file::{FileError, FileKind, Layout};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Layouts of one kind, metric and length that are compared with a new file; comparing takes a part of what
/// reading the keys does.
const COMPARED: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Layouts {
    /// The newest last.
    by_length: BTreeMap<(FileKind, Box<str>, usize), Vec<Weak<Layout>>>,
}

impl Layouts {
    /// The layout of a file of this kind, and metric where it is of one, that is used up to the end of `bytes`.
    pub(super) fn of(
        &mut self,
        bytes: &[u8],
        kind: FileKind,
        metric: &str,
    ) -> Result<Arc<Layout>, FileError> {
        let alike = (kind, metric.into(), bytes.len());
        let known = self.by_length.entry(alike).or_default();
        let fits = |layout: &Arc<Layout>| layout.fits_file(bytes, kind, metric);
        let newest = known.iter().rev().filter_map(Weak::upgrade).take(COMPARED);
        if let Some(layout) = newest.into_iter().find(fits) {
            return Ok(layout);
        }
        let layout = Arc::new(Layout::of_file(bytes, kind, metric)?);
        known.push(Arc::downgrade(&layout));
        Ok(layout)
    }

    pub(super) fn forget_unused(&mut self) {
        self.by_length.retain(|_, known| {
            known.retain(|layout| layout.strong_count() > 0);
            !known.is_empty()
        });
    }
}
