//! The check before the commit: what a push would write for one writer, and what of it must be
//! refused. Reads the catalog and the instance, changes neither.

use crate::catalog::{Catalog, Found};
use crate::family::{Family, owned_names};
use crate::gather::{Gathering, PartDraft, PartSource};
use crate::instance::{Body, Kind, Target};
use crate::maps::{Map, Set};
use crate::outcome::Reason;
use crate::settings::Settings;
use crate::stager::{ACCUMULATOR, Clearing, ParsedSample, Stager, is_push_time};
use sidecar_model::{Bound, MetricType, Role};
use std::cell::OnceCell;
use std::sync::Arc;

/// What a push would do for one writer.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) families: Vec<FamilyDraft>,
    by_name: Map<(Box<str>, MetricType), usize>,
    pub(crate) scalars: Vec<ScalarDraft>,
    pub(crate) created: Vec<CreatedDraft>,
    pub(crate) groups: Vec<GroupDraft>,
    /// Known positions, without parts of groups and refused families.
    pub(crate) known: Vec<(u32, f64)>,
    pub(crate) non_finite_sums: u64,
    /// A sample that was parsed and one that was known say the same series: only a body that is
    /// parsed whole tells which was the last.
    pub(crate) order_matters: bool,
    /// Families of known positions that are refused.
    pub(crate) refused_known: Map<u32, Reason>,
}

#[derive(Debug)]
pub(crate) struct FamilyDraft {
    /// Index of the staged header.
    pub(crate) header: u32,
    pub(crate) base: Box<str>,
    pub(crate) metric_type: MetricType,
    pub(crate) suffixed: bool,
    pub(crate) existing: Option<u32>,
    /// Families that nobody live holds and that give way.
    pub(crate) leaving: Vec<u32>,
    /// The whole family is refused.
    pub(crate) refused: Option<Reason>,
    /// Some new series are left out.
    pub(crate) limited: Option<Reason>,
    /// Of deltas: they take the place of all that the family has accumulated.
    pub(crate) replaced: bool,
}

#[derive(Debug)]
pub(crate) struct ScalarDraft {
    pub(crate) parsed: usize,
    pub(crate) family: usize,
    /// Of the labels.
    pub(crate) hash: u32,
    pub(crate) series: Option<u32>,
    pub(crate) position: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct CreatedDraft {
    pub(crate) parsed: usize,
    pub(crate) family: FamilyRef,
}

#[derive(Debug)]
pub(crate) struct GroupDraft {
    pub(crate) family: FamilyRef,
    /// The instance's live group of this series.
    pub(crate) group: Option<u32>,
    /// A parsed sample that has the labels; `None`: all parts are known.
    pub(crate) labels_of: Option<usize>,
    pub(crate) bounds: Arc<[Bound]>,
    /// Settled: one for each bound, sum, count.
    pub(crate) parts: Vec<f64>,
    pub(crate) pushed_parts: u32,
    /// Parsed samples and the part that each is.
    pub(crate) parsed: Vec<(usize, u32)>,
    pub(crate) samples: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FamilyRef {
    Drafted(usize),
    Known(u32),
}

/// Names that families of the same push own, with base name and type: they do not give way to
/// each other.
pub(crate) type Declared = Map<Box<str>, (Box<str>, MetricType)>;

/// The drafted family by staged header.
type OfHeader = Map<u32, usize>;

pub(crate) struct Drafter<'a> {
    pub(crate) stager: &'a Stager<'a>,
    pub(crate) catalog: &'a Catalog,
    pub(crate) settings: &'a Settings,
    pub(crate) declared: &'a mut Declared,
    /// Families that have given way to writers of the same push; they are there until all is written.
    pub(crate) leaving: &'a [u32],
    /// Index among the stager's writers.
    pub(crate) writer: u32,
    /// Staged positions of this writer.
    pub(crate) known: &'a [(u32, f64)],
    /// Families that the push has samples of, once somebody asks.
    pub(crate) written_families: OnceCell<Set<u32>>,
}

impl Drafter<'_> {
    pub(crate) fn draft(&mut self, body: &mut Body) -> Draft {
        let mut draft = Draft::default();
        let stager = self.stager;
        let mut of_header = OfHeader::default();
        let mut gathered = Gathering::default();
        draft.scalars.reserve(stager.count_parsed_of(self.writer));
        // A stray sample comes last: it must not push out the family that it came in.
        for strays in [false, true] {
            for (at, sample) in stager.parsed_of(self.writer) {
                stager.sample_done(at);
                if stager.headers[sample.header as usize].stray != strays {
                    continue;
                }
                if let Some(dated) = self.dated_by(&draft, sample) {
                    draft.created.push(CreatedDraft { parsed: at, family: dated });
                    continue;
                }
                let family = self.family(&mut draft, &mut of_header, sample, body);
                self.place(&mut draft, &mut gathered, at, sample, family, body);
            }
        }
        if self.writer == 0 {
            self.empty_families(&mut draft, &of_header, body);
        }
        self.place_known(&mut draft, &mut gathered, body);
        for group in gathered.groups {
            self.finish_group(&mut draft, &group, body);
        }
        draft.drop_refused(self.catalog, body);
        self.find_series(&mut draft);
        self.find_positions(&mut draft, body);
        if self.stager.is_plain_group(self.writer) {
            self.refuse_series_of_others(&mut draft, body);
        }
        self.limit(&mut draft, body);
        draft
    }

