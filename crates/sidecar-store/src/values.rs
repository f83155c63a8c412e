//! Writing values: what counts as a restart, what joins the base, when a shared id is proved.

use crate::bounds::same_bounds;
use crate::catalog::Catalog;
use crate::draft::{Draft, GroupDraft};
use crate::faults::{self, Step};
use crate::group::{self, GroupState};
use crate::instance::{Body, Kind, Stamp, WATCHED_FALLS, WriterRole, keep_last};
use crate::place::{PROCESS_START, Writes};
use crate::stager::{Clearing, Stager};
use sidecar_model::{MetricType, Total, is_absent};

/// How the values of one writer's push are to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) role: WriterRole,
    pub(crate) stamp: Stamp,
    /// The push comes with a new epoch.
    pub(crate) new_epoch: bool,
    /// The instance departed and is back.
    pub(crate) returns: bool,
    /// What was counted before was counted by another life.
    pub(crate) begins_anew: bool,
}

/// Whose push it is, as far as epoch and start time tell.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// A new epoch, or a later start.
    new_life: bool,
    /// Not the life of the push before: an earlier start, too.
    another_life: bool,
}

/// Settled parts of one group.
#[derive(Debug)]
pub(crate) struct GroupWrite {
    pub(crate) group: u32,
    pub(crate) parts: Vec<f64>,
    /// Of deltas.
    pub(crate) clearing: Clearing,
}

/// What a write brought to light.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    /// Counters and histograms that began anew.
    pub(crate) resets: u64,
    /// This push proved that two processes share the id.
    pub(crate) proved_shared: bool,
}

impl Body {
    /// Writes all values of a push. `baseline` tells of a position without a value whether its
    /// first value counts for nothing.
    pub(crate) fn write_all(
        &mut self,
        catalog: &Catalog,
        writes: &Writes,
        manner: Manner,
        baseline: &dyn Fn(u32) -> bool,
    ) -> Findings {
        let (scalars, groups) = (&writes.scalars, &writes.groups);
        match manner.role {
            WriterRole::Identified => self.write_identified(scalars, groups, manner, baseline),
            WriterRole::Anonymous | WriterRole::Group => {
                self.write_anonymous(catalog, scalars, groups, manner.stamp);
                Findings::default()
            }
            WriterRole::Accumulator => {
                self.accumulate(catalog, writes, manner.stamp);
                Findings::default()
            }
        }
    }

    // ---- an instance with an id

    fn write_identified(
        &mut self,
        scalars: &[(u32, f64)],
        groups: &[GroupWrite],
        manner: Manner,
        baseline: &dyn Fn(u32) -> bool,
    ) -> Findings {
        let falls = self.falls(scalars, groups);
        let new_life = manner.new_epoch || self.start_time_moves(scalars, f64::gt);
        let another_life = new_life || self.start_time_moves(scalars, f64::lt);
        let proved_shared = !manner.returns
            && self.watch_falls(&falls, scalars, groups, Life { new_life, another_life });
        let mut findings = Findings { resets: 0, proved_shared };
        if !self.watch.shared {
            if manner.begins_anew {
                findings.resets += self.restart_all();
            } else {
                findings.resets += self.restart_newer_created(scalars);
            }
        }
        for (position, value) in scalars {
            findings.resets += self.write_scalar(*position, *value, manner.stamp, baseline);
        }
        for write in groups {
            findings.resets += self.write_group(write, manner.stamp, baseline);
        }
        if let Some(position) = self.start_time {
            self.started = self.values[position as usize];
        }
        if findings.resets > 0 {
            self.restarts += 1;
        }
        findings
    }

