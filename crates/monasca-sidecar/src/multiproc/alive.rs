//! Who is dead, and for certain: by a process that was seen with a worker's file and is gone, by
//! `mark_process_dead`, by a lock that nobody holds. Never by age.
//!
//! Pure: what was found goes in, a verdict comes out. What it has learnt is kept over restarts
//! ([`Seen`]); of another namespace or another start of the machine nothing is believed.

use super::kept::Seen;
use super::processes::{FileId, Look, Namespace, Presence, Process};
use std::collections::{BTreeMap, BTreeSet};

/// A worker as it is in the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidate {
    /// The pid, or whatever the application names its processes by.
    pub name: String,
    pub files: Vec<FileId>,
    /// Among them one of a live mode.
    pub live: bool,
    pub lock: Lock,
}

/// A worker's lock file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lock {
    #[default]
    Missing,
    Held,
    Free,
    /// It is there and cannot be tried.
    Untold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    /// Nothing proves that it is dead, and nobody was seen with its files.
    Unknown,
}

/// Whether somebody has one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Nobody,
    Somebody,
    /// It cannot be told.
    Untold,
}

/// What is known of the workers of one directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives {
    seen: Seen,
    here: Option<Namespace>,
}

impl Lives {
    /// `seen`: of an earlier daemon.
    pub(super) fn new(seen: Seen, here: Option<Namespace>) -> Lives {
        let mut seen = seen;
        if here.is_none() || seen.namespace != here {
            seen.namespace = None;
            for worker in seen.workers.values_mut() {
                worker.processes.clear();
            }
        }
        Lives { seen, here }
    }

    /// What is to be kept.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Processes of this application have been seen with files here, so those that have some are seen.
    pub(super) fn sees_processes(&self) -> bool {
        self.here.is_some() && self.seen.namespace == self.here
    }

    /// Whether all processes have to be looked at to say who lives.
    pub(super) fn wants_look(
        &self,
        workers: &BTreeMap<String, Candidate>,
        presence: impl Fn(Process) -> Presence,
    ) -> bool {
        let runs = |process: &Process| presence(*process) == Presence::Running;
        workers.iter().any(|(id, _)| {
            self.seen.workers.get(id).is_none_or(|seen| !seen.processes.iter().any(runs))
        })
    }

    /// Learns from a look who has which file, and which workers have gauges of a live mode.
    /// Workers that are no longer there are forgotten.
    pub(super) fn learn(&mut self, workers: &BTreeMap<String, Candidate>, look: Option<&Look>) {
        self.seen.workers.retain(|id, _| workers.contains_key(id));
        let mut holders: BTreeMap<FileId, Vec<Process>> = BTreeMap::new();
        let hidden = |process: &Process| {
            look.is_some_and(|look| look.hidden.iter().any(|hidden| hidden.pid == process.pid))
        };
        for (file, process) in look.map_or(&[][..], |look| &look.holders) {
            holders.entry(*file).or_default().push(*process);
        }
        for (id, worker) in workers {
            let now: BTreeSet<Process> = worker
                .files
                .iter()
                .filter_map(|file| holders.get(file))
                .flatten()
                .copied()
                .collect();
            if now.is_empty() && !worker.live {
                continue;
            }
            let seen = self.seen.workers.entry(id.clone()).or_default();
            seen.live |= worker.live;
            if !now.is_empty() && self.here.is_some() {
                self.seen.namespace.clone_from(&self.here);
                // Whoever else had it has let go of it, or is gone, or does not show itself any more.
                seen.processes.retain(hidden);
                seen.processes.extend(now);
            }
        }
    }

    /// `look`: all processes, when they have just been looked at. Without one nobody is found dead by
    /// what `/proc` says.
    pub(super) fn judge(
        &self,
        id: &str,
        worker: &Candidate,
        look: Option<&Look>,
        presence: impl Fn(Process) -> Presence,
    ) -> Life {
        if worker.lock == Lock::Held || look.is_some_and(|look| has_one(look, worker)) {
            return Life::Alive;
        }
        let runs = |process: &Process| presence(*process) == Presence::Running;
        let is_gone = |process: &Process| presence(*process) == Presence::Gone;
        let seen = self.seen.workers.get(id);
        let holders = seen.map(|seen| &seen.processes).filter(|processes| !processes.is_empty());
        if look.is_none() && holders.is_some_and(|holders| holders.iter().any(runs)) {
            return Life::Alive;
        }
        let marked = seen.is_some_and(|seen| seen.live && !worker.live);
        let gone = look.is_some() && holders.is_some_and(|holders| holders.iter().all(is_gone));
        if worker.lock == Lock::Free || marked || gone { Life::Dead } else { Life::Unknown }
    }

    /// Of a dead worker whose files have other names already: whether somebody still writes to them.
    pub(super) fn hold(&self, worker: &Candidate, look: Option<&Look>) -> Hold {
        let Some(look) = look.filter(|_| self.sees_processes()) else {
            return match worker.lock {
                Lock::Held => Hold::Somebody,
                Lock::Free => Hold::Nobody,
                Lock::Missing | Lock::Untold => Hold::Untold,
            };
        };
        if worker.lock == Lock::Held || has_one(look, worker) {
            return Hold::Somebody;
        }
        // Those of the application can be looked into. Another one can have opened the file by its name
        // only if that is its own number.
        if look.hidden.iter().any(|hidden| hidden.own.to_string() == worker.name) {
            return Hold::Untold;
        }
        Hold::Nobody
    }
}

fn has_one(look: &Look, worker: &Candidate) -> bool {
    worker.files.iter().any(|file| look.is_held(*file))
}

#[cfg(test)]
mod tests;
