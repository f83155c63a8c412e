//! One file of a worker: which it is, what is known of its keys and values, and what is wrong with it.
//!
//! A file that cannot be read takes no part: what the store has of it stays.

use super::fault::Fault;
use super::folder::{Folder, Identity, Listed, Opened};
use super::worker::Shared;
use sidecar_formats::DecodeError;
use sidecar_formats::mmap_file::{Difference, FileKind, FileName, Layout, Offered, Values};
use std::ffi::{CStr, CString};
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct WorkerFile {
    pub(super) kind: FileKind,
    name: CString,
    is_regular: bool,
    /// As the name was listed last.
    inode: u64,
    /// It stays open from read to read, as long as its name is listed with its number: nobody else gets that
    /// meanwhile.
    opened: Option<Opened>,
    /// The read that saw its name last.
    round: u32,
    pub(super) identity: Option<Identity>,
    layout: Option<Arc<Layout>>,
    has_new_keys: bool,
    /// As they were when they were pushed.
    pub(super) values: Values,
    /// Where its bytes are in the buffer, of this read; `None`: they cannot be used.
    range: Option<Range<usize>>,
    pub(super) difference: Difference,
    /// The worker's instance has values of it.
    pub(super) is_counted: bool,
    fault: Option<Fault>,
    /// Why samples of it are not taken in, as it was logged last.
    left_out: Option<&'static str>,
}

/// What a name stands for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The file that it was, or the first of this name.
    Same,
    /// Not the file that the instance has values of.
    Another,
    Gone,
}

impl WorkerFile {
    pub(super) fn new(listed: Listed<'_>, kind: FileKind, round: u32) -> WorkerFile {
        WorkerFile {
            kind,
            name: listed.name.to_owned(),
            is_regular: listed.is_regular,
            inode: listed.inode,
            opened: None,
            round,
            identity: None,
            layout: None,
            has_new_keys: false,
            values: Values::default(),
            range: None,
            difference: Difference::default(),
            is_counted: false,
            fault: None,
            left_out: None,
        }
    }

    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    pub(super) fn name_text(&self) -> Option<&str> {
        self.name.to_str().ok()
    }

    /// It is called otherwise now; a name with a zero byte is none.
    pub(super) fn rename(&mut self, name: &str) {
        if let Ok(name) = CString::new(name) {
            self.name = name;
        }
    }

    /// Whether the name is this file's; it is there in this round then.
    pub(super) fn is_called(&mut self, listed: Listed<'_>, round: u32) -> bool {
        let is_it = *self.name == *listed.name;
        if is_it {
            self.round = round;
            self.is_regular = listed.is_regular;
            self.inode = listed.inode;
        }
        is_it
    }

    pub(super) fn is_of(&self, round: u32) -> bool {
        self.round == round
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.fault.is_some()
    }

    /// Whether it has other keys than at the read before.
    pub(super) fn has_new_keys(&self) -> bool {
        self.has_new_keys
    }

    /// `None`: it cannot be read now.
    pub(super) fn layout(&self) -> Option<Arc<Layout>> {
        self.layout.clone().filter(|_| self.range.is_some())
    }

    /// Whether samples of it are not taken in.
    pub(super) fn leaves_out(&self) -> bool {
        self.left_out.is_some()
    }

    /// Whose values it has, where one file is of one metric.
    pub(super) fn metric(&self) -> &str {
        metric_of(&self.name)
    }

