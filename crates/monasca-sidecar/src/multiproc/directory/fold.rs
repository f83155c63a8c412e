//! What compaction asks of a directory: who is in it, other names for a dead worker's files, and its
//! leave, when what it has counted is in the store and its gauges are kept.

use super::super::alive::Life;
use super::super::deeds::Deeds;
use super::super::file::WorkerFile;
use super::super::folder::{Folder, Identity};
use super::super::folding::{self, Named};
use super::super::kept::{GaugeSample, Kept, KeptMode};
use super::super::processes::FileId;
use super::super::worker::{Shows, Worker, began};
use super::{Directory, Reading};
use crate::multiproc::Tools;
use sidecar_formats::mmap_file::FileKind;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Who is there.
#[derive(Debug)]
pub(in crate::multiproc) struct Roll {
    /// By pid and begin; nobody whose files could not be opened.
    pub workers: BTreeMap<String, Rolled>,
    /// Of all files, those that could not be opened too.
    pub pids: BTreeSet<Box<str>>,
    /// `None`: it cannot be used, so nothing can be added to it.
    pub kept: Option<Arc<Kept>>,
}

/// One worker.
#[derive(Debug)]
pub(in crate::multiproc) struct Rolled {
    /// Where the directory finds it.
    pub key: Box<str>,
    pub pid: Box<str>,
    /// Names and files.
    pub files: Vec<(String, FileId)>,
    /// Among them one of a live mode.
    pub live: bool,
    pub is_folding: bool,
    /// All of its files are known, and that they are its own for all time.
    pub can_fold: bool,
}

/// A worker that has nothing more to say.
#[derive(Debug)]
pub(in crate::multiproc) struct Leaver {
    pub id: String,
    pub key: Box<str>,
    pub names: Vec<String>,
    pub gauges: Vec<GaugeSample>,
}

impl Directory {
    pub(in crate::multiproc) fn roll(&self) -> Roll {
        let workers = self.workers.iter().filter_map(|(key, worker)| {
            let name = worker.id()?.strip_prefix(&self.prefix)?;
            let files = worker.files.iter();
            let known = files
                .filter_map(|file| Some((file.name_text()?.to_owned(), file_id(file.identity?))));
            let known: Vec<(String, FileId)> = known.collect();
            let began = self.began(worker);
            let rolled = Rolled {
                key: key.clone(),
                pid: worker.pid.clone(),
                live: worker.files.iter().any(|file| file.kind.is_live()),
                is_folding: worker.is_folding(),
                can_fold: known.len() == worker.files.len()
                    && began.is_some_and(folding::is_birth)
                    && worker.files.iter().all(|file| can_be_kept(file.kind)),
                files: known,
            };
            Some((name.to_owned(), rolled))
        });
        Roll {
            workers: workers.collect(),
            pids: self.workers.values().map(|worker| worker.pid.clone()).collect(),
            kept: self.kept.kept(),
        }
    }

    /// Gauges of live modes of those who are dead do not count from the next read on.
    pub(in crate::multiproc) fn note_lives(&mut self, life: impl Fn(&str) -> Life) {
        let kept = &self.kept;
        for (key, worker) in &mut self.workers {
            let Some(name) = worker.id().and_then(|id| id.strip_prefix(&self.prefix)) else {
                continue;
            };
            let shows = match (life(name), worker.is_folding()) {
                (_, true) if kept.has(key) => Shows::Totals,
                // It was dead when its files were renamed.
                (Life::Dead, _) | (Life::Unknown, true) => Shows::WithoutLive,
                (Life::Unknown, false) | (Life::Alive, _) => Shows::All,
            };
            worker.show(shows);
        }
    }

    /// A dead worker's files get the names under which they are folded.
    pub(in crate::multiproc) fn rename(
        &mut self,
        key: &str,
        folder: &Folder,
        tools: &Tools,
    ) -> io::Result<()> {
        let Some(worker) = self.workers.get(key).filter(|worker| !worker.is_folding()) else {
            return Ok(());
        };
        let Some(began) = self.began(worker).filter(|began| folding::is_birth(began)) else {
            return Ok(());
        };
        let (began, new_key) = (began.to_owned(), format!("{key}/{began}"));
        if self.workers.contains_key(&*new_key) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let Some(mut worker) = self.workers.remove(key) else { return Ok(()) };
        let renamed = worker.rename(&began, folder, &*tools.deeds);
        let key = if renamed.is_ok() { new_key.into() } else { key.into() };
        self.workers.insert(key, worker);
        renamed
    }

    /// Reads once more, and tells who of `wanted` (keys) can leave: all that it has counted is in the
    /// store. With the gauges that are to be kept of it.
    pub(in crate::multiproc) fn read_last(
        &mut self,
        wanted: &BTreeSet<&str>,
        reading: &mut Reading<'_>,
    ) -> Vec<Leaver> {
        let mut leavers = Vec::new();
        self.read_and(reading, &mut |key, worker, buffer| {
            if wanted.contains(key) && worker.is_settled() {
                leavers.extend(leaver(key, worker, buffer));
            }
        });
        leavers
    }

    /// They leave, and what is kept has their gauges: with the directory held, so that no scrape sees
    /// one without the other.
    pub(in crate::multiproc) fn say_goodbye(
        &mut self,
        leavers: &[Leaver],
        kept: Arc<Kept>,
        tools: &Tools,
    ) {
        self.kept.adopt(kept);
        for leaver in leavers {
            self.workers.remove(&leaver.key);
            self.gone.insert(leaver.key.clone());
            self.leaving.push(leaver.id.clone());
        }
        self.depart(tools);
        self.kept.push(tools, &self.labels, &mut self.leaving);
    }

