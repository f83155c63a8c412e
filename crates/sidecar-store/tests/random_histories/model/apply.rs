//! A push: sequence, check, enter, restart, write.

use super::groups::{is_identified, is_plain};
use super::stage::Staged;
use super::{
    ANONYMOUS, Answer, Contribution, Exact, Family, Item, Model, Part, Parts, Past, SeriesKey,
    State, Writer, negated,
};
use crate::body::Push;
use sidecar_model::MetricType;
use sidecar_store::UnknownPast;
use std::collections::{BTreeMap, BTreeSet};

/// Names that families of the same push own.
pub(super) type Declared = BTreeMap<String, (String, MetricType)>;

/// How an instance comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Known,
    Returns,
    New(Past),
}

impl Model {
    pub(crate) fn push(&mut self, push: &Push) -> Result<Answer, String> {
        let staged = self.stage(push)?;
        let mut answer = Answer::default();
        if self.is_late(push, &staged) {
            answer.late = true;
            return Ok(answer);
        }
        let writers = self.writers_of(push, &staged);
        if push.strict || self.settings.strict {
            let mut declared = Declared::new();
            for writer in &writers {
                self.accepted(writer, &staged, &mut declared, &mut answer);
            }
            if !answer.refused.is_empty() {
                answer.withheld = true;
                return Ok(answer);
            }
        }
        if push.group.is_some() && self.takes_nothing(&writers, &staged, &mut answer) {
            return Ok(answer);
        }
        self.number += 1;
        let mut declared = Declared::new();
        let mut written = Vec::new();
        for writer in &writers {
            let accepted = self.accepted(writer, &staged, &mut declared, &mut answer);
            if accepted.is_empty() {
                continue;
            }
            written.push(writer);
            answer.samples +=
                accepted.iter().flat_map(|f| &f.items).map(|i| i.samples).sum::<u64>();
            self.open_families(&accepted, writer.is_none());
            match writer {
                Some(id) => {
                    self.push_of(id, push, &accepted);
                    self.replace(id, push, &accepted);
                }
                None => self.accumulate(push, &accepted),
            }
            self.mark_unheld();
            self.keep_company();
            self.finish(push, writer.as_deref());
        }
        // Deltas have no instance; whoever numbers its pushes is known by them.
        if push.sequence.is_some()
            && written == [&None]
            && let Some(id) = first_id(&staged)
        {
            self.push_of(&id, push, &[]);
            self.mark_unheld();
            self.finish(push, Some(&id));
        }
        self.keep_company();
        Ok(answer)
    }

    /// A final push is the last one.
    fn finish(&mut self, push: &Push, writer: Option<&str>) {
        if let Some(id) = writer.filter(|id| is_identified(id) && push.is_final) {
            self.leave(id);
            if push.sequence.is_some() {
                self.fold(id);
            }
        }
    }

    fn is_late(&self, push: &Push, staged: &[Staged]) -> bool {
        let Some((epoch, n, _)) = &push.sequence else { return false };
        let Some(id) = first_id(staged) else { return false };
        let here = self.writers.get(&id).map(|w| (&w.sequence, w.ended));
        let gone = self.remembered.get(&id).map(|r| (&r.sequence, r.ended));
        let Some((Some((last_epoch, last)), ended)) = here.or(gone) else { return false };
        last_epoch == epoch && (ended || n <= last)
    }

    // ---- check

    /// The part of the push that is one writer's, without what is refused.
    pub(super) fn accepted(
        &self,
        writer: &Option<String>,
        staged: &[Staged],
        declared: &mut Declared,
        answer: &mut Answer,
    ) -> Vec<Staged> {
        let mine = |family: &Staged| {
            let items =
                family.items.iter().filter(|item| item.writer == *writer).cloned().collect();
            Staged { items, ..family.clone() }
        };
        let mut accepted: Vec<Staged> = staged.iter().map(mine).collect();
        accepted.retain(|family| !family.items.is_empty());
        let known = |f: &&Staged| {
            self.families.get(&f.name).is_some_and(|old| old.metric_type == f.metric_type)
        };
        let written: BTreeSet<String> =
            accepted.iter().filter(known).map(|f| f.name.clone()).collect();
        accepted.retain_mut(|family| {
            let conflict = self.conflict(writer.as_deref(), family, &written, declared);
            let conflict = conflict.or_else(|| family.check_values());
            match conflict.or_else(|| self.duplicate(writer.as_deref(), family)) {
                Some(code) => answer.refuse(&family.name, code),
                None => return true,
            }
            false
        });
        let id = writer.as_deref().unwrap_or(ANONYMOUS);
        let live = self.writers.iter().filter(|(id, w)| w.state == State::Live && !is_plain(id));
        let live = live.count();
        let known = self.writers.contains_key(id);
        if is_identified(id) && !known && live >= self.settings.limits.instances {
            for family in accepted.drain(..) {
                answer.refuse(&family.name, "instance_limit");
            }
        }
        accepted
    }

