//! What `/proc` tells of the processes that hold files: who they are, which of the wanted files they
//! have open or mapped, and whether they are still there.
//!
//! A process is its number and its start time, so a number that is used again is another one. What may
//! not be looked into is told, never guessed. Only reads; never waits for a process.

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More than a line of `maps` has: a path, and some numbers before it.
const LINE_BYTES_AT_MOST: u64 = 16 * 1024;
/// The part of a file's flags that says whether it can be written to.
const O_ACCMODE: u32 = 3;
/// Fields of `stat` behind the name in brackets, counted from the state.
const THREADS: usize = 17;
const START_TIME: usize = 19;
/// What the name of a file that has been removed ends with.
const REMOVED: &[u8] = b" (deleted)";

/// A process for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Process {
    pub pid: u32,
    /// In clock ticks since the machine's start.
    pub start: u64,
}

/// Where process numbers mean what they meant: this start of the machine, this namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Namespace {
    pub boot: String,
    pub pids: String,
}

/// A file, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId {
    pub device: u64,
    pub inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Running,
    Gone,
    /// It may not be asked for.
    Unknown,
}

/// The files that are looked for, by name and by number.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    names: BTreeMap<Vec<u8>, Vec<FileId>>,
    inodes: BTreeMap<u64, Vec<FileId>>,
}

impl Wanted {
    pub(super) fn add(&mut self, name: &str, file: FileId) {
        self.names.entry(name.as_bytes().to_vec()).or_default().push(file);
        self.inodes.entry(file.inode).or_default().push(file);
    }

    fn is_name(&self, path: &OsStr) -> bool {
        self.names.contains_key(base(path.as_bytes()))
    }
}

/// What one look over all processes found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Who has which file, in the order of the files.
    pub holders: Vec<(FileId, Process)>,
    /// A file with the name and the number of a wanted one, on a device that the process knows by
    /// another number: held, as far as can be told, but no proof of anything else.
    pub likely: Vec<FileId>,
    pub hidden: Vec<Hidden>,
}

impl Look {
    pub(super) fn is_held(&self, file: FileId) -> bool {
        let first = self.holders.partition_point(|(held, _)| *held < file);
        self.holders.get(first).is_some_and(|(held, _)| *held == file)
            || self.likely.binary_search(&file).is_ok()
    }
}

/// A process that could not be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hidden {
    pub pid: u32,
    /// The number that it knows itself by, which would be in the names of its files.
    pub own: u32,
}

/// `/proc`, or what stands for it.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    root: PathBuf,
}

impl Processes {
    pub(super) fn at(root: &Path) -> Processes {
        Processes { root: root.to_owned() }
    }

    /// `None`: it cannot be told, so nothing that was seen elsewhere or earlier counts.
    pub(super) fn namespace(&self) -> Option<Namespace> {
        let boot = fs::read_to_string(self.root.join("sys/kernel/random/boot_id")).ok()?;
        let pids = fs::read_link(self.root.join("self/ns/pid")).ok()?;
        Some(Namespace { boot: boot.trim().to_owned(), pids: pids.to_str()?.to_owned() })
    }

    pub(super) fn presence(&self, process: Process) -> Presence {
        match fs::read(self.folder(process.pid).join("stat")) {
            Ok(stat) => match Stat::parse(&stat) {
                Some(stat) if stat.start != process.start || stat.is_over => Presence::Gone,
                Some(_) => Presence::Running,
                None => Presence::Unknown,
            },
            Err(error) if is_gone(&error) => Presence::Gone,
            Err(_) => Presence::Unknown,
        }
    }

