//! How long a push may be to be applied at once, where it arrived: by what its connection has sent so
//! far. A push that repeats known series costs a tenth of one that brings new ones, but only reading it
//! tells which it is. So a connection that repeats itself is believed, and one that turns out
//! otherwise for longer and longer not.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Of a connection that has sent nothing yet.
const AT_FIRST_BYTES: usize = 8 * 1024;
/// Of one whose last push was not what it seemed.
const LEAST_BYTES: usize = 2 * 1024;
/// Even of known series no more than this.
const MOST_BYTES: usize = 1 << 20;
/// After so many surprises it does not get worse.
const MOST_SURPRISES: u32 = 6;

#[derive(Debug)]
pub(crate) struct Habit {
    at_once_bytes: AtomicUsize,
    /// Pushes since the last surprise that repeated what was known.
    repeats: AtomicU32,
    /// Pushes that were begun at once and should not have been.
    surprises: AtomicU32,
}

impl Default for Habit {
    fn default() -> Habit {
        Habit {
            at_once_bytes: AtomicUsize::new(AT_FIRST_BYTES),
            repeats: AtomicU32::new(0),
            surprises: AtomicU32::new(0),
        }
    }
}

impl Habit {
    pub(crate) fn is_at_once(&self, bytes: usize) -> bool {
        bytes <= self.at_once_bytes.load(Relaxed)
    }

    /// A push of this length repeated what was known.
    pub(crate) fn has_repeated(&self, bytes: usize) {
        let earned = bytes.saturating_mul(2).clamp(AT_FIRST_BYTES, MOST_BYTES);
        if earned <= self.at_once_bytes.load(Relaxed) {
            return;
        }
        let repeats = self.repeats.fetch_add(1, Relaxed).saturating_add(1);
        if repeats >= 1 << self.surprises.load(Relaxed) {
            self.at_once_bytes.store(earned, Relaxed);
        }
    }

    /// A push that was begun at once brought too much for that, or was refused.
    pub(crate) fn has_surprised(&self) {
        let surprises = self.surprises.load(Relaxed);
        self.surprises.store((surprises + 1).min(MOST_SURPRISES), Relaxed);
        self.repeats.store(0, Relaxed);
        self.at_once_bytes.store(LEAST_BYTES, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_FIRST_BYTES, Habit, LEAST_BYTES, MOST_BYTES};

    const LONG: usize = 100_000;

    #[test]
    fn a_long_push_is_applied_at_once_when_one_like_it_has_repeated_what_was_known() {
        let habit = Habit::default();
        assert!(habit.is_at_once(AT_FIRST_BYTES) && !habit.is_at_once(LONG));
        habit.has_repeated(LONG);
        assert!(habit.is_at_once(2 * LONG) && !habit.is_at_once(2 * LONG + 1));
        habit.has_repeated(10);
        assert!(habit.is_at_once(LONG), "a short one takes nothing away");
        habit.has_repeated(usize::MAX);
        assert!(habit.is_at_once(MOST_BYTES) && !habit.is_at_once(MOST_BYTES + 1));
    }

    #[test]
    fn each_surprise_takes_twice_as_many_repeats_to_be_forgotten() {
        let habit = Habit::default();
        for expected in [2, 4, 8, 16, 32, 64, 64, 64] {
            habit.has_surprised();
            assert!(habit.is_at_once(LEAST_BYTES) && !habit.is_at_once(LEAST_BYTES + 1));
            let repeats = (1..).find(|_| {
                habit.has_repeated(LONG);
                habit.is_at_once(LONG)
            });
            assert_eq!(repeats, Some(expected));
        }
    }
}
