//! One worker: all files of one pid, and the instance that they are.
//!
//! Its id follows from what is in the directory: when the oldest of its files with totals began. So the
//! same worker has it again after a restart of the daemon, and another one with the same pid has another.

use super::Tools;
use super::file::{Found, WorkerFile, metric_of};
use super::folder::{Folder, Identity, Listed};
use super::layouts::Layouts;
use super::models::Models;
use super::newest::Newest;
use crate::config::MultiprocLimits;
use sidecar_formats::mmap_file::{FileKind, Layout};
use sidecar_store::Standing;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Entries stand at multiples of it.
const ALIGNMENT: usize = 8;

/// What all workers of a directory are read with.
pub(super) struct Shared<'a> {
    pub(super) tools: &'a Tools,
    pub(super) limits: MultiprocLimits,
    pub(super) prefix: &'a str,
    pub(super) labels: &'a [(String, String)],
    pub(super) path: &'a Path,
    pub(super) round: u32,
    pub(super) layouts: &'a mut Layouts,
    pub(super) buffer: &'a mut Vec<u8>,
    /// Of `multiproc.max_total`.
    pub(super) left_bytes: usize,
    /// So many files may stay open.
    pub(super) left_handles: usize,
    pub(super) newest: &'a mut Newest,
    pub(super) models: &'a mut Models,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: Box<str>,
    /// By kind and metric.
    pub(super) files: Vec<WorkerFile>,
    id: Option<String>,
    /// The file that the id tells of; whether it has no totals, which ranks behind those that have.
    anchor: Option<(bool, Identity)>,
    /// The instance as the last push left it; `None`: nothing of it is in the store.
    pub(super) standing: Option<Standing>,
    pub(super) owes: Owes,
    /// Something was refused: when it is offered again.
    pub(super) again_at: Option<Duration>,
    /// Its files have been renamed by compaction: the id stays as it is.
    is_folding: bool,
    shows: Shows,
}

/// What of a worker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shows {
    #[default]
    All,
    /// It is dead, so nothing of a live mode.
    WithoutLive,
    /// Its gauges have been added to the kept ones.
    Totals,
}

impl Shows {
    fn has(self, kind: FileKind) -> bool {
        match self {
            Shows::All => true,
            Shows::WithoutLive => !kind.is_live(),
            Shows::Totals => kind.is_cumulative(),
        }
    }
}

/// What the next push has to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Owes {
    /// All values, changed or not.
    pub(super) all: bool,
    /// Gauges that are not in it go.
    pub(super) replaces: bool,
    /// The worker's instance before this one, which has counted totals that are not to be counted again;
    /// it leaves then.
    pub(super) handover: Option<String>,
}

impl Worker {
    pub(super) fn new(pid: Box<str>) -> Worker {
        Worker {
            pid,
            files: Vec::new(),
            id: None,
            anchor: None,
            standing: None,
            owes: Owes { all: true, replaces: true, handover: None },
            again_at: None,
            is_folding: false,
            shows: Shows::All,
        }
    }

    /// One that is known by the names of its files.
    pub(super) fn folding(pid: Box<str>, id: String) -> Worker {
        Worker { id: Some(id), is_folding: true, ..Worker::new(pid) }
    }

    pub(super) fn is_folding(&self) -> bool {
        self.is_folding
    }

    /// Its files have their new names.
    pub(super) fn become_folding(&mut self) {
        self.is_folding = true;
    }

    pub(super) fn anchor_identity(&self) -> Option<Identity> {
        self.anchor.map(|(_, identity)| identity)
    }

    /// The store has all of it that it will ever take.
    pub(super) fn is_settled(&self) -> bool {
        let is_pushed = !self.owes.all || !self.shown().any(|file| file.offers() > 0);
        let is_one = self.owes.handover.is_none();
        is_pushed && is_one && self.again_at.is_none() && self.faulty_files() == 0
    }

    /// From the next read on.
    pub(super) fn show(&mut self, shows: Shows) {
        if self.shows != shows {
            self.shows = shows;
            self.owes.all = true;
            self.owes.replaces = true;
        }
    }

    /// The files that count.
    pub(super) fn shown(&self) -> impl Iterator<Item = &WorkerFile> {
        self.files.iter().filter(|file| self.shows.has(file.kind))
    }

    pub(super) fn shown_mut(&mut self) -> impl Iterator<Item = &mut WorkerFile> {
        let shows = self.shows;
        self.files.iter_mut().filter(move |file| shows.has(file.kind))
    }