    /// Whom the family would meet.
    fn conflict(
        &self,
        writer: Option<&str>,
        family: &Staged,
        written: &BTreeSet<String>,
        declared: &mut Declared,
    ) -> Option<&'static str> {
        let names = sample_names(&family.name, family.metric_type);
        for owner in names.iter().filter_map(|name| declared.get(name)) {
            if owner.0 != family.name {
                return Some("name_conflict");
            }
            if owner.1 != family.metric_type {
                return Some("type_conflict");
            }
        }
        // What deltas have added up to is nobody's own.
        let is_other = |holder: &_| *holder != writer || writer.is_none();
        let others_hold = |name: &str| self.holders(name).iter().any(is_other);
        if let Some(old) = self.families.get(&family.name) {
            let wanted = others_hold(&family.name) || written.contains(&family.name);
            if old.metric_type != family.metric_type && wanted {
                return Some("type_conflict");
            }
            let units_differ = old.metric_type == family.metric_type
                && !old.unit.is_empty()
                && !family.unit.is_empty()
                && old.unit != family.unit;
            if units_differ && others_hold(&family.name) {
                return Some("unit_conflict");
            }
        }
        let in_the_way = self.in_the_way(family);
        if in_the_way.iter().any(|name| others_hold(name) || written.contains(name)) {
            return Some("name_conflict");
        }
        for name in names {
            declared.insert(name, (family.name.clone(), family.metric_type));
        }
        None
    }

    /// Other families that print a sample name of this one.
    fn in_the_way(&self, family: &Staged) -> Vec<String> {
        let names = sample_names(&family.name, family.metric_type);
        self.families
            .iter()
            .filter(|(name, _)| **name != family.name)
            .filter(|(name, f)| !sample_names(name, f.metric_type).is_disjoint(&names))
            .map(|(name, _)| name.clone())
            .collect()
    }

    // ---- families

    fn open_families(&mut self, staged: &[Staged], deltas: bool) {
        for new in staged {
            let mut ended = self.in_the_way(new);
            if self.families.get(&new.name).is_some_and(|f| f.metric_type != new.metric_type) {
                ended.push(new.name.clone());
            }
            for name in ended {
                self.end_family(&name);
            }
            let family = self.families.entry(new.name.clone()).or_insert_with(|| Family {
                metric_type: new.metric_type,
                help: String::new(),
                unit: String::new(),
                departed: BTreeMap::new(),
                accumulated: BTreeMap::new(),
                accumulates: false,
                accumulated_wish: None,
                unheld_since: None,
                written: BTreeMap::new(),
            });
            if !new.help.is_empty() {
                family.help.clone_from(&new.help);
            }
            if !new.unit.is_empty() {
                family.unit.clone_from(&new.unit);
            }
            family.accumulates |= deltas;
        }
    }

    fn end_family(&mut self, name: &str) {
        self.families.remove(name);
        for writer in self.writers.values_mut() {
            writer.series.retain(|(family, _), _| family != name);
            if writer.holds.remove(name) {
                writer.fallen.clear();
                writer.swaps = 0;
            }
            writer.wishes.remove(name);
        }
    }

    // ---- one writer

    fn push_of(&mut self, id: &str, push: &Push, accepted: &[Staged]) {
        let entry = self.entry(id, push);
        let mut writer = self.enter(id, entry);
        let identified = is_identified(id);
        let mine: Vec<(&str, &Item)> =
            accepted.iter().flat_map(|f| f.items.iter().map(|i| (f.name.as_str(), i))).collect();
        let types = self.types();
        let mut past = match entry {
            Entry::New(past) => past,
            Entry::Known | Entry::Returns => Past::Full,
        };
        if identified {
            let begins_anew = self.new_life(&mut writer, entry, push, &mine, &types);
            past = writer.past_of(entry, begins_anew, &mine);
        }
        for family in accepted {
            if let Some(wish) = family.wish_of(Some(id)) {
                self.wishes += 1;
                writer.wishes.entry(family.name.clone()).or_insert((self.wishes, wish));
            }
            writer.holds.insert(family.name.clone());
        }
        for (name, item) in &mine {
            let cumulative = types[*name].is_cumulative();
            let way = (entry, past);
            self.write(&mut writer, way, (name, item), push, cumulative && identified);
        }
        writer.heard = self.now;
        writer.ttl = push.ttl_ms;
        writer.ended = push.is_final;
        if let Some((epoch, n, _)) = &push.sequence {
            writer.sequence = Some((epoch.clone(), *n));
        }
        self.writers.insert(id.to_owned(), writer);
    }

    fn entry(&self, id: &str, push: &Push) -> Entry {
        if let Some(writer) = self.writers.get(id) {
            return if writer.state == State::Live { Entry::Known } else { Entry::Returns };
        }
        let epoch = push.sequence.as_ref().map(|(epoch, _, _)| epoch);
        if let Some(remembered) = self.remembered.get(id) {
            let known = remembered.sequence.as_ref().map(|(epoch, _)| epoch);
            let another = epoch.is_some() && known.is_some() && known != epoch;
            return Entry::New(if another { Past::Full } else { Past::Baseline });
        }
        Entry::New(match &push.sequence {
            Some((_, _, acked)) if *acked > 0 => Past::Baseline,
            Some(_) => Past::Full,
            None => Past::AsSet,
        })
    }

    fn enter(&mut self, id: &str, entry: Entry) -> Writer {
        let taken: BTreeSet<u32> = self
            .writers
            .iter()
            .filter(|(id, w)| w.state == State::Live && is_identified(id))
            .map(|(_, w)| w.slot)
            .collect();
        let free = (0..).find(|slot| !taken.contains(slot)).unwrap_or_default();
        let known = self.writers.remove(id);
        self.remembered.remove(id);
        let mut writer = known.unwrap_or_else(|| Writer {
            state: State::Live,
            slot: free,
            past: Past::Full,
            arrival: self.number,
            sequence: None,
            ended: false,
            heard: self.now,
            ttl: None,
            holds: BTreeSet::new(),
            series: BTreeMap::new(),
            wishes: BTreeMap::new(),
            process_start: None,
            fallen: BTreeMap::new(),
            fall_explained: false,
            swaps: 0,
            shared: false,
            key: None,
            times: (0.0, 0.0),
        });
        if entry == Entry::Returns {
            writer.slot = free;
            writer.arrival = self.number;
        }
        writer.state = State::Live;
        writer
    }

    /// Is this the same life? If not, everything restarts, and it is true.
    fn new_life(
        &self,
        writer: &mut Writer,
        entry: Entry,
        push: &Push,
        mine: &[(&str, &Item)],
        types: &BTreeMap<String, MetricType>,
    ) -> bool {
        let epoch = push.sequence.as_ref().map(|(epoch, _, _)| epoch);
        let same_epoch = writer.sequence.as_ref().map(|(epoch, _)| epoch) == epoch;
        let new_epoch = epoch.is_some() && writer.sequence.is_some() && !same_epoch;
        let start = mine
            .iter()
            .find(|(name, item)| *name == "process_start_time_seconds" && item.labels.is_empty())
            .and_then(|(_, item)| item.values.values().next().copied());
        let start_moved = |rises: bool| match (start, writer.process_start) {
            (Some(new), Some(old)) => {
                if rises {
                    new > old
                } else {
                    new < old
                }
            }
            _ => false,
        };
        let (started, started_before) = (start_moved(true), start_moved(false));
        let mut less = false;
        let mut fallen = BTreeMap::new();
        for (name, item) in mine {
            let key: SeriesKey = ((*name).to_owned(), item.labels.clone());
            if types[*name].is_cumulative()
                && let Some(old) = writer.series.get(&key)
                && fell(&old.values, &item.values)
            {
                // Other buckets are a change of their own, and say nothing of the others.
                less |= same_buckets(&old.values, &item.values);
                if same_bounds(&old.values, &item.values) {
                    fallen.insert(key, old.values.clone());
                }
            }
        }
        if entry == Entry::Known && !writer.shared {
            let another_life = new_epoch || started_before;
            writer.watch_falls(fallen, mine, new_epoch || started, another_life || started);
        }
        writer.process_start = start.or(writer.process_start);
        let begins_anew = new_epoch || started || (entry == Entry::Returns && less);
        if writer.shared || !begins_anew {
            return begins_anew;
        }
        for ((name, _), contribution) in &mut writer.series {
            if types.get(name).is_some_and(|t| t.is_cumulative()) {
                contribution.restart();
            }
        }
        true
    }

    fn write(
        &self,
        writer: &mut Writer,
        (entry, past): (Entry, Past),
        (name, item): (&str, &Item),
        push: &Push,
        counts: bool,
    ) {
        let key: SeriesKey = (name.to_owned(), item.labels.clone());
        let baseline = self.is_baseline(past, name);
        let (shared, number, now) = (writer.shared, self.number, self.now);
        let newcomer = !writer.series.contains_key(&key);
        let contribution = writer.series.entry(key).or_default();
        let mut values = item.values.clone();
        if newcomer {
            if counts && baseline {
                contribution.base = negated(&item.values);
            }
        } else if counts {
            let created_rose = match (item.created, contribution.created) {
                (Some(new), Some(old)) => new > old,
                _ => false,
            };
            if fell(&contribution.values, &values) || (created_rose && !shared) {
                if shared && same_bounds(&contribution.values, &values) {
                    hold(&mut values, &contribution.values);
                } else {
                    contribution.restart();
                }
            }
        }
        if contribution.held.is_none() && entry != Entry::Returns && !counts {
            // Alone, the anonymous writer's values are shown as they come.
            if same_buckets(&contribution.values, &values) {
                contribution.base.retain(|part, _| !below(*part, &contribution.values, &values));
            } else {
                contribution.base.clear();
            }
        }
        if let Some(held) = contribution.held.clone()
            && !same_buckets(&held, &values)
        {
            // In company a histogram with other bounds is another life where it falls.
            if fell(&held, &values) {
                super::add(&mut contribution.base, &super::exactly(&held));
            }
            contribution.held = Some(values.clone());
        }
        if differs(&contribution.values, &values) {
            contribution.changed = number;
        }
        contribution.values = values;
        contribution.created = item.created.or(contribution.created);
        contribution.written = now;
        contribution.ttl = push.ttl_ms;
    }

    fn is_baseline(&self, past: Past, name: &str) -> bool {
        let names = [name, &format!("{name}_total")];
        let rules = &self.settings.rules;
        let ruled = rules.iter().filter(|r| r.matches.family(&names)).find_map(|r| r.unknown_past);
        let set = ruled.unwrap_or(self.settings.unknown_past);
        match past {
            Past::Baseline => true,
            Past::AsSet => set == UnknownPast::Baseline,
            Past::Full => false,
        }
    }

    // ---- deltas

    fn accumulate(&mut self, push: &Push, accepted: &[Staged]) {
        for new in accepted {
            if let Some(wish) = new.wish_of(None)
                && let Some(family) = self.families.get_mut(&new.name)
            {
                self.wishes += 1;
                family.accumulated_wish.get_or_insert((self.wishes, wish));
            }
            for item in &new.items {
                let (number, now) = (self.number, self.now);
                let function = super::expose::function(self, &new.name);
                let Some(family) = self.families.get_mut(&new.name) else { continue };
                let contribution = family.accumulated.entry(item.labels.clone()).or_default();
                let old = contribution.values.clone();
                contribution.accumulate(&item.values, new.metric_type, function);
                contribution.written = now;
                contribution.ttl = push.ttl_ms;
                if differs(&old, &contribution.values) {
                    contribution.changed = number;
                }
            }
        }
    }
}