    /// Cumulative positions that fall, with what they have: of a group its count.
    fn falls(&self, scalars: &[(u32, f64)], groups: &[GroupWrite]) -> Vec<(u32, f64)> {
        let mut falls = Vec::new();
        for (position, value) in scalars {
            let old = self.values[*position as usize];
            let cumulative = self.targets[*position as usize].kind() == Kind::Cumulative;
            if cumulative && !is_absent(old) && *value < old {
                falls.push((*position, old));
            }
        }
        for write in groups {
            let group = &self.groups[write.group as usize];
            let old = &self.values[group.range()];
            if group::falls(group.metric_type, old, &write.parts) {
                let count = group.first as usize + group.count_at();
                falls.push((u32::try_from(count).unwrap_or(u32::MAX), self.values[count]));
            }
        }
        falls
    }

    /// Two processes under one id: a push that falls, then one that is back at or above what
    /// fell, twice in a row. A fall that a new life explains proves nothing when what comes next is
    /// of the same life: a process that starts often and counts little does so. True when this
    /// push proves it.
    fn watch_falls(
        &mut self,
        falls: &[(u32, f64)],
        scalars: &[(u32, f64)],
        groups: &[GroupWrite],
        life: Life,
    ) -> bool {
        if self.watch.shared {
            return false;
        }
        if self.watch.fell.is_empty() {
            if falls.is_empty() {
                self.watch.returns = 0;
            }
        } else {
            let fell = std::mem::take(&mut self.watch.fell);
            let proves = life.another_life || !self.watch.explained;
            match self.is_back(&fell, scalars, groups) {
                Some(true) if proves => self.watch.returns += 1,
                Some(_) => self.watch.returns = 0,
                None => self.watch.fell = fell,
            }
        }
        if !falls.is_empty() {
            self.watch.fell = falls.iter().take(WATCHED_FALLS).copied().collect();
            self.watch.explained = life.new_life;
        }
        self.watch.shared = self.watch.returns >= 2;
        self.watch.shared
    }

    /// Whether what fell is back at or above what it had; `None`: the push has nothing of it.
    fn is_back(
        &self,
        fell: &[(u32, f64)],
        scalars: &[(u32, f64)],
        groups: &[GroupWrite],
    ) -> Option<bool> {
        let mut back = None;
        let mut seen = |position: u32, value: f64| {
            for (_, had) in fell.iter().filter(|(fell, _)| *fell == position) {
                back = Some(back.unwrap_or(true) && value >= *had);
            }
        };
        scalars.iter().for_each(|(position, value)| seen(*position, *value));
        for write in groups {
            let group = &self.groups[write.group as usize];
            if let (Ok(at), Some(count)) =
                (u32::try_from(group.first as usize + group.count_at()), write.parts.last())
            {
                seen(at, *count);
            }
        }
        back
    }

    fn start_time_moves(&self, scalars: &[(u32, f64)], how: fn(&f64, &f64) -> bool) -> bool {
        let Some(position) = self.start_time else { return false };
        let moves = |value: &f64| !is_absent(self.started) && how(value, &self.started);
        scalars.iter().any(|(at, value)| *at == position && moves(value))
    }

    /// Before anything is written: the process of the push started later than the one before.
    pub(crate) fn begins_later(&self, draft: &Draft, stager: &Stager<'_>) -> bool {
        if is_absent(self.started) {
            return false;
        }
        let family = draft.families.iter().position(|f| &*f.base == PROCESS_START);
        let parsed = draft.scalars.iter().filter(|scalar| Some(scalar.family) == family);
        let parsed = parsed.filter_map(|scalar| stager.parsed.get(scalar.parsed));
        let parsed = parsed.filter(|s| stager.labels_of(s).is_empty()).map(|s| s.value);
        let known = draft.known.iter().filter(|(at, _)| Some(*at) == self.start_time);
        // The same series twice: the last one counts.
        known.map(|(_, value)| *value).chain(parsed).last().is_some_and(|v| v > self.started)
    }

