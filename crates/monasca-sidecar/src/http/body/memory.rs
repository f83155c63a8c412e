//! The memory of all request bodies together, and a request's share of it.
//!
//! A share counts what a request holds: what came, what it was decompressed to, and what the
//! decompressor needs itself. It is given back when the share is dropped, on every way out.

use crate::http::Problem;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Room that is kept for the next bodies: pages of fresh memory cost more than what is read into
/// them.
const SPARES: usize = 4;
const SMALLEST_SPARE_BYTES: usize = 64 * 1024;
const LARGEST_SPARE_BYTES: usize = 1 << 20;

/// Memory of all request bodies together.
#[derive(Debug, Default)]
pub(crate) struct BodyMemory {
    used: AtomicUsize,
    spares: Mutex<Vec<Vec<u8>>>,
}

impl BodyMemory {
    pub(crate) fn used_bytes(&self) -> usize {
        self.used.load(Relaxed)
    }
}

/// A share of [`BodyMemory`], given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    memory: Arc<BodyMemory>,
    bytes: usize,
    /// Of all bodies together.
    limit_bytes: usize,
}

impl Lease {
    pub(super) fn new(memory: &Arc<BodyMemory>, limit_bytes: usize) -> Lease {
        Lease { memory: Arc::clone(memory), bytes: 0, limit_bytes }
    }

    /// A second share of the same memory.
    pub(super) fn another(&self) -> Lease {
        Lease::new(&self.memory, self.limit_bytes)
    }

    /// What does not fit now may fit later; what alone is more than all may have never will.
    pub(super) fn extend(&mut self, bytes: usize) -> Result<(), Problem> {
        let before = self.memory.used.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) <= self.limit_bytes {
            Ok(())
        } else if self.bytes > self.limit_bytes {
            Err(Problem::BodyTooLarge { limit_bytes: self.limit_bytes })
        } else {
            Err(Problem::Busy)
        }
    }

    pub(super) fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.memory.used.fetch_sub(bytes, Relaxed);
    }

    /// Empty room, perhaps with pages that are mapped already.
    pub(super) fn room(&self) -> Vec<u8> {
        self.memory.spares.lock().pop().unwrap_or_default()
    }

    pub(super) fn keep(&self, mut room: Vec<u8>) {
        if (SMALLEST_SPARE_BYTES..=LARGEST_SPARE_BYTES).contains(&room.capacity()) {
            let mut spares = self.memory.spares.lock();
            if spares.len() < SPARES {
                room.clear();
                spares.push(room);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyMemory, Lease};
    use crate::http::Problem;
    use std::sync::Arc;

    #[test]
    fn what_others_hold_is_waited_for_and_what_never_fits_is_too_large() {
        let memory = Arc::new(BodyMemory::default());
        let mut one = Lease::new(&memory, 100);
        let mut two = Lease::new(&memory, 100);
        assert_eq!(one.extend(60), Ok(()));
        assert_eq!(two.extend(60), Err(Problem::Busy));
        assert_eq!(two.extend(60), Err(Problem::BodyTooLarge { limit_bytes: 100 }));
        drop(two);
        assert_eq!(memory.used_bytes(), 60);
        one.release(50);
        assert_eq!(memory.used_bytes(), 10);
        drop(one);
        assert_eq!(memory.used_bytes(), 0);
    }
}