impl Writer {
    /// What new values count for. Values of which none was there before are another part of what
    /// the process entered with.
    fn past_of(&mut self, entry: Entry, begins_anew: bool, mine: &[(&str, &Item)]) -> Past {
        if begins_anew {
            self.past = Past::Full;
        } else if let Entry::New(past) = entry {
            self.past = past;
            return past;
        } else if !self.series.is_empty() {
            let known = |(name, item): &(&str, &Item)| {
                self.series.contains_key(&((*name).to_owned(), item.labels.clone()))
            };
            if !mine.iter().any(known) {
                return self.past;
            }
        }
        Past::Full
    }

    /// A push that falls, then one where that is back, twice in a row: two processes. What a new life
    /// explains proves nothing, unless the old life comes back.
    fn watch_falls(
        &mut self,
        fallen: BTreeMap<SeriesKey, Parts>,
        mine: &[(&str, &Item)],
        explained: bool,
        another_life: bool,
    ) {
        let seen: Vec<bool> = self
            .fallen
            .iter()
            .filter_map(|((name, labels), old)| {
                let same = |(n, item): &&(&str, &Item)| n == name && item.labels == *labels;
                mine.iter().find(same).map(|(_, item)| back(old, &item.values))
            })
            .collect();
        if self.fallen.is_empty() {
            if fallen.is_empty() {
                self.swaps = 0;
            }
        } else if !seen.is_empty() {
            let proves = another_life || !self.fall_explained;
            self.swaps = if proves && seen.iter().all(|back| *back) { self.swaps + 1 } else { 0 };
            self.fallen.clear();
        }
        if !fallen.is_empty() {
            self.fallen = fallen;
            self.fall_explained = explained;
        }
        self.shared = self.swaps >= 2;
    }
}

