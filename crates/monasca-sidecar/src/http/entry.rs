//! By which door a connection came in, and as whom.

use crate::config::{Right, Rights};
use std::sync::Arc;

/// What the listener and the handshake said of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What the listener allows.
    pub(crate) rights: Rights,
    /// Whether the configured credentials are asked for.
    pub(crate) authenticate: bool,
    /// The names in the client's certificate, if it has one that was verified.
    pub(crate) names: Option<Arc<[String]>>,
}

impl Entry {
    pub(crate) fn allows(&self, right: Right) -> bool {
        self.rights.has(right)
    }
}
