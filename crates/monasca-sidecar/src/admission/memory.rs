//! The memory ceiling: what the process has, what pushes under way take, and what the next scrape
//! will. See ADR 0014.
//!
//! The resident memory is read when somebody wants to bring something new and the last reading is
//! old, or much was admitted since; between two readings what is admitted counts as it was asked
//! for, which is more than it takes. An allocator gives back to the system late or never, so what
//! left the store counts as free again at the least that it took.

use crate::clock::Clock;
use parking_lot::Mutex;
use sidecar_store::{Grant, Room, Store};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// A reading is good for so long, and until so much was admitted.
const GOOD_FOR: Duration = Duration::from_millis(100);
const GOOD_FOR_BYTES: usize = 256 * 1024;
/// What the store takes, page and tables included, is at most so many times the least.
const MOST_TIMES_LEAST: usize = 6;
/// There is no limit.
const NONE: usize = 0;

#[derive(Debug)]
pub(crate) struct Memory {
    store: Arc<Store>,
    clock: Arc<Clock>,
    limit: AtomicUsize,
    is_short: AtomicBool,
    level: Mutex<Level>,
}

/// All in bytes.
#[derive(Debug, Default)]
struct Level {
    resident: usize,
    read_at: Option<Duration>,
    /// The resident memory of a process that holds nothing.
    at_start: usize,
    /// Asked for by pushes under way.
    in_flight: usize,
    /// Admitted since the reading.
    since: usize,
    /// What the store takes at least.
    least: usize,
    /// When the last page of all was made.
    least_at_scrape: usize,
    /// When the store took the most, as far as what it let go was not given back.
    peak: Peak,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    resident: usize,
    least: usize,
}

/// The memory as others may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryUse {
    pub(crate) limit_bytes: Option<usize>,
    pub(crate) resident_bytes: usize,
    /// Resident, but free for the store.
    pub(crate) reusable_bytes: usize,
    /// Beyond this nothing new is taken.
    pub(crate) new_until_bytes: Option<usize>,
    pub(crate) is_short: bool,
}

impl Memory {
    pub(super) fn new(store: Arc<Store>, clock: Arc<Clock>) -> Memory {
        Memory {
            store,
            clock,
            limit: AtomicUsize::new(NONE),
            is_short: AtomicBool::new(false),
            level: Mutex::new(Level { at_start: resident_bytes(), ..Level::default() }),
        }
    }

    pub(super) fn set_limit(&self, limit: Option<usize>) {
        self.limit.store(limit.unwrap_or(NONE), Relaxed);
        if limit.is_none() {
            self.is_short.store(false, Relaxed);
        }
    }

    fn limit(&self) -> Option<usize> {
        Some(self.limit.load(Relaxed)).filter(|limit| *limit != NONE)
    }

    /// What all request bodies together may have of it.
    pub(super) fn for_bodies(&self) -> Option<usize> {
        self.limit().map(|limit| limit / 8)
    }

    /// For one push; `None`: there is no limit.
    pub(crate) fn ticket(&self) -> Option<Ticket<'_>> {
        self.limit().map(|_| Ticket { memory: self, held: Cell::new(0) })
    }

    pub(crate) fn is_short(&self) -> bool {
        self.is_short.load(Relaxed)
    }

    /// Reads anew; whether memory is short.
    pub(crate) fn look(&self) -> bool {
        let Some(limit) = self.limit() else { return false };
        let mut level = self.level.lock();
        self.read(&mut level);
        self.judge(&level, limit);
        self.is_short()
    }

    /// A page of everything was made; `least`: of the store before it.
    pub(crate) fn scraped(&self, least: Option<u64>) {
        if self.limit().is_some()
            && let Some(least) = least
        {
            self.level.lock().least_at_scrape = size(least);
        }
    }

    pub(crate) fn used(&self) -> MemoryUse {
        self.look();
        let limit_bytes = self.limit();
        let mut level = self.level.lock();
        if limit_bytes.is_none() {
            level.resident = resident_bytes();
        }
        MemoryUse {
            limit_bytes,
            resident_bytes: level.resident,
            reusable_bytes: if limit_bytes.is_some() { level.reusable() } else { 0 },
            new_until_bytes: limit_bytes.map(high),
            is_short: self.is_short(),
        }
    }

    /// One push holds `held` and wants `more`.
    fn hold(&self, more: usize) -> Grant {
        let Some(limit) = self.limit() else { return Grant::Everything };
        let mut level = self.level.lock();
        let is_old =
            level.read_at.is_none_or(|at| self.clock.elapsed().saturating_sub(at) >= GOOD_FOR);
        if is_old || level.since >= GOOD_FOR_BYTES {
            self.read(&mut level);
        }
        self.judge(&level, limit);
        let then = level.total().saturating_add(more);
        if then > band(limit) {
            return Grant::Nothing;
        }
        level.in_flight += more;
        if self.is_short() || then > high(limit) { Grant::Known } else { Grant::Everything }
    }

    fn read(&self, level: &mut Level) {
        level.since = 0;
        level.resident = resident_bytes();
        level.read_at = Some(self.clock.elapsed());
        if let Some(least) = self.store.least_bytes() {
            level.note_least(size(least));
        }
    }

    fn judge(&self, level: &Level, limit: usize) {
        let total = level.total();
        if total >= high(limit) {
            if !self.is_short.swap(true, Relaxed) {
                tracing::warn!(
                    resident = level.resident,
                    limit,
                    "memory is short: nothing new is taken"
                );
            }
        } else if total <= low(limit) && self.is_short.swap(false, Relaxed) {
            tracing::info!(resident = level.resident, limit, "memory is free again");
        }
    }
}

