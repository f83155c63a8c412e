//! Counts since the start, added to from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) resets: Count,
    pub(crate) resumes: Count,
    pub(crate) departures: Count,
    pub(crate) decayed: Count,
    pub(crate) aggregation_conflicts: Count,
    pub(crate) shared_ids: Count,
    pub(crate) late_pushes: Count,
    pub(crate) duplicate_samples: Count,
    pub(crate) non_finite_sums: Count,
    pub(crate) early_folds: Count,
    pub(crate) early_forgotten: Count,
    pub(crate) relieved: Count,
}
