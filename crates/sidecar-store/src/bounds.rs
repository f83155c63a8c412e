//! Bounds of histograms and quantiles of summaries: which are the same, all of both, and where a part
//! with one's bounds stands among another's.

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
    let mut out = vec![Total::ZERO; to.len() + 2];
    for (at, part) in parts.iter().enumerate() {
        if let Some(place) = place(from, at, to)
            && let Some(out) = out.get_mut(place)
        {
            out.add_total(*part);
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
