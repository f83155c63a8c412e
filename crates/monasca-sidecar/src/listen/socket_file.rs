//! The file of a unix socket: made with its mode and owner, replaced when its daemon is dead, and
//! removed at the end.
//!
//! A file beside it is locked as long as the daemon lives. So two daemons that start at once cannot
//! both find the other's socket stale, and a live one's is never taken away.

use super::bind::BACKLOG;
use crate::config::SocketFile;
use rustix::fs::Mode;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Nobody but us can connect before mode and owner are set.
const OURS_ALONE: u32 = 0o177;
const LOCK_MODE: u32 = 0o600;

/// The file of a socket that we made. It goes with this.
#[derive(Debug)]
pub(super) struct SocketFileGuard {
    path: PathBuf,
    /// Device and number: another file of this name is not ours.
    identity: (u64, u64),
    /// Locked until it is closed.
    _lock: File,
}

impl Drop for SocketFileGuard {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            // A file that stays is found stale by the next daemon.
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

pub(super) fn bind(path: &Path, wanted: SocketFile) -> io::Result<(UnixListener, SocketFileGuard)> {
    let lock = lock(path)?;
    remove_stale(path)?;
    let socket = bind_hidden(path)?;
    if wanted.owner.is_some() || wanted.group.is_some() {
        std::os::unix::fs::lchown(path, wanted.owner, wanted.group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(wanted.mode))?;
    let identity = identity(&fs::symlink_metadata(path)?);
    Ok((socket, SocketFileGuard { path: path.to_owned(), identity, _lock: lock }))
}

fn lock(path: &Path) -> io::Result<File> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let mut options = OpenOptions::new();
    let lock = options.write(true).create(true).truncate(false).mode(LOCK_MODE).open(name)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(in_use()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the socket of a daemon that is gone, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file, no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Somebody listens, or is too busy to say so.
        Ok(_) | Err(_) => Err(in_use()),
    }
}

/// Nothing else runs yet that the mask could concern.
fn bind_hidden(path: &Path) -> io::Result<UnixListener> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    let before = rustix::process::umask(Mode::from_raw_mode(OURS_ALONE));
    let bound = socket.bind(&socket2::SockAddr::unix(path)?);
    rustix::process::umask(before);
    bound?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "a daemon listens there")
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::bind;
    use crate::config::SocketFile;
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    const PLAIN: SocketFile = SocketFile { mode: 0o640, owner: None, group: None };

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder =
                std::env::temp_dir().join(format!("sidecar-socket-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_the_own_one_removed() {
        let folder = Folder::new("stale");
        let path = folder.0.join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_socket, guard) = bind(&path, PLAIN).unwrap();
        let file = fs::symlink_metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        drop(guard);
        assert_eq!(fs::symlink_metadata(&path).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_a_live_one_has_is_never_taken() {
        let folder = Folder::new("live");
        let path = folder.0.join("ours");
        let (_socket, _guard) = bind(&path, PLAIN).unwrap();
        assert_eq!(bind(&path, PLAIN).unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();

        let path = folder.0.join("anothers");
        let _theirs = UnixListener::bind(&path).unwrap();
        assert_eq!(bind(&path, PLAIN).unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = Folder::new("file");
        let path = folder.0.join("s");
        File::create(&path).unwrap();
        assert_eq!(bind(&path, PLAIN).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_file_that_somebody_put_there_meanwhile_stays() {
        let folder = Folder::new("moved");
        let path = folder.0.join("s");
        let (_socket, guard) = bind(&path, PLAIN).unwrap();
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap();
        drop(guard);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
