//! Encodes an exposition: everything but the numbers is rendered once per layout, so that a scrape
//! is copy and number text.

use super::render::{PointLines, Rendered};
use crate::number::write_value;
use crate::page::{Encoded, Page};
use hashbrown::{HashMap, HashSet};
use sidecar_model::{Exposition, is_absent};
use std::fmt;
use std::sync::Arc;

/// Keeps what it rendered for the layouts of the last exposition.
#[derive(Default)]
pub struct TextEncoder {
    /// As the families of the last exposition; `None`: left out, its names are another's.
    entries: Vec<(u64, Option<Arc<Rendered>>)>,
    left_out: usize,
}

impl TextEncoder {
    pub fn new() -> TextEncoder {
        TextEncoder::default()
    }

    /// Appends the whole text.
    pub fn encode(&mut self, exposition: &Exposition, out: &mut Vec<u8>) -> Encoded {
        self.prepare(exposition);
        for ((_, rendered), family) in self.entries.iter().zip(&exposition.families) {
            if let Some(rendered) = rendered {
                Cursor::default().write(rendered, &family.values, usize::MAX, out);
            }
        }
        Encoded { left_out: self.left_out }
    }

    /// The text in pieces; the page needs the encoder no longer.
    pub fn page(&mut self, exposition: Exposition) -> TextPage {
        self.prepare(&exposition);
        let rendered = self.entries.iter().map(|(_, rendered)| rendered.clone());
        let families = exposition
            .families
            .into_iter()
            .zip(rendered)
            .filter_map(|(family, rendered)| Some((rendered?, family.values)))
            .collect();
        let encoded = Encoded { left_out: self.left_out };
        TextPage { families, next: 0, cursor: Cursor::default(), encoded }
    }

    /// Brings `entries` up to the exposition.
    fn prepare(&mut self, exposition: &Exposition) {
        let ids = || exposition.families.iter().map(|family| family.layout.id);
        if self.entries.iter().map(|(id, _)| *id).eq(ids()) {
            return;
        }
        let mut old: HashMap<u64, Option<Arc<Rendered>>, foldhash::fast::RandomState> =
            self.entries.drain(..).collect();
        let rendered: Vec<Arc<Rendered>> = exposition
            .families
            .iter()
            .map(|family| {
                let kept = old.remove(&family.layout.id).flatten();
                kept.unwrap_or_else(|| Arc::new(Rendered::new(&family.layout)))
            })
            .collect();
        let hidden = hidden_by_names(&rendered);
        self.left_out = rendered
            .iter()
            .zip(&hidden)
            .map(|(r, hidden)| if *hidden { r.points() } else { r.left_out() })
            .sum();
        let shown = rendered.into_iter().zip(hidden).map(|(r, hidden)| (!hidden).then_some(r));
        self.entries = ids().zip(shown).collect();
    }
}

/// For each family whether a name that it prints is another's. A name as it was written goes
/// before one made by escaping; then the first one counts.
fn hidden_by_names(rendered: &[Arc<Rendered>]) -> Vec<bool> {
    let mut taken: HashSet<&str, foldhash::fast::RandomState> = HashSet::default();
    let mut hidden = vec![false; rendered.len()];
    for escaped in [false, true] {
        for (family, hidden) in rendered.iter().zip(&mut hidden) {
            if family.is_escaped() != escaped {
                continue;
            }
            let names = family.names();
            *hidden = names.is_empty() || names.iter().any(|name| taken.contains(name.as_str()));
            if !*hidden {
                taken.extend(names.iter().map(String::as_str));
            }
        }
    }
    hidden
}

impl fmt::Debug for TextEncoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TextEncoder").field("families", &self.entries.len()).finish()
    }
}

/// One exposition on its way out.
pub struct TextPage {
    families: Vec<(Arc<Rendered>, Vec<f64>)>,
    next: usize,
    cursor: Cursor,
    encoded: Encoded,
}

impl Page for TextPage {
    fn encoded(&self) -> Encoded {
        self.encoded
    }

    fn write_some(&mut self, enough: usize, out: &mut Vec<u8>) -> bool {
        while let Some((rendered, values)) = self.families.get(self.next) {
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