    /// The cumulative family x that a sample of a family x_created beside it dates.
    fn dated_by(&self, draft: &Draft, sample: &ParsedSample) -> Option<FamilyRef> {
        let facts = &self.stager.headers[sample.header as usize].facts;
        if !matches!(facts.metric_type, MetricType::Gauge | MetricType::Unknown) {
            return None;
        }
        let base = facts.base().strip_suffix("_created").filter(|base| !base.is_empty())?;
        for metric_type in [MetricType::Counter, MetricType::Histogram, MetricType::Summary] {
            if let Some(at) = draft.by_name.get(&(base.into(), metric_type)) {
                return Some(FamilyRef::Drafted(*at));
            }
        }
        let id = self.catalog.family_named(base)?;
        let known = self.catalog.families.get(&id)?;
        known.metric_type.is_cumulative().then_some(FamilyRef::Known(id))
    }

    /// The drafted family of a sample, checked against who is there when first met.
    fn family(
        &mut self,
        draft: &mut Draft,
        of_header: &mut OfHeader,
        sample: &ParsedSample,
        body: &Body,
    ) -> usize {
        if let Some(known) = of_header.get(&sample.header) {
            let family = &mut draft.families[*known];
            let other_name = sample.role == Role::Value && family.suffixed != sample.suffixed;
            if other_name && family.metric_type == MetricType::Counter && family.refused.is_none() {
                let (plain, total) = (family.base.to_string(), format!("{}_total", family.base));
                let (name, owner) = if family.suffixed { (plain, total) } else { (total, plain) };
                family.refused = Some(Reason::NameConflict { name, owner });
            }
            return *known;
        }
        let at = self.add_family(draft, sample.header, sample.suffixed_for_family(), body);
        of_header.insert(sample.header, at);
        at
    }

    fn add_family(
        &mut self,
        draft: &mut Draft,
        header: u32,
        suffixed: Option<bool>,
        body: &Body,
    ) -> usize {
        let facts = &self.stager.headers[header as usize].facts;
        let base: Box<str> = facts.base().into();
        let next = draft.families.len();
        let at = *draft.by_name.entry((base.clone(), facts.metric_type)).or_insert(next);
        if at != next {
            return at;
        }
        let existing = self.catalog.family_named(&base);
        let known = existing.and_then(|id| self.catalog.families.get(&id));
        let suffixed = suffixed.unwrap_or_else(|| {
            known.map_or(facts.name.len() > base.len(), |family| family.suffixed)
        });
        // Clients name a counter without its suffix until it has a series.
        let fits = known.is_some_and(|f| {
            f.metric_type == facts.metric_type && (f.suffixed == suffixed || f.series.is_empty())
        });
        let mut family = FamilyDraft {
            header,
            metric_type: facts.metric_type,
            suffixed,
            existing: existing.filter(|_| fits),
            leaving: Vec::new(),
            refused: None,
            limited: None,
            replaced: false,
            base,
        };
        self.check_family(&mut family, body);
        draft.families.push(family);
        draft.families.len() - 1
    }

    fn check_family(&mut self, family: &mut FamilyDraft, body: &Body) {
        let names = owned_names(family.metric_type, &family.base, family.suffixed);
        match self.way_for(family, &names, body) {
            Ok(leaving) => family.leaving = leaving,
            Err(reason) => {
                family.refused = Some(reason);
                return;
            }
        }
        for name in names {
            let owner = (family.base.clone(), family.metric_type);
            self.declared.insert(name.into(), owner);
        }
    }

