//! Reads the segments back after a start, and leaves only what is good of them in the directory.
//!
//! Records are given out without a gap: a state machine that missed one cannot take the next. What
//! follows a gap is moved aside and named in the report. Damage to records that the snapshot covers
//! costs nothing and is only reported.

use super::directory::{Directory, OpenError, SegmentName, is_of_the_medium};
use super::record::{HEADER_BYTES, Header, HeaderError, Records, Step};
use sidecar_store::Position;
use std::collections::VecDeque;
use std::fmt::Display;

/// What was found in the directory, and what could not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The snapshot that was read.
    pub snapshot: Option<Position>,
    /// Records given out after it.
    pub replayed: u64,
    /// The last of them, or the snapshot.
    pub last: Position,
    /// The end of the last segment that was not a whole record.
    pub cut: Option<Cut>,
    pub left_out: Vec<LeftOut>,
}

impl Report {
    /// Whether everything that was ever whole in the directory has been used.
    #[cfg(test)]
    pub(crate) fn is_complete(&self) -> bool {
        self.cut.is_none() && self.left_out.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub file: String,
    pub at: u64,
    pub bytes: u64,
}

/// A file of which something was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub file: String,
    pub why: Why,
    /// What it is called now. None: it was left where it is, since nothing of it is missing.
    pub moved_to: Option<String>,
    /// The first record that is missing and the last one that is known of.
    pub records: Option<(Position, Position)>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("its header is damaged")]
    Header,
    #[error("it is damaged at byte {0}")]
    Damaged(u64),
    #[error("records before it are missing")]
    Gap,
    #[error("a file before it is damaged")]
    AfterDamage,
    #[error("the disk cannot read it")]
    Unreadable,
    #[error("its content was refused: {0}")]
    Refused(String),
}

/// A segment that stays, as `truncate` must know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub name: SegmentName,
    pub last: u64,
    pub bytes: u64,
}

/// What is in the directory after the replay.
#[derive(Debug, Default)]
pub(super) struct Remains {
    pub segments: VecDeque<Kept>,
    pub next_number: u64,
}

pub(super) fn replay<E: Display>(
    directory: &Directory,
    from: Position,
    report: &mut Report,
    visit: impl FnMut(Position, &[u8]) -> Result<(), E>,
) -> Result<Remains, OpenError> {
    let names = directory.segments()?;
    let mut walk = Walk {
        visit,
        from: from.0,
        next: from.0.saturating_add(1),
        damage: None,
        harmless: Vec::new(),
        stop: None,
        torn: None,
        highest: 0,
        segments: Vec::new(),
    };
    for name in &names {
        walk.segment(directory, *name)?;
    }
    report.last = Position(walk.next.saturating_sub(1));
    report.replayed = report.last.0.saturating_sub(from.0);
    let kept = walk.tidy(directory, report)?;
    let next_number = names.last().map_or(1, |last| last.number.saturating_add(1));
    Ok(Remains { segments: kept, next_number })
}

struct Walk<V> {
    visit: V,
    from: u64,
    /// The record that is to come.
    next: u64,
    /// Damage since the last record that could be used: it matters when a record turns out missing.
    damage: Option<Place>,
    /// Damage that cost nothing.
    harmless: Vec<Place>,
    /// From here on nothing is used.
    stop: Option<Place>,
    /// Damage behind which there was no record so far.
    torn: Option<(Place, usize)>,
    highest: u64,
    segments: Vec<Seen>,
}

#[derive(Clone, Debug)]
struct Place {
    number: u64,
    at: usize,
    why: Why,
}

#[derive(Debug)]
struct Seen {
    name: SegmentName,
    /// Its last record, or what came before it.
    last: u64,
    records: u64,
    bytes: u64,
    /// The end of its last record.
    end: usize,
}

impl<E: Display, V: FnMut(Position, &[u8]) -> Result<(), E>> Walk<V> {
    fn segment(&mut self, directory: &Directory, name: SegmentName) -> Result<(), OpenError> {
        let mut seen = Seen { name, last: self.highest, records: 0, bytes: 0, end: HEADER_BYTES };
        match directory.read_segment(&name.to_string()) {
            Err(error) if is_of_the_medium(&error) => self.damaged(name.number, 0, Why::Unreadable),
            Err(source) => return Err(directory.error("read", &name.to_string(), source)),
            Ok(mut bytes) => {
                seen.bytes = bytes.len() as u64;
                bytes.truncate(name.until.unwrap_or(usize::MAX));
                match Header::decode(&bytes) {
                    Ok(header) if header.number == name.number => {
                        self.records(&mut seen, Records::new(&bytes, header));
                    }
                    Err(HeaderError::Version(version)) => {
                        return Err(directory.format_error(&name.to_string(), version));
                    }
                    Ok(_) | Err(HeaderError::Damaged) => {
                        self.damaged(name.number, 0, Why::Header);
                    }
                }
            }
        }
        self.segments.push(seen);
        Ok(())
    }

