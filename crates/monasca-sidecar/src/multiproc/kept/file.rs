//! The kept file on the disk: read with care, since anybody who may write into the directory can have
//! put something else there; written beside, synced, renamed, the directory synced.

use super::{Kept, KeptError};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fstat, fsync, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

pub(in crate::multiproc) const NAME: &str = "monasca_sidecar_kept.json";
const BESIDE: &str = "monasca_sidecar_kept.json.new";
const BYTES_AT_MOST: u64 = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(in crate::multiproc) enum ReadError {
    #[error(transparent)]
    Content(#[from] KeptError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// `None`: there is none.
pub(in crate::multiproc) fn read(directory: impl AsFd) -> Result<Option<Kept>, ReadError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(&directory, NAME, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        // A link: not what we have written.
        Err(Errno::LOOP) => return Err(KeptError::Damaged.into()),
        Err(error) => return Err(io::Error::from(error).into()),
    };
    let stat = fstat(&file).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(KeptError::Damaged.into());
    }
    let mut bytes = Vec::new();
    file.take(BYTES_AT_MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_AT_MOST {
        return Err(KeptError::Damaged.into());
    }
    Ok(Some(Kept::decode(&bytes)?))
}

/// When it returns, this is what the next start reads, whatever happens.
pub(in crate::multiproc) fn write(directory: impl AsFd, kept: &Kept) -> io::Result<()> {
    let bytes = kept.encode();
    if bytes.len() as u64 > BYTES_AT_MOST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    remove(&directory, BESIDE)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&directory, BESIDE, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(&bytes)?;
    file.sync_all()?;
    renameat(&directory, BESIDE, &directory, NAME)?;
    Ok(fsync(&directory)?)
}

/// Gives a damaged file a name that nothing has; says which.
pub(in crate::multiproc) fn move_aside(directory: impl AsFd) -> io::Result<String> {
    for number in 1..u32::MAX {
        let aside = format!("{NAME}.corrupt-{number}");
        match renameat_with(&directory, NAME, &directory, &aside, RenameFlags::NOREPLACE) {
            Ok(()) => {
                fsync(&directory)?;
                return Ok(aside);
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Nothing, when it is not there.
pub(in crate::multiproc) fn remove(directory: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