    /// The families that must leave for this one, or why it cannot be.
    fn way_for(
        &self,
        family: &FamilyDraft,
        names: &[String],
        body: &Body,
    ) -> Result<Vec<u32>, Reason> {
        for name in names {
            let Some((base, held)) = self.declared.get(&**name) else { continue };
            if **base != *family.base {
                return Err(Reason::NameConflict { name: name.clone(), owner: base.to_string() });
            }
            if *held != family.metric_type {
                return Err(Reason::TypeConflict { held: *held, pushed: family.metric_type });
            }
        }
        if let Some(reason) =
            family.existing.and_then(|id| self.unit_conflict(id, family.header, body))
        {
            return Err(reason);
        }
        let in_the_way = |id: u32, other: &Family| {
            !self.leaving.contains(&id)
                && (self.is_held_by_others(id, other, body) || self.writes(id, body))
        };
        self.catalog.make_way(names, family, in_the_way)
    }

    /// What deltas have added up to is of many writers: none of them may change it alone.
    fn is_held_by_others(&self, id: u32, family: &Family, body: &Body) -> bool {
        let own = self.writer != ACCUMULATOR && holds(body, id);
        family.holders > u32::from(own)
    }

    /// The push has samples of this family, whether they were known or parsed.
    fn writes(&self, family: u32, body: &Body) -> bool {
        let families = self.written_families.get_or_init(|| {
            let known =
                |(position, _): &(u32, f64)| family_of_position(self.catalog, body, *position);
            let parsed = |sample: &ParsedSample| {
                let facts = &self.stager.headers[sample.header as usize].facts;
                let id = self.catalog.family_named(facts.base())?;
                let same_type = self.catalog.families.get(&id)?.metric_type == facts.metric_type;
                same_type.then_some(id)
            };
            let mine = self.stager.parsed_of(self.writer).map(|(_, sample)| sample);
            self.known.iter().filter_map(known).chain(mine.filter_map(parsed)).collect()
        });
        families.contains(&family)
    }

    fn unit_conflict(&self, id: u32, header: u32, body: &Body) -> Option<Reason> {
        let pushed = &self.stager.headers[header as usize].facts.unit;
        let family = self.catalog.families.get(&id)?;
        let others = self.is_held_by_others(id, family, body);
        let differs = !pushed.is_empty() && !family.unit.is_empty() && **pushed != *family.unit;
        (differs && others).then(|| Reason::UnitConflict {
            held: family.unit.to_string(),
            pushed: pushed.to_string(),
        })
    }

    /// Families that the body names without a sample: they are kept alive.
    fn empty_families(&mut self, draft: &mut Draft, of_header: &OfHeader, body: &Body) {
        let mut used = vec![false; self.stager.headers.len()];
        for header in of_header.keys() {
            used[*header as usize] = true;
        }
        for sample in &self.stager.parsed {
            if let Some(used) = used.get_mut(sample.header as usize) {
                *used = true;
            }
        }
        let empty: Vec<usize> = (0..used.len())
            .filter(|at| self.stager.headers[*at].is_unremembered() && !used[*at])
            .collect();
        for header in empty {
            self.add_family(draft, u32::try_from(header).unwrap_or(u32::MAX), None, body);
        }
    }

    fn place(
        &self,
        draft: &mut Draft,
        gathered: &mut Gathering,
        parsed: usize,
        sample: &ParsedSample,
        family: usize,
        body: &Body,
    ) {
        let metric_type = draft.families[family].metric_type;
        draft.families[family].replaced |= sample.clearing == Clearing::ReplaceFamily;
        match sample.role {
            Role::Created => {
                let family = FamilyRef::Drafted(family);
                draft.created.push(CreatedDraft { parsed, family });
            }
            Role::Value => {
                if metric_type.is_cumulative() && !is_count(sample.value) {
                    draft.families[family].refused.get_or_insert(Reason::BadValue);
                }
                let hash = self.catalog.hash(self.stager.labels_of(sample));
                let (series, position) = (None, None);
                draft.scalars.push(ScalarDraft { parsed, family, hash, series, position });
            }
            Role::Bucket | Role::Sum | Role::Count | Role::Quantile => {
                let labels = self.stager.labels_of(sample);
                let gathered = match self.same_group(gathered, family, labels) {
                    Some(at) => &mut gathered.groups[at],
                    None => {
                        let existing = draft.families[family].existing;
                        let series = existing.and_then(|id| self.catalog.find_series(id, labels));
                        let group = series.and_then(|s| body.group_of.get(&s).copied());
                        gathered.of(FamilyRef::Drafted(family), labels, group, metric_type)
                    }
                };
                gathered.labels_of.get_or_insert(parsed);
                gathered.parts.push(PartDraft {
                    role: sample.role,
                    bound: sample.bound,
                    value: sample.value,
                    from: PartSource::Parsed(parsed),
                });
            }
        }
    }

