//! Which new series of a push have room: in the instance, in their job, in total, in memory.

use crate::bounds::same_bounds;
use crate::draft::{Draft, Drafter, FamilyRef};
use crate::instance::Body;
use crate::maps::Map;
use crate::outcome::Reason;
use sidecar_model::LabelSet;

/// What is left for new series.
struct Left<'a> {
    shared: usize,
    /// Why there is no more of `shared`.
    reason: Reason,
    /// By job, of those that were asked for; `None`: no job has a limit.
    jobs: Option<Map<Box<str>, usize>>,
    of_job: &'a dyn Fn(&str) -> usize,
}

impl Left<'_> {
    fn take(&mut self, needed: usize, labels: &[u8]) -> Result<(), Reason> {
        if needed == 0 {
            return Ok(());
        }
        if needed > self.shared {
            return Err(self.reason.clone());
        }
        if let Some(jobs) = &mut self.jobs {
            let job = LabelSet::value_in(labels, "job").unwrap_or("");
            if !jobs.contains_key(job) {
                jobs.insert(job.into(), (self.of_job)(job));
            }
            let Some(left) = jobs.get_mut(job).filter(|left| needed <= **left) else {
                return Err(Reason::JobSeriesLimit);
            };
            *left -= needed;
        }
        self.shared -= needed;
        Ok(())
    }
}

impl Drafter<'_> {
    /// Leaves out new series beyond the limits, a histogram whole.
    pub(crate) fn limit(&self, draft: &mut Draft, body: &Body) {
        let of_job = |job: &str| self.catalog.jobs.series_room(job, self.settings);
        let mut left = self.left(body, &of_job);
        let needed =
            draft.scalars.len() + draft.groups.iter().map(|g| g.parts.len()).sum::<usize>();
        let is_short = self.stager.is_short();
        if left.shared >= needed && left.jobs.is_none() && !is_short {
            return;
        }
        let labels = |parsed: usize| self.stager.labels_of(&self.stager.parsed[parsed]);
        let Draft { families, scalars, groups, .. } = draft;
        let mut admit = |family: Option<usize>, needed: usize, labels: &[u8]| {
            let Err(reason) = left.take(needed, labels) else { return true };
            if let Some(family) = family.and_then(|at| families.get_mut(at)) {
                family.limited.get_or_insert(reason);
            }
            false
        };
        scalars
            .retain(|s| admit(Some(s.family), usize::from(s.position.is_none()), labels(s.parsed)));
        groups.retain(|g| {
            let family = match g.family {
                FamilyRef::Drafted(at) => Some(at),
                FamilyRef::Known(_) => None,
            };
            let same = g.group.and_then(|at| body.groups.get(at as usize));
            let known = same.is_some_and(|old| same_bounds(&old.bounds, &g.bounds));
            let labels = match (g.labels_of, same) {
                (Some(parsed), _) => labels(parsed),
                (None, Some(old)) => self.catalog.series[old.series as usize].labels.as_bytes(),
                (None, None) => &[],
            };
            admit(family, if known { 0 } else { g.parts.len() }, labels)
        });
        if is_short {
            self.refuse_new_families(draft, body);
        }
    }

    fn left<'a>(&self, body: &Body, of_job: &'a dyn Fn(&str) -> usize) -> Left<'a> {
        let limits = &self.settings.limits;
        let total = usize::try_from(self.catalog.contributions).unwrap_or(usize::MAX);
        let mut shared = limits.series_per_instance.saturating_sub(body.positions());
        let mut reason = Reason::InstanceSeriesLimit;
        let in_total = limits.series.saturating_sub(total);
        if in_total < shared {
            (shared, reason) = (in_total, Reason::SeriesLimit);
        }
        if self.stager.is_short() {
            (shared, reason) = (0, Reason::MemoryLimit);
        }
        let seed = || self.catalog.seed.clone();
        let jobs = self.settings.limits_series_of_jobs().then(|| Map::with_hasher(seed()));
        Left { shared, reason, jobs, of_job }
    }

    /// A family takes memory before it has a series.
    fn refuse_new_families(&self, draft: &mut Draft, body: &Body) {
        for family in draft.families.iter_mut().filter(|family| family.existing.is_none()) {
            family.refused.get_or_insert(Reason::MemoryLimit);
        }
        draft.drop_refused(self.catalog, body);
    }
}
