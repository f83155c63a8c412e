//! The directory: its lock, its format, the names in it, and what is moved aside.
//!
//! | name | what |
//! |---|---|
//! | `lock` | held while a daemon uses the directory |
//! | `format` | the version of everything in it |
//! | `segment-<number>` | records; the numbers rise |
//! | `snapshot-<position>` | the state after that record |
//! | `*.new` | not finished, removed at the next start |
//! | `segment-<number>.damaged-<byte>` | a segment of which only the beginning, up to that byte, is used |
//! | `*.corrupt-<n>` | moved aside, never touched again |

use super::disk::{Disk, DiskFile, Held, read_full, write_all};
use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a directory says that this program can read.
const FORMAT: &[u8] = b"monasca-sidecar 1\n";
const LONGEST_FORMAT_BYTES: usize = 64;
/// No segment is so long; a longer file is not read into memory.
const LONGEST_SEGMENT_BYTES: u64 = 1 << 30;

const LOCK_NAME: &str = "lock";
const FORMAT_NAME: &str = "format";
const SEGMENT: &str = "segment-";
const SNAPSHOT: &str = "snapshot-";
const NEW: &str = ".new";
const DAMAGED: &str = ".damaged-";

/// The medium does not give the bytes back: as good as damaged. Any other error (a right that is missing, a limit)
/// says nothing about the file, and a start that goes on without it would be wrong.
pub(super) fn is_of_the_medium(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// Why a directory cannot be used. The process ends with 65: its state cannot be used, or is not its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{path} is in use by another daemon")]
    InUse { path: PathBuf },
    #[error("{path} is of a format that this version cannot read ({found})")]
    Format { path: PathBuf, found: String },
    #[error("cannot {what} {path}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub(super) struct Directory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: Box<dyn Held>,
}

impl Directory {
    pub(super) fn open(path: &Path, disk: Arc<dyn Disk>) -> Result<Directory, OpenError> {
        let failed = |what| move |source| OpenError::Io { what, path: path.to_owned(), source };
        disk.make_directory(path).map_err(failed("create"))?;
        let lock = disk.lock(&path.join(LOCK_NAME)).map_err(failed("lock"))?;
        let lock = lock.ok_or_else(|| OpenError::InUse { path: path.to_owned() })?;
        let directory = Directory { disk, path: path.to_owned(), _lock: lock };
        let names = directory.names().map_err(failed("list"))?;
        directory.check_format(&names)?;
        directory.remove_unfinished(&names).map_err(failed("clean"))?;
        Ok(directory)
    }

    /// A new directory gets its format before anything else is in it.
    fn check_format(&self, names: &[String]) -> Result<(), OpenError> {
        let path = self.path.join(FORMAT_NAME);
        let failed = |what| {
            let path = path.clone();
            move |source| OpenError::Io { what, path, source }
        };
        if names.iter().any(|name| name == FORMAT_NAME) {
            let found = self.read_start(FORMAT_NAME, LONGEST_FORMAT_BYTES);
            let found = found.map_err(failed("read"))?;
            if found == FORMAT {
                return Ok(());
            }
            let found = String::from_utf8_lossy(&found).trim().to_owned();
            return Err(OpenError::Format { path, found });
        }
        let ours = |name: &String| name.starts_with(SEGMENT) || name.starts_with(SNAPSHOT);
        if names.iter().any(ours) {
            return Err(OpenError::Format { path, found: "none".to_owned() });
        }
        self.write_whole(FORMAT_NAME, FORMAT).map_err(failed("write"))
    }

    /// Removes what a crash left half done.
    fn remove_unfinished(&self, names: &[String]) -> io::Result<()> {
        let mut unfinished = names.iter().filter(|name| name.ends_with(NEW));
        unfinished.try_for_each(|name| self.remove(name))
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.disk.list(&self.path)
    }

    /// All segments, by their number.
    pub(super) fn segments(&self) -> Result<Vec<SegmentName>, OpenError> {
        let mut segments: Vec<SegmentName> =
            self.list()?.iter().filter_map(|name| SegmentName::parse(name)).collect();
        segments.sort_unstable();
        Ok(segments)
    }

    /// Positions of all snapshots, rising.
    pub(super) fn snapshots(&self) -> Result<Vec<u64>, OpenError> {
        let mut positions: Vec<u64> =
            self.list()?.iter().filter_map(|name| parse_number(SNAPSHOT, name)).collect();
        positions.sort_unstable();
        Ok(positions)
    }

    fn list(&self) -> Result<Vec<String>, OpenError> {
        self.names().map_err(|source| self.error("list", "", source))
    }

