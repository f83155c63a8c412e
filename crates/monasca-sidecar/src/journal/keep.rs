//! The door for those who answer: an answer waits until what it tells of is kept.

use super::{Broken, JournalState, LocalJournal};
use sidecar_store::Position;
use std::sync::Arc;

/// What was found in the data directory at the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restored {
    /// There was a state to go on from.
    pub had_state: bool,
    pub seconds: f64,
    pub replayed: u64,
    /// A line for each thing that could not be used.
    pub left_out: Vec<String>,
}

/// So many records take a start noticeable time.
const MANY_RECORDS: u64 = 10_000;

impl Restored {
    pub(crate) fn is_worth_a_snapshot(&self) -> bool {
        self.replayed >= MANY_RECORDS || !self.left_out.is_empty()
    }
}

/// The journal, if there is one. Without one nothing waits and nothing is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keep(Option<Arc<LocalJournal>>);

impl Keep {
    pub(crate) fn with(journal: Option<Arc<LocalJournal>>) -> Keep {
        Keep(journal)
    }

    /// Returns when what is promised at the sync level holds for the record.
    pub(crate) async fn record(&self, position: Position) -> Result<(), Broken> {
        match &self.0 {
            Some(journal) => journal.kept(position).await,
            None => Ok(()),
        }
    }

    /// The same for all that was recorded until now.
    pub(crate) async fn everything(&self) -> Result<(), Broken> {
        match &self.0 {
            Some(journal) => journal.kept(journal.state().last).await,
            None => Ok(()),
        }
    }

    /// All that was recorded until now survives the loss of power, whatever the sync level is.
    pub(crate) fn sync(&self) -> Result<(), Broken> {
        self.0.as_ref().map_or(Ok(()), |journal| journal.sync())
    }

    /// What was collected must not be gone when this process is: a total that somebody has seen would
    /// fall. Where the disk fails, the page is served all the same: what it shows is kept with the snapshot
    /// that has to follow.
    pub(crate) fn write_out(&self) {
        if let Some(journal) = &self.0 {
            journal.flush(journal.state().last).unwrap_or_default();
        }
    }

    /// Why no push is taken.
    pub(crate) fn refuses(&self) -> Option<String> {
        match self.state()? {
            JournalState { broken: Some(broken), .. } => Some(broken.to_string()),
            JournalState { full: Some(why), .. } => {
                Some(format!("no space for the journal ({why})"))
            }
            JournalState { .. } => None,
        }
    }

    pub(crate) fn state(&self) -> Option<JournalState> {
        self.0.as_ref().map(|journal| journal.state())
    }
}
