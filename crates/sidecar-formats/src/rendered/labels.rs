//! A point's labels under names that a page can carry: how names are kept apart when characters
//! that it cannot carry are replaced, and which label sets become equal to another then.

use crate::escape;
use hashbrown::HashSet;
use sidecar_model::{
    Escaping, FamilyLayout, LabelSet, Point, PointKind, escape_label_name, is_plain_label_name,
};

/// Writes the labels of one family's points.
pub(super) struct LabelWriter<'a> {
    escaping: Escaping,
    reserved: [&'static str; 2],
    /// Names that were found to stay as they are, by place: points mostly have the same names.
    known: Vec<&'a [u8]>,
    /// Made when a point's names change for the first time.
    collisions: Option<Collisions>,
}

impl<'a> LabelWriter<'a> {
    pub(super) fn new(escaping: Escaping) -> LabelWriter<'a> {
        LabelWriter { escaping, reserved: [""; 2], known: Vec::new(), collisions: None }
    }

    /// Replaces `out` by `a="b",c="d"`; `false`: the point is to be left out, it would be equal to
    /// another one.
    pub(super) fn write(
        &mut self,
        layout: &'a FamilyLayout,
        index: usize,
        point: &'a Point,
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        let reserved = reserved(&point.kind);
        if self.reserved != reserved {
            self.reserved = reserved;
            self.known.clear();
        }
        if self.write_as_they_are(&point.labels, out) {
            return true;
        }
        let escaping = self.escaping;
        let collisions = self.collisions.get_or_insert_with(|| Collisions::of(layout, escaping));
        if collisions.hides(index) {
            return false;
        }
        out.clear();
        for (name, value) in renamed(point, escaping) {
            separate(out);
            write_name(&name, out);
            write_value(value.as_bytes(), out);
        }
        true
    }

    /// Whether every name stays as it is; if not, `out` has a part of the labels.
    fn write_as_they_are(&mut self, labels: &'a LabelSet, out: &mut Vec<u8>) -> bool {
        let mut rest = labels.as_bytes();
        let mut nth = 0;
        while let Some((name, value, behind)) = split_pair(rest) {
            if self.known.get(nth) != Some(&name) {
                if !std::str::from_utf8(name)
                    .is_ok_and(|name| is_plain_label_name(name) && !self.reserved.contains(&name))
                {
                    return false;
                }
                self.known.truncate(nth);
                self.known.push(name);
            }
            separate(out);
            out.extend_from_slice(name);
            write_value(value, out);
            rest = behind;
            nth += 1;
        }
        true
    }
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

fn write_value(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"=\"");
    escape::label_bytes(value, out);
    out.push(b'"');
}

/// A label's name, in quotation marks when it is no plain one.
pub(super) fn write_name(name: &str, out: &mut Vec<u8>) {
    if is_plain_label_name(name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'"');
        escape::label_value(name, out);
        out.push(b'"');
    }
}

/// The first pair of a label set's bytes, and what follows it.
#[inline]
fn split_pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = split_part(bytes)?;
    let (value, rest) = split_part(rest)?;
    Some((name, value, rest))
}

#[inline]
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// The label that the point's lines have besides its own, and the one that stands for the name.
fn reserved(kind: &PointKind) -> [&'static str; 2] {
    match kind {
        PointKind::Scalar => ["__name__", "__name__"],
        PointKind::Histogram(_) => ["__name__", "le"],
        PointKind::Summary(_) => ["__name__", "quantile"],
    }
}

/// Whether a label of this name keeps it.
fn keeps(name: &str, reserved: [&str; 2], escaping: Escaping) -> bool {
    !reserved.contains(&name) && (escaping == Escaping::AllowUtf8 || is_plain_label_name(name))
}

fn keeps_all(point: &Point, escaping: Escaping) -> bool {
    let reserved = reserved(&point.kind);
    point.labels.iter().all(|(name, _)| keeps(name, reserved, escaping))
}

/// The labels under the names that are printed, in the order of these; a name that is taken gets
/// underscores until it is free, and one that may stay as it is keeps its own.
fn renamed(point: &Point, escaping: Escaping) -> Vec<(String, String)> {
    let reserved = reserved(&point.kind);
    let mut taken: Vec<(String, String)> = Vec::new();
    let (kept, other): (Vec<_>, Vec<_>) =
        point.labels.iter().partition(|(name, _)| keeps(name, reserved, escaping));
    for (name, value) in kept.into_iter().chain(other) {
        let mut name = escape_label_name(name, escaping).into_owned();
        while reserved.contains(&name.as_str()) || taken.iter().any(|(other, _)| *other == name) {
            name.push('_');
        }
        taken.push((name, value.to_owned()));
    }
    taken.sort();
    taken
}

/// Points that new names make equal to another.
struct Collisions(HashSet<usize, foldhash::fast::RandomState>);

impl Collisions {
    fn of(layout: &FamilyLayout, escaping: Escaping) -> Collisions {
        let mut hidden = HashSet::default();
        let mut seen: HashSet<LabelSet, foldhash::fast::RandomState> = HashSet::default();
        let mut odd: Vec<(usize, &Point)> = Vec::new();
        // Only points with names that change can come to equal another: the others go first.
        for (index, point) in layout.points.iter().enumerate() {
            if keeps_all(point, escaping) {
                seen.insert(point.labels.clone());
            } else {
                odd.push((index, point));
            }
        }
        for (index, point) in odd {
            let labels = LabelSet::new(renamed(point, escaping));
            if !labels.is_ok_and(|labels| seen.insert(labels)) {
                hidden.insert(index);
            }
        }
        Collisions(hidden)
    }

    fn hides(&self, index: usize) -> bool {
        !self.0.is_empty() && self.0.contains(&index)
    }
}
