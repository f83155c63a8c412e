//! One directory: who is in it, and one read of it after the other.

mod fold;

use super::Tools;
use super::fault::Fault;
use super::folder::{Folder, Listed};
use super::folding::Named;
use super::kept;
use super::kept::shown::ShownKept;
use super::layouts::Layouts;
use super::models::Models;
use super::newest::Newest;
use super::worker::{Shared, Shows, Worker};
use crate::config::{MultiprocDirectory, MultiprocLimits};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(super) use fold::{Leaver, Roll, Rolled};

/// All ids of ours begin so. Behind it come the directory, a worker's pid and when it began, with slashes
/// between, of which neither pid nor beginning has any.
const PREFIX: &str = "multiproc:";
/// Where a worker's pid and beginning stand: the instance of the gauges whose newest value counts. No
/// worker's pid is empty.
const NEWEST: &str = "/mostrecent";
/// The same of the other gauges of dead workers.
const KEPT: &str = "/kept";

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    prefix: String,
    labels: Vec<(String, String)>,
    /// By pid, so that each read takes them in the same order.
    workers: BTreeMap<Box<str>, Worker>,
    newest: Newest,
    models: Models,
    /// Number of the read.
    round: u32,
    /// It has been compared with what a store that was restored had of it.
    is_settled: bool,
    /// Instances that left while the journal was full.
    leaving: Vec<String>,
    /// The error that was logged last.
    failed: Option<Errno>,
    left_out: usize,
    kept: ShownKept,
    /// Keys of workers that have left while their files are still there.
    gone: BTreeSet<Box<str>>,
}

/// What a read is done with.
pub(super) struct Reading<'a> {
    pub(super) tools: &'a Tools,
    pub(super) limits: MultiprocLimits,
    pub(super) layouts: &'a mut Layouts,
    pub(super) buffer: &'a mut Vec<u8>,
    /// So many files may stay open.
    pub(super) left_handles: usize,
}

/// As it stands in ids. With other labels its series are others, so its workers are.
pub(super) fn name(of: &MultiprocDirectory) -> String {
    let path = of.path.display();
    if of.labels.is_empty() {
        return format!("{PREFIX}{path}");
    }
    let labels: Vec<String> =
        of.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{PREFIX}{path}{{{}}}", labels.join(","))
}

/// The name of the directory that an instance is of; `None`: it is none of ours.
pub(super) fn of_id(id: &str) -> Option<&str> {
    let directory = id.rsplitn(3, '/').nth(2)?;
    directory.starts_with(PREFIX).then_some(directory)
}

