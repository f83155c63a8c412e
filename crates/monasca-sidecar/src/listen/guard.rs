//! Holds every connection to its limits: header time, request time, idle time.
//!
//! Looks at all connections a few times per limit instead of arming a timer for each request.
//! Time counts from the look that first saw a state, so nothing is closed early and everything is
//! closed at most one period late.

use crate::clock::Clock;
use crate::config::HttpLimits;
use crate::http::progress::{Glance, Progress, Verdict};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Looks per shortest limit.
const LOOKS: u32 = 4;
const SHORTEST_PERIOD: Duration = Duration::from_millis(20);
const LONGEST_PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Guard {
    clock: Arc<Clock>,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    finishing: bool,
    taken: BTreeMap<u64, Seen>,
}

/// What the guard knows of one connection.
#[derive(Debug)]
struct Seen {
    progress: Arc<Progress>,
    glance: Glance,
    /// When the state was first seen.
    state_since: Duration,
    /// When a byte was last seen to have passed.
    moved: Duration,
}

/// A connection's place; it is watched until this is dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    guard: &'a Guard,
    number: u64,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.guard.seats.lock().taken.remove(&self.number);
    }
}

/// How often to look.
pub(super) fn period(limits: &HttpLimits) -> Duration {
    let shortest = limits.header_time.min(limits.request_time).min(limits.idle_time);
    (shortest / LOOKS).clamp(SHORTEST_PERIOD, LONGEST_PERIOD)
}

impl Guard {
    pub(super) fn new(clock: Arc<Clock>) -> Guard {
        Guard { clock, seats: Mutex::default() }
    }

    pub(super) fn seat(&self, progress: Arc<Progress>) -> Seat<'_> {
        let now = self.clock.elapsed();
        let mut seats = self.seats.lock();
        if seats.finishing {
            progress.judge(Verdict::Finish);
        }
        let number = seats.next;
        seats.next += 1;
        let glance = progress.glance();
        seats.taken.insert(number, Seen { progress, glance, state_since: now, moved: now });
        Seat { guard: self, number }
    }

    /// Judges all; how many it closed.
    pub(super) fn look(&self, limits: &HttpLimits) -> u64 {
        let now = self.clock.elapsed();
        let mut expired = 0;
        for seen in self.seats.lock().taken.values_mut() {
            let verdict = seen.look(now, limits);
            if verdict != Verdict::None {
                expired += 1;
                seen.progress.judge(verdict);
            }
        }
        expired
    }

    pub(super) fn finish_all(&self) {
        let mut seats = self.seats.lock();
        seats.finishing = true;
        for seen in seats.taken.values() {
            seen.progress.judge(Verdict::Finish);
        }
    }
}

impl Seen {
    fn look(&mut self, now: Duration, limits: &HttpLimits) -> Verdict {
        let glance = self.progress.glance();
        if (Glance { transfers: self.glance.transfers, ..glance }) != self.glance {
            self.state_since = now;
        }
        if glance.transfers != self.glance.transfers {
            self.moved = now;
        }
        self.glance = glance;
        let in_state = now.saturating_sub(self.state_since);
        let still = now.saturating_sub(self.moved);
        match (glance.active, glance.reading) {
            // The handler answers; if the client does not take that in, the connection goes.
            (true, true) if in_state >= limits.request_time * 2 => Verdict::Close,
            (true, true) if in_state >= limits.request_time && !glance.multiplexed => Verdict::Late,
            // Whoever takes a byte now and then holds the page as long.
            (true, false) if in_state >= limits.request_time => Verdict::Close,
            (true, _) => Verdict::None,
            (false, _) if glance.multiplexed && still < limits.idle_time => Verdict::None,
            (false, _) if glance.multiplexed => Verdict::Close,
            (false, _) if glance.partial && in_state >= limits.header_time => Verdict::Close,
            (false, _) if in_state >= limits.idle_time => Verdict::Close,
            (false, _) => Verdict::None,
        }
    }
}

#[cfg(test)]
mod tests;
