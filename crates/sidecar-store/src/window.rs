//! Values by time, for families whose function is a window: what each position was pushed lately, in
//! buckets of a sixtieth of the window.
//!
//! Rings are made and dropped with the catalog locked, by what the families' functions are then;
//! pushes record into them. A scrape only reads.

use crate::aggregate::Accumulator;
use crate::catalog::Catalog;
use crate::family::Family;
use crate::instance::{Body, Kind, duration_tenths, from_tenths};
use crate::maps::Map;
use crate::stored::{Corrupt, Reader, Stored, Writer, stored};
use crate::view::Observed;
use sidecar_model::{Window, WindowFunction};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is to be known of all families' windows.
#[derive(Debug)]
pub(crate) struct Windowing {
    /// How many have.
    families: usize,
    /// How many windows there have been.
    begun: u64,
    /// Rises when a family with series gets a window, another one, or has none any more. Shared
    /// with the store, whose common push asks for it without the catalog.
    pub(crate) changes: Arc<AtomicU64>,
}

/// A family's window, from when it got it until it has another one or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) window: Window,
    /// What was recorded under the same window at another time counts no more.
    number: u64,
}

impl Default for Windowing {
    fn default() -> Windowing {
        // Writers begin with 0: their first push settles them.
        Windowing { families: 0, begun: 0, changes: Arc::new(AtomicU64::new(1)) }
    }
}

