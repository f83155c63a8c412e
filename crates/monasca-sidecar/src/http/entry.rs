//! By which door a connection came in.

use crate::config::{Right, Rights};

/// What the listener said of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// What the listener allows.
    pub(crate) rights: Rights,
}

impl Entry {
    pub(crate) fn allows(&self, right: Right) -> bool {
        self.rights.has(right)
    }
}
