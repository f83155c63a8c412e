//! Lock files of workers (`monasca_alive_7.lock`): a process has its own locked as long as it lives, the
//! kernel sees to it. A client takes the lock before it opens a file of its pid, and makes the lock file
//! anew when it was removed meanwhile; so whoever has the lock knows that nobody else begins.

use super::alive::Lock;
use super::folder::Folder;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, openat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

const BEFORE_PID: &str = "monasca_alive_";
const BEHIND_PID: &str = ".lock";
/// One compaction of a directory at a time.
const OF_COMPACTION: &str = "monasca_sidecar_compaction.lock";

/// A lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    handle: OwnedFd,
}

/// Whose lock file it is; `None`: it is none.
pub(super) fn pid_of(name: &str) -> Option<&str> {
    name.strip_prefix(BEFORE_PID)?.strip_suffix(BEHIND_PID)
}

pub(super) fn name_of(pid: &str) -> String {
    format!("{BEFORE_PID}{pid}{BEHIND_PID}")
}

/// What a worker's lock says; a free one is ours then, as long as the guard lives.
pub(super) fn try_take(folder: &Folder, pid: &str) -> (Lock, Option<Guard>) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let handle = match openat(folder, name_of(pid), flags, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return (Lock::Missing, None),
        Err(_) => return (Lock::Untold, None),
    };
    let is_regular = fstat(&handle)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !is_regular {
        return (Lock::Untold, None);
    }
    match flock(&handle, FlockOperation::NonBlockingLockShared) {
        Ok(()) => (Lock::Free, Some(Guard { handle })),
        Err(Errno::WOULDBLOCK) => (Lock::Held, None),
        Err(_) => (Lock::Untold, None),
    }
}

/// `None`: another daemon compacts the directory.
pub(super) fn take_directory(folder: &Folder) -> Result<Option<Guard>, Errno> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let handle = openat(folder, OF_COMPACTION, flags, Mode::RUSR | Mode::WUSR)?;
    match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Guard { handle })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Guard {
    /// Somebody removed the file: the lock is on nothing that another would find.
    pub(super) fn is_lost(&self) -> bool {
        fstat(&self.handle).map_or(true, |stat| stat.st_nlink == 0)
    }
}