    fn place_known(&self, draft: &mut Draft, gathered: &mut Gathering, body: &Body) {
        for (position, value) in self.known {
            let target = body.targets[*position as usize];
            match target.kind() {
                Kind::Cumulative if !is_count(*value) => {
                    if let Some((family, _)) = self.catalog.family_of(target.index()) {
                        draft.refused_known.insert(family, Reason::BadValue);
                    }
                }
                Kind::Part => self.gather_known(gathered, target.index(), *position, *value, body),
                Kind::Cumulative | Kind::Gauge | Kind::Created => {}
            }
            if target.kind() != Kind::Part {
                draft.known.push((*position, *value));
            }
        }
    }

    /// Finds the series that are there, and leaves out those that would be printed like another.
    fn find_series(&self, draft: &mut Draft) {
        let Draft { families, scalars, groups, .. } = draft;
        // Who joins comes in the order of who was first.
        let mut next = 0;
        let mut look_up = |family: usize, parsed: usize, hash: Option<u32>| {
            let Some(id) = families[family].existing else { return Found::Nothing };
            let labels = self.stager.labels_of(&self.stager.parsed[parsed]);
            let hash = hash.unwrap_or_else(|| self.catalog.hash(labels));
            let found = if self.catalog.is_series(next, id, hash, labels) {
                Found::Series(next)
            } else {
                self.catalog.look_up(id, hash, labels)
            };
            if let Found::Series(series) = found {
                next = series + 1;
            }
            if found == Found::Lookalike {
                families[family].limited.get_or_insert(Reason::LabelConflict);
            }
            found
        };
        scalars.retain_mut(|scalar| {
            let found = look_up(scalar.family, scalar.parsed, Some(scalar.hash));
            if let Found::Series(series) = found {
                scalar.series = Some(series);
            }
            found != Found::Lookalike
        });
        groups.retain(|group| match (group.family, group.labels_of) {
            (FamilyRef::Drafted(family), Some(parsed)) => {
                look_up(family, parsed, None) != Found::Lookalike
            }
            (FamilyRef::Drafted(_) | FamilyRef::Known(_), _) => true,
        });
    }

    /// Finds the positions that the instance already has for parsed values.
    fn find_positions(&self, draft: &mut Draft, body: &mut Body) {
        if body.positions() == 0 {
            return;
        }
        let mut known = vec![false; if draft.scalars.is_empty() { 0 } else { body.positions() }];
        for (position, _) in self.known {
            if let Some(known) = known.get_mut(*position as usize) {
                *known = true;
            }
        }
        for scalar in &mut draft.scalars {
            let kind = scalar_kind(draft.families[scalar.family].metric_type);
            scalar.position = scalar.series.and_then(|s| body.find(Target::new(kind, s)));
            let repeats = |position: u32| known.get(position as usize).copied().unwrap_or(false);
            draft.order_matters |= scalar.position.is_some_and(repeats);
        }
    }

    /// Of a plain group: a series that another one has refuses its family.
    fn refuse_series_of_others(&self, draft: &mut Draft, body: &Body) {
        let is_others = |series: u32| self.catalog.series[series as usize].grouped;
        let mut refused: Vec<usize> = Vec::new();
        for scalar in draft.scalars.iter().filter(|s| s.position.is_none()) {
            if scalar.series.is_some_and(is_others) {
                refused.push(scalar.family);
            }
        }
        for group in draft.groups.iter().filter(|g| g.group.is_none()) {
            let (FamilyRef::Drafted(at), Some(parsed)) = (group.family, group.labels_of) else {
                continue;
            };
            let labels = self.stager.labels_of(&self.stager.parsed[parsed]);
            let known = draft.families[at].existing;
            if known.and_then(|id| self.catalog.find_series(id, labels)).is_some_and(is_others) {
                refused.push(at);
            }
        }
        if refused.is_empty() {
            return;
        }
        for family in refused {
            draft.families[family].refused.get_or_insert(Reason::DuplicateSeries);
        }
        draft.drop_refused(self.catalog, body);
    }
}