    fn records(&mut self, seen: &mut Seen, mut records: Records<'_>) {
        loop {
            match records.step() {
                Step::Record { position, payload, at } => {
                    self.record(seen.name.number, at, position, payload);
                    seen.records += 1;
                    seen.last = seen.last.max(position);
                    seen.end = at + super::record::RECORD_HEADER_BYTES + payload.len();
                }
                Step::Damage { at } => self.damaged(seen.name.number, at, Why::Damaged(at as u64)),
                Step::Torn { at, bytes } => {
                    let place =
                        Place { number: seen.name.number, at, why: Why::Damaged(at as u64) };
                    self.torn = Some((place.clone(), bytes));
                    self.damage.get_or_insert(place);
                    return;
                }
                Step::End { .. } => return,
            }
        }
    }

    fn damaged(&mut self, number: u64, at: usize, why: Why) {
        self.torn = None;
        self.damage.get_or_insert(Place { number, at, why });
    }

    fn record(&mut self, number: u64, at: usize, position: u64, payload: &[u8]) {
        self.torn = None;
        self.highest = self.highest.max(position);
        if self.stop.is_some() {
            return;
        }
        if position <= self.from {
            self.harmless.extend(self.damage.take());
            return;
        }
        if position != self.next {
            let here = Place { number, at, why: Why::Gap };
            self.stop = Some(self.damage.take().unwrap_or(here));
            return;
        }
        if let Err(error) = (self.visit)(Position(position), payload) {
            self.stop = Some(Place { number, at, why: Why::Refused(error.to_string()) });
            return;
        }
        self.next = self.next.saturating_add(1);
        self.harmless.extend(self.damage.take());
    }

    /// Moves aside what was not used, from the end, so that after a crash meanwhile the next start
    /// finds the same damage again; cuts the end; forgets empty segments.
    fn tidy(
        mut self,
        directory: &Directory,
        report: &mut Report,
    ) -> Result<VecDeque<Kept>, OpenError> {
        if self.stop.is_none() {
            match (self.torn.take(), self.damage.take()) {
                // The first damage since the last record, and nothing but this end behind it.
                (Some((end, bytes)), Some(place)) if end.same_place(&place) => {
                    let file = SegmentName::whole(end.number).to_string();
                    report.cut = Some(Cut { file, at: end.at as u64, bytes: bytes as u64 });
                }
                (_, damage) => self.stop = damage,
            }
        }
        let mut kept = Vec::new();
        let missing = Position(self.next);
        let records = (self.highest >= self.next).then_some((missing, Position(self.highest)));
        for seen in self.segments.iter().rev() {
            match &self.stop {
                Some(stop) if seen.name.number >= stop.number => {
                    let (left, good) = leave_out(directory, seen, stop, records)?;
                    report.left_out.insert(0, left);
                    let last = missing.0.saturating_sub(1);
                    kept.extend(good.map(|name| Kept { name, last, bytes: seen.bytes }));
                }
                _ => {
                    let harmless =
                        self.harmless.iter().find(|place| place.number == seen.name.number);
                    kept.extend(match harmless {
                        Some(place) => Some(keep_damaged(directory, seen, place, report)?),
                        None => keep(directory, seen)?,
                    });
                }
            }
        }
        directory.sync().map_err(|source| directory.error("sync", "", source))?;
        Ok(kept.into_iter().rev().collect())
    }
}

impl Place {
    fn same_place(&self, other: &Place) -> bool {
        (self.number, self.at) == (other.number, other.at)
    }
}

/// Moves the file aside, or all but its good beginning, which is the second part of the answer.
fn leave_out(
    directory: &Directory,
    seen: &Seen,
    stop: &Place,
    records: Option<(Position, Position)>,
) -> Result<(LeftOut, Option<SegmentName>), OpenError> {
    let file = seen.name.to_string();
    let failed = |source| directory.error("move aside", &file, source);
    let here = seen.name.number == stop.number;
    let (moved, good) = if here && stop.at > HEADER_BYTES {
        let good = directory.use_until(seen.name, stop.at).map_err(failed)?;
        (good.to_string(), Some(good))
    } else {
        (directory.move_aside(&file).map_err(failed)?, None)
    };
    let why = if here { stop.why.clone() } else { Why::AfterDamage };
    Ok((LeftOut { file, why, moved_to: Some(moved), records }, good))
}

/// All that is missing of it is in the snapshot; it goes when the next one is written.
fn keep_damaged(
    directory: &Directory,
    seen: &Seen,
    place: &Place,
    report: &mut Report,
) -> Result<Kept, OpenError> {
    if seen.records > 0 {
        settle(directory, seen.name, seen.bytes)?;
    }
    let file = seen.name.to_string();
    let left = LeftOut { file, why: place.why.clone(), moved_to: None, records: None };
    report.left_out.insert(0, left);
    Ok(Kept { name: seen.name, last: seen.last, bytes: seen.bytes })
}

fn keep(directory: &Directory, seen: &Seen) -> Result<Option<Kept>, OpenError> {
    let name = seen.name.to_string();
    if seen.records == 0 {
        directory.retire(seen.name).map_err(|source| directory.error("remove", &name, source))?;
        return Ok(None);
    }
    let end = if seen.name.until.is_some() { seen.bytes } else { seen.end as u64 };
    settle(directory, seen.name, end)?;
    Ok(Some(Kept { name: seen.name, last: seen.last, bytes: end }))
}

fn settle(directory: &Directory, name: SegmentName, length: u64) -> Result<(), OpenError> {
    let name = name.to_string();
    directory.settle(&name, length).map_err(|source| directory.error("settle", &name, source))
}
