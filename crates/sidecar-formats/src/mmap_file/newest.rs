//! Gauges of which the value that was set last counts, whichever process set it: what is needed to
//! choose it over all workers, and the way of the chosen ones into a sink.

use super::file_name::FileKind;
use super::key::Outline;
use super::layout::{Layout, Marks, Width};
use super::offer::{Extra, Offered, Way};
use crate::DecodeError;
use sidecar_model::Sink;

/// A value and when it was set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamped<'a> {
    pub key: &'a [u8],
    pub value: f64,
    /// Unix seconds; 0: it has none.
    pub timestamp: f64,
}

impl Layout {
    /// The values that have been set, with their times; those that have not are none.
    pub fn newest<'a>(&self, bytes: &'a [u8], mut visit: impl FnMut(Stamped<'a>)) {
        self.each(bytes, |stamped| {
            if stamped.timestamp > 0.0 {
                visit(stamped);
            }
        });
    }

    /// All values, each by itself, for whoever keeps them when the file is gone.
    pub fn each<'a>(&self, bytes: &'a [u8], mut visit: impl FnMut(Stamped<'a>)) {
        for entry in &*self.entries {
            let number = |at: usize| {
                let bytes = bytes.get(at..)?.first_chunk::<8>()?;
                Some(f64::from_ne_bytes(*bytes))
            };
            let at = entry.value_at as usize;
            let timestamp = match self.width {
                Width::Value => Some(0.0),
                Width::Stamped => number(at + 8),
            };
            let (Some(value), Some(timestamp)) = (number(at), timestamp) else { continue };
            let key = entry.key(bytes);
            if !key.is_empty() && !entry.marks.has(Marks::TOTAL) {
                visit(Stamped { key, value, timestamp });
            }
        }
    }
}

/// Offers single values by their keys, families one after the other.
pub fn offer_values<'a, S: Sink>(
    kind: FileKind,
    values: impl IntoIterator<Item = (&'a [u8], f64)>,
    extra: &'a Extra<'a>,
    sink: &mut S,
) -> Result<Offered, DecodeError> {
    let mut way = Way::new(kind, &[], extra, sink);
    let mut labels = Vec::new();
    let mut open = None;
    for (key, value) in values {
        let metric = Outline::parse(key, &mut labels).map(|outline| outline.metric);
        if open != metric {
            way.begin_family();
            open = metric;
        }
        way.give(key, value)?;
    }
    Ok(way.offered)
}
