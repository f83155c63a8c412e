//! The only reader of the clocks.
//!
//! Hands out [`Tick`]s: milliseconds in which the daemon ran. One maintenance period ages at most
//! [`LONGEST_STEP_MS`], so a stopped process or a suspended machine makes nobody old, and neither does
//! time in which maintenance cannot be recorded. Wall time is only printed.

use sidecar_model::Tick;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Two maintenance periods of a second.
const LONGEST_STEP_MS: u64 = 2_000;

/// Monotonic time since it was started, for whoever only wants to know how long something takes.
#[derive(Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "this file is the reader of the clocks")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Debug)]
pub(crate) struct Clock {
    /// Ticks of the processes before this one.
    before_ms: u64,
    start: Instant,
    started_at: SystemTime,
    /// Real milliseconds that are not counted.
    skipped_ms: AtomicU64,
    /// No tick goes beyond this before the next [`Clock::advance`].
    ceiling_ms: AtomicU64,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this file is the reader of the clocks")]
    pub(crate) fn new() -> Clock {
        Clock {
            before_ms: 0,
            start: Instant::now(),
            started_at: SystemTime::now(),
            skipped_ms: AtomicU64::new(0),
            ceiling_ms: AtomicU64::new(LONGEST_STEP_MS),
        }
    }

    /// Time goes on where a process before this one was: what ran down meanwhile is not counted.
    pub(crate) fn going_on_from(self, latest: Tick) -> Clock {
        Clock { before_ms: latest.as_millis(), ..self }
    }

    pub(crate) fn now(&self) -> Tick {
        self.tick_at(self.elapsed_ms())
    }

    /// A new period begins: what lies beyond the ceiling is never counted.
    pub(crate) fn advance(&self) -> Tick {
        self.advance_at(self.elapsed_ms())
    }

    /// Monotonic time since the start, for durations and deadlines of the binary itself.
    #[allow(clippy::disallowed_methods, reason = "this file is the reader of the clocks")]
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Unix seconds now, for printing.
    #[allow(clippy::disallowed_methods, reason = "this file is the reader of the clocks")]
    pub(crate) fn unix_seconds(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    /// Unix seconds of the start.
    pub(crate) fn started_at_seconds(&self) -> f64 {
        self.started_at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The ceiling is read first: with an older ceiling the result is at most that ceiling, so no
    /// reader runs ahead while a period begins.
    fn tick_at(&self, real_ms: u64) -> Tick {
        let ceiling = self.ceiling_ms.load(Ordering::Acquire);
        let skipped = self.skipped_ms.load(Ordering::Acquire);
        let own = real_ms.saturating_sub(skipped).min(ceiling);
        Tick::from_millis(self.before_ms.saturating_add(own))
    }

    fn advance_at(&self, real_ms: u64) -> Tick {
        let tick = self.tick_at(real_ms);
        let counted = tick.as_millis().saturating_sub(self.before_ms);
        self.skipped_ms.store(real_ms.saturating_sub(counted), Ordering::Release);
        self.ceiling_ms.store(counted.saturating_add(LONGEST_STEP_MS), Ordering::Release);
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use sidecar_model::Tick;

    #[test]
    fn time_goes_on_where_the_process_before_was() {
        let clock = Clock::new().going_on_from(Tick::from_millis(70_000));
        assert_eq!(clock.advance_at(1_000).as_millis(), 71_000);
        assert_eq!(clock.tick_at(3_601_000).as_millis(), 73_000);
        assert_eq!(clock.advance_at(3_601_000).as_millis(), 73_000);
        assert_eq!(clock.tick_at(3_601_500).as_millis(), 73_500);
    }

    #[test]
    fn an_hour_of_standing_still_ages_two_periods() {
        let clock = Clock::new();
        assert_eq!(clock.advance_at(1_000).as_millis(), 1_000);
        assert_eq!(clock.tick_at(3_601_000).as_millis(), 3_000);
        assert_eq!(clock.advance_at(3_601_000).as_millis(), 3_000);
        assert_eq!(clock.tick_at(3_602_000).as_millis(), 4_000);
        assert_eq!(clock.advance_at(3_602_000).as_millis(), 4_000);
    }
}
