//! Encodes an exposition: everything but the numbers is rendered once per layout. Families of
//! plain values, of which pages mostly consist, are written straight to the page; a family with
//! widths that depend on its numbers is first written aside, since its length stands before it.

use super::points::Shown;
use super::put;
use super::render::{Rendered, field_and_kind};
use crate::page::{Encoded, Page};
use hashbrown::{HashMap, HashSet};
use sidecar_model::{Escaping, Exposition, FamilyExposition, is_absent};
use std::fmt;
use std::sync::Arc;

/// Bytes of a value and what stands before it in its metric, behind the labels.
const VALUE_BYTES: usize = 11;
/// Tag of a metric in its family.
const METRIC_TAG: u8 = 0x22;
/// Tag of a value in its message.
const VALUE_TAG: u8 = 0x09;
/// A value with its tag.
const MESSAGE_BYTES: u8 = 9;

/// Keeps what it rendered for the layouts of the last exposition.
#[derive(Default)]
pub struct ProtobufEncoder {
    escaping: Escaping,
    /// As the families of the last exposition; `None`: left out, its names are another's.
    entries: Vec<(u64, Option<Arc<Rendered>>)>,
    left_out: usize,
}

impl ProtobufEncoder {
    pub fn new() -> ProtobufEncoder {
        ProtobufEncoder::default()
    }

    /// The page in pieces; it needs the encoder no longer.
    pub fn page(&mut self, exposition: Exposition, escaping: Escaping) -> ProtobufPage {
        self.prepare(&exposition, escaping);
        let rendered = self.entries.iter().map(|(_, rendered)| rendered.clone());
        let families = exposition
            .families
            .into_iter()
            .zip(rendered)
            .filter_map(|(family, rendered)| Some((rendered?, family)))
            .collect();
        ProtobufPage {
            families,
            next: 0,
            progress: Progress::Fresh,
            aside: Vec::new(),
            escaping,
            encoded: Encoded { left_out: self.left_out },
        }
    }

    /// Brings `entries` up to the exposition.
    fn prepare(&mut self, exposition: &Exposition, escaping: Escaping) {
        if self.escaping != escaping {
            self.escaping = escaping;
            self.entries.clear();
        }
        let ids = || exposition.families.iter().map(|family| family.layout.id);
        if !self.entries.is_empty() && self.entries.iter().map(|(id, _)| *id).eq(ids()) {
            return;
        }
        let mut old: HashMap<u64, Option<Arc<Rendered>>, foldhash::fast::RandomState> =
            self.entries.drain(..).collect();
        let rendered: Vec<Arc<Rendered>> = exposition
            .families
            .iter()
            .map(|family| {
                let kept = old.remove(&family.layout.id).flatten();
                kept.unwrap_or_else(|| Arc::new(Rendered::new(&family.layout, escaping)))
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

/// For each family whether a name that its series would have is another's. A name as it was written
/// goes before one made by escaping; then the first one counts.
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

impl fmt::Debug for ProtobufEncoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ProtobufEncoder").field("families", &self.entries.len()).finish()
    }
}

/// One exposition on its way out.
pub struct ProtobufPage {
    families: Vec<(Arc<Rendered>, FamilyExposition)>,
    next: usize,
    progress: Progress,
    /// The family that is written aside.
    aside: Vec<u8>,
    escaping: Escaping,
    encoded: Encoded,
}

/// How far a family is written.
#[derive(Clone, Copy, Debug)]
enum Progress {
    Fresh,
    /// Plain values: so many points, whose labels took so many bytes.
    Plain {
        point: usize,
        labels: usize,
    },
    /// Bytes of what was written aside.
    Aside(usize),
}

impl Page for ProtobufPage {
    fn encoded(&self) -> Encoded {
        self.encoded
    }

    fn write_some(&mut self, enough: usize, out: &mut Vec<u8>) -> bool {
        while let Some((rendered, family)) = self.families.get(self.next) {
            let progress = match self.progress {
                Progress::Fresh => begin(rendered, family, self.escaping, &mut self.aside, out),
                begun @ (Progress::Plain { .. } | Progress::Aside(_)) => Some(begun),
            };
            let left = match progress {
                None => None,
                Some(Progress::Aside(at)) => {
                    let rest = self.aside.get(at..).unwrap_or_default();
                    let (now, later) = rest
                        .split_at_checked(enough.saturating_sub(out.len()))
                        .unwrap_or((rest, &[]));
                    out.extend_from_slice(now);
                    (!later.is_empty()).then_some(Progress::Aside(at + now.len()))
                }
                Some(Progress::Plain { point, labels }) => {
                    write_plain(rendered, family, (point, labels), enough, out)
                }
                Some(Progress::Fresh) => None,
            };
            match left {
                Some(progress) => {
                    self.progress = progress;
                    return true;
                }
                None => {
                    self.next += 1;
                    self.progress = Progress::Fresh;
                }
            }
        }
        false
    }
}

impl fmt::Debug for ProtobufPage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ProtobufPage").field("families", &self.families.len()).finish()
    }
}

