//! Encodes an exposition as OpenMetrics 1.0.0 (0.0.1 has the same body): everything but the numbers
//! is rendered once per layout.
//!
//! A family whose values or names its type does not allow goes without the type: each of its
//! sample names is then a family of type unknown, so that no series is lost or renamed.

use super::legal;
use crate::escape;
use crate::number::{write_count, write_decimal, write_float};
use crate::page::{Encoded, Page};
use crate::rendered::{Dialect, Kept, PointLines, Shown, Style};
use sidecar_model::{Escaping, Exemplar, Exposition, MetricType, PointKind, is_absent};
use std::fmt;

/// Times beyond this (in the year 5138) are none: readers overflow.
const FAR_SECONDS: f64 = 1e11;

/// Keeps what it rendered for the layouts of the last exposition.
pub struct OpenMetricsEncoder {
    kept: Kept,
}

impl OpenMetricsEncoder {
    pub fn new() -> OpenMetricsEncoder {
        OpenMetricsEncoder { kept: kept(Escaping::Underscores) }
    }

    /// The text in pieces; the page needs the encoder no longer.
    pub fn page(&mut self, exposition: Exposition, escaping: Escaping) -> OpenMetricsPage {
        if self.kept.style().escaping != escaping {
            self.kept = kept(escaping);
        }
        OpenMetricsPage {
            families: self.kept.show(exposition),
            escaping,
            next: 0,
            cursor: Cursor::default(),
            ended: false,
            encoded: self.kept.encoded(),
        }
    }
}

impl Default for OpenMetricsEncoder {
    fn default() -> OpenMetricsEncoder {
        OpenMetricsEncoder::new()
    }
}

fn kept(escaping: Escaping) -> Kept {
    Kept::new(Style { dialect: Dialect::OpenMetrics, escaping })
}

impl fmt::Debug for OpenMetricsEncoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OpenMetricsEncoder").field("families", &self.kept.families()).finish()
    }
}

/// One exposition on its way out.
pub struct OpenMetricsPage {
    families: Vec<Shown>,
    escaping: Escaping,
    next: usize,
    cursor: Cursor,
    ended: bool,
    encoded: Encoded,
}

impl Page for OpenMetricsPage {
    fn encoded(&self) -> Encoded {
        self.encoded
    }

    fn write_some(&mut self, enough: usize, out: &mut Vec<u8>) -> bool {
        while let Some(family) = self.families.get(self.next) {
            let mut writing = Writing { family, escaping: self.escaping, enough, out };
            if !self.cursor.write(&mut writing) {
                return true;
            }
            self.next += 1;
            self.cursor = Cursor::default();
        }
        if !self.ended {
            out.extend_from_slice(b"# EOF\n");
            self.ended = true;
        }
        false
    }
}

impl fmt::Debug for OpenMetricsPage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OpenMetricsPage").field("families", &self.families.len()).finish()
    }
}

/// How a family is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Undecided,
    Typed,
    /// The lines of this kind, see [`kind_of_line`].
    Untyped(usize),
}

/// How far a family is written.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    mode: Mode,
    text: usize,
    line: usize,
    value: usize,
    point: usize,
    exemplar: usize,
}

/// A family being written.
struct Writing<'a> {
    family: &'a Shown,
    escaping: Escaping,
    enough: usize,
    out: &'a mut Vec<u8>,
}

/// Families of their own that a family's lines make when it goes without its type: buckets or
/// quantiles, sums, counts.
fn kind_of_line(lines: PointLines, nth: usize) -> usize {
    match lines {
        PointLines::Scalar => 0,
        PointLines::Histogram(count) | PointLines::Summary(count) => {
            nth.saturating_add(1).saturating_sub(count)
        }
    }
}

