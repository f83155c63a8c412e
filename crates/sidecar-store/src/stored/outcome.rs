//! What pushes say of themselves and what was answered, as bytes.

use super::{Corrupt, Reader, Stored, Writer, stored, stored_choice};
use crate::grouping::GroupKey;
use crate::journal::Position;
use crate::outcome::{Outcome, PushKey, PushMeta, PushTimes, Reason, Refused, Replaces, Sequence};
use sidecar_model::Temporality;
use std::time::Duration;

stored_choice!(Replaces { Nothing = 0, SameFamilies = 1, Everything = 2 });

stored!(Outcome { samples, refused, duplicates, late, withheld, journal_full, recorded });

stored!(Refused { family, reason });

impl Stored for Position {
    fn put(&self, out: &mut Writer<'_>) {
        out.number(self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Position, Corrupt> {
        from.number().map(Position)
    }
}

impl Stored for Reason {
    fn put(&self, out: &mut Writer<'_>) {
        match self {
            Reason::TypeConflict { held, pushed } => {
                out.byte(0);
                held.put(out);
                pushed.put(out);
            }
            Reason::NameConflict { name, owner } => {
                out.byte(1);
                name.put(out);
                owner.put(out);
            }
            Reason::LabelConflict => out.byte(2),
            Reason::UnitConflict { held, pushed } => {
                out.byte(3);
                held.put(out);
                pushed.put(out);
            }
            Reason::BadValue => out.byte(4),
            Reason::FallingBuckets => out.byte(5),
            Reason::IncompleteHistogram => out.byte(6),
            Reason::CountMismatch => out.byte(7),
            Reason::DuplicateSeries => out.byte(8),
            Reason::GroupLimit => out.byte(9),
            Reason::InstanceSeriesLimit => out.byte(10),
            Reason::SeriesLimit => out.byte(11),
            Reason::InstanceLimit => out.byte(12),
            Reason::JobSeriesLimit => out.byte(13),
            Reason::JobInstanceLimit => out.byte(14),
            Reason::MemoryLimit => out.byte(15),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Reason, Corrupt> {
        Ok(match from.byte()? {
            0 => Reason::TypeConflict { held: Stored::take(from)?, pushed: Stored::take(from)? },
            1 => Reason::NameConflict { name: Stored::take(from)?, owner: Stored::take(from)? },
            2 => Reason::LabelConflict,
            3 => Reason::UnitConflict { held: Stored::take(from)?, pushed: Stored::take(from)? },
            4 => Reason::BadValue,
            5 => Reason::FallingBuckets,
            6 => Reason::IncompleteHistogram,
            7 => Reason::CountMismatch,
            8 => Reason::DuplicateSeries,
            9 => Reason::GroupLimit,
            10 => Reason::InstanceSeriesLimit,
            11 => Reason::SeriesLimit,
            12 => Reason::InstanceLimit,
            13 => Reason::JobSeriesLimit,
            14 => Reason::JobInstanceLimit,
            15 => Reason::MemoryLimit,
            _ => return Err(Corrupt("a reason")),
        })
    }
}

impl Stored for PushTimes {
    fn put(&self, out: &mut Writer<'_>) {
        let (code, at) = match self {
            PushTimes::Done(at) => (0, at),
            PushTimes::Failed(at) => (1, at),
        };
        out.byte(code);
        out.float(*at);
    }

    fn take(from: &mut Reader<'_>) -> Result<PushTimes, Corrupt> {
        match from.byte()? {
            0 => from.float().map(PushTimes::Done),
            1 => from.float().map(PushTimes::Failed),
            _ => Err(Corrupt("push times")),
        }
    }
}

impl Stored for GroupKey {
    fn put(&self, out: &mut Writer<'_>) {
        out.length(self.labels().len());
        for (name, value) in self.labels() {
            name.put(out);
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<GroupKey, Corrupt> {
        from.sorted().map(GroupKey::new)
    }
}

/// A push's own words, read back.
#[derive(Debug)]
pub(crate) struct OwnMeta {
    sequence: Option<(Box<str>, (u64, u64))>,
    is_final: bool,
    strict: bool,
    ttl: Option<Duration>,
    temporality: Option<Temporality>,
    group: Option<GroupKey>,
    replaces: Replaces,
    times: Option<PushTimes>,
    key: Option<(Box<str>, u64)>,
}

stored!(OwnMeta { sequence, is_final, strict, ttl, temporality, group, replaces, times, key });

impl OwnMeta {
    pub(crate) fn of(meta: &PushMeta<'_>) -> OwnMeta {
        let PushMeta {
            sequence,
            is_final,
            strict,
            ttl,
            temporality,
            group,
            replaces,
            times,
            key,
            // It is with what was staged, as what the room answered.
            writer: _,
            room: _,
            pace: _,
        } = *meta;
        OwnMeta {
            sequence: sequence.map(|Sequence { epoch, n, acked }| (epoch.into(), (n, acked))),
            is_final,
            strict,
            ttl,
            temporality,
            group: group.cloned(),
            replaces,
            times,
            key: key.map(|PushKey { key, body }| (key.into(), body)),
        }
    }

    pub(crate) fn meta(&self) -> PushMeta<'_> {
        let sequence = self.sequence.as_ref();
        PushMeta {
            sequence: sequence.map(|(epoch, (n, acked))| Sequence { epoch, n: *n, acked: *acked }),
            is_final: self.is_final,
            strict: self.strict,
            ttl: self.ttl,
            temporality: self.temporality,
            writer: None,
            group: self.group.as_ref(),
            replaces: self.replaces,
            times: self.times,
            key: self.key.as_ref().map(|(key, body)| PushKey { key, body: *body }),
            room: None,
            pace: None,
        }
    }
}
