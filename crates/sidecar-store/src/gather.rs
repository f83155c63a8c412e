//! The parts of histograms and summaries in one push, gathered, put in bound order and settled.

use crate::bounds::same_bounds;
use crate::draft::{Draft, Drafter, FamilyRef, GroupDraft};
use crate::group::{self, GroupState};
use crate::instance::Body;
use crate::maps::Map;
use sidecar_model::{ABSENT, Bound, MetricType, Role};
use std::sync::Arc;

/// A group while its parts are gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) family: FamilyRef,
    pub(crate) metric_type: MetricType,
    pub(crate) group: Option<u32>,
    pub(crate) labels_of: Option<usize>,
    pub(crate) parts: Vec<PartDraft>,
}

#[derive(Clone, Debug)]
pub(crate) struct PartDraft {
    pub(crate) role: Role,
    pub(crate) bound: f64,
    pub(crate) value: f64,
    pub(crate) from: PartSource,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PartSource {
    Parsed(usize),
    Known(u32),
}

impl Drafter<'_> {
    /// The group of the part before, if it has these labels too: parts mostly come one behind the
    /// other, and need no look-up then.
    pub(crate) fn same_group(
        &self,
        gathered: &Gathering,
        family: usize,
        labels: &[u8],
    ) -> Option<usize> {
        let last = gathered.groups.get(gathered.last)?;
        let sample = self.stager.parsed.get(last.labels_of?)?;
        let same = last.family == FamilyRef::Drafted(family);
        (same && self.stager.labels_of(sample) == labels).then_some(gathered.last)
    }

    pub(crate) fn gather_known(
        &self,
        gathered: &mut Gathering,
        index: u32,
        position: u32,
        value: f64,
        body: &Body,
    ) {
        let group = &body.groups[index as usize];
        let Some((family, _)) = self.catalog.family_of(group.series) else { return };
        let at = (position - group.first) as usize;
        let role = match group.bounds.get(at) {
            Some(_) if group.metric_type == MetricType::Summary => Role::Quantile,
            Some(_) => Role::Bucket,
            None if at == group.sum_at() => Role::Sum,
            None => Role::Count,
        };
        let bound = group.bounds.get(at).map_or(ABSENT, |b| b.value);
        let from = PartSource::Known(position);
        gathered.known(index, FamilyRef::Known(family), group.metric_type).parts.push(PartDraft {
            role,
            bound,
            value,
            from,
        });
    }

    /// Puts the parts in order and settles them; what is not valid refuses its family.
    pub(crate) fn finish_group(&self, draft: &mut Draft, gathered: &Gathered, body: &Body) {
        let bounds = match draft.groups.last() {
            Some(last) if self.has_bounds(gathered, &last.bounds) => Arc::clone(&last.bounds),
            Some(_) | None => self.bounds_of(gathered, body).into(),
        };
        let bounds = shared_with_group(bounds, gathered, body);
        let (sum_at, count_at) = (bounds.len(), bounds.len() + 1);
        let mut parts = vec![ABSENT; bounds.len() + 2];
        let mut parsed = Vec::new();
        let mut known = vec![false; parts.len()];
        let mut filled = 0;
        for part in &gathered.parts {
            let at = match part.role {
                Role::Sum => sum_at,
                Role::Count => count_at,
                Role::Bucket | Role::Quantile | Role::Value | Role::Created => {
                    let place = bounds.binary_search_by(|b| b.value.total_cmp(&part.bound));
                    let Ok(at) = place else { continue };
                    at
                }
            };
            let is_known = matches!(part.from, PartSource::Known(_));
            let first = sidecar_model::is_absent(parts[at]);
            draft.order_matters |= !first && known[at] != is_known;
            known[at] = is_known;
            filled += u32::from(first);
            parts[at] = part.value;
            if let PartSource::Parsed(sample) = part.from {
                parsed.push((sample, u32::try_from(at).unwrap_or(u32::MAX)));
            }
        }
        match group::settle(gathered.metric_type, &mut parts) {
            Ok(left_out) => draft.non_finite_sums += u64::from(left_out),
            Err(reason) => {
                draft.refuse(gathered.family, reason);
                return;
            }
        }
        draft.groups.push(GroupDraft {
            family: gathered.family,
            group: gathered.group,
            labels_of: gathered.labels_of,
            bounds,
            parts,
            pushed_parts: filled,
            parsed,
            samples: gathered.parts.len() as u64,
        });
    }

