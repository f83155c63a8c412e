//! Whether there is room for a push: memory for what is new, and a share of the samples a second.
//!
//! What a push may bring is decided here, outside the store, and given to it with the push. Both
//! answers cost one atomic read where no limit is set.

mod ceiling;
mod memory;
mod rate;

use crate::clock::Clock;
use crate::config::{Budgets, HttpLimits, MaxMemory, PushSettings};
use sidecar_store::{Stager, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use memory::{Memory, MemoryUse};
pub(crate) use rate::{RateUse, Rates};

/// Of the container's memory what the process counts on: page cache and kernel need some.
const SHARE_OF_CONTAINER_PERCENT: usize = 90;

/// A push comes too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    pub(crate) whose: Whose,
    pub(crate) wait: Duration,
}

/// Whose rate is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    All,
    Job,
}

#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) memory: Memory,
    pub(crate) rates: Rates,
    clock: Arc<Clock>,
}

impl Admission {
    pub(crate) fn new(
        store: Arc<Store>,
        clock: Arc<Clock>,
        budgets: &Budgets,
        push: &PushSettings,
    ) -> Admission {
        let memory = Memory::new(store, Arc::clone(&clock));
        let admission = Admission { memory, rates: Rates::default(), clock };
        admission.set(budgets, push);
        admission
    }

    pub(crate) fn set(&self, budgets: &Budgets, push: &PushSettings) {
        self.memory.set_limit(match budgets.memory {
            MaxMemory::Unlimited => None,
            MaxMemory::Bytes(bytes) => Some(bytes),
            MaxMemory::Auto => ceiling::of_container(Path::new("/"))
                .map(|bytes| bytes / 100 * SHARE_OF_CONTAINER_PERCENT),
        });
        self.rates.set(budgets.samples_per_second, push);
    }

    /// Takes a decoded body's samples from the rates, or nothing.
    pub(crate) fn charge(&self, stager: &Stager<'_>) -> Result<(), TooFast> {
        if !self.rates.are_set() || stager.samples() == 0 {
            return Ok(());
        }
        let (job, now) = (stager.job(), self.clock.elapsed());
        self.rates.take(&job, stager.samples(), stager.is_update(), now)
    }

    /// Bodies take their part of the memory, and no more.
    pub(crate) fn bounded(&self, limits: HttpLimits) -> HttpLimits {
        let most = self.memory.for_bodies().unwrap_or(usize::MAX);
        HttpLimits { body_memory_bytes: limits.body_memory_bytes.min(most), ..limits }
    }
}
