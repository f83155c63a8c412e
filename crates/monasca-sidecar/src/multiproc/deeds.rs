//! All that compaction changes in a directory, and the waiting for the journal, as a trait: so that a
//! test can stop at each deed, as a crash would.

use super::folder::Folder;
use super::kept::Kept;
use super::kept::file;
use crate::journal::Keep;
use rustix::fs::{RenameFlags, fsync, renameat_with};
use std::fmt::Debug;
use std::io;

pub(super) trait Deeds: Send + Sync + Debug {
    /// Never over another file.
    fn rename(&self, folder: &Folder, from: &str, to: &str) -> io::Result<()>;
    /// Nothing, when it is not there.
    fn remove(&self, folder: &Folder, name: &str) -> io::Result<()>;
    /// Makes what was removed stay so.
    fn sync(&self, folder: &Folder) -> io::Result<()>;
    fn write_kept(&self, folder: &Folder, kept: &Kept) -> io::Result<()>;
    /// Until all that the store was told is on the disk.
    fn sync_journal(&self) -> io::Result<()>;
}

#[derive(Debug)]
pub(super) struct OsDeeds {
    pub keep: Keep,
}

impl Deeds for OsDeeds {
    fn rename(&self, folder: &Folder, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE)?)
    }

    fn remove(&self, folder: &Folder, name: &str) -> io::Result<()> {
        file::remove(folder, name)
    }

    fn sync(&self, folder: &Folder) -> io::Result<()> {
        Ok(fsync(folder)?)
    }

    fn write_kept(&self, folder: &Folder, kept: &Kept) -> io::Result<()> {
        file::write(folder, kept)
    }

    fn sync_journal(&self) -> io::Result<()> {
        self.keep.sync().map_err(io::Error::other)
    }
}