impl Windowing {
    /// The family's function may have changed.
    pub(crate) fn note(&mut self, family: &mut Family) {
        let window = family.function().window();
        if window == family.recording.map(|recording| recording.window) {
            return;
        }
        self.forget(family);
        self.families += usize::from(window.is_some());
        self.begun += 1;
        let number = self.begun;
        family.recording = window.map(|window| Recording { window, number });
        if !family.series.is_empty() {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// The family ends.
    pub(crate) fn forget(&mut self, family: &Family) {
        self.families -= usize::from(family.recording.is_some());
    }

    pub(crate) fn now(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

stored!(Recording { window, number });
stored!(Ring { recording, buckets });
stored!(Bucket { step, count, value });

impl Stored for Windows {
    fn put(&self, out: &mut Writer<'_>) {
        let Windows { rings, settled } = self;
        settled.put(out);
        out.sorted(rings.iter());
    }

    fn take(from: &mut Reader<'_>) -> Result<Windows, Corrupt> {
        let settled = Stored::take(from)?;
        Ok(Windows { rings: from.sorted()?.into_iter().collect(), settled })
    }
}

impl Catalog {
    /// Which families have a window; behind all writers, whose wishes decide it.
    pub(crate) fn put_windowing(&self, out: &mut Writer<'_>) {
        let Windowing { families: _, begun, changes: _ } = &self.windowing;
        begun.put(out);
        self.windowing.now().put(out);
        let recordings =
            self.families.iter().filter_map(|(id, f)| Some((id, f.recording.as_ref()?)));
        out.sorted(recordings);
    }

    pub(crate) fn take_windowing(&mut self, from: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.windowing.begun = Stored::take(from)?;
        self.windowing.changes.store(Stored::take(from)?, Ordering::Release);
        self.families.values_mut().for_each(|family| family.recording = None);
        let recordings: Vec<(u32, Recording)> = from.sorted()?;
        self.windowing.families = recordings.len();
        for (id, recording) in recordings {
            let Some(family) = self.families.get_mut(&id) else {
                return Err(Corrupt("a window of no family"));
            };
            family.recording = Some(recording);
        }
        if self.windowing.begun < u64::MAX / 2 && self.windowing.now() < u64::MAX / 2 {
            Ok(())
        } else {
            Err(Corrupt("a number that is too large"))
        }
    }
}

/// A window is seen in so many steps.
const STEPS: u32 = 60;

/// The rings of one writer.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// By position.
    rings: Map<u32, Ring>,
    /// Up to which of the catalog's changes the rings are what they should be; 0: none.
    settled: u64,
}

#[derive(Debug)]
pub(crate) struct Ring {
    recording: Recording,
    /// Only those that something was pushed in, the oldest first.
    buckets: VecDeque<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// The time of its begin, in steps of the window.
    step: u32,
    count: u32,
    /// Sum, minimum or maximum, as the window's function needs it.
    value: f64,
}

/// A window in tenths of a second.
#[derive(Clone, Copy, Debug)]
struct Steps {
    width: u32,
    count: u32,
}

impl Steps {
    fn of(window: Window) -> Steps {
        let length = duration_tenths(window.length());
        let width = length.div_ceil(STEPS);
        Steps { width, count: length.div_ceil(width) }
    }
}

/// How long a value can count: its window, and the rest of the step that it came in.
pub(crate) fn reach(window: Window) -> Duration {
    let steps = Steps::of(window);
    let tenths = steps.width * (steps.count + 1);
    Duration::from_millis(from_tenths(tenths).as_millis())
}

impl Windows {
    /// Nothing is to be recorded.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// No family has got or lost a window since the rings were made.
    #[inline]
    pub(crate) fn is_settled(&self, changes: u64) -> bool {
        self.settled == changes
    }

    /// One observation of each position that has a ring; `now` in tenths of a second.
    pub(crate) fn record(&mut self, values: &[(u32, f64)], now: u32) {
        for (position, value) in values {
            if let Some(ring) = self.rings.get_mut(position) {
                ring.record(*value, now);
            }
        }
    }

    /// The ring of a position, if it is of this recording.
    pub(crate) fn ring(&self, at: usize, recording: Recording) -> Option<&Ring> {
        let ring = self.rings.get(&u32::try_from(at).ok()?)?;
        (ring.recording == recording).then_some(ring)
    }

    /// Positions move; those without a place are gone.
    pub(crate) fn move_to(&mut self, to: impl Fn(u32) -> Option<u32>) {
        if !self.rings.is_empty() {
            let rings = std::mem::take(&mut self.rings).into_iter();
            self.rings = rings.filter_map(|(at, ring)| Some((to(at)?, ring))).collect();
        }
    }
}

impl Ring {
    fn new(recording: Recording) -> Ring {
        Ring { recording, buckets: VecDeque::new() }
    }

    fn record(&mut self, value: f64, now: u32) {
        if value.is_nan() {
            return;
        }
        let steps = Steps::of(self.recording.window);
        let step = now / steps.width;
        // Of two pushes at once the one with the earlier time may come second.
        let newest = self.buckets.back().map_or(step, |last| last.step.max(step));
        let oldest = newest.saturating_sub(steps.count);
        while self.buckets.front().is_some_and(|first| first.step < oldest) {
            self.buckets.pop_front();
        }
        let earlier = self.buckets.iter().rposition(|bucket| bucket.step <= step);
        match earlier.and_then(|at| self.buckets.get_mut(at)) {
            Some(bucket) if bucket.step == step => {
                bucket.add(self.recording.window.function(), value)
            }
            Some(_) | None if step >= oldest => {
                let at = earlier.map_or(0, |at| at + 1);
                self.buckets.insert(at, Bucket { step, count: 1, value });
            }
            Some(_) | None => {}
        }
    }

    /// What counts at this time, in tenths of a second.
    pub(crate) fn add_to(&self, sum: &mut Accumulator, now: u32) {
        let steps = Steps::of(self.recording.window);
        let oldest = (now / steps.width).saturating_sub(steps.count);
        for bucket in self.buckets.iter().filter(|bucket| bucket.step >= oldest) {
            sum.take_observed(self.recording.window.function(), bucket.value, bucket.count);
        }
    }

    pub(crate) fn observed(&self, now: u32) -> Option<Observed> {
        let mut sum = Accumulator::default();
        self.add_to(&mut sum, now);
        sum.observed(self.recording.window.function())
    }
}

impl Bucket {
    fn add(&mut self, function: WindowFunction, value: f64) {
        self.count = self.count.saturating_add(1);
        match function {
            WindowFunction::Mean | WindowFunction::Sum => self.value += value,
            WindowFunction::Min => self.value = self.value.min(value),
            WindowFunction::Max => self.value = self.value.max(value),
        }
    }
}

impl Body {
    /// Gives each position of a family under a window its ring, and takes all others. Positions
    /// before `first_new` are looked at only where a function has changed.
    pub(crate) fn settle_windows(&mut self, catalog: &Catalog, first_new: usize) {
        let changes = catalog.windowing.now();
        let from = if self.windows.is_settled(changes) { first_new } else { 0 };
        self.windows.settled = changes;
        if catalog.windowing.families == 0 {
            self.windows.rings = Map::default();
            return;
        }
        for (at, target) in self.targets.iter().enumerate().skip(from) {
            let recording = match target.kind() {
                Kind::Gauge | Kind::Cumulative => {
                    catalog.family_of(target.index()).and_then(|(_, family)| family.recording)
                }
                Kind::Part | Kind::Created => None,
            };
            let position = u32::try_from(at).unwrap_or(u32::MAX);
            match recording {
                Some(recording) if self.windows.ring(at, recording).is_some() => {}
                Some(recording) => {
                    self.windows.rings.insert(position, Ring::new(recording));
                }
                None => {
                    self.windows.rings.remove(&position);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Recording, Ring, STEPS, reach};
    use sidecar_model::Window;

    fn ring(window: &str) -> Ring {
        Ring::new(Recording { window: Window::parse(window).unwrap(), number: 1 })
    }

    fn count(ring: &Ring, now: u32) -> u64 {
        ring.observed(now).map_or(0, |observed| observed.count)
    }

    #[test]
    fn a_ring_has_a_bucket_for_each_step_however_often_it_is_written() {
        for window in ["sum1s", "sum7s", "sum61s", "sum5m", "sum24h"] {
            let mut ring = ring(window);
            for now in (0..2_000_000).step_by(7) {
                ring.record(1.0, now);
            }
            assert!(ring.buckets.len() <= STEPS as usize + 1, "{window}");
        }
    }

    #[test]
    fn a_rare_writer_needs_no_more_than_it_wrote() {
        let mut ring = ring("sum24h");
        for now in [0, 5, 400_000, 10_000_000] {
            ring.record(1.0, now);
        }
        assert_eq!(ring.buckets.len(), 1);
        assert!(ring.buckets.capacity() <= 8);
    }

    #[test]
    fn a_value_counts_for_the_window_and_at_most_a_thirtieth_longer() {
        for (window, length) in [("sum1s", 10), ("sum7s", 70), ("sum61s", 610), ("sum5m", 3000)] {
            let longest = length + (length / 30).max(1);
            for at in 5_000..5_000 + length {
                let mut ring = ring(window);
                ring.record(1.0, at);
                assert_eq!(count(&ring, at + length), 1, "{window} {at}");
                assert_eq!(count(&ring, at + longest + 1), 0, "{window} {at}");
            }
            let reach = reach(Window::parse(window).unwrap()).as_millis();
            assert!((u128::from(length) * 100..=u128::from(longest) * 100).contains(&reach));
        }
    }

    #[test]
    fn a_push_that_comes_late_counts_at_its_time() {
        let mut ring = ring("max1m");
        for (value, now) in [(1.0, 1_000), (2.0, 1_200), (3.0, 1_100), (4.0, 1_000), (9.0, 10)] {
            ring.record(value, now);
        }
        assert_eq!(count(&ring, 1_200), 4);
        assert_eq!(count(&ring, 1_700), 2);
        assert_eq!(ring.observed(1_650).map(|observed| observed.value), Some(3.0));
    }
}
