//! The bytes of a segment: a header, then records, then zeros.
//!
//! A record is its length, its checksum, its position and its payload. Each checksum covers a random
//! number of the segment too: neither an old block of the disk nor something that a client pushed
//! can be taken for a record of this segment.

use crc32c::{crc32c, crc32c_append};

pub(super) const HEADER_BYTES: usize = 32;
pub(super) const RECORD_HEADER_BYTES: usize = 16;
pub(super) const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"MSCJRNL\n";
/// Behind damage the next record is looked for; the checksums of what only looks like one may cost
/// so many times the segment's length.
const SEARCH_FACTOR: u64 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub number: u64,
    pub salt: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Damaged,
    /// Whole, but of a format that this program does not know.
    Version(u32),
}

impl Header {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        let sum = crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        let header = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged)?;
        let (covered, sum) = header.split_at(HEADER_BYTES - 4);
        if !covered.starts_with(&MAGIC) || u32_at(sum, 0) != Some(crc32c(covered)) {
            return Err(HeaderError::Damaged);
        }
        match (u32_at(covered, 8), u64_at(covered, 12), u64_at(covered, 20)) {
            (Some(VERSION), Some(number), Some(salt)) => Ok(Header { number, salt }),
            (version, _, _) => Err(HeaderError::Version(version.unwrap_or_default())),
        }
    }
}

/// What a record takes in a segment.
pub(super) fn encoded_bytes(payload_bytes: usize) -> u64 {
    RECORD_HEADER_BYTES as u64 + payload_bytes as u64
}

/// The greater part of the checksum; needs neither position nor segment, so no lock.
pub(super) fn payload_sum(payload: &[u8]) -> u32 {
    crc32c(payload)
}

pub(super) fn encode(
    into: &mut Vec<u8>,
    length: u32,
    payload_sum: u32,
    position: u64,
    salt: u64,
    payload: &[u8],
) {
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&whole_sum(payload_sum, length, position, salt).to_le_bytes());
    into.extend_from_slice(&position.to_le_bytes());
    into.extend_from_slice(payload);
}

fn whole_sum(payload_sum: u32, length: u32, position: u64, salt: u64) -> u32 {
    let sum = crc32c_append(payload_sum, &length.to_le_bytes());
    let sum = crc32c_append(sum, &position.to_le_bytes());
    crc32c_append(sum, &salt.to_le_bytes())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Record {
        position: u64,
        payload: &'a [u8],
        at: usize,
    },
    /// What is at `at` was never written so. The walk goes on at the next whole record.
    Damage {
        at: usize,
    },
    /// All records have been seen; behind them, from `at`, are only zeros.
    End {
        at: usize,
    },
    /// Behind `at` is no record any more, but something.
    Torn {
        at: usize,
        bytes: usize,
    },
}

/// A walk over a segment's records.
#[derive(Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    salt: u64,
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8], header: Header) -> Records<'a> {
        Records { bytes, salt: header.salt, at: HEADER_BYTES }
    }

    pub(super) fn step(&mut self) -> Step<'a> {
        let at = self.at;
        let mut all = u64::MAX;
        if let Some((position, payload)) = self.record(at, &mut all) {
            self.at = at + RECORD_HEADER_BYTES + payload.len();
            return Step::Record { position, payload, at };
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some(last) = rest.iter().rposition(|byte| *byte != 0) else {
            return Step::End { at };
        };
        match self.search(at, at + last) {
            Search::Found(next) => {
                self.at = next;
                Step::Damage { at }
            }
            Search::Nothing => Step::Torn { at, bytes: last + 1 },
            Search::GivenUp => {
                self.at = self.bytes.len();
                Step::Damage { at }
            }
        }
    }

    /// The record that begins at `at`. Its checksum is only computed for less than `budget` bytes.
    fn record(&self, at: usize, budget: &mut u64) -> Option<(u64, &'a [u8])> {
        let head = self.bytes.get(at..)?;
        let (length, sum, position) = (u32_at(head, 0)?, u32_at(head, 4)?, u64_at(head, 8)?);
        let payload = head.get(RECORD_HEADER_BYTES..)?.get(..usize::try_from(length).ok()?)?;
        // Positions count from 1, so that zeros are never a record.
        if position == 0 {
            return None;
        }
        *budget = budget.checked_sub(u64::from(length))?;
        let whole = whole_sum(payload_sum(payload), length, position, self.salt);
        (whole == sum).then_some((position, payload))
    }

    /// Up to the last byte that is not zero.
    fn search(&self, damaged: usize, last: usize) -> Search {
        let mut budget = SEARCH_FACTOR.saturating_mul(self.bytes.len() as u64);
        for at in damaged + 1..=last {
            if self.record(at, &mut budget).is_some() {
                return Search::Found(at);
            }
            if budget < self.bytes.len() as u64 {
                return Search::GivenUp;
            }
        }
        Search::Nothing
    }
}

enum Search {
    Found(usize),
    Nothing,
    GivenUp,
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
