//! The daemon's own metrics and its log.
//!
//! Counting is a relaxed atomic on the hot path; everything else is done when `/-/metrics` is
//! asked for (`telemetry/page.rs`).

pub(crate) mod log;
mod page;
mod process;

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(crate) use page::{journal_page, multiproc_page, page};

/// Upper bounds of the duration histograms, in microseconds.
const BOUNDS_US: [u64; 16] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// A count, or a level that goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts by stable code.
#[derive(Debug, Default)]
pub(crate) struct ByCode(Mutex<BTreeMap<&'static str, u64>>);

impl ByCode {
    pub(crate) fn add(&self, code: &'static str, n: u64) {
        *self.0.lock().entry(code).or_default() += n;
    }

    /// In the order of their codes.
    pub(crate) fn sorted(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().iter().map(|(code, n)| (*code, *n)).collect()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Durations {
    pub(crate) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// What passes the listeners.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub open: Count,
    pub accepted: Count,
    pub refused: Count,
    pub expired: Count,
    pub handshake_failures: Count,
    accept_failures: Count,
}

impl Connections {
    /// Whether it is worth a line in the log: the first of each thousand.
    pub(crate) fn accept_failed(&self) -> bool {
        self.accept_failures.add(1);
        self.accept_failures.get() % 1_000 == 1
    }
}

/// What became of pushes.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    /// Wholly applied.
    pub done: Count,
    pub other: ByCode,
}

/// Everything that is counted outside the store.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    pub connections: Connections,
    /// To `/v1/ingest`.
    pub json_pushes: Pushes,
    /// To `/metrics`.
    pub group_pushes: Pushes,
    /// Samples taken in.
    pub samples: Count,
    /// Families and requests that were refused.
    pub refusals: ByCode,
    pub push_time: Durations,
    pub scrapes: ByCode,
    pub scrape_time: Durations,
    pub scrape_bytes: Count,
    pub panics: Count,
    pub reloads: ByCode,
    /// Written, and failed.
    pub snapshots: ByCode,
    pub snapshot_time: Durations,
    /// Of the last one.
    pub snapshot_bytes: Count,
    pub multiproc: Multiproc,
}

/// Of the directories of Python's multiprocess mode.
#[derive(Debug, Default)]
pub(crate) struct Multiproc {
    pub workers: Count,
    pub files: Count,
    pub faulty_files: Count,
    /// For certain.
    pub dead: Count,
    pub unknown: Count,
    pub folded: Count,
    pub faults: ByCode,
    pub read_bytes: Count,
    pub read_time: Durations,
}
