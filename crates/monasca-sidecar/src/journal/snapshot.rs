//! Files that hold a whole state: written beside, synced, renamed, the directory synced.
//!
//! A header (magic, format, position, length, salt, checksum), then blocks, each with its length and a
//! checksum that covers its place and the file's salt too. The header is written last: a file that was
//! not finished has none.

use super::directory::{Directory, OpenError, is_of_the_medium, snapshot_name};
use super::disk::{DiskFile, read_full, write_all};
use super::record::{u32_at, u64_at};
use super::replay::{LeftOut, Report, Why};
use crc32c::{crc32c, crc32c_append};
use sidecar_store::Position;
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"MSCSNAP\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 40;
const BLOCK_HEADER_BYTES: usize = 8;
const BLOCK_BYTES: usize = 128 * 1024;
/// A block is read into memory whole, whatever a file says of its size.
const LARGEST_BLOCK_BYTES: usize = 1024 * 1024;
/// So much may lie in the page cache: a sync of all at the end would hold up the journal's.
const SYNC_EVERY_BYTES: u64 = 4 * 1024 * 1024;
/// What it is called until its position is known.
const UNNAMED: &str = "snapshot";

/// Reads the newest snapshot that is whole and that `read` takes; moves aside those that are not.
pub(super) fn restore<T, E: Display>(
    directory: &Directory,
    report: &mut Report,
    mut read: impl FnMut(Position, &mut dyn Read) -> Result<T, E>,
) -> Result<Option<T>, OpenError> {
    for position in directory.snapshots()?.into_iter().rev() {
        let name = snapshot_name(position);
        let why = match read_one(directory, &name, position, &mut read) {
            Ok(state) => {
                report.snapshot = Some(Position(position));
                return Ok(Some(state));
            }
            Err(Unread::Version(version)) => return Err(directory.format_error(&name, version)),
            Err(Unread::Io(error)) if is_of_the_medium(&error) => Why::Unreadable,
            Err(Unread::Io(source)) => return Err(directory.error("read", &name, source)),
            Err(Unread::Because(why)) => why,
        };
        let aside = directory.move_aside(&name);
        let moved_to = Some(aside.map_err(|source| directory.error("move aside", &name, source))?);
        report.left_out.push(LeftOut { file: name, why, moved_to, records: None });
    }
    Ok(None)
}

enum Unread {
    /// Whole, but of a format that this program does not know.
    Version(u32),
    Io(io::Error),
    Because(Why),
}

fn read_one<T, E: Display>(
    directory: &Directory,
    name: &str,
    position: u64,
    read: &mut impl FnMut(Position, &mut dyn Read) -> Result<T, E>,
) -> Result<T, Unread> {
    let file = directory.open_file(name).map_err(Unread::Io)?;
    let mut head = [0; HEADER_BYTES];
    let filled = read_full(&*file, &mut head, 0).map_err(Unread::Io)?;
    let header = Header::decode(head.get(..filled).unwrap_or_default())?;
    if header.position != position {
        return Err(Unread::Because(Why::Header));
    }
    let mut blocks = Reader::new(file, header);
    let state = read(Position(position), &mut blocks);
    // What ails the file says more than what the state's own decoder made of it.
    blocks.check_rest().unwrap_or_default();
    match blocks.trouble {
        Some(Trouble::Damaged(at)) => Err(Unread::Because(Why::Damaged(at))),
        Some(Trouble::Io(error)) => Err(Unread::Io(error)),
        None => state.map_err(|error| Unread::Because(Why::Refused(error.to_string()))),
    }
}

#[derive(Clone, Copy, Debug)]
struct Header {
    position: u64,
    /// Of what was written, without the blocks' headers.
    length: u64,
    salt: u64,
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        let sum = crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Header, Unread> {
        let damaged = || Unread::Because(Why::Header);
        let (covered, sum) = bytes.split_at_checked(HEADER_BYTES - 4).ok_or_else(damaged)?;
        if !covered.starts_with(&MAGIC) || u32_at(sum, 0) != Some(crc32c(covered)) {
            return Err(damaged());
        }
        let numbers = (u64_at(covered, 12), u64_at(covered, 20), u64_at(covered, 28));
        match (u32_at(covered, 8), numbers) {
            (Some(VERSION), (Some(position), Some(length), Some(salt))) => {
                Ok(Header { position, length, salt })
            }
            (version, _) => Err(Unread::Version(version.unwrap_or_default())),
        }
    }
}

fn block_sum(block: &[u8], index: u64, salt: u64) -> u32 {
    let sum = crc32c_append(crc32c(block), &index.to_le_bytes());
    crc32c_append(sum, &salt.to_le_bytes())
}