impl Cursor {
    /// Goes on until there is enough or the family is done; whether it is done.
    fn write(&mut self, to: &mut Writing<'_>) -> bool {
        if self.mode == Mode::Undecided {
            if !to.family.rendered.has_any(&to.family.values) {
                return true;
            }
            if to.family.typed && legal::fits_its_type(to.family) {
                self.mode = Mode::Typed;
                to.out.extend_from_slice(to.family.rendered.head());
            } else {
                self.begin_untyped(0, to);
            }
        }
        loop {
            let done = match (self.mode, to.family.rendered.point_lines()) {
                (Mode::Typed, None) => return self.write_scalars(to),
                (Mode::Typed, Some(points)) => return self.write_points(points, to),
                (_, None) => return self.write_plain(to),
                (Mode::Untyped(kind), Some(points)) => self.write_kind(kind, points, to),
                (Mode::Undecided, Some(_)) => return true,
            };
            let Mode::Untyped(kind) = self.mode else { return done };
            if !done || !self.begin_untyped(kind + 1, to) {
                return done;
            }
        }
    }

    /// Whether there are lines of this kind.
    fn begin_untyped(&mut self, kind: usize, to: &mut Writing<'_>) -> bool {
        let Some(head) = to.family.rendered.untyped_head(kind) else { return false };
        to.out.extend_from_slice(head);
        *self = Cursor { mode: Mode::Untyped(kind), ..Cursor::default() };
        true
    }

    fn write_scalars(&mut self, to: &mut Writing<'_>) -> bool {
        let extras = &to.family.extras;
        let is_counter = to.family.rendered.metric_type() == MetricType::Counter;
        if !is_counter || (extras.exemplars.is_empty() && extras.created.is_empty()) {
            return self.write_plain(to);
        }
        let family = to.family;
        while let Some(len) = family.rendered.lines().get(self.line) {
            if to.out.len() >= to.enough {
                return false;
            }
            let prefix = self.prefix(*len, family);
            let value = family.values.get(self.line).copied().unwrap_or(sidecar_model::ABSENT);
            let exemplar = self.exemplar(self.line, family).filter(|e| !e.value.is_nan());
            if !prefix.is_empty() && !is_absent(value) {
                to.out.extend_from_slice(prefix);
                write_float(value, to.out);
                to.end_line(exemplar);
                to.created(self.line, prefix);
            }
            self.line += 1;
        }
        true
    }

    /// One line and one value for each point, and nothing else.
    fn write_plain(&mut self, to: &mut Writing<'_>) -> bool {
        let rendered = &to.family.rendered;
        let lines = rendered.lines().get(self.line..).unwrap_or_default();
        let mut text = rendered.text().get(self.text..).unwrap_or_default();
        let values = to.family.values.get(self.line..).unwrap_or_default();
        for (done, (len, value)) in lines.iter().zip(values).enumerate() {
            if to.out.len() >= to.enough {
                self.text = rendered.text().len() - text.len();
                self.line += done;
                return false;
            }
            let Some((prefix, rest)) = text.split_at_checked(*len as usize) else { break };
            text = rest;
            if !is_absent(*value) && !prefix.is_empty() {
                to.out.extend_from_slice(prefix);
                write_float(*value, to.out);
                to.out.push(b'\n');
            }
        }
        true
    }

    fn write_points(&mut self, points: &[PointLines], to: &mut Writing<'_>) -> bool {
        let family = to.family;
        for lines in points.get(self.point..).unwrap_or_default() {
            if to.out.len() >= to.enough {
                return false;
            }
            let values = lines.values_of(&family.values, self.value);
            let there = lines.is_there(values);
            let sums = family.layout.points.get(self.point).is_none_or(|point| match &point.kind {
                PointKind::Histogram(bounds) => has_sums(family, bounds, values),
                PointKind::Scalar | PointKind::Summary(_) => true,
            });
            let mut last: &[u8] = &[];
            for (nth, len) in family.rendered.lines_of(self.line, *lines).iter().enumerate() {
                last = self.prefix(*len, family);
                let kind = kind_of_line(*lines, nth);
                let exemplar = if kind == 0 { self.bucket_exemplar(nth, family) } else { None };
                let value = lines.value_of_line(values, nth);
                if there && !last.is_empty() && !is_absent(value) && (kind == 0 || sums) {
                    to.out.extend_from_slice(last);
                    match (lines, kind) {
                        (PointLines::Histogram(_), 0) | (_, 2) => write_count(value, to.out),
                        _ => write_float(value, to.out),
                    }
                    to.end_line(exemplar);
                }
            }
            if there && family.rendered.metric_type() != MetricType::GaugeHistogram {
                to.created(self.point, last);
            }
            self.pass(*lines);
        }
        true
    }