    /// Its layout and bytes, as far as they can be used in this read.
    pub(super) fn content<'b>(&self, buffer: &'b [u8]) -> Option<(&Layout, &'b [u8])> {
        Some((self.layout.as_deref()?, buffer.get(self.range.clone()?)?))
    }

    /// How many values could be pushed of it.
    pub(super) fn offers(&self) -> usize {
        let is_newest = matches!(self.kind, FileKind::Gauge(mode) if mode.is_newest());
        match &self.layout {
            Some(layout) if self.range.is_some() && !is_newest => layout.len() - layout.left_out(),
            Some(_) | None => 0,
        }
    }

    /// Reads it into the buffer behind `at`.
    pub(super) fn read(&mut self, folder: &Folder, at: usize, shared: &mut Shared<'_>) -> Found {
        let before = self.identity;
        self.range = None;
        self.has_new_keys = false;
        self.difference = Difference::default();
        let read = self.read_whole(folder, at, shared);
        let found = match (read, before) {
            (Err(Fault::Vanished), _) => {
                shared.tools.telemetry.multiproc.faults.add(Fault::Vanished.code(), 1);
                return Found::Gone;
            }
            (_, Some(before)) if self.identity != Some(before) => Found::Another,
            (_, Some(_) | None) => Found::Same,
        };
        match read {
            Ok(used) => {
                shared.left_bytes -= used;
                self.range = Some(at..at + used);
                self.fault = None;
            }
            Err(fault) => self.complain(fault, shared),
        }
        found
    }

    /// How much of the file is used.
    fn read_whole(
        &mut self,
        folder: &Folder,
        at: usize,
        shared: &mut Shared<'_>,
    ) -> Result<usize, Fault> {
        if !self.is_regular {
            return Err(Fault::NotRegular);
        }
        let opened = match self.opened.take().filter(|opened| folder.lists(self.inode, opened)) {
            Some(opened) => opened,
            None => folder.open_file(&self.name)?,
        };
        if self.identity != Some(opened.identity) {
            self.identity = Some(opened.identity);
            self.layout = None;
            self.values = Values::default();
        }
        let limit = shared.limits.file_bytes;
        let mut expected = self.layout.as_ref().map_or(0, |layout| layout.used());
        // A value that fell may have been read while it was being written.
        for is_last in [false, true] {
            let used = opened.read(shared.buffer, at, expected, limit)?;
            if used > shared.left_bytes {
                return Err(Fault::TooMuch);
            }
            let bytes = shared.buffer.get(at..at + used).unwrap_or_default();
            let layout = self.layout.as_ref();
            self.difference = match layout.and_then(|known| known.compare(bytes, &self.values)) {
                Some(difference) => difference,
                None => {
                    self.has_new_keys = true;
                    self.layout = None;
                    let metric = self.metric();
                    let made =
                        shared.layouts.of(bytes, self.kind, metric).map_err(Fault::Format)?;
                    let made = self.layout.insert(made);
                    made.compare(bytes, &self.values).unwrap_or_default()
                }
            };
            expected = used;
            if is_last || !self.difference.fell {
                break;
            }
        }
        if folder.lists(self.inode, &opened) && shared.left_handles > 0 {
            shared.left_handles -= 1;
            self.opened = Some(opened);
        }
        Ok(expected)
    }

    fn complain(&mut self, fault: Fault, shared: &Shared<'_>) {
        shared.tools.telemetry.multiproc.faults.add(fault.code(), 1);
        if self.fault.replace(fault) != Some(fault) {
            let path = shared.path.join(self.name.to_string_lossy().as_ref());
            tracing::warn!(path = %path.display(), %fault, "a multiprocess file is left out");
        }
    }

    /// Counts the samples that were not taken in, and says why when that is new.
    pub(super) fn note_left_out(&mut self, offered: &Offered, shared: &Shared<'_>) {
        let Some(DecodeError { code, at, message }) = &offered.first else { return };
        shared.tools.telemetry.refusals.add(code, offered.refused as u64);
        if self.left_out.replace(code) != Some(*code) {
            let path = shared.path.join(self.name.to_string_lossy().as_ref());
            let samples = offered.refused;
            tracing::warn!(path = %path.display(), samples, at, message, "samples are left out");
        }
    }

    /// What it has is the instance's now.
    pub(super) fn keep(&mut self, buffer: &[u8]) {
        let Some(range) = self.range.clone() else { return };
        if let (Some(layout), Some(bytes)) = (&self.layout, buffer.get(range)) {
            layout.keep(bytes, &mut self.values);
            self.is_counted |= !layout.is_empty();
        }
    }
}

/// Whose values a file of this name has, where one file is of one metric.
pub(super) fn metric_of(name: &CStr) -> &str {
    name.to_str().ok().and_then(FileName::parse).map_or("", |name| name.metric)
}
