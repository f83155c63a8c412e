//! One segment: a file with space behind every byte, and a header, before anything is promised.

use super::directory::{Directory, SegmentName};
use super::disk::{DiskFile, write_all, write_zeros};
use super::record::{HEADER_BYTES, Header};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub file: Arc<dyn DiskFile>,
    pub number: u64,
    pub salt: u64,
    pub bytes: u64,
}

/// What lies behind the bytes of a new segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Set aside. The first sync of each block also has to change the file system's own records.
    Reserved,
    /// Zeros that are on the disk. A sync writes the bytes and nothing else; but all is written twice.
    Written,
}

/// Zeros are synced in pieces, so that no commit waits behind a long one.
const PIECE_BYTES: u64 = 1024 * 1024;

impl Segment {
    /// Durable with its name when this returns; otherwise nothing is left. `space` is asked before each
    /// piece: what is not written stays reserved.
    pub(super) fn prepare(
        directory: &Directory,
        number: u64,
        bytes: u64,
        space: impl Fn() -> Space,
    ) -> io::Result<Segment> {
        let name = SegmentName::whole(number).to_string();
        let salt = random();
        let file = directory.create_new(&name)?;
        let fill = || {
            file.allocate(bytes)?;
            let mut written = 0;
            while written < bytes && space() == Space::Written {
                let end = bytes.min(written + PIECE_BYTES);
                write_zeros(&*file, written, end)?;
                file.sync()?;
                written = end;
            }
            write_all(&*file, &Header { number, salt }.encode(), 0)?;
            file.sync()?;
            directory.publish(&name)
        };
        match fill() {
            Ok(()) => Ok(Segment { file, number, salt, bytes }),
            Err(error) => {
                // What cannot be removed now is removed at the next start.
                directory.discard_new(&name).unwrap_or_default();
                Err(error)
            }
        }
    }

    pub(super) fn takes(&self, record_bytes: u64) -> bool {
        HEADER_BYTES as u64 + record_bytes <= self.bytes
    }
}

/// Seeded by the operating system; tells files apart, and nobody who pushes knows it.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