pub(crate) fn scalar_kind(metric_type: MetricType) -> Kind {
    if metric_type == MetricType::Counter { Kind::Cumulative } else { Kind::Gauge }
}

fn is_count(value: f64) -> bool {
    value >= 0.0 && value.is_finite()
}

pub(crate) fn holds(body: &Body, family: u32) -> bool {
    matches!(body.state, crate::instance::State::Live)
        && body.held.binary_search_by_key(&family, |h| h.family).is_ok()
}

impl Draft {
    pub(crate) fn refuse(&mut self, family: FamilyRef, reason: Reason) {
        match family {
            FamilyRef::Drafted(at) => {
                self.families[at].refused.get_or_insert(reason);
            }
            FamilyRef::Known(id) => {
                self.refused_known.entry(id).or_insert(reason);
            }
        }
    }

    /// Takes out everything of refused families: a family is applied whole or not at all.
    pub(crate) fn drop_refused(&mut self, catalog: &Catalog, body: &Body) {
        for family in &mut self.families {
            let Some(id) = family.existing else { continue };
            if let Some(reason) = &family.refused {
                self.refused_known.entry(id).or_insert_with(|| reason.clone());
            } else if let Some(reason) = self.refused_known.get(&id) {
                family.refused = Some(reason.clone());
            }
        }
        let (families, refused) = (&self.families, &self.refused_known);
        let kept = |family: FamilyRef| match family {
            FamilyRef::Drafted(at) => families[at].refused.is_none(),
            FamilyRef::Known(id) => !refused.contains_key(&id),
        };
        self.scalars.retain(|s| kept(FamilyRef::Drafted(s.family)));
        self.created.retain(|c| kept(c.family));
        self.groups.retain(|g| kept(g.family));
        if refused.is_empty() {
            return;
        }
        self.known.retain(|(position, _)| {
            let family = family_of_position(catalog, body, *position);
            family.is_none_or(|id| !refused.contains_key(&id))
        });
    }

    /// What a delta of the drafted family does with what is there, `own` being what it says itself.
    pub(crate) fn clearing(&self, family: usize, own: Clearing) -> Clearing {
        let replaced = self.families.get(family).is_some_and(|f| f.replaced);
        if replaced { Clearing::ReplaceFamily } else { own }
    }

    /// Nothing of it was there before.
    pub(crate) fn is_all_new(&self) -> bool {
        self.known.is_empty()
            && self.scalars.iter().all(|s| s.position.is_none())
            && self.groups.iter().all(|g| g.group.is_none())
    }

    /// Nothing is left to apply but the times that a group shows of itself.
    pub(crate) fn has_only_times(&self, catalog: &Catalog, body: &Body) -> bool {
        let known = self.known.iter().all(|(position, _)| {
            family_of_position(catalog, body, *position)
                .and_then(|id| catalog.families.get(&id))
                .is_some_and(|family| is_push_time(&family.base))
        });
        // Parts that are known are in groups by now.
        let nothing_else = known && self.groups.is_empty();
        nothing_else && self.families.iter().all(|f| f.refused.is_some() || is_push_time(&f.base))
    }

    /// Nothing is left to apply.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
            && self.scalars.is_empty()
            && self.groups.is_empty()
            && self.families.iter().all(|f| f.refused.is_some())
    }

    /// What is refused, by family name.
    pub(crate) fn refusals(&self, catalog: &Catalog) -> Vec<(String, Reason)> {
        let mut all: Vec<(String, Reason)> = self
            .families
            .iter()
            .filter_map(|f| {
                let reason = f.refused.as_ref().or(f.limited.as_ref())?;
                Some((f.base.to_string(), reason.clone()))
            })
            .collect();
        for (id, reason) in &self.refused_known {
            let Some(family) = catalog.families.get(id) else { continue };
            all.push((family.base.to_string(), reason.clone()));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        all
    }
}

/// The family that a position's value counts in.
pub(crate) fn family_of_position(catalog: &Catalog, body: &Body, position: u32) -> Option<u32> {
    let mut target = *body.targets.get(position as usize)?;
    if target.kind() == Kind::Created {
        target = *body.targets.get(target.index() as usize)?;
    }
    let series = match target.kind() {
        Kind::Gauge | Kind::Cumulative => target.index(),
        Kind::Part => body.groups.get(target.index() as usize)?.series,
        Kind::Created => return None,
    };
    catalog.family_of(series).map(|(id, _)| id)
}
