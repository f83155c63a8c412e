//! Which of the process's threads goes first.
//!
//! Those that serve connections do. Threads for long work are nicer, and let others go first in between:
//! a scheduler may leave a thread its processor for some milliseconds, whoever else has become ready.

use std::thread::yield_now;

/// On Linux a priority is a thread's own. Where it may not be lowered, it stays.
pub(crate) fn be_nicer(by: i32) {
    let now = rustix::process::getpriority_process(None).unwrap_or_default();
    rustix::process::setpriority_process(None, (now + by).min(19)).unwrap_or_default();
}

/// How a piece of work goes on from one step to the next. A step takes a hundred microseconds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Straight through.
    Through,
    /// Others that have become ready go first.
    Stepping,
}

impl sidecar_store::Pace for Pace {
    fn step(&self) {
        match self {
            Pace::Through => {}
            Pace::Stepping => yield_now(),
        }
    }

    fn pause(&self) -> fn() {
        match self {
            Pace::Through => || {},
            Pace::Stepping => yield_now,
        }
    }
}
