//! The files of one directory: which there are, which file a name means, and its bytes.
//!
//! Plain reads that never wait. Follows no link, opens nothing but regular files, and reads at most what
//! it is told to.

use super::fault::Fault;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags, openat, statx};
use rustix::io::{Errno, pread};
use sidecar_formats::mmap_file::{self, HEAD_BYTES};
use std::ffi::CStr;
use std::path::Path;

/// What is read at first of a file that was never read.
const FIRST_READ_BYTES: usize = 64 * 1024;
const NANOS: u64 = 1_000_000_000;

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    /// In nanoseconds, where the file system says; else zero.
    pub(super) born: u64,
    pub(super) inode: u64,
    pub(super) device: u64,
}

/// A name in a directory, and what it stands for as far as the listing says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    pub(super) name: &'a CStr,
    pub(super) is_regular: bool,
    pub(super) inode: u64,
}

/// A directory that is open.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    device: u64,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Opened {
    handle: OwnedFd,
    pub(super) identity: Identity,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Folder, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(rustix::fs::CWD, path, flags, Mode::empty())?;
        let device = device_of(&statx(&handle, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())?);
        Ok(Folder { handle, device })
    }

    /// Whether a name that is listed with this inode still stands for the open file.
    pub(super) fn lists(&self, inode: u64, opened: &Opened) -> bool {
        let Identity { inode: own, device, .. } = opened.identity;
        inode == own && device == self.device
    }

    /// Calls `each` for every name.
    pub(super) fn list(&self, mut each: impl FnMut(Listed<'_>)) -> Result<(), Errno> {
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let is_regular = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
            each(Listed { name: entry.file_name(), is_regular, inode: entry.ino() });
        }
        Ok(())
    }

    pub(super) fn open_file(&self, name: &CStr) -> Result<Opened, Fault> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = openat(&self.handle, name, flags, Mode::empty()).map_err(not_opened)?;
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::BTIME;
        let found = statx(&handle, c"", AtFlags::EMPTY_PATH, wanted).map_err(Fault::Unreadable)?;
        if FileType::from_raw_mode(found.stx_mode.into()) != FileType::RegularFile {
            return Err(Fault::NotRegular);
        }
        let is_dated = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        let seconds = u64::try_from(found.stx_btime.tv_sec).unwrap_or_default();
        let nanos = u64::from(found.stx_btime.tv_nsec);
        let born = if is_dated { seconds.saturating_mul(NANOS).saturating_add(nanos) } else { 0 };
        Ok(Opened {
            handle,
            identity: Identity { born, inode: found.stx_ino, device: device_of(&found) },
        })
    }
}

impl Opened {
    /// Puts the used part of the file at `at` in `buffer`, which grows as needed; its length. `expected`:
    /// what was used last time.
    pub(super) fn read(
        &self,
        buffer: &mut Vec<u8>,
        at: usize,
        expected: usize,
        limit_bytes: usize,
    ) -> Result<usize, Fault> {
        let first = if expected == 0 { FIRST_READ_BYTES } else { expected };
        let first = first.min(limit_bytes.max(HEAD_BYTES));
        let mut filled = self.fill(buffer, at, 0, first)?;
        let head = buffer.get(at..at + filled.min(HEAD_BYTES)).unwrap_or_default();
        let used = mmap_file::used(head).map_err(Fault::Format)?;
        if used > limit_bytes {
            return Err(Fault::TooLarge);
        }
        if filled < used {
            filled += self.fill(buffer, at, filled, used)?;
        }
        if filled < used { Err(Fault::Short) } else { Ok(used) }
    }

    /// Reads the file's bytes from `from` to `to`; how many there were.
    fn fill(
        &self,
        buffer: &mut Vec<u8>,
        at: usize,
        from: usize,
        to: usize,
    ) -> Result<usize, Fault> {
        if buffer.len() < at + to {
            buffer.resize(at + to, 0);
        }
        let mut filled = from;
        while let Some(rest) = buffer.get_mut(at + filled..at + to).filter(|r| !r.is_empty()) {
            match pread(&self.handle, rest, filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::Unreadable(error)),
            }
        }
        Ok(filled - from)
    }
}

fn device_of(found: &Statx) -> u64 {
    (u64::from(found.stx_dev_major) << 32) | u64::from(found.stx_dev_minor)
}

/// Why there is no file behind a name that was listed.
fn not_opened(error: Errno) -> Fault {
    match error {
        Errno::NOENT => Fault::Vanished,
        Errno::LOOP | Errno::NXIO | Errno::NODEV => Fault::NotRegular,
        error => Fault::Unreadable(error),
    }
}
