//! A point's labels as text, under names that a page can carry.

use crate::escape;
use crate::renaming::{Collisions, renamed, reserved};
use sidecar_model::{Escaping, FamilyLayout, LabelSet, Point, is_plain_label_name};

/// Writes the labels of one family's points.
pub(super) struct LabelWriter<'a> {
    escaping: Escaping,
    reserved: &'static [&'static str],
    /// Names that were found to stay as they are, by place: points mostly have the same names.
    known: Vec<&'a [u8]>,
    /// Made when a point's names change for the first time.
    collisions: Option<Collisions>,
}

impl<'a> LabelWriter<'a> {
    pub(super) fn new(escaping: Escaping) -> LabelWriter<'a> {
        LabelWriter { escaping, reserved: &[], known: Vec::new(), collisions: None }
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
        for (name, value) in renamed(&point.labels, reserved, escaping) {
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
