//! Who of the directories' workers still lives, looked at every `multiproc.compact_interval` on a thread
//! of its own; and with `multiproc.compact` the folding of those who do not.
//!
//! Processes, locks and the disk are waited for without holding the directories, so no scrape waits for
//! them.

mod place;

use super::directory::{Directory, Leaver, Reading, Roll};
use super::processes::{Look, Processes, Wanted};
use super::{Multiproc, Reader, Tools, kept_handles};
use place::{Place, Work};
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

const STACK_BYTES: usize = 1024 * 1024;
const PROC: &str = "/proc";
/// A look over all processes takes at most one part of the time in so many.
const SHARE_OF_LOOKS: u32 = 4;
/// What was read so long ago is read again before it is looked at who is there; at a shorter interval each time.
const FRESH: Duration = Duration::from_secs(1);

/// The running thread.
#[derive(Debug)]
pub(crate) struct Tending {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Tending {
    /// `None`: there is no directory.
    pub(crate) fn start(multiproc: &Arc<Multiproc>) -> io::Result<Option<Tending>> {
        if multiproc.settings.directories.is_empty() {
            return Ok(None);
        }
        let (stop, stopped) = sync_channel(1);
        let multiproc = Arc::clone(multiproc);
        let interval = multiproc.settings.compact_interval;
        let run = move || {
            let mut tender = Tender::new(&multiproc, Path::new(PROC));
            loop {
                // A panic has been logged and counted; the next period tries again.
                let tick = AssertUnwindSafe(|| tender.tick(&multiproc));
                catch_unwind(tick).unwrap_or_default();
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread =
            Builder::new().name("multiproc".to_owned()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Some(Tending { stop, thread }))
    }

    /// Ends after the step under way.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A panic of the thread has been logged where it happened.
        self.thread.join().unwrap_or_default();
    }
}

/// What is known of who lives.
#[derive(Debug)]
struct Tender {
    processes: Processes,
    places: Vec<Place>,
    /// No look over all processes before.
    look_at: Duration,
    /// The process list could not be read, which has been said.
    is_blind: bool,
}

impl Tender {
    fn new(multiproc: &Multiproc, proc: &Path) -> Tender {
        let directories = &multiproc.settings.directories;
        let places = directories.iter().map(|of| Place::new(&of.path)).collect();
        let processes = Processes::at(proc);
        Tender { processes, places, look_at: Duration::ZERO, is_blind: false }
    }

    fn tick(&mut self, multiproc: &Multiproc) {
        let rolls = multiproc.rolls();
        let presence = |process| self.processes.presence(process);
        let mut wants_look = false;
        for (place, roll) in self.places.iter_mut().zip(&rolls) {
            place.meet(roll, self.processes.namespace());
            wants_look |= place.wants_look(presence);
        }
        let now = multiproc.tools.clock.elapsed();
        if wants_look && now < self.look_at {
            return;
        }
        let look = if wants_look { self.look(&rolls, multiproc) } else { None };
        let work = Work { multiproc, look: look.as_ref() };
        for (at, (place, roll)) in self.places.iter_mut().zip(&rolls).enumerate() {
            place.judge(look.as_ref(), |process| self.processes.presence(process));
            multiproc.holding(at, |directory, _| directory.note_lives(|worker| place.life(worker)));
            if multiproc.settings.compact {
                place.compact(at, roll, &work);
            }
        }
        let counts = &multiproc.tools.telemetry.multiproc;
        let sum = |of: fn(&Place) -> usize| self.places.iter().map(of).sum::<usize>() as u64;
        counts.dead.set(sum(Place::dead));
        counts.unknown.set(sum(Place::unknown));
    }

    fn look(&mut self, rolls: &[Roll], multiproc: &Multiproc) -> Option<Look> {
        let mut wanted = Wanted::default();
        let files = rolls.iter().flat_map(|roll| roll.workers.values());
        for (name, file) in files.flat_map(|worker| &worker.files) {
            wanted.add(name, *file);
        }
        let clock = &multiproc.tools.clock;
        let begun = clock.elapsed();
        let look = self.processes.look(&wanted);
        let ended = clock.elapsed();
        self.look_at = ended + ended.saturating_sub(begun) * (SHARE_OF_LOOKS - 1);
        if let Err(error) = &look
            && !std::mem::replace(&mut self.is_blind, true)
        {
            tracing::warn!(%error, "cannot see which processes there are");
        }
        look.ok()
    }
}

impl Multiproc {
    /// Who is there, of each directory.
    fn rolls(&self) -> Vec<Roll> {
        let mut reader = self.reader.lock();
        let now = self.tools.clock.elapsed();
        let fresh = FRESH.min(self.settings.compact_interval);
        if reader.read_at.is_none_or(|at| now.saturating_sub(at) >= fresh) {
            self.read(&mut reader);
        }
        reader.directories.iter().map(Directory::roll).collect()
    }

    /// With the directory held: no scrape falls in between.
    fn holding<T>(&self, at: usize, act: impl FnOnce(&mut Directory, &Tools) -> T) -> Option<T> {
        let mut reader = self.reader.lock();
        reader.directories.get_mut(at).map(|directory| act(directory, &self.tools))
    }

    fn read_last(&self, at: usize, wanted: &BTreeSet<&str>) -> Vec<Leaver> {
        let mut reader = self.reader.lock();
        let Reader { directories, layouts, buffer, .. } = &mut *reader;
        let left_handles = kept_handles(directories.len());
        let Some(directory) = directories.get_mut(at) else { return Vec::new() };
        let (tools, limits) = (&self.tools, self.settings.limits);
        directory.read_last(wanted, &mut Reading { tools, limits, layouts, buffer, left_handles })
    }
}

#[cfg(test)]
mod tests;
