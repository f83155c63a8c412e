//! The scrape thread: collects and encodes, one page after the other, piece by piece.
//!
//! One thread of lower priority, so that pushes go first. It never waits for a slow client: a page
//! whose pieces are not taken rests while others go on.

use super::Around;
use super::encoders::{Encoders, only, page_once};
use super::making::{Made, Making, Step};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::http::negotiate::{Accepted, Compression};
use crate::journal::Keep;
use crate::priority::be_nicer;
use crate::telemetry::Telemetry;
use parking_lot::{Condvar, Mutex};
use sidecar_formats::Page;
use sidecar_model::Exposition;
use sidecar_store::Store;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::sync::mpsc;

const STACK_BYTES: usize = 1 << 20;
/// Pages being made at once, the slowly taken ones included.
const PAGES: usize = 64;
/// Pieces that wait for one client.
const PIECES: usize = 2;
/// How much nicer than the rest of the process the thread is.
const NICER: i32 = 10;

#[derive(Debug)]
pub(super) struct Worker {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<Asked>,
    /// Pages asked for and not done.
    pages: usize,
    /// A piece was taken or a client went.
    nudged: bool,
    stopping: bool,
}

/// Which page is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) accepted: Accepted,
    pub(super) compression: Compression,
    /// Only the families that print one of these names; none: all.
    pub(super) names: Vec<String>,
}

/// A page that somebody waits for.
#[derive(Debug)]
struct Asked {
    wanted: Wanted,
    pieces: mpsc::Sender<Made>,
}

impl Queue {
    pub(super) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.changed.notify_one();
    }
}

impl Worker {
    pub(super) fn start(
        (store, keep, around): (Arc<Store>, Keep, Around),
        clock: Arc<Clock>,
        telemetry: Arc<Telemetry>,
        admission: Arc<Admission>,
    ) -> io::Result<Worker> {
        let queue = Arc::new(Queue::default());
        let bench =
            Bench { queue: Arc::clone(&queue), store, clock, telemetry, admission, keep, around };
        let run = move || {
            be_nicer(NICER);
            bench.run();
        };
        let thread = Builder::new().name("scrape".to_owned()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Worker { queue, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// A page's pieces to come; `None`: too many at once.
    pub(super) fn ask(&self, wanted: Wanted) -> Option<mpsc::Receiver<Made>> {
        let (pieces, receiver) = mpsc::channel(PIECES);
        let mut state = self.queue.state.lock();
        if state.pages >= PAGES || state.stopping {
            return None;
        }
        state.pages += 1;
        state.asked.push(Asked { wanted, pieces });
        drop(state);
        self.queue.changed.notify_one();
        Some(receiver)
    }

    pub(super) fn stop(&self) {
        self.queue.state.lock().stopping = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been logged where it happened.
            thread.join().unwrap_or_default();
        }
    }
}

/// What the thread works with.
struct Bench {
    queue: Arc<Queue>,
    store: Arc<Store>,
    clock: Arc<Clock>,
    telemetry: Arc<Telemetry>,
    admission: Arc<Admission>,
    keep: Keep,
    around: Around,
}

impl Bench {
    fn run(&self) {
        let mut encoders = Encoders::default();
        let mut pages: Vec<Making> = Vec::new();
        let mut resting = true;
        while let Some(asked) = self.next(resting) {
            let before = pages.len() + asked.len();
            let turn = AssertUnwindSafe(|| self.turn(asked, &mut pages, &mut encoders));
            resting = catch_unwind(turn).unwrap_or_else(|_| {
                // Whoever waited is told by the closed channels.
                pages.clear();
                encoders = Encoders::default();
                true
            });
            let done = before.saturating_sub(pages.len());
            if done > 0 {
                let mut state = self.queue.state.lock();
                state.pages = state.pages.saturating_sub(done);
            }
        }
    }

    /// What was asked since; waits for something to do when every page rests. `None`: stop.
    fn next(&self, resting: bool) -> Option<Vec<Asked>> {
        let mut state = self.queue.state.lock();
        while resting && state.asked.is_empty() && !state.nudged && !state.stopping {
            self.queue.changed.wait(&mut state);
        }
        state.nudged = false;
        if state.stopping { None } else { Some(std::mem::take(&mut state.asked)) }
    }

    /// One piece for each page; whether all rest. Pages asked for at the same moment share one
    /// collect.
    fn turn(&self, asked: Vec<Asked>, pages: &mut Vec<Making>, encoders: &mut Encoders) -> bool {
        let count = asked.len();
        if count > 0 {
            let (least, exposition, spent) = self.collect();
            for (Asked { wanted, pieces }, exposition) in
                asked.into_iter().zip(std::iter::repeat_n(exposition, count))
            {
                let is_whole = wanted.names.is_empty();
                if is_whole && self.admission.memory.is_short() {
                    encoders.keep_only(wanted.accepted);
                }
                let page = page(&wanted, exposition, encoders);
                pages.push(Making::new(page, wanted.compression, pieces, spent));
                if is_whole {
                    self.admission.memory.scraped(least);
                }
            }
        }
        let mut resting = true;
        pages.retain_mut(|page| match page.step(&self.clock, &self.telemetry) {
            Step::Rests => true,
            Step::Moved => {
                resting = false;
                true
            }
            Step::Over => false,
        });
        resting
    }
}

impl Bench {
    /// What the store takes at least, its state, and how long it took to collect that.
    fn collect(&self) -> (Option<u64>, Exposition, Duration) {
        let mut least = None;
        let mut exposition = Exposition::default();
        let mut spent = Duration::ZERO;
        (self.around)(&mut || {
            let begun = self.clock.elapsed();
            least = self.store.least_bytes();
            exposition = self.store.collect(self.clock.now());
            spent = self.clock.elapsed().saturating_sub(begun);
        });
        let begun = self.clock.elapsed();
        self.keep.write_out();
        (least, exposition, spent + self.clock.elapsed().saturating_sub(begun))
    }
}

/// A page of some families does not touch what is kept for the page of all.
fn page(wanted: &Wanted, exposition: Exposition, encoders: &mut Encoders) -> Box<dyn Page> {
    if wanted.names.is_empty() {
        return encoders.page(exposition, wanted.accepted);
    }
    let exposition = only(exposition, &wanted.names, wanted.accepted.escaping());
    page_once(exposition, wanted.accepted)
}