    fn write_kind(&mut self, kind: usize, points: &[PointLines], to: &mut Writing<'_>) -> bool {
        let family = to.family;
        for lines in points.get(self.point..).unwrap_or_default() {
            if to.out.len() >= to.enough {
                return false;
            }
            let values = lines.values_of(&family.values, self.value);
            let there = lines.is_there(values);
            for (nth, len) in family.rendered.lines_of(self.line, *lines).iter().enumerate() {
                let prefix = self.prefix(*len, family);
                let value = lines.value_of_line(values, nth);
                let wanted = there && kind_of_line(*lines, nth) == kind;
                if wanted && !prefix.is_empty() && !is_absent(value) {
                    to.out.extend_from_slice(prefix);
                    write_float(value, to.out);
                    to.out.push(b'\n');
                }
            }
            self.pass(*lines);
        }
        true
    }

    fn pass(&mut self, lines: PointLines) {
        self.line += lines.lines();
        self.value += lines.values();
        self.point += 1;
    }

    fn prefix<'a>(&mut self, len: u32, family: &'a Shown) -> &'a [u8] {
        let end = self.text.saturating_add(len as usize);
        let prefix = family.rendered.text().get(self.text..end).unwrap_or_default();
        self.text = end;
        prefix
    }

    /// The exemplar of the value with this index; those before it are passed.
    fn exemplar<'a>(&mut self, value: usize, family: &'a Shown) -> Option<&'a Exemplar> {
        loop {
            let (index, exemplar) = family.extras.exemplars.get(self.exemplar)?;
            let index = *index as usize;
            if index > value {
                return None;
            }
            self.exemplar += 1;
            if index == value {
                return Some(exemplar);
            }
        }
    }

    fn bucket_exemplar<'a>(&mut self, nth: usize, family: &'a Shown) -> Option<&'a Exemplar> {
        let exemplar = self.exemplar(self.value.saturating_add(nth), family)?;
        match &family.layout.points.get(self.point)?.kind {
            PointKind::Histogram(bounds) => {
                legal::is_in_bucket(exemplar.value, bounds, nth).then_some(exemplar)
            }
            PointKind::Scalar | PointKind::Summary(_) => None,
        }
    }
}

/// Whether sum and count are printed: only together, and a histogram with negative buckets has no
/// sum here.
fn has_sums(family: &Shown, bounds: &[sidecar_model::Bound], values: &[f64]) -> bool {
    let can_fall = legal::has_negative(bounds);
    values.last().is_some_and(|sum| !is_absent(*sum))
        && !(can_fall && family.rendered.metric_type() == MetricType::Histogram)
}

impl Writing<'_> {
    fn end_line(&mut self, exemplar: Option<&Exemplar>) {
        if let Some(exemplar) = exemplar
            && let Some(labels) = legal::exemplar_labels(exemplar, self.escaping)
        {
            self.out.extend_from_slice(b" # {");
            for (nth, (name, value)) in labels.iter().enumerate() {
                self.out.extend_from_slice(if nth == 0 { b"" } else { b"," });
                self.out.extend_from_slice(name.as_bytes());
                self.out.extend_from_slice(b"=\"");
                escape::label_value(value, self.out);
                self.out.push(b'"');
            }
            self.out.extend_from_slice(b"} ");
            write_float(exemplar.value, self.out);
            if let Some(at) = exemplar.timestamp.filter(|at| at.abs() < FAR_SECONDS) {
                self.out.push(b' ');
                write_decimal(at, self.out);
            }
        }
        self.out.push(b'\n');
    }

    /// The point's created time, behind its samples: there a reader that looks ahead finds it.
    fn created(&mut self, point: usize, last: &[u8]) {
        let Some(at) = self.family.extras.created.get(point) else { return };
        if at.is_nan() || at.abs() >= FAR_SECONDS || last.is_empty() {
            return;
        }
        if let Some((lead, rest)) = self.family.rendered.created_prefix(last) {
            self.out.extend_from_slice(lead);
            self.out.extend_from_slice(rest);
            write_decimal(*at, self.out);
            self.out.push(b'\n');
        }
    }
}
