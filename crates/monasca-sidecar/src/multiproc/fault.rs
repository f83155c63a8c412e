//! What is wrong with a file: counted each time it is met, logged once until it changes.

use rustix::io::Errno;
use sidecar_formats::mmap_file::FileError;

/// Why a file takes no part in a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It went between the listing and the reading; nothing is wrong with that.
    #[error("it is gone")]
    Vanished,
    #[error("it is no regular file")]
    NotRegular,
    #[error("it cannot be read: {0}")]
    Unreadable(Errno),
    #[error("it is longer than multiproc.max_file")]
    TooLarge,
    #[error("the files of the directory are longer than multiproc.max_total")]
    TooMuch,
    #[error("it ends before what it says to have used")]
    Short,
    #[error("{0}")]
    Format(FileError),
}

impl Fault {
    /// Stable code for logs and metrics.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Fault::Vanished => "vanished",
            Fault::NotRegular => "not_regular",
            Fault::Unreadable(_) => "unreadable",
            Fault::TooLarge => "too_large",
            Fault::TooMuch => "too_much",
            Fault::Short => "truncated",
            Fault::Format(error) => error.code(),
        }
    }
}