    /// Their files are gone for good.
    pub(in crate::multiproc) fn forget(&mut self, leavers: &[Leaver]) {
        for leaver in leavers {
            self.gone.remove(&leaver.key);
        }
    }

    /// Behind a listing: a crash came between one name and the next. The files that still have their
    /// old names are the worker's too.
    pub(super) fn finish_renames(&mut self, folder: &Folder, tools: &Tools) {
        let half = |key: &str, worker: &Worker| {
            let plain = self.workers.get(&worker.pid).filter(|plain| plain.id().is_none())?;
            let anchor = plain.find_anchor(folder)?;
            let began = began(anchor);
            (*key == *format!("{}/{began}", worker.pid)).then(|| (key.to_owned(), began))
        };
        let folding = self.workers.iter().filter(|(_, worker)| worker.is_folding());
        let halves: Vec<_> = folding.filter_map(|(key, worker)| half(key, worker)).collect();
        for (key, began) in halves {
            let Some(mut worker) = self.workers.remove(&*key) else { continue };
            if let Some(mut plain) = self.workers.remove(&worker.pid) {
                plain.move_renamed(&mut worker, &began, folder, &*tools.deeds);
                if plain.files() > 0 {
                    self.workers.insert(worker.pid.clone(), plain);
                }
            }
            self.workers.insert(key.into(), worker);
        }
    }

    /// The last part of its id.
    fn began<'w>(&self, worker: &'w Worker) -> Option<&'w str> {
        let id = worker.id()?.strip_prefix(&self.prefix)?;
        id.strip_prefix(&*worker.pid)?.strip_prefix('/')
    }
}

/// `None`: something that it has counted is not in the store.
fn leaver(key: &str, worker: &Worker, buffer: &[u8]) -> Option<Leaver> {
    let mut gauges = Vec::new();
    let mut names = Vec::new();
    for file in &worker.files {
        names.push(file.name_text()?.to_owned());
        let (layout, bytes) = file.content(buffer)?;
        let FileKind::Gauge(mode) = file.kind else {
            if layout.compare(bytes, &file.values)?.changed > 0 {
                return None;
            }
            continue;
        };
        if let Some(mode) = KeptMode::of(mode) {
            layout.each(bytes, |stamped| gauges.extend(GaugeSample::new(mode, stamped)));
        }
    }
    Some(Leaver { id: worker.id()?.to_owned(), key: key.into(), names, gauges })
}

/// Ruby's files do not tell how their gauges are merged, and its client reads the renamed ones too.
fn can_be_kept(kind: FileKind) -> bool {
    kind != FileKind::Ruby
}

fn file_id(identity: Identity) -> FileId {
    let part = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    let device = rustix::fs::makedev(part(identity.device >> 32), part(identity.device));
    FileId { device, inode: identity.inode }
}

impl Worker {
    /// All or none: what was renamed gets its name back, as far as that is possible.
    fn rename(&mut self, began: &str, folder: &Folder, deeds: &dyn Deeds) -> io::Result<()> {
        let mut renamed: Vec<(String, String)> = Vec::new();
        for at in self.anchor_last() {
            let Some(from) = self.files.get(at).and_then(|file| file.name_text()) else { continue };
            if Named::parse(from).is_some_and(|named| named.began.is_some()) {
                // What could not be undone the last time.
                continue;
            }
            let (from, to) = (from.to_owned(), folding::name_of(from, began));
            if let Err(error) = deeds.rename(folder, &from, &to) {
                for (from, to) in renamed {
                    if deeds.rename(folder, &to, &from).is_err() {
                        self.call(&from, &to);
                    }
                }
                return Err(error);
            }
            renamed.push((from, to));
        }
        for (from, to) in renamed {
            self.call(&from, &to);
        }
        self.become_folding();
        Ok(())
    }

    /// Gives `other` the files that get their new names now. What has one of that kind already stays.
    fn move_renamed(
        &mut self,
        other: &mut Worker,
        began: &str,
        folder: &Folder,
        deeds: &dyn Deeds,
    ) {
        for file in std::mem::take(&mut self.files) {
            let name =
                file.name_text().map(|name| (name.to_owned(), folding::name_of(name, began)));
            let renamed =
                name.map(|(from, to)| deeds.rename(folder, &from, &to).map(|()| (from, to)));
            match renamed {
                Some(Ok((from, to))) => {
                    let at = other.files.partition_point(|known| known.kind < file.kind);
                    other.files.insert(at, file);
                    other.call(&from, &to);
                }
                Some(Err(_)) | None => self.files.push(file),
            }
        }
    }

    /// Indices of its files; that which the id tells of last, so that those which are left keep the id.
    fn anchor_last(&self) -> Vec<usize> {
        let anchor = self.anchor_identity();
        let mut order: Vec<usize> = (0..self.files.len()).collect();
        order.sort_by_key(|at| self.files.get(*at).is_some_and(|file| file.identity == anchor));
        order
    }

    fn call(&mut self, from: &str, to: &str) {
        for file in &mut self.files {
            if file.name_text() == Some(from) {
                file.rename(to);
            }
        }
    }

    /// What the id would tell of, by a look at the files as they are.
    fn find_anchor(&self, folder: &Folder) -> Option<Identity> {
        let identity = |file: &WorkerFile| {
            let identity = folder.open_file(file.name()).ok()?.identity;
            Some((!file.kind.is_cumulative(), identity))
        };
        self.files.iter().filter_map(identity).min().map(|(_, identity)| identity)
    }
}