impl Contribution {
    fn accumulate(&mut self, values: &Parts, t: MetricType, function: sidecar_model::Aggregation) {
        use sidecar_model::Aggregation;
        for (part, value) in values {
            let old = self.values.get(part).copied();
            let summed = || Exact::value(Exact::of(old.unwrap_or(0.0)) + Exact::of(*value));
            let adds = t.is_cumulative() || t == MetricType::GaugeHistogram;
            let quantile = matches!(part, Part::Quantile(_));
            let new = match (adds && !quantile, function) {
                (true, _) | (false, Aggregation::Sum) if !quantile => summed(),
                (_, Aggregation::Min) => old.map_or(*value, |old| old.min(*value)),
                (_, Aggregation::Max) => old.map_or(*value, |old| old.max(*value)),
                _ => *value,
            };
            self.values.insert(*part, new);
        }
    }
}

/// A counter's value, a bucket, a count is below what it was. With other bounds: the cumulative counts at
/// the old ones.
pub(super) fn fell(old: &Parts, new: &Parts) -> bool {
    let below = |part: Part| below(part, old, new);
    if same_buckets(old, new) {
        return old.keys().any(|part| match part {
            Part::Value | Part::Bucket(_) | Part::Count => below(*part),
            Part::Quantile(_) | Part::Sum => false,
        }) || count(new) < count(old);
    }
    let (old, new) = (cumulative(old), cumulative(new));
    old.iter().any(|(bound, count)| *count > 0.0 && new.get(bound).is_none_or(|new| new < count))
}