/// Writes what stands before the metrics, or all of the family aside. `None`: it has no metrics.
fn begin(
    rendered: &Rendered,
    family: &FamilyExposition,
    escaping: Escaping,
    aside: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Option<Progress> {
    let extras = &family.extras;
    if rendered.all_scalars() && extras.exemplars.is_empty() && extras.created.is_empty() {
        let metrics: usize = rendered
            .lens()
            .zip(&family.values)
            .filter(|(_, value)| !is_absent(**value))
            .filter_map(|(len, _)| len)
            .map(|len| 1 + put::varint_len(len + VALUE_BYTES) + len + VALUE_BYTES)
            .sum();
        if metrics == 0 {
            return None;
        }
        put::len(rendered.head().len() + metrics, out);
        out.extend_from_slice(rendered.head());
        return Some(Progress::Plain { point: 0, labels: 0 });
    }
    aside.clear();
    write_aside(rendered, family, escaping, aside);
    if aside.is_empty() {
        return None;
    }
    put::len(rendered.head().len() + aside.len(), out);
    out.extend_from_slice(rendered.head());
    Some(Progress::Aside(0))
}

fn write_aside(
    rendered: &Rendered,
    family: &FamilyExposition,
    escaping: Escaping,
    aside: &mut Vec<u8>,
) {
    let mut first = 0;
    let mut rest = rendered.labels();
    for (index, (point, len)) in family.layout.points.iter().zip(rendered.lens()).enumerate() {
        let end = first + point.len();
        let values = family.values.get(first..end).unwrap_or_default();
        if let Some(len) = len
            && let Some((labels, behind)) = rest.split_at_checked(len)
        {
            rest = behind;
            let metric_type = rendered.metric_type();
            let extras = &family.extras;
            Shown { point, labels, values, first, index, extras, metric_type, escaping }
                .write(aside);
        }
        first = end;
    }
}

/// Goes on with plain values until `out` has `enough` bytes; where it stopped.
fn write_plain(
    rendered: &Rendered,
    family: &FamilyExposition,
    (point, mut labels_at): (usize, usize),
    enough: usize,
    out: &mut Vec<u8>,
) -> Option<Progress> {
    let (field, _) = field_and_kind(rendered.metric_type());
    let tag = u8::try_from(field << 3 | 2).unwrap_or_default();
    let mut behind = [0; VALUE_BYTES];
    let mut rest = rendered.labels().get(labels_at..).unwrap_or_default();
    let values = family.values.get(point..).unwrap_or_default();
    for (nth, (len, value)) in rendered.lens().skip(point).zip(values).enumerate() {
        let Some(len) = len else { continue };
        if out.len() >= enough {
            return Some(Progress::Plain { point: point + nth, labels: labels_at });
        }
        let Some((labels, others)) = rest.split_at_checked(len) else { break };
        rest = others;
        labels_at += len;
        if is_absent(*value) {
            continue;
        }
        out.push(METRIC_TAG);
        put::len(len + VALUE_BYTES, out);
        out.extend_from_slice(labels);
        if let Some((head, bits)) = behind.split_first_chunk_mut::<3>() {
            *head = [tag, MESSAGE_BYTES, VALUE_TAG];
            bits.copy_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&behind);
    }
    None
}