    /// The bounds that the push has.
    fn bounds_of(&self, gathered: &Gathered, body: &Body) -> Vec<Bound> {
        let mut bounds: Vec<Bound> = Vec::new();
        for part in &gathered.parts {
            if !matches!(part.role, Role::Bucket | Role::Quantile) {
                continue;
            }
            if let Err(at) = bounds.binary_search_by(|b| b.value.total_cmp(&part.bound)) {
                bounds.insert(at, Bound { value: part.bound, text: self.bound_text(part, body) });
            }
        }
        let infinite = bounds.last().is_some_and(|b| b.value == f64::INFINITY);
        if gathered.metric_type != MetricType::Summary && !infinite {
            bounds.push(Bound { value: f64::INFINITY, text: "+Inf".into() });
        }
        bounds
    }

    /// Whether the parts are those of these bounds, text for text and in their order, as they are for
    /// one series of a family after the other.
    fn has_bounds(&self, gathered: &Gathered, bounds: &[Bound]) -> bool {
        let own = gathered.parts.iter().filter_map(|part| match (part.role, part.from) {
            (Role::Bucket | Role::Quantile, PartSource::Parsed(at)) => {
                let text = self.stager.parsed.get(at).map_or("", |s| self.stager.bound_text_of(s));
                Some((part.bound.to_bits(), text))
            }
            (Role::Bucket | Role::Quantile, PartSource::Known(_)) => Some((ABSENT.to_bits(), "")),
            (Role::Sum | Role::Count | Role::Value | Role::Created, _) => None,
        });
        own.eq(bounds.iter().map(|bound| (bound.value.to_bits(), &*bound.text)))
    }

    fn bound_text(&self, part: &PartDraft, body: &Body) -> Box<str> {
        match part.from {
            PartSource::Parsed(at) => {
                self.stager.parsed.get(at).map_or("", |s| self.stager.bound_text_of(s)).into()
            }
            PartSource::Known(position) => {
                let group = &body.groups[body.targets[position as usize].index() as usize];
                let at = (position - group.first) as usize;
                group.bounds.get(at).map_or("", |b| &b.text).into()
            }
        }
    }
}

/// The instance's group has them already, if they are the same.
fn shared_with_group(bounds: Arc<[Bound]>, gathered: &Gathered, body: &Body) -> Arc<[Bound]> {
    match gathered.group.and_then(|at| body.groups.get(at as usize)) {
        Some(group) if group.state == GroupState::Live && same_bounds(&group.bounds, &bounds) => {
            Arc::clone(&group.bounds)
        }
        Some(_) | None => bounds,
    }
}

/// Groups of one push, found by family and labels, or by the instance's group.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pub(crate) groups: Vec<Gathered>,
    by_labels: Map<(usize, Box<[u8]>), usize>,
    by_group: Map<u32, usize>,
    /// Whose part came last.
    last: usize,
}

impl Gathering {
    pub(crate) fn of(
        &mut self,
        family: FamilyRef,
        labels: &[u8],
        group: Option<u32>,
        metric_type: MetricType,
    ) -> &mut Gathered {
        let drafted = match family {
            FamilyRef::Drafted(at) => at,
            FamilyRef::Known(_) => usize::MAX,
        };
        let next = self.groups.len();
        let at = match group {
            Some(group) => *self.by_group.entry(group).or_insert(next),
            None => *self.by_labels.entry((drafted, labels.into())).or_insert(next),
        };
        self.at(at, family, group, metric_type)
    }

    fn known(&mut self, group: u32, family: FamilyRef, metric_type: MetricType) -> &mut Gathered {
        let next = self.groups.len();
        let at = *self.by_group.entry(group).or_insert(next);
        self.at(at, family, Some(group), metric_type)
    }

    fn at(
        &mut self,
        at: usize,
        family: FamilyRef,
        group: Option<u32>,
        metric_type: MetricType,
    ) -> &mut Gathered {
        if at == self.groups.len() {
            let parts = Vec::new();
            self.groups.push(Gathered { family, metric_type, group, labels_of: None, parts });
        }
        self.last = at;
        &mut self.groups[at]
    }
}
