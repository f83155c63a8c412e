//! Where a long push can be held for a moment: between its samples and its writers. Who holds it, and
//! why, is not the store's affair.

use crate::stager::Stager;
use std::fmt;

/// Samples between two steps; some hundred microseconds of work at most.
const SAMPLES: usize = 256;
/// A writer costs as much as some samples do.
const WRITERS: usize = 16;

/// Is told of the steps of one push, with its catalog and instance locked or not. Pushes of known shapes to
/// other instances go on meanwhile.
pub trait Pace: fmt::Debug {
    fn step(&self);

    /// What is to be called between two steps of reading, when nothing is locked.
    fn pause(&self) -> fn() {
        || {}
    }
}

impl Stager<'_> {
    /// Behind the `n`th sample of whatever is done to all of them.
    #[inline]
    pub(crate) fn sample_done(&self, n: usize) {
        if n % SAMPLES == SAMPLES - 1 {
            self.step();
        }
    }

    pub(crate) fn writer_done(&self, n: usize) {
        if n % WRITERS == WRITERS - 1 {
            self.step();
        }
    }

    fn step(&self) {
        if let Some(pace) = self.pace {
            pace.step();
        }
    }
}
