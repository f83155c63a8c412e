//! Bounds of histograms and quantiles of summaries: which are the same, all of both, and where a part
//! with one's bounds stands among another's. Which bounds a merged series shows.

use crate::catalog::Catalog;
use sidecar_model::{ABSENT, Bound, Total};
use std::sync::Arc;

/// Parts as pushed, at their places among the bounds of a group that has them all.
pub(crate) fn spread_parts(from: &Arc<[Bound]>, parts: &[f64], to: &Arc<[Bound]>) -> Vec<f64> {
    if same_bounds(from, to) {
        return parts.to_vec();
    }
    let mut out = vec![ABSENT; to.len() + 2];
    for (at, part) in parts.iter().enumerate() {
        if let Some(out) = place(from, at, to).and_then(|place| out.get_mut(place)) {
            *out = *part;
        }
    }
    out
}

/// The parts of a composite with the bounds `from`, placed at their own bounds among `to`.
pub(crate) fn placed(from: &[Bound], parts: &[Total], to: &[Bound]) -> Vec<Total> {
    let mut out = vec![Total::ABSENT; to.len() + 2];
    for (at, part) in parts.iter().enumerate() {
        if let Some(place) = place(from, at, to)
            && let Some(out) = out.get_mut(place)
        {
            out.join_total(*part);
        }
    }
    out
}

/// Where part `at` of a composite with the bounds `from` stands among the parts of one with the
/// bounds `to`.
pub(crate) fn place(from: &[Bound], at: usize, to: &[Bound]) -> Option<usize> {
    match from.get(at) {
        Some(bound) => to.binary_search_by(|b| b.value.total_cmp(&bound.value)).ok(),
        None => Some(to.len() + (at - from.len())),
    }
}

/// Where it stands when `to` may lack its bound: then it counts at the next one that is there. Of a
/// histogram there always is one, `+Inf`.
pub(crate) fn place_up(from: &[Bound], at: usize, to: &[Bound]) -> usize {
    match from.get(at) {
        Some(bound) => to.partition_point(|b| b.value.total_cmp(&bound.value).is_lt()),
        None => to.len() + (at - from.len()),
    }
}

pub(crate) fn same_bounds(a: &Arc<[Bound]>, b: &Arc<[Bound]>) -> bool {
    Arc::ptr_eq(a, b)
        || (a.len() == b.len()
            && a.iter().zip(b.iter()).all(|(a, b)| a.value.total_cmp(&b.value).is_eq()))
}

/// All bounds of both, each with the text it first arrived with.
pub(crate) fn union(known: &[Bound], more: &[Bound]) -> Arc<[Bound]> {
    let mut all: Vec<Bound> = known.to_vec();
    for bound in more {
        if let Err(at) = all.binary_search_by(|b| b.value.total_cmp(&bound.value)) {
            all.insert(at, bound.clone());
        }
    }
    all.into()
}

/// The bounds that both have, with the text of `known`.
pub(crate) fn in_common(known: &[Bound], other: &[Bound]) -> Arc<[Bound]> {
    let is_common =
        |bound: &&Bound| other.binary_search_by(|b| b.value.total_cmp(&bound.value)).is_ok();
    known.iter().filter(is_common).cloned().collect()
}

impl Catalog {
    /// Makes sure that the merged series knows these bounds; returns them shared when they are
    /// all it knows.
    pub(crate) fn join_bounds(&mut self, series: u32, bounds: &Arc<[Bound]>) -> Arc<[Bound]> {
        let common = match self.common_bounds.get(&series) {
            Some(known) if same_bounds(known, bounds) => Arc::clone(known),
            Some(known) => in_common(known, bounds),
            None => Arc::clone(bounds),
        };
        self.common_bounds.insert(series, Arc::clone(&common));
        let intersects = self.family_of(series).is_some_and(|(_, f)| f.intersects_bounds());
        let Some(merged) = self.merged_mut(series) else { return Arc::clone(bounds) };
        merged.mixed_bounds |= !same_bounds(&common, bounds);
        let joined = match &merged.bounds {
            Some(known) if same_bounds(known, bounds) && same_bounds(known, &common) => {
                return Arc::clone(known);
            }
            Some(known) => {
                merged.mixed_bounds |= !same_bounds(known, bounds);
                if intersects { in_common(known, &common) } else { union(known, bounds) }
            }
            None if intersects => common,
            None => Arc::clone(bounds),
        };
        let family = merged.family;
        let changed = merged.bounds.as_ref().is_none_or(|known| known.len() != joined.len());
        merged.bounds = Some(joined);
        if changed {
            self.touch(family);
        }
        Arc::clone(bounds)
    }

    /// What the series' one writer had is replaced, with other bounds: its old ones go, unless
    /// somebody else contributes.
    pub(crate) fn forget_bounds(&mut self, series: u32) {
        if !self.has_one_contribution(series) {
            return;
        }
        self.common_bounds.remove(&series);
        if let Some(merged) = self.merged_mut(series) {
            merged.bounds = None;
            merged.mixed_bounds = false;
        }
    }
}
