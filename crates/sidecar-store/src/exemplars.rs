//! Exemplars: of each counter and bucket of an instance the newest one that was pushed, and of a merged
//! one the newest of all.

use crate::bounds::place_up;
use crate::catalog::Catalog;
use crate::group::GroupState;
use crate::instance::{Body, Kind};
use crate::maps::Map;
use crate::place::Writes;
use crate::stager::Stager;
use crate::stored::stored;
use sidecar_model::{Exemplar, ExemplarParts, LabelSet, MetricType};
use std::sync::Arc;

/// Characters of an exemplar's label names and values together, as OpenMetrics allows.
const LONGEST_LABELS: usize = 128;

/// A staged sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staged {
    Known(usize),
    Parsed(usize),
}

/// An exemplar and the number of the push that it came with.
#[derive(Clone, Debug)]
pub(crate) struct Dated {
    sequence: u64,
    exemplar: Arc<Exemplar>,
}

stored!(Dated { sequence, exemplar });

/// By merged series and its part (a scalar's is 0).
pub(crate) type Newest = Map<u32, Vec<(u32, Dated)>>;

/// `None`: more than a format can carry.
pub(crate) fn exemplar_of(parts: &ExemplarParts<'_>) -> Option<Arc<Exemplar>> {
    let chars = |text: &str| text.chars().count();
    let length: usize = parts.labels.iter().map(|(name, value)| chars(name) + chars(value)).sum();
    if length > LONGEST_LABELS || parts.value.is_nan() {
        return None;
    }
    let labels = parts.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    let labels = LabelSet::new(labels.collect()).ok()?;
    Some(Arc::new(Exemplar { labels, value: parts.value, timestamp: parts.timestamp }))
}

impl Stager<'_> {
    /// The exemplars of this writer's samples that were written.
    pub(crate) fn note_exemplars(
        &self,
        body: &mut Body,
        writer: u32,
        writes: &Writes,
        sequence: u64,
    ) {
        let exemplars = self.exemplars_of(writer);
        for (staged, exemplar) in exemplars.iter().filter_map(|at| self.exemplars.get(*at as usize))
        {
            let position = match staged {
                Staged::Known(at) => self.known.get(*at).map(|(position, _)| *position),
                Staged::Parsed(at) => {
                    writes.placed.get(self.rank(*at)).copied().filter(|p| *p != u32::MAX)
                }
            };
            if let Some(position) = position {
                body.note_exemplar(position, sequence, exemplar);
            }
        }
    }
}

/// Those of a push whose samples were all known, by position.
pub(crate) fn of_known(
    exemplars: &[(Staged, Arc<Exemplar>)],
    known: &[(u32, f64)],
) -> Vec<(u32, Arc<Exemplar>)> {
    let of_known = |(staged, exemplar): &(Staged, Arc<Exemplar>)| match staged {
        Staged::Known(at) => Some((known.get(*at)?.0, Arc::clone(exemplar))),
        Staged::Parsed(_) => None,
    };
    exemplars.iter().filter_map(of_known).collect()
}

impl Body {
    pub(crate) fn note_exemplar(&mut self, position: u32, sequence: u64, exemplar: &Arc<Exemplar>) {
        let dated = Dated { sequence, exemplar: Arc::clone(exemplar) };
        self.exemplars.insert(position, dated);
    }

    /// Adds this writer's exemplars to the newest so far.
    pub(crate) fn offer_exemplars(&self, catalog: &Catalog, newest: &mut Newest) {
        for (position, dated) in &self.exemplars {
            let Some((series, part)) = self.exemplar_place(catalog, *position as usize) else {
                continue;
            };
            let Some(merged) = catalog.merged_id(series) else { continue };
            let parts = newest.entry(merged).or_default();
            match parts.iter_mut().find(|(known, _)| *known == part) {
                Some((_, known)) if known.sequence >= dated.sequence => {}
                Some((_, known)) => *known = dated.clone(),
                None => parts.push((part, dated.clone())),
            }
        }
    }

    /// The series and, of a histogram, the bucket among the merged bounds.
    fn exemplar_place(&self, catalog: &Catalog, at: usize) -> Option<(u32, u32)> {
        let target = *self.targets.get(at)?;
        match target.kind() {
            Kind::Cumulative => Some((target.index(), 0)),
            Kind::Gauge | Kind::Created => None,
            Kind::Part => {
                let group = self.groups.get(target.index() as usize)?;
                let part = at.checked_sub(group.first as usize)?;
                if group.state != GroupState::Live
                    || group.metric_type == MetricType::Summary
                    || part >= group.bounds.len()
                {
                    return None;
                }
                let merged = catalog.merged_id(group.series)?;
                let union = catalog.merged.get(merged as usize)?.bounds.as_ref()?;
                let place = place_up(&group.bounds, part, union);
                Some((group.series, u32::try_from(place).ok()?))
            }
        }
    }
}

/// The exemplars of a merged series whose values begin at `first` among the family's.
pub(crate) fn of_merged(
    newest: &Newest,
    merged: u32,
    first: usize,
    out: &mut Vec<(u32, Arc<Exemplar>)>,
) {
    let Some(parts) = newest.get(&merged) else { return };
    let from = out.len();
    for (part, dated) in parts {
        if let Ok(at) = u32::try_from(first + *part as usize) {
            out.push((at, Arc::clone(&dated.exemplar)));
        }
    }
    if let Some(added) = out.get_mut(from..) {
        added.sort_by_key(|(at, _)| *at);
    }
}
