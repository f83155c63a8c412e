//! What one connection is doing, written by the connection itself without reading a clock, and
//! what its guard in `listen` decided about it.
//!
//! The guard looks at it a few times per limit and counts time from when it first saw a state, so
//! a limit is never enforced early, and a busy connection pays no timer.

use super::habit::Habit;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

/// What a connection reads in one turn, and how many requests it begins.
const TURN_BYTES: usize = 256 * 1024;
const TURN_REQUESTS: u32 = 4;

/// What the guard wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Verdict {
    None = 0,
    /// The request's body took too long: answer so.
    Late = 1,
    /// Finish what is begun, begin nothing.
    Finish = 2,
    /// Close now.
    Close = 3,
}

#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Requests whose head was read.
    requests: AtomicU32,
    /// Requests whose answer is not written yet.
    active: AtomicU32,
    /// Successful reads and writes.
    transfers: AtomicU32,
    /// A part of a head was read.
    partial: AtomicBool,
    /// Request bodies that are being read.
    reading: AtomicU32,
    /// A request's body was not read to its end.
    unread: AtomicBool,
    /// Many requests at once (h2): heads are frames.
    multiplexed: AtomicBool,
    verdict: AtomicU8,
    waker: Mutex<Option<Waker>>,
    pub(crate) habit: Habit,
    turn: Turn,
}

/// What the connection has done since it was last its turn.
#[derive(Debug, Default)]
struct Turn {
    read_bytes: AtomicUsize,
    requests: AtomicU32,
}

/// One look at a [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub requests: u32,
    pub transfers: u32,
    pub active: bool,
    pub partial: bool,
    pub reading: bool,
    pub multiplexed: bool,
}

impl Progress {
    pub(crate) fn glance(&self) -> Glance {
        Glance {
            requests: self.requests.load(Relaxed),
            transfers: self.transfers.load(Relaxed),
            active: self.active.load(Relaxed) > 0,
            partial: self.partial.load(Relaxed),
            reading: self.reading.load(Relaxed) > 0,
            multiplexed: self.multiplexed.load(Relaxed),
        }
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Relaxed)
    }

    pub(crate) fn multiplex(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    /// It is the connection's turn.
    pub(crate) fn begin_turn(&self) {
        self.turn.read_bytes.store(0, Relaxed);
        self.turn.requests.store(0, Relaxed);
    }

    /// Others are to have theirs now.
    pub(crate) fn is_turn_over(&self) -> bool {
        let Turn { read_bytes, requests } = &self.turn;
        read_bytes.load(Relaxed) >= TURN_BYTES || requests.load(Relaxed) > TURN_REQUESTS
    }

    /// What is read and dropped takes time, too.
    pub(crate) fn has_dropped(&self, bytes: usize) {
        self.turn.read_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn has_read(&self, bytes: usize) {
        self.turn.read_bytes.fetch_add(bytes, Relaxed);
        self.transfers.fetch_add(1, Relaxed);
        self.partial.store(true, Relaxed);
    }

    pub(crate) fn has_written(&self) {
        self.transfers.fetch_add(1, Relaxed);
    }

    pub(crate) fn begin_request(&self, has_body: bool) {
        self.unread.store(has_body, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.turn.requests.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        self.partial.store(false, Relaxed);
    }

    pub(crate) fn end_request(&self) {
        self.active.fetch_sub(1, Relaxed);
        self.partial.store(false, Relaxed);
    }

    /// A verdict on an earlier body that ended just in time is void.
    pub(crate) fn begin_body(&self) {
        if self.is_late() {
            self.verdict.store(Verdict::None as u8, Relaxed);
        }
        self.reading.fetch_add(1, Relaxed);
    }

    pub(crate) fn end_body(&self) {
        self.reading.fetch_sub(1, Relaxed);
    }

    pub(crate) fn has_read_body(&self) {
        self.unread.store(false, Relaxed);
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            0 => Verdict::None,
            1 => Verdict::Late,
            2 => Verdict::Finish,
            _ => Verdict::Close,
        }
    }

    /// The body that is being read took too long.
    pub(crate) fn is_late(&self) -> bool {
        self.verdict() == Verdict::Late
    }

    /// Never takes back a graver verdict.
    pub(crate) fn judge(&self, verdict: Verdict) {
        if self.verdict.fetch_max(verdict as u8, Relaxed) < verdict as u8
            && let Some(waker) = self.waker.lock().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// The task to wake when there is a verdict.
    pub(crate) fn watch(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }
}