/// Gives out only bytes whose block has been checked.
#[derive(Debug)]
struct Reader {
    file: Arc<dyn DiskFile>,
    header: Header,
    block: Vec<u8>,
    /// What of the block has been given out.
    given: usize,
    index: u64,
    at: u64,
    /// Bytes in the blocks that have been read.
    length: u64,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
enum Trouble {
    Damaged(u64),
    Io(io::Error),
}

impl Reader {
    fn new(file: Arc<dyn DiskFile>, header: Header) -> Reader {
        let at = HEADER_BYTES as u64;
        Reader { file, header, block: Vec::new(), given: 0, index: 0, at, length: 0, trouble: None }
    }

    /// The next block, or an empty one at the end.
    fn next_block(&mut self) -> io::Result<()> {
        self.block.clear();
        self.given = 0;
        if self.trouble.is_none() {
            self.trouble = self.read_block().err();
        }
        match &self.trouble {
            None => Ok(()),
            Some(_) => {
                self.block.clear();
                Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot cannot be read"))
            }
        }
    }

    fn read_block(&mut self) -> Result<(), Trouble> {
        let damaged = Trouble::Damaged(self.at);
        let mut head = [0; BLOCK_HEADER_BYTES];
        let filled = read_full(&*self.file, &mut head, self.at).map_err(Trouble::Io)?;
        if filled == 0 && self.length == self.header.length {
            return Ok(());
        }
        let length = u32_at(&head, 0).and_then(|length| usize::try_from(length).ok());
        let fits = |length: &usize| (1..=LARGEST_BLOCK_BYTES).contains(length);
        let (Some(length), Some(sum), BLOCK_HEADER_BYTES) =
            (length.filter(fits), u32_at(&head, 4), filled)
        else {
            return Err(damaged);
        };
        self.block.resize(length, 0);
        let at = self.at + BLOCK_HEADER_BYTES as u64;
        let filled = read_full(&*self.file, &mut self.block, at).map_err(Trouble::Io)?;
        let longer = self.length.saturating_add(length as u64);
        let whole = filled == length && longer <= self.header.length;
        if !whole || block_sum(&self.block, self.index, self.header.salt) != sum {
            return Err(damaged);
        }
        self.length = longer;
        self.index += 1;
        self.at += (BLOCK_HEADER_BYTES + length) as u64;
        Ok(())
    }

    /// Checks what nobody has read.
    fn check_rest(&mut self) -> io::Result<()> {
        loop {
            self.next_block()?;
            if self.block.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.block.len() {
            self.next_block()?;
        }
        let rest = self.block.get(self.given..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

/// Writes blocks into a file that has no name yet.
#[derive(Debug)]
pub(super) struct Blocks {
    file: Arc<dyn DiskFile>,
    salt: u64,
    block: Vec<u8>,
    index: u64,
    at: u64,
    length: u64,
    unsynced: u64,
}

impl Blocks {
    pub(super) fn begin(directory: &Directory, salt: u64) -> io::Result<Blocks> {
        let file = directory.create_new(UNNAMED)?;
        let block = Vec::with_capacity(BLOCK_BYTES);
        let at = HEADER_BYTES as u64;
        Ok(Blocks { file, salt, block, index: 0, at, length: 0, unsynced: 0 })
    }

    fn write_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.block.len()).map_err(io::Error::other)?;
        let mut head = length.to_le_bytes().to_vec();
        head.extend_from_slice(&block_sum(&self.block, self.index, self.salt).to_le_bytes());
        write_all(&*self.file, &head, self.at)?;
        write_all(&*self.file, &self.block, self.at + BLOCK_HEADER_BYTES as u64)?;
        let bytes = BLOCK_HEADER_BYTES as u64 + u64::from(length);
        self.at += bytes;
        self.length += u64::from(length);
        self.index += 1;
        self.block.clear();
        self.unsynced += bytes;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(())
    }

    /// All bytes durable, the header too; still without a name.
    pub(super) fn seal(&mut self, position: Position) -> io::Result<()> {
        self.write_block()?;
        let header = Header { position: position.0, length: self.length, salt: self.salt };
        write_all(&*self.file, &header.encode(), 0)?;
        self.file.sync()
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_BYTES - self.block.len();
        let (now, _) = bytes.split_at(room.min(bytes.len()));
        self.block.extend_from_slice(now);
        if self.block.len() == BLOCK_BYTES {
            self.write_block()?;
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn discard(directory: &Directory) -> io::Result<()> {
    directory.discard_new(UNNAMED)
}

/// From here on a sealed snapshot is the newest one. Removes all but `keep` and says which is the oldest.
pub(super) fn publish(
    directory: &Directory,
    position: Position,
    keep: usize,
) -> io::Result<Position> {
    directory.publish_as(UNNAMED, &snapshot_name(position.0))?;
    let positions = directory.snapshots().map_err(io::Error::other)?;
    let (old, kept) = positions.split_at(positions.len().saturating_sub(keep.max(1)));
    for position in old {
        directory.remove(&snapshot_name(*position))?;
    }
    Ok(Position(kept.first().copied().unwrap_or(position.0)))
}