    pub(super) fn open_file(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path.join(name))
    }

    /// A file that is not there yet for anybody who opens the directory.
    pub(super) fn create_new(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(&self.path.join(format!("{name}{NEW}")))
    }

    /// What was made by `create_new` and synced gets its name, durably.
    pub(super) fn publish(&self, name: &str) -> io::Result<()> {
        self.publish_as(name, name)
    }

    pub(super) fn publish_as(&self, made_as: &str, name: &str) -> io::Result<()> {
        self.rename(&format!("{made_as}{NEW}"), name)?;
        self.sync()
    }

    pub(super) fn discard_new(&self, name: &str) -> io::Result<()> {
        self.remove(&format!("{name}{NEW}"))
    }

    fn write_whole(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.create_new(name)?;
        write_all(&*file, bytes, 0)?;
        file.sync()?;
        self.publish(name)
    }

    pub(super) fn read_segment(&self, name: &str) -> io::Result<Vec<u8>> {
        let length = self.open_file(name)?.length()?.min(LONGEST_SEGMENT_BYTES);
        self.read_start(name, usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn read_start(&self, name: &str, at_most: usize) -> io::Result<Vec<u8>> {
        let file = self.open_file(name)?;
        let length = usize::try_from(file.length()?).unwrap_or(usize::MAX).min(at_most);
        let mut bytes = vec![0; length];
        let read = read_full(&*file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Gives back what lies behind `length`: space that was reserved, or a torn end. And makes durable what will
    /// be served: if a sync failed in an earlier life, the page cache shows what the disk never got, and
    /// another sync alone would not write it.
    pub(super) fn settle(&self, name: &str, length: u64) -> io::Result<()> {
        let file = self.open_file(name)?;
        if file.length()? != length {
            file.set_length(length)?;
        }
        let bytes = self.read_segment(name)?;
        match write_all(&*file, &bytes, 0) {
            // Where writing again takes new space (ZFS) a start on a full disk must do with the sync.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            written => written?,
        }
        file.sync()
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.path.join(name))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.path.join(from), &self.path.join(to))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync_directory(&self.path)
    }

    /// Gives the file a name that nothing has; says which.
    pub(super) fn move_aside(&self, name: &str) -> io::Result<String> {
        let names = self.names()?;
        let aside = (1_u64..).map(|n| format!("{name}.corrupt-{n}"));
        let free = aside.into_iter().find(|aside| !names.contains(aside)).unwrap_or_default();
        self.rename(name, &free)?;
        self.sync()?;
        Ok(free)
    }

    /// From now on only what lies before `until` is used of the segment. A new name, and no byte is
    /// written: this must work on a full disk.
    pub(super) fn use_until(&self, segment: SegmentName, until: usize) -> io::Result<SegmentName> {
        let shorter = SegmentName { until: Some(until), ..segment };
        if shorter != segment {
            self.rename(&segment.to_string(), &shorter.to_string())?;
            self.sync()?;
        }
        Ok(shorter)
    }

    /// Its records are not needed any more; of a damaged one the file is kept.
    pub(super) fn retire(&self, segment: SegmentName) -> io::Result<()> {
        match segment.until {
            None => self.remove(&segment.to_string()),
            Some(_) => self.move_aside(&segment.to_string()).map(drop),
        }
    }

    pub(super) fn error(&self, what: &'static str, name: &str, source: io::Error) -> OpenError {
        OpenError::Io { what, path: self.path.join(name), source }
    }

    pub(super) fn format_error(&self, name: &str, version: u32) -> OpenError {
        OpenError::Format { path: self.path.join(name), found: version.to_string() }
    }
}

/// What a segment is called, and how much of it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub number: u64,
    pub until: Option<usize>,
}

impl SegmentName {
    pub(super) fn whole(number: u64) -> SegmentName {
        SegmentName { number, until: None }
    }

    fn parse(name: &str) -> Option<SegmentName> {
        match name.split_once(DAMAGED) {
            None => parse_number(SEGMENT, name).map(SegmentName::whole),
            Some((name, until)) => {
                let (number, until) = (parse_number(SEGMENT, name)?, until.parse().ok()?);
                Some(SegmentName { number, until: Some(until) })
            }
        }
    }
}

impl Display for SegmentName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&numbered_name(SEGMENT, self.number))?;
        self.until.map_or(Ok(()), |until| write!(f, "{DAMAGED}{until}"))
    }
}

pub(super) fn snapshot_name(position: u64) -> String {
    numbered_name(SNAPSHOT, position)
}

/// As many digits as the greatest number has: names sort as numbers do.
fn numbered_name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

/// Only the one spelling that we write.
fn parse_number(prefix: &str, name: &str) -> Option<u64> {
    let number = name.strip_prefix(prefix)?.parse().ok()?;
    (name == numbered_name(prefix, number)).then_some(number)
}
