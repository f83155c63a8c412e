//! For a writer that sends only what changed: whether the store still has the rest.
//!
//! Such a writer keeps an instance alive by other means than pushes, so the decay of what it pushes is
//! [`ENDLESS`].

use crate::instance::{Instance, State};
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// The `ttl` of what stays until it is replaced or its instance departs, written or not.
pub const ENDLESS: Duration = Duration::MAX;

/// [`ENDLESS`] in the column of decays.
pub(crate) const ENDLESS_TENTHS: u32 = u32::MAX;

/// What an instance has, as far as others than its writer can change it: while it is the same, nothing
/// was cleared, deleted or moved, and the instance did not depart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Of the push that it came with.
    arrival: u64,
    generation: u32,
}

impl Store {
    /// `None`: there is no live instance of this id.
    pub fn standing(&self, id: &str) -> Option<Standing> {
        let instance: Arc<Instance> = self.find_instance(id)?;
        let body = instance.body.lock();
        let standing = Standing { arrival: body.arrival, generation: body.generation };
        (body.state == State::Live).then_some(standing)
    }
}