    /// Before anything is written: a value of the push is below what the instance has.
    pub(crate) fn falls_short(&self, draft: &Draft, stager: &Stager<'_>) -> bool {
        let below = |position: u32, value: f64| {
            let at = position as usize;
            let cumulative = self.targets.get(at).is_some_and(|t| t.kind() == Kind::Cumulative);
            cumulative && !is_absent(self.values[at]) && value < self.values[at]
        };
        let group_falls = |group: &GroupDraft| {
            let Some(old) = group.group.and_then(|at| self.groups.get(at as usize)) else {
                return false;
            };
            let values = &self.values[old.range()];
            if old.metric_type == MetricType::Summary {
                let counts = values.last().zip(group.parts.last());
                return counts
                    .is_some_and(|(old, new)| !is_absent(*old) && !is_absent(*new) && new < old);
            }
            same_bounds(&old.bounds, &group.bounds)
                && group::falls(old.metric_type, values, &group.parts)
        };
        let parsed = draft.scalars.iter();
        let parsed = parsed.filter_map(|s| Some((s.position?, stager.parsed.get(s.parsed)?.value)));
        let mut scalars: Vec<(u32, f64)> = draft.known.iter().copied().chain(parsed).collect();
        keep_last(&mut scalars, self.positions());
        scalars.iter().any(|(position, value)| below(*position, *value))
            || draft.groups.iter().any(group_falls)
    }

    /// Every cumulative value joins its base: the process began anew.
    pub(crate) fn restart_all(&mut self) -> u64 {
        let mut resets = 0;
        for position in 0..self.positions() {
            if self.targets[position].kind() == Kind::Cumulative {
                resets += self.restart_at(position);
            }
        }
        for group in 0..self.groups.len() {
            resets += self.restart_group(group);
        }
        resets
    }

    fn restart_newer_created(&mut self, scalars: &[(u32, f64)]) -> u64 {
        let mut resets = 0;
        for (position, value) in scalars {
            let target = self.targets[*position as usize];
            let old = self.values[*position as usize];
            if target.kind() != Kind::Created || is_absent(old) || *value <= old {
                continue;
            }
            let dated = self.targets[target.index() as usize];
            resets += match dated.kind() {
                Kind::Part => self.restart_group(dated.index() as usize),
                Kind::Cumulative => self.restart_at(target.index() as usize),
                Kind::Gauge | Kind::Created => 0,
            };
        }
        resets
    }

    /// The value joins the base; 1 if there was something to join.
    fn restart_at(&mut self, position: usize) -> u64 {
        let value = self.values[position];
        if is_absent(value) {
            return 0;
        }
        self.values[position] = 0.0;
        if value == 0.0 {
            return 0;
        }
        faults::reach(Step::Value);
        self.base_of(position).add(value);
        1
    }

    fn restart_group(&mut self, group: usize) -> u64 {
        let group = &self.groups[group];
        if group.state != GroupState::Live || !group.metric_type.is_cumulative() {
            return 0;
        }
        let buckets = match group.metric_type {
            MetricType::Summary => group.sum_at()..group.len(),
            MetricType::Histogram
            | MetricType::Counter
            | MetricType::Gauge
            | MetricType::Unknown
            | MetricType::Info
            | MetricType::StateSet
            | MetricType::GaugeHistogram => 0..group.len(),
        };
        let first = group.first as usize;
        let parts: Vec<usize> = buckets.map(|part| first + part).collect();
        let joined: u64 = parts.into_iter().map(|part| self.restart_at(part)).sum();
        u64::from(joined > 0)
    }

    pub(crate) fn base_of(&mut self, position: usize) -> &mut Total {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        self.bases.entry(position).or_insert(Total::ZERO)
    }

    fn write_scalar(
        &mut self,
        position: u32,
        value: f64,
        stamp: Stamp,
        baseline: &dyn Fn(u32) -> bool,
    ) -> u64 {
        let at = position as usize;
        let old = self.values[at];
        let cumulative = self.targets[at].kind() == Kind::Cumulative;
        if is_absent(old) {
            self.write_first(at, value, stamp);
            if cumulative && baseline(position) {
                self.base_of(at).subtract(value);
            }
            return 0;
        }
        if !cumulative || value >= old {
            self.write(at, value, stamp);
            return 0;
        }
        if self.watch.shared {
            self.write(at, old, stamp);
            return 0;
        }
        let resets = self.restart_at(at);
        self.write(at, value, stamp);
        resets
    }