fn below(part: Part, old: &Parts, new: &Parts) -> bool {
    old.get(&part).zip(new.get(&part)).is_some_and(|(old, new)| new < old)
}

/// What a fallen one had, it has again: the value, or the count.
fn back(old: &Parts, new: &Parts) -> bool {
    let amount = |parts: &Parts| {
        parts.get(&Part::Value).or(parts.get(&Part::Count)).copied().unwrap_or(count(parts))
    };
    amount(new) >= amount(old)
}

fn same_buckets(old: &Parts, new: &Parts) -> bool {
    let bounds = |parts: &Parts| -> Vec<Part> {
        parts.keys().filter(|part| matches!(part, Part::Bucket(_))).copied().collect()
    };
    bounds(old) == bounds(new)
}

fn same_bounds(old: &Parts, new: &Parts) -> bool {
    let quantiles = |parts: &Parts| -> Vec<Part> {
        parts.keys().filter(|part| matches!(part, Part::Quantile(_))).copied().collect()
    };
    same_buckets(old, new) && quantiles(old) == quantiles(new)
}

fn count(parts: &Parts) -> f64 {
    parts.iter().filter(|(p, _)| matches!(p, Part::Bucket(_))).map(|(_, v)| v).sum()
}

fn cumulative(parts: &Parts) -> BTreeMap<Part, f64> {
    let mut below = 0.0;
    parts
        .iter()
        .filter(|(part, _)| matches!(part, Part::Bucket(_)))
        .map(|(part, count)| {
            below += count;
            (*part, below)
        })
        .collect()
}

pub(super) fn hold(values: &mut Parts, least: &Parts) {
    for (part, least) in least {
        if part.is_cumulative() {
            let value = values.entry(*part).or_insert(*least);
            *value = value.max(*least);
        }
    }
}

fn differs(old: &Parts, new: &Parts) -> bool {
    new.iter().any(|(part, new)| {
        let old = old.get(part).copied().unwrap_or(0.0);
        !(old == *new || (old.is_nan() && new.is_nan()))
    })
}

fn first_id(staged: &[Staged]) -> Option<String> {
    let of_deltas = staged.iter().find_map(|family| family.delta_of.clone());
    let mut items = staged.iter().flat_map(|family| &family.items);
    items.find_map(|item| item.writer.clone()).or(of_deltas)
}

fn sample_names(name: &str, metric_type: MetricType) -> BTreeSet<String> {
    let suffixes: &[&str] = match metric_type {
        MetricType::Counter => &["", "_total"],
        MetricType::Info => &["", "_info"],
        MetricType::Histogram | MetricType::GaugeHistogram => &["", "_bucket", "_sum", "_count"],
        MetricType::Summary => &["", "_sum", "_count"],
        MetricType::Gauge | MetricType::Unknown | MetricType::StateSet => &[""],
    };
    suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
}
