//! One segment: a file with space behind every byte, and a header, before anything is promised.

use super::directory::{Directory, SegmentName};
use super::disk::{DiskFile, write_all};
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

impl Segment {
    /// Durable with its name when this returns; otherwise nothing is left.
    pub(super) fn prepare(directory: &Directory, number: u64, bytes: u64) -> io::Result<Segment> {
        let name = SegmentName::whole(number).to_string();
        let salt = random();
        let file = directory.create_new(&name)?;
        let fill = || {
            file.allocate(bytes)?;
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