    /// The first value at a position; the first 0 of a newcomer is no news.
    pub(crate) fn write_first(&mut self, at: usize, value: f64, stamp: Stamp) {
        self.write(at, value, stamp);
        if value == 0.0 {
            self.changed[at] = 0;
        }
    }

    fn write_group(
        &mut self,
        write: &GroupWrite,
        stamp: Stamp,
        baseline: &dyn Fn(u32) -> bool,
    ) -> u64 {
        let group = &self.groups[write.group as usize];
        let (first, metric_type) = (group.first as usize, group.metric_type);
        let counted = if metric_type == MetricType::Summary { group.sum_at() } else { 0 };
        let old = &self.values[group.range()];
        let fresh = old.iter().all(|part| is_absent(*part));
        let mut resets = 0;
        if !fresh && group::falls(metric_type, old, &write.parts) {
            if self.watch.shared {
                self.hold_group(first, counted, &write.parts, stamp);
                return 0;
            }
            resets = self.restart_group(write.group as usize);
        }
        let is_baseline = fresh
            && metric_type.is_cumulative()
            && baseline(u32::try_from(first).unwrap_or(u32::MAX));
        for (part, value) in write.parts.iter().enumerate() {
            if is_baseline && part >= counted && !is_absent(*value) {
                self.base_of(first + part).subtract(*value);
            }
            self.write(first + part, *value, stamp);
        }
        resets
    }

    /// Each part that counts at its maximum; those before `counted` are quantiles.
    fn hold_group(&mut self, first: usize, counted: usize, parts: &[f64], stamp: Stamp) {
        for (part, value) in parts.iter().enumerate() {
            let old = self.values[first + part];
            let rises = part < counted || is_absent(old) || *value > old;
            let held = if rises { *value } else { old };
            self.write(first + part, held, stamp);
        }
    }

    // ---- writers without an id, and plain groups

    /// The last write wins. In the company of contributions with an id a cumulative value counts
    /// with its running maximum.
    fn write_anonymous(
        &mut self,
        catalog: &Catalog,
        scalars: &[(u32, f64)],
        groups: &[GroupWrite],
        stamp: Stamp,
    ) {
        if self.peaks.is_empty() {
            self.peaks = self.values.clone();
        }
        for (position, value) in scalars {
            let at = *position as usize;
            let target = self.targets[at];
            if is_absent(self.values[at]) {
                self.write_first(at, *value, stamp);
            } else {
                self.write(at, *value, stamp);
            }
            let company = target.kind() == Kind::Cumulative && catalog.has_company(target.index());
            self.begin_alone(at, *value, company);
            self.raise_peak(at, *value, company);
        }
        for write in groups {
            let group = &self.groups[write.group as usize];
            let (first, company) = (group.first as usize, catalog.has_company(group.series));
            for (part, value) in write.parts.iter().enumerate() {
                self.begin_alone(first + part, *value, company);
                self.write(first + part, *value, stamp);
                self.raise_peak(first + part, *value, company);
            }
        }
    }

    /// Alone, what falls is shown as it comes: a baseline that an erasure set ends.
    fn begin_alone(&mut self, at: usize, value: f64, company: bool) {
        if !company && value < self.peaks[at] && !self.bases.is_empty() {
            self.bases.remove(&u32::try_from(at).unwrap_or(u32::MAX));
        }
    }

    fn raise_peak(&mut self, at: usize, value: f64, company: bool) {
        let peak = self.peaks[at];
        if !company || is_absent(peak) || value > peak {
            self.peaks[at] = value;
        }
    }
}