    /// `None`: none of its files could be opened yet.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether an instance of the store is this worker, as far as can be told.
    pub(super) fn may_be(&self, id: &str, prefix: &str) -> bool {
        match &self.id {
            Some(own) => own == id,
            None => {
                let rest = id.strip_prefix(prefix).and_then(|id| id.strip_prefix(&*self.pid));
                rest.is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }

    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    pub(super) fn faulty_files(&self) -> usize {
        self.files.iter().filter(|file| file.is_faulty()).count()
    }

    /// Whether the name is that of a known file.
    pub(super) fn sees_again(&mut self, listed: Listed<'_>, round: u32) -> bool {
        self.files.iter_mut().any(|file| file.is_called(listed, round))
    }

    pub(super) fn sees_new(&mut self, listed: Listed<'_>, kind: FileKind, round: u32) {
        let place = (kind, metric_of(listed.name));
        let at = self.files.partition_point(|file| (file.kind, file.metric()) < place);
        self.files.insert(at, WorkerFile::new(listed, kind, round));
    }

    /// Reads its files and pushes what is new in them. Without any it leaves.
    pub(super) fn read(
        &mut self,
        folder: &Folder,
        shared: &mut Shared<'_>,
        leaving: &mut Vec<String>,
    ) {
        let mut at = 0;
        let mut has_less = false;
        self.files.retain_mut(|file| {
            let found = match file.is_of(shared.round) {
                true => file.read(folder, at, shared),
                false => Found::Gone,
            };
            if let Some((_, bytes)) = file.content(shared.buffer) {
                at += bytes.len().next_multiple_of(ALIGNMENT);
            }
            if found != Found::Same {
                has_less |= file.is_counted;
                file.is_counted = false;
            }
            found != Found::Gone
        });
        self.owes.all |= has_less;
        self.owes.replaces |= has_less;
        self.note_changes(has_less, shared);
        if self.files.is_empty() {
            return self.lose_all(leaving);
        }
        self.identify(shared.prefix, leaving);
        self.show_newest(shared);
        self.push(shared, leaving);
    }

    /// All of its files are gone: it has left.
    pub(super) fn lose_all(&mut self, leaving: &mut Vec<String>) {
        self.files.clear();
        leaving.extend(self.id.take().filter(|_| self.standing.is_some()));
        leaving.extend(self.owes.handover.take());
    }

    /// With other keys than those of its first push nobody else is like it.
    fn note_changes(&self, has_less: bool, shared: &mut Shared<'_>) {
        let is_new = self.files.iter().any(WorkerFile::has_new_keys);
        if let Some(id) = self.id.as_ref().filter(|_| has_less || is_new) {
            shared.models.remove(id);
        }
    }

    /// The layouts of the files that count, when all of them can be read.
    pub(super) fn layouts(&self) -> Option<Vec<(FileKind, Arc<Layout>)>> {
        self.shown().map(|file| Some((file.kind, file.layout()?))).collect()
    }

    fn show_newest(&self, shared: &mut Shared<'_>) {
        for file in self.shown() {
            if let FileKind::Gauge(mode) = file.kind
                && mode.is_newest()
                && let Some((layout, bytes)) = file.content(shared.buffer)
            {
                layout.newest(bytes, |stamped| shared.newest.see(file.kind, stamped));
            }
        }
    }

    /// Finds the id. With another one it is another instance: the one that it was leaves, and what both
    /// count counts once.
    fn identify(&mut self, prefix: &str, leaving: &mut Vec<String>) {
        let anchor = self.files.iter().filter_map(|file| {
            file.identity.map(|identity| (!file.kind.is_cumulative(), identity))
        });
        let anchor = anchor.min();
        if self.is_folding || anchor.is_none() || anchor == self.anchor {
            return;
        }
        self.anchor = anchor;
        let id = anchor.map(|(_, identity)| format!("{prefix}{}/{}", self.pid, began(identity)));
        if let Some(before) = std::mem::replace(&mut self.id, id)
            && self.standing.take().is_some()
        {
            let has_counted = self.counted_totals().next().is_some();
            if has_counted && self.owes.handover.is_none() {
                self.owes.handover = Some(before);
            } else {
                leaving.push(before);
            }
        }
        self.owes.all = true;
        self.owes.replaces = true;
        self.again_at = None;
    }

    /// Files with totals that an instance of this worker has counted.
    pub(super) fn counted_totals(&self) -> impl Iterator<Item = &WorkerFile> {
        self.files.iter().filter(|file| file.is_counted && file.kind.is_cumulative())
    }
}

/// When a file began; where the file system does not say, which file it is.
pub(super) fn began(identity: Identity) -> String {
    match identity.born {
        0 => format!("i{:x}", identity.inode),
        born => format!("{born:x}"),
    }
}
