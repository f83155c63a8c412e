//! The files of `prometheus_client`'s multiprocess mode (`counter_7.db`, `gauge_livesum_7.db`), and those of
//! Ruby's `DirectFileStore`, which are much alike: what a file's name says ([`FileName`]), where in it the values are ([`Layout`]), and their way into a
//! [`sidecar_model::Sink`].
//!
//! A file is read again and again while only its numbers change. So its keys are read once, and what
//! is kept of them is where their values stand, in the order in which they are offered; the keys
//! themselves stay in the file. Numbers are in the machine's own byte order, as the client writes them.

mod build;
mod file_name;
mod key;
mod layout;
mod newest;
mod offer;
mod ruby;
mod text;

pub use file_name::{FileKind, FileName, GaugeMode};
pub use key::Key;
pub use layout::{Difference, Layout, Values};
pub use newest::{Stamped, offer_values};
pub use offer::{Extra, Offer, Offered};

/// Keys longer than this are no keys.
pub const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// A file with more keys is refused.
pub const MAX_KEYS: usize = 1 << 24;

/// Where the first entry stands: behind the number of bytes used, and four zero bytes.
pub const HEAD_BYTES: usize = 8;

/// Why a file cannot be read; the place is an offset in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("the number of used bytes cannot be one")]
    BadUsed,
    #[error("at byte {at}: the entry's length leads out of the file, or is none")]
    BadLength { at: usize },
    #[error("at byte {at}: the key is not what a client writes")]
    BadKey { at: usize },
    #[error("at byte {at}: more keys than the limit")]
    TooManyKeys { at: usize },
}

impl FileError {
    /// Stable code for logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            FileError::BadUsed | FileError::BadLength { .. } => "bad_length",
            FileError::BadKey { .. } => "bad_key",
            FileError::TooManyKeys { .. } => "too_many_keys",
        }
    }

    /// How far the file could be read.
    const fn at(self) -> usize {
        match self {
            FileError::BadUsed => 0,
            FileError::BadLength { at }
            | FileError::BadKey { at }
            | FileError::TooManyKeys { at } => at,
        }
    }
}

/// How many bytes of the file are used, as its first bytes say. A file that is being made, with
/// nothing in it yet, has used none or its head alone.
pub fn used(head: &[u8]) -> Result<usize, FileError> {
    let Some(used) = head.first_chunk::<4>() else { return Ok(0) };
    match usize::try_from(i32::from_ne_bytes(*used)) {
        Ok(used) if used % 8 == 0 => Ok(used),
        Ok(_) | Err(_) => Err(FileError::BadUsed),
    }
}
