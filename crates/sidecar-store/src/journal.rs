//! What takes in the records of accepted changes, before they are applied.
//!
//! The store knows this trait and no more: where the records go is not its affair.

/// The number of a record, counted from 1 in the order of `append`; 0 is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Takes in what the store has accepted. A local file today, a replicated log another day.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Called with the store's locks held, before anything of the record is applied: copies the bytes and
    /// returns, never waits for a disk. An error: nothing was taken, the store applies nothing.
    fn append(&self, record: &[u8]) -> Result<Position, JournalFull>;

    /// A bug has left the state apart from what the records say. To be taken as the truth again it
    /// must be kept whole: nothing more is appended before a snapshot.
    fn doubt(&self);
}

/// There is no room for the record (disk full, journal broken or closed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal takes no more records")]
pub struct JournalFull;