impl Directory {
    pub(super) fn new(of: &MultiprocDirectory) -> Directory {
        let prefix = format!("{}/", name(of));
        Directory {
            path: of.path.clone(),
            newest: Newest::new(format!("{prefix}{NEWEST}")),
            models: Models::default(),
            kept: ShownKept::new(format!("{prefix}{KEPT}")),
            gone: BTreeSet::new(),
            prefix,
            labels: of.labels.clone(),
            workers: BTreeMap::new(),
            round: 0,
            is_settled: false,
            leaving: Vec::new(),
            failed: None,
            left_out: 0,
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.values().filter(|worker| worker.id().is_some()).count()
    }

    pub(super) fn files(&self) -> usize {
        self.workers.values().map(Worker::files).sum()
    }

    pub(super) fn faulty_files(&self) -> usize {
        self.workers.values().map(Worker::faulty_files).sum::<usize>() + self.left_out
    }

    /// One read: what the files say is pushed, and who has no file any more departs.
    pub(super) fn read(&mut self, reading: &mut Reading<'_>) {
        self.read_and(reading, &mut |_, _, _| {});
    }

    /// `each` is told of every worker when its files are in the buffer.
    fn read_and(&mut self, reading: &mut Reading<'_>, each: &mut dyn FnMut(&str, &Worker, &[u8])) {
        let Reading { tools, limits, layouts, buffer, left_handles } = reading;
        let (tools, limits) = (*tools, *limits);
        self.round = self.round.wrapping_add(1);
        let folder = match Folder::open(&self.path) {
            Ok(folder) => Some(folder),
            Err(Errno::NOENT) => {
                self.complain(tools, Errno::NOENT);
                None
            }
            Err(error) => return self.complain(tools, error),
        };
        if let Some(folder) = &folder {
            if let Err(error) = self.list(folder, tools, limits) {
                return self.complain(tools, error);
            }
            self.failed = None;
            self.finish_renames(folder, tools);
        } else {
            self.kept.lose();
        }
        self.newest.begin();
        self.kept.show_newest(&mut self.newest);
        let mut shared = Shared {
            tools,
            limits,
            prefix: &self.prefix,
            labels: &self.labels,
            path: &self.path,
            round: self.round,
            layouts,
            buffer,
            left_bytes: limits.total_bytes,
            left_handles: *left_handles,
            newest: &mut self.newest,
            models: &mut self.models,
        };
        let leaving = &mut self.leaving;
        let kept = &self.kept;
        self.workers.retain(|key, worker| {
            if worker.is_folding() && kept.has(key) {
                worker.show(Shows::Totals);
            }
            if let Some(folder) = &folder {
                worker.read(folder, &mut shared, leaving);
                each(key, worker, shared.buffer);
            } else {
                worker.lose_all(leaving);
            }
            worker.files() > 0
        });
        let read_bytes = limits.total_bytes.saturating_sub(shared.left_bytes);
        tools.telemetry.multiproc.read_bytes.add(read_bytes as u64);
        self.newest.push(tools, &self.labels, leaving);
        self.kept.push(tools, &self.labels, leaving);
        self.settle(tools);
        self.depart(tools);
    }

    fn list(
        &mut self,
        folder: &Folder,
        tools: &Tools,
        limits: MultiprocLimits,
    ) -> Result<(), Errno> {
        let mut room = limits.files.saturating_sub(self.files());
        let mut left_out = 0;
        let mut has_kept = false;
        let mut note = |listed: Listed<'_>| {
            let name = listed.name;
            let Some(named) = name.to_str().ok().and_then(Named::parse) else {
                has_kept |= name.to_bytes() == kept::file::NAME.as_bytes();
                return;
            };
            let key = named.key();
            if self.gone.contains(&*key) {
                return;
            }
            // One that could be renamed in part only has both kinds of names.
            for key in [&*key, named.pid] {
                if let Some(worker) = self.workers.get_mut(key)
                    && worker.sees_again(listed, self.round)
                {
                    return;
                }
            }
            if room == 0 {
                left_out += 1;
                return;
            }
            room -= 1;
            let new = || match named.began {
                Some(_) => Worker::folding(named.pid.into(), format!("{}{key}", self.prefix)),
                None => Worker::new(named.pid.into()),
            };
            let worker = self.workers.entry(key.as_ref().into()).or_insert_with(new);
            worker.sees_new(listed, named.kind, self.round);
        };
        folder.list(&mut note)?;
        self.kept.look(folder, has_kept, &self.path);
        if left_out > 0 {
            tools.telemetry.multiproc.faults.add("too_many_files", left_out as u64);
            if self.left_out == 0 {
                let path = self.path.display();
                tracing::warn!(%path, left_out, "more files than multiproc.max_files");
            }
        }
        self.left_out = left_out;
        Ok(())
    }

    /// What a restored store has of this directory, and the directory has not, left meanwhile.
    fn settle(&mut self, tools: &Tools) {
        // Of files that are left out nobody knows whose they are.
        if std::mem::replace(&mut self.is_settled, true) || self.left_out > 0 {
            return;
        }
        let known = |id: &str| {
            let is_it = |worker: &Worker| worker.may_be(id, &self.prefix);
            self.workers.values().any(is_it)
                || self.newest.is_shown_as(id)
                || self.kept.is_shown_as(id)
        };
        let instances = tools.store.instances(tools.clock.now());
        let gone = instances.into_iter().filter(|instance| {
            let of = of_id(&instance.id);
            instance.live && of == self.prefix.strip_suffix('/') && !known(&instance.id)
        });
        self.leaving.extend(gone.map(|instance| instance.id));
    }

    fn depart(&mut self, tools: &Tools) {
        // Without space in the journal nothing may change: they leave at a later read.
        self.leaving.retain(|id| tools.store.depart(id, tools.clock.now()).is_err());
    }

    /// As if the time had passed for what was refused.
    #[cfg(test)]
    pub(super) fn be_due(&mut self) {
        for again_at in self.workers.values_mut().filter_map(|worker| worker.again_at.as_mut()) {
            *again_at = std::time::Duration::ZERO;
        }
    }

    /// Counts that the directory could not be read, and says so when that is new.
    fn complain(&mut self, tools: &Tools, error: Errno) {
        tools.telemetry.multiproc.faults.add(Fault::Unreadable(error).code(), 1);
        if self.failed.replace(error) != Some(error) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "cannot read the multiprocess directory");
        }
    }
}