/// Nothing new beyond this: bodies, tables that grow and a page that is rendered anew while the last
/// one is kept need the rest.
fn high(limit: usize) -> usize {
    limit / 8 * 5
}

/// New things come again below this.
fn low(limit: usize) -> usize {
    limit / 16 * 9
}

/// Known series that are written in a new way are staged until here.
fn band(limit: usize) -> usize {
    limit / 16 * 11
}

impl Level {
    fn total(&self) -> usize {
        (self.resident.saturating_sub(self.reusable()))
            .saturating_add(self.in_flight)
            .saturating_add(self.since)
            .saturating_add(self.owed_to_scrape())
    }

    /// The page keeps a text for each series, and sorts them; those since the last page have none yet.
    fn owed_to_scrape(&self) -> usize {
        self.least.saturating_sub(self.least_at_scrape) * 2
    }

    /// What left the store and was not given back to the system. At the peak the store took what the
    /// process had grown by; the part of it that left takes its part of that along.
    fn reusable(&self) -> usize {
        let Peak { resident, least } = self.peak;
        let left = least.saturating_sub(self.least);
        if left == 0 {
            return 0;
        }
        let grown = resident.saturating_sub(self.at_start);
        let grown = grown.clamp(least, least.saturating_mul(MOST_TIMES_LEAST));
        let freed = grown as u128 * left as u128 / least as u128 / 8 * 7;
        let freed = usize::try_from(freed).unwrap_or(usize::MAX);
        freed.saturating_sub(resident.saturating_sub(self.resident))
    }

    fn note_least(&mut self, least: usize) {
        self.least = least;
        self.least_at_scrape = self.least_at_scrape.min(least);
        self.peak.resident = self.peak.resident.max(self.resident);
        if least >= self.peak.least || self.reusable() == 0 {
            self.peak = Peak { resident: self.resident, least };
        }
    }
}

/// What one push asked for, given back when it ends.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    memory: &'a Memory,
    held: Cell<usize>,
}

impl Ticket<'_> {
    /// The body is decoded: what is held beyond this was too much.
    pub(crate) fn settle(&self, bytes: usize) {
        let held = self.held.get();
        if bytes < held {
            self.memory.level.lock().in_flight -= held - bytes;
            self.held.set(bytes);
        }
    }
}

impl Room for Ticket<'_> {
    fn hold(&self, bytes: usize) -> Grant {
        let more = bytes.saturating_sub(self.held.get());
        let grant = self.memory.hold(more);
        if grant != Grant::Nothing {
            self.held.set(self.held.get() + more);
        }
        grant
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let held = self.held.get();
        if held > 0 {
            let mut level = self.memory.level.lock();
            level.in_flight -= held;
            level.since += held;
        }
    }
}

/// Zero where the kernel does not say.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    pages * rustix::param::page_size()
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Level, high, low};

    const MB: usize = 1 << 20;

    fn reading(level: &mut Level, resident: usize, least: usize) {
        level.resident = resident;
        level.note_least(least);
        level.least_at_scrape = level.least;
    }

    /// A process of 10 MB that has held 40 MB, of which 30 left, and grew by twice the least.
    fn after_the_peak() -> Level {
        let mut level = Level { at_start: 10 * MB, ..Level::default() };
        reading(&mut level, 10 * MB, 0);
        reading(&mut level, 90 * MB, 40 * MB);
        assert_eq!(level.total(), 90 * MB);
        reading(&mut level, 90 * MB, 10 * MB);
        level
    }

    #[test]
    fn what_left_the_store_is_free_though_the_system_has_not_got_it() {
        let mut level = after_the_peak();
        // Three quarters of 80 MB, less an eighth for what is too scattered to be used.
        assert_eq!(level.reusable() * 2, 105 * MB);
        let total = level.total();
        // Some of it is given back: it is not counted twice.
        reading(&mut level, 72 * MB, 10 * MB);
        assert_eq!(level.total(), total);
        reading(&mut level, 30 * MB, 10 * MB);
        assert_eq!(level.total(), 30 * MB);
        // It fills again, into the room that was left.
        reading(&mut level, 32 * MB, 20 * MB);
        assert_eq!(level.total(), 32 * MB);
    }

    #[test]
    fn reused_room_is_no_longer_free() {
        let mut level = after_the_peak();
        reading(&mut level, 90 * MB, 36 * MB);
        assert_eq!(level.reusable(), 7 * MB);
        reading(&mut level, 95 * MB, 41 * MB);
        assert_eq!(level.reusable(), 0);
    }

    #[test]
    fn what_no_page_has_shown_yet_is_owed() {
        let mut level = Level { resident: 50 * MB, ..Level::default() };
        level.note_least(10 * MB);
        assert_eq!(level.total(), 70 * MB);
        level.least_at_scrape = 10 * MB;
        assert_eq!(level.total(), 50 * MB);
    }

    #[test]
    fn the_state_does_not_flap() {
        assert!(low(100 * MB) < high(100 * MB) && high(100 * MB) < 100 * MB);
    }
}