    /// Looks over all processes; an error: not even their numbers can be read.
    pub(super) fn look(&self, wanted: &Wanted) -> io::Result<Look> {
        let mut look = Look::default();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match self.look_into(pid, wanted, &mut look) {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                Err(_) => look.hidden.push(Hidden { pid, own: self.own_number(pid) }),
            }
        }
        look.holders.sort_unstable();
        look.likely.sort_unstable();
        Ok(look)
    }

    fn look_into(&self, pid: u32, wanted: &Wanted, look: &mut Look) -> io::Result<()> {
        let folder = self.folder(pid);
        let stat =
            Stat::parse(&fs::read(folder.join("stat"))?).ok_or(io::ErrorKind::InvalidData)?;
        if stat.is_over {
            return Ok(());
        }
        let mut files = Vec::new();
        find_open(&folder, wanted, &mut files)?;
        find_mapped(&folder, wanted, &mut files, &mut look.likely)?;
        files.sort_unstable();
        files.dedup();
        let process = Process { pid, start: stat.start };
        look.holders.extend(files.into_iter().map(|file| (file, process)));
        Ok(())
    }

    fn own_number(&self, pid: u32) -> u32 {
        let status = fs::read_to_string(self.folder(pid).join("status")).unwrap_or_default();
        let of_line =
            |line: &str| line.strip_prefix("NSpid:")?.split_whitespace().next_back()?.parse().ok();
        status.lines().find_map(of_line).unwrap_or(pid)
    }

    fn folder(&self, pid: u32) -> PathBuf {
        self.root.join(pid.to_string())
    }
}

/// What goes while it is looked at is no trouble.
fn is_gone(error: &io::Error) -> bool {
    const NO_SUCH_PROCESS: i32 = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

/// What `stat` says.
#[derive(Clone, Copy, Debug)]
struct Stat {
    start: u64,
    /// It has ended and waits for its parent: it has no files any more.
    is_over: bool,
}

impl Stat {
    /// The name in brackets may have anything in it, brackets too.
    fn parse(stat: &[u8]) -> Option<Stat> {
        let text = String::from_utf8_lossy(stat);
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let threads: u64 = fields.get(THREADS)?.parse().ok()?;
        // The first thread may end before the others, which still have the files.
        let is_over = matches!(*fields.first()?, "Z" | "X") && threads <= 1;
        Some(Stat { start: fields.get(START_TIME)?.parse().ok()?, is_over })
    }
}

/// The link of an open file tells its name without asking its file system; only what has a name
/// that is looked for is looked at.
fn find_open(folder: &Path, wanted: &Wanted, found: &mut Vec<FileId>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join("fd"))? {
        let link = entry?.path();
        let path = match fs::read_link(&link) {
            Ok(path) => path,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        if !wanted.is_name(path.as_os_str()) || is_for_reading(folder, &link) {
            continue;
        }
        match fs::metadata(&link) {
            Ok(at) => {
                let file = FileId { device: at.dev(), inode: at.ino() };
                let is_wanted = |files: &Vec<FileId>| files.contains(&file);
                found.extend(wanted.inodes.get(&file.inode).is_some_and(is_wanted).then_some(file));
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whoever only reads a file is a collector, or we.
fn is_for_reading(folder: &Path, link: &Path) -> bool {
    let Some(number) = link.file_name() else { return false };
    let info = fs::read_to_string(folder.join("fdinfo").join(number)).unwrap_or_default();
    let flags = |line: &str| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok();
    let access = info.lines().find_map(flags).map(|flags| flags & O_ACCMODE);
    access == Some(OFlags::RDONLY.bits())
}

fn find_mapped(
    folder: &Path,
    wanted: &Wanted,
    found: &mut Vec<FileId>,
    likely: &mut Vec<FileId>,
) -> io::Result<()> {
    let mut maps = BufReader::with_capacity(64 * 1024, File::open(folder.join("maps"))?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut maps, LINE_BYTES_AT_MOST).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Some((file, path)) = mapped_file(&line) else { continue };
        for one in wanted.inodes.get(&file.inode).map_or(&[][..], Vec::as_slice) {
            if *one == file {
                found.push(file);
            } else if wanted.names.get(base(path)).is_some_and(|files| files.contains(one)) {
                likely.push(*one);
            }
        }
    }
}

/// `7f1c-7f2c rw-s 00000000 08:01 1234   /path`; only of one that can be written to.
fn mapped_file(line: &[u8]) -> Option<(FileId, &[u8])> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let access = fields.nth(1)?;
    if !access.contains(&b'w') || !access.contains(&b's') {
        return None;
    }
    let device = std::str::from_utf8(fields.nth(1)?).ok()?;
    let inode = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    if inode == 0 {
        return None;
    }
    let (major, minor) = device.split_once(':')?;
    let (major, minor) =
        (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let path = fields.next().unwrap_or_default().trim_ascii();
    Some((FileId { device: rustix::fs::makedev(major, minor), inode }, path))
}

/// The last part of a path.
fn base(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(REMOVED).unwrap_or(path);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
