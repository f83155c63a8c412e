//! Gauges of which the value that was set last counts, whichever process set it: what is needed to
//! choose it over all workers, and the way of the chosen ones into a sink.

use super::file_name::FileKind;
use super::key::Outline;
use super::layout::{Layout, Width};
use super::offer::{Extra, Offered, Way};
use crate::DecodeError;
use sidecar_model::Sink;

/// A value and when it was set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamped<'a> {
    pub key: &'a [u8],
    pub value: f64,
    /// Unix seconds, more than 0.
    pub timestamp: f64,
}

impl Layout {
    /// The values that have been set, with their times; those that have not are none.
    pub fn newest<'a>(&self, bytes: &'a [u8], mut visit: impl FnMut(Stamped<'a>)) {
        if self.width != Width::Stamped {
            return;
        }
        for entry in &*self.entries {
            let at = entry.value_at as usize;
            let Some((value, rest)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<8>)
            else {
                continue;
            };
            let Some(timestamp) = rest.first_chunk::<8>() else { continue };
            let (value, timestamp) = (f64::from_ne_bytes(*value), f64::from_ne_bytes(*timestamp));
            let key = entry.key(bytes);
            if timestamp > 0.0 && !key.is_empty() {
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
