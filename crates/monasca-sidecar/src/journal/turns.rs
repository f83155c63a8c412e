//! Whose turn it is on a processor that pushes keep busy.
//!
//! A commit wants the processor three times, for some ten microseconds each: to write, when the bytes are on their way, when
//! they are there. The kernel lets a thread that computes finish its turn of milliseconds first, and then pushes wait for the
//! commit, and the disk for nobody. So those who push give way now and then. Where a stranger takes the turn instead, and
//! keeps it, they do so rarely.

use super::super::clock::Stopwatch;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One push of so many gives way: others gain nothing that they would notice.
const EVERY: u64 = 4;
/// No commit needs the processor for so long at a time.
const SHORT: Duration = Duration::from_micros(200);
/// Turns that strangers took cost one part of so many at most.
const PATIENCE: u32 = 20;

#[derive(Debug)]
pub(super) struct Turns {
    watch: Stopwatch,
    /// Nobody gives way before, in nanoseconds of the watch.
    resume: AtomicU64,
}

impl Turns {
    pub(super) fn new() -> Turns {
        Turns { watch: Stopwatch::start(), resume: AtomicU64::new(0) }
    }

    /// Called for each record that somebody waits for.
    pub(super) fn pass(&self, position: u64) {
        if position.is_multiple_of(EVERY) {
            self.pass_with(|| self.watch.elapsed(), std::thread::yield_now);
        }
    }

    fn pass_with(&self, now: impl Fn() -> Duration, give_way: impl FnOnce()) {
        let before = now();
        if before < Duration::from_nanos(self.resume.load(Ordering::Relaxed)) {
            return;
        }
        give_way();
        let after = now();
        let took = after.saturating_sub(before);
        if took > SHORT {
            let resume = after.saturating_add(took.saturating_mul(PATIENCE)).as_nanos();
            self.resume.store(u64::try_from(resume).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How many of the pushes gave way, one each 100 microseconds, when a turn costs so many.
    fn given(turn_us: u64, pushes: u32) -> u32 {
        let (turns, now, given) = (Turns::new(), Cell::new(0), Cell::new(0));
        for _ in 0..pushes {
            now.set(now.get() + 100);
            turns.pass_with(
                || Duration::from_micros(now.get()),
                || {
                    now.set(now.get() + turn_us);
                    given.set(given.get() + 1);
                },
            );
        }
        given.get()
    }

    #[test]
    fn a_commit_gets_every_turn_and_a_stranger_few() {
        assert_eq!(given(30, 1000), 1000);
        // A turn of 3 ms, then 60 ms of pushes.
        assert_eq!(given(3_000, 1200), 2);
    }
}
