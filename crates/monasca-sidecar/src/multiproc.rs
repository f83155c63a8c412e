//! Directories of Python's multiprocess mode: what stands in their files becomes pushes to the store, one
//! instance for each worker.
//!
//! Owns which file is whose, and what of it the store has. Files are only read. A scrape reads first and
//! holds the directories as they are until it has collected. See ADR 15.

mod alive;
mod deeds;
mod directory;
mod fault;
mod file;
mod folder;
mod folding;
mod kept;
mod layouts;
mod locks;
mod models;
mod newest;
mod processes;
mod push;
pub(crate) mod tend;
mod worker;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::MultiprocSettings;
use crate::journal::Keep;
use crate::telemetry::Telemetry;
use deeds::{Deeds, OsDeeds};
use directory::{Directory, Reading};
use layouts::Layouts;
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};
use sidecar_store::Store;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The buffer keeps so much from read to read.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// What the directories are read into.
#[derive(Debug)]
struct Tools {
    store: Arc<Store>,
    clock: Arc<Clock>,
    telemetry: Arc<Telemetry>,
    admission: Arc<Admission>,
    deeds: Box<dyn Deeds>,
}

#[derive(Debug)]
pub(crate) struct Multiproc {
    tools: Tools,
    settings: MultiprocSettings,
    reader: Mutex<Reader>,
}

/// What is known of the directories.
#[derive(Debug)]
struct Reader {
    directories: Vec<Directory>,
    layouts: Layouts,
    /// One worker's files at a time.
    buffer: Vec<u8>,
    /// When they were read last.
    read_at: Option<Duration>,
}

impl Multiproc {
    pub(crate) fn new(
        settings: &MultiprocSettings,
        store: &Arc<Store>,
        clock: &Arc<Clock>,
        telemetry: &Arc<Telemetry>,
        admission: &Arc<Admission>,
        keep: &Keep,
    ) -> Multiproc {
        let tools = Tools {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            telemetry: Arc::clone(telemetry),
            admission: Arc::clone(admission),
            deeds: Box::new(OsDeeds { keep: keep.clone() }),
        };
        Multiproc::with(settings.clone(), tools)
    }

    fn with(settings: MultiprocSettings, tools: Tools) -> Multiproc {
        let reader = Mutex::new(Reader::new(&settings));
        Multiproc { tools, settings, reader }
    }

    /// Reads the directories, unless that was done within the interval, and calls `then` before anything
    /// else is done with them.
    pub(crate) fn read_then(&self, then: &mut dyn FnMut()) {
        let mut reader = self.reader.lock();
        let now = self.tools.clock.elapsed();
        let is_fresh = |at: Duration| now.saturating_sub(at) < self.settings.interval;
        if !reader.read_at.is_some_and(is_fresh) {
            self.read(&mut reader);
        }
        then();
    }

    fn read(&self, reader: &mut Reader) {
        let begun = self.tools.clock.elapsed();
        let read = AssertUnwindSafe(|| reader.read(&self.tools, &self.settings));
        if catch_unwind(read).is_err() {
            // It is logged where it happened. What the store has is found again by its ids.
            *reader = Reader::new(&self.settings);
        }
        reader.read_at = Some(begun);
        let spent = self.tools.clock.elapsed().saturating_sub(begun);
        self.tools.telemetry.multiproc.read_time.observe(spent);
    }
}

impl Reader {
    fn new(settings: &MultiprocSettings) -> Reader {
        let directories = settings.directories.iter().map(Directory::new).collect();
        Reader { directories, layouts: Layouts::default(), buffer: Vec::new(), read_at: None }
    }

    fn read(&mut self, tools: &Tools, settings: &MultiprocSettings) {
        if self.read_at.is_none() {
            depart_strangers(tools, settings);
        }
        let left_handles = kept_handles(self.directories.len());
        for directory in &mut self.directories {
            directory.read(&mut Reading {
                tools,
                limits: settings.limits,
                layouts: &mut self.layouts,
                buffer: &mut self.buffer,
                left_handles,
            });
        }
        self.layouts.forget_unused();
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer.truncate(KEPT_BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
        self.count(tools);
    }

    fn count(&self, tools: &Tools) {
        let counts = &tools.telemetry.multiproc;
        let sum =
            |of: fn(&Directory) -> usize| self.directories.iter().map(of).sum::<usize>() as u64;
        counts.workers.set(sum(Directory::workers));
        counts.files.set(sum(Directory::files));
        counts.faulty_files.set(sum(Directory::faulty_files));
    }
}

/// How many files of each directory stay open from read to read: of all a part of what the process may open.
fn kept_handles(directories: usize) -> usize {
    const MOST: usize = 1024;
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(MOST, |limit| MOST.min(limit / 4)) / directories.max(1)
}

/// Workers of directories that are no longer read: nobody else would ever end them.
fn depart_strangers(tools: &Tools, settings: &MultiprocSettings) {
    let read: Vec<String> = settings.directories.iter().map(directory::name).collect();
    let is_strange = |id: &str| {
        directory::of_id(id).is_some_and(|directory| !read.iter().any(|name| name == directory))
    };
    let instances = tools.store.instances(tools.clock.now());
    for left in instances.iter().filter(|instance| instance.live && is_strange(&instance.id)) {
        // Where the journal is full it is tried again at the next start.
        tools.store.depart(&left.id, tools.clock.now()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
