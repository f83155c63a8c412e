//! What a panic in the middle of a push leaves behind: before all is written nothing of it (`undo.rs`),
//! then all of it (`settle.rs`). Tests let it panic at each of these steps.

use crate::instance::Body;
use parking_lot::MutexGuard;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A body while a push is committed. If that panics, nothing that was remembered of earlier pushes
/// is followed any more: the next push finds out anew where each of its samples belongs.
pub(crate) struct Committing<'a>(pub(crate) MutexGuard<'a, Body>);

impl Deref for Committing<'_> {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.0
    }
}

impl DerefMut for Committing<'_> {
    fn deref_mut(&mut self) -> &mut Body {
        &mut self.0
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.shape = Arc::default();
            self.0.by_target = None;
            self.0.generation = self.0.generation.wrapping_add(1);
        }
    }
}

/// A place between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Decoded,
    Drafted,
    Entered,
    Held,
    Placed,
    /// One value is written.
    Value,
    Written,
    Settling,
    /// A push of a known shape is in, but for what it says of its writer.
    Told,
}

#[cfg(not(test))]
pub(crate) const fn reach(_step: Step) {}

#[cfg(test)]
pub(crate) use tests::reach;

#[cfg(test)]
mod tests;
