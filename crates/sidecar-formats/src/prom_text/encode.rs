//! Encodes an exposition as text 0.0.4, or 1.0.0, which is the same with quoted names: everything
//! but the numbers is rendered once per layout, so that a scrape is copy and number text.

use crate::number::write_value;
use crate::page::{Encoded, Page};
use crate::rendered::{Dialect, Kept, PointLines, Rendered, Shown, Style};
use sidecar_model::{Escaping, Exposition, is_absent};
use std::fmt;

/// Keeps what it rendered for the layouts of the last exposition.
pub struct TextEncoder {
    kept: Kept,
}

impl TextEncoder {
    pub fn new() -> TextEncoder {
        TextEncoder { kept: kept(Escaping::Underscores) }
    }

    /// Appends the whole text, names under the scheme `underscores`.
    pub fn encode(&mut self, exposition: &Exposition, out: &mut Vec<u8>) -> Encoded {
        let mut page = self.page(exposition.clone(), Escaping::Underscores);
        while page.write_some(usize::MAX, out) {}
        page.encoded()
    }

    /// The text in pieces; the page needs the encoder no longer.
    pub fn page(&mut self, exposition: Exposition, escaping: Escaping) -> TextPage {
        if self.kept.style().escaping != escaping {
            self.kept = kept(escaping);
        }
        let families = self.kept.show(exposition);
        TextPage { families, next: 0, cursor: Cursor::default(), encoded: self.kept.encoded() }
    }
}

impl Default for TextEncoder {
    fn default() -> TextEncoder {
        TextEncoder::new()
    }
}

fn kept(escaping: Escaping) -> Kept {
    Kept::new(Style { dialect: Dialect::Prometheus, escaping })
}

impl fmt::Debug for TextEncoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TextEncoder").field("families", &self.kept.families()).finish()
    }
}

/// One exposition on its way out.
pub struct TextPage {
    families: Vec<Shown>,
    next: usize,
    cursor: Cursor,
    encoded: Encoded,
}

impl Page for TextPage {
    fn encoded(&self) -> Encoded {
        self.encoded
    }

    fn write_some(&mut self, enough: usize, out: &mut Vec<u8>) -> bool {
        while let Some(Shown { rendered, values, .. }) = self.families.get(self.next) {
            if !self.cursor.write(rendered, values, enough, out) {
                return true;
            }
            self.next += 1;
            self.cursor = Cursor::default();
        }
        false
    }
}

impl fmt::Debug for TextPage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TextPage").field("families", &self.families.len()).finish()
    }
}

/// How far a family is written.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    started: bool,
    text: usize,
    line: usize,
    value: usize,
    point: usize,
}

impl Cursor {
    /// Goes on until `out` has `enough` bytes or the family is done; whether it is done.
    fn write(
        &mut self,
        family: &Rendered,
        values: &[f64],
        enough: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.started {
            if !family.has_any(values) {
                return true;
            }
            self.started = true;
            out.extend_from_slice(family.head());
        }
        match family.point_lines() {
            None => self.write_scalars(family, values, enough, out),
            Some(points) => self.write_points(family, points, values, enough, out),
        }
    }

    fn write_scalars(
        &mut self,
        family: &Rendered,
        values: &[f64],
        enough: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let lines = family.lines().get(self.line..).unwrap_or_default();
        let mut text = family.text().get(self.text..).unwrap_or_default();
        let values = values.get(self.line..).unwrap_or_default();
        for (done, (len, value)) in lines.iter().zip(values).enumerate() {
            if out.len() >= enough {
                self.text = family.text().len() - text.len();
                self.line += done;
                return false;
            }
            let Some((prefix, rest)) = text.split_at_checked(*len as usize) else { break };
            text = rest;
            write_line(prefix, *value, out);
        }
        true
    }

    fn write_points(
        &mut self,
        family: &Rendered,
        points: &[PointLines],
        values: &[f64],
        enough: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        for point in points.get(self.point..).unwrap_or_default() {
            if out.len() >= enough {
                return false;
            }
            let lines = family.lines_of(self.line, *point);
            let values = point.values_of(values, self.value);
            let there = point.is_there(values);
            for (nth, len) in lines.iter().enumerate() {
                let end = self.text.saturating_add(*len as usize);
                let prefix = family.text().get(self.text..end).unwrap_or_default();
                self.text = end;
                if there {
                    write_line(prefix, point.value_of_line(values, nth), out);
                }
            }
            self.line += lines.len();
            self.value += point.values();
            self.point += 1;
        }
        true
    }
}

/// An empty prefix: the line is left out.
#[inline]
fn write_line(prefix: &[u8], value: f64, out: &mut Vec<u8>) {
    if !is_absent(value) && !prefix.is_empty() {
        out.extend_from_slice(prefix);
        write_value(value, out);
        out.push(b'\n');
    }
}
