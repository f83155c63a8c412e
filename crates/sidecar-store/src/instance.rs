//! One writing process: what it contributed, as columns with stable positions, and the fast way in
//! for a push that repeats a known shape. Everything that touches shared state goes through
//! `apply.rs` instead.

use crate::exemplars::Dated;
use crate::faults::{self, Step};
use crate::group::{self, Group, GroupState};
use crate::grouping::GroupKey;
use crate::jobs::InJob;
use crate::maps::Map;
use crate::natives::Native;
use crate::shape::{Shape, StepRef};
use crate::window::Windows;
use hashbrown::HashTable;
use parking_lot::Mutex;
use sidecar_model::{ABSENT, Aggregation, Tick, Total, is_absent};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a position holds and where it counts: a kind in the upper three bits, an index below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A gauge's value; index of the series.
    Gauge,
    /// A counter's value; index of the series.
    Cumulative,
    /// Part of a histogram or summary; index of the instance's group.
    Part,
    /// Creation time of the value at the position that the index names.
    Created,
}

const INDEX_BITS: u32 = 29;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

impl Target {
    pub(crate) const fn new(kind: Kind, index: u32) -> Target {
        Target(((kind as u32) << INDEX_BITS) | (index & INDEX_MASK))
    }

    #[inline]
    pub(crate) const fn kind(self) -> Kind {
        match self.0 >> INDEX_BITS {
            0 => Kind::Gauge,
            1 => Kind::Cumulative,
            2 => Kind::Part,
            _ => Kind::Created,
        }
    }

    #[inline]
    pub(crate) const fn index(self) -> u32 {
        self.0 & INDEX_MASK
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Target {
        Target(bits)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Registered, nothing applied yet.
    New,
    Live,
    /// Its cumulative values are remembered; it may come back.
    Departed {
        since: Tick,
    },
    /// Out of the map: whoever still holds it must look the id up again.
    Gone,
}

/// A family that the instance ever wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) family: u32,
    /// The instance's wish for the family's function: when it was made (unique), and what.
    pub(crate) wish: Option<(u64, Aggregation)>,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: Box<str>,
    pub(crate) role: WriterRole,
    /// Given when it is registered, in that order, never twice: what the journal calls it. 0: not yet.
    number: AtomicU64,
    pub(crate) body: Mutex<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterRole {
    Identified,
    /// All writers without an id.
    Anonymous,
    /// A plain group: its values are shown as they come, and stay.
    Group,
    /// What deltas have added up to.
    Accumulator,
}

impl WriterRole {
    /// Values are shown as they come: a fall stays a fall, unless in company.
    pub(crate) fn shows_as_it_comes(self) -> bool {
        matches!(self, WriterRole::Anonymous | WriterRole::Group)
    }
}

impl Instance {
    pub(crate) fn new(id: &str, role: WriterRole) -> Instance {
        Instance::stored(id.into(), role, 0, Body::default())
    }

    pub(crate) fn stored(id: Box<str>, role: WriterRole, number: u64, body: Body) -> Instance {
        Instance { id, role, number: AtomicU64::new(number), body: Mutex::new(body) }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Only with the catalog locked.
    pub(crate) fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }
}

/// What an instance's first values count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    Full,
    /// They were counted before it was known here: only growth counts.
    Baseline,
    /// What settings and rules say of unknown pasts.
    AsSet,
}

#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) state: State,
    /// Changes when positions move: what was staged against another generation is resolved again.
    pub(crate) generation: u32,
    pub(crate) heard: Tick,
    /// The decay that its latest push asked for.
    pub(crate) ttl: Option<Duration>,
    pub(crate) sequence: Option<(Box<str>, u64)>,
    /// A final push was applied, and nothing since.
    pub(crate) ended: bool,
    /// Sequence number of the push that it came with.
    pub(crate) arrival: u64,
    /// Sequence number of the latest push that was applied.
    pub(crate) applied: u64,
    pub(crate) slot: Option<u32>,
    /// Where it counts while it is live.
    pub(crate) job: Option<InJob>,
    /// Of the process as it entered; full once it began anew.
    pub(crate) past: Past,
    pub(crate) shape: Arc<Shape>,

    // Columns, one entry for each position.
    pub(crate) values: Vec<f64>,
    /// Sequence number of the push that changed the value; 0: never news.
    pub(crate) changed: Vec<u64>,
    /// Tenths of a second.
    pub(crate) written: Vec<u32>,
    pub(crate) targets: Vec<Target>,
    /// Decay by position in tenths of a second, 0: none; empty while no push named one.
    pub(crate) ttls: Vec<u32>,
    /// Anonymous writers: the value where it stands alone, its running maximum in company. Empty
    /// for others.
    pub(crate) peaks: Vec<f64>,

    pub(crate) groups: Vec<Group>,
    /// Series of a live group to its index.
    pub(crate) group_of: Map<u32, u32>,
    /// What earlier lives under this id counted, by position; below zero for a baseline.
    pub(crate) bases: Map<u32, Total>,
    /// By series of a live group.
    pub(crate) natives: Map<u32, Native>,
    /// The newest by position.
    pub(crate) exemplars: Map<u32, Dated>,
    /// What was pushed lately, where the function needs it.
    pub(crate) windows: Windows,
    /// Sorted by family.
    pub(crate) held: Vec<Held>,
    /// Target bits to position; built when a push needs it, dropped when none did for a while.
    pub(crate) by_target: Option<HashTable<u32>>,
    /// The position of `process_start_time_seconds`.
    pub(crate) start_time: Option<u32>,
    /// The latest that it was, also after a departure.
    pub(crate) started: f64,
    /// No gauge of it can decay before.
    pub(crate) gauge_due: Tick,
    pub(crate) watch: SharedIdWatch,
    pub(crate) restarts: u64,
    /// Of a group, plain or with an id.
    pub(crate) key: Option<GroupKey>,
    /// Of a group: the Unix seconds of its last push that was taken and of the last that was not.
    pub(crate) times: (f64, f64),
    /// How often it was silent for its decay time and came back.
    pub(crate) silences: u32,
    /// It was restored, and nothing was heard of it since: its gauges may be a dead process's.
    pub(crate) unheard: bool,
    /// A push that goes through the catalog is half written.
    pub(crate) under_way: bool,
}

/// Sees two processes under one id: a push that falls, then one that is back at or above what
/// fell, twice in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedIdWatch {
    /// Positions whose value fell in the last push, with what they had.
    pub(crate) fell: Vec<(u32, f64)>,
    /// A new epoch or a later start came with that fall.
    pub(crate) explained: bool,
    pub(crate) returns: u32,
    pub(crate) shared: bool,
}

impl SharedIdWatch {
    /// What was seen so far proves nothing any more.
    pub(crate) fn forget(&mut self) {
        self.fell.clear();
        self.returns = 0;
    }

    /// Nothing of it concerns the next push.
    pub(crate) fn is_quiet(&self) -> bool {
        self.fell.is_empty() && !self.shared
    }
}

/// How many fallen values of a push are kept for the comparison.
pub(crate) const WATCHED_FALLS: usize = 64;

impl Default for Body {
    fn default() -> Body {
        Body {
            state: State::New,
            generation: 0,
            heard: Tick::default(),
            ttl: None,
            sequence: None,
            ended: false,
            arrival: 0,
            applied: 0,
            slot: None,
            job: None,
            past: Past::Full,
            shape: Arc::default(),
            values: Vec::new(),
            changed: Vec::new(),
            written: Vec::new(),
            targets: Vec::new(),
            ttls: Vec::new(),
            peaks: Vec::new(),
            groups: Vec::new(),
            group_of: Map::default(),
            bases: Map::default(),
            natives: Map::default(),
            exemplars: Map::default(),
            windows: Windows::default(),
            held: Vec::new(),
            by_target: None,
            start_time: None,
            started: ABSENT,
            gauge_due: Tick::default(),
            watch: SharedIdWatch::default(),
            restarts: 0,
            key: None,
            times: (0.0, 0.0),
            silences: 0,
            unheard: false,
            under_way: false,
        }
    }
}

/// When and under which number a push is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) sequence: u64,
    /// Tenths of a second.
    pub(crate) written: u32,
    /// Tenths of a second; 0: none.
    pub(crate) ttl: u32,
}

/// Tenths of a second of a tick.
pub(crate) fn tenths(now: Tick) -> u32 {
    u32::try_from(now.as_millis() / 100).unwrap_or(u32::MAX)
}

pub(crate) fn from_tenths(tenths: u32) -> Tick {
    Tick::from_millis(u64::from(tenths) * 100)
}

pub(crate) fn duration_tenths(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(100)).unwrap_or(u32::MAX).max(1)
}

impl Body {
    /// The series whose beginning a position tells.
    pub(crate) fn dated_by(&self, target: Target) -> Option<u32> {
        if target.kind() != Kind::Created {
            return None;
        }
        let dated = self.targets[target.index() as usize];
        match dated.kind() {
            Kind::Part => Some(self.groups[dated.index() as usize].series),
            Kind::Cumulative => Some(dated.index()),
            Kind::Gauge | Kind::Created => None,
        }
    }

    /// What known positions come to when nothing about them is unusual: no counter falls or is not a
    /// number, no process began anew, every histogram is whole, nothing stands twice. In the order of
    /// positions. `None`: the push needs the catalog.
    pub(crate) fn known_writes<'p>(&self, staged: &'p [(u32, f64)]) -> Option<KnownWrites<'p>> {
        let found = self.check_known(staged)?;
        if !found.in_order && repeated(staged, self.positions()) > 0 {
            return None;
        }
        if found.in_order && !found.parts {
            return Some(KnownWrites { values: Cow::Borrowed(staged), non_finite_sums: 0 });
        }
        let is_part = |position: u32| self.targets[position as usize].kind() == Kind::Part;
        let mut values: Vec<(u32, f64)> =
            staged.iter().copied().filter(|(position, _)| !is_part(*position)).collect();
        let non_finite_sums =
            if found.parts { self.settle_known_groups(staged, &mut values)? } else { 0 };
        values.sort_unstable_by_key(|(position, _)| *position);
        Some(KnownWrites { values: Cow::Owned(values), non_finite_sums })
    }

    /// Notes that the same samples came in another order, unless somebody reads the shape now.
    pub(crate) fn learn_order(&mut self, links: &[(StepRef, StepRef)]) {
        let Some(shape) = Arc::get_mut(&mut self.shape) else { return };
        for link in links {
            if let (StepRef::Known(from), StepRef::Known(to)) = link {
                shape.link(*from, *to);
            }
        }
    }

    /// `None`: something is unusual.
    fn check_known(&self, staged: &[(u32, f64)]) -> Option<Found> {
        let mut found = Found { parts: false, in_order: true };
        let mut next = 0;
        for (position, value) in staged {
            let at = *position as usize;
            found.in_order &= at >= next;
            next = at + 1;
            let (target, old) = (*self.targets.get(at)?, *self.values.get(at)?);
            match target.kind() {
                Kind::Cumulative => {
                    let is_first = is_absent(old) && *value >= 0.0;
                    let rises = (*value >= old || is_first) && *value < f64::INFINITY;
                    if !rises {
                        return None;
                    }
                }
                Kind::Gauge => {
                    if self.start_time == Some(*position) && value.total_cmp(&old).is_ne() {
                        return None;
                    }
                }
                Kind::Part => found.parts = true,
                Kind::Created => {
                    if *value > old {
                        return None;
                    }
                }
            }
        }
        Some(found)
    }

    /// Adds the parts of the groups among `staged`, settled, to `values`; how many sums are left out.
    /// `None` when a group is not whole, not valid, or falls.
    fn settle_known_groups(
        &self,
        staged: &[(u32, f64)],
        values: &mut Vec<(u32, f64)>,
    ) -> Option<u64> {
        let mut hits: Vec<(u32, u32, f64)> = Vec::new();
        for (position, value) in staged {
            let target = *self.targets.get(*position as usize)?;
            if target.kind() == Kind::Part {
                hits.push((target.index(), *position, *value));
            }
        }
        hits.sort_by_key(|(group, _, _)| *group);
        let mut non_finite_sums = 0;
        let mut parts = Vec::new();
        for hits in hits.chunk_by(|a, b| a.0 == b.0) {
            let index = hits.first()?.0;
            let group = self.groups.get(index as usize)?;
            if group.state != GroupState::Live || hits.len() != group.pushed_parts as usize {
                return None;
            }
            parts.clear();
            parts.resize(group.len(), ABSENT);
            for (_, position, value) in hits {
                *parts.get_mut((position - group.first) as usize)? = *value;
            }
            let left_out = group::settle(group.metric_type, &mut parts).ok()?;
            let old = self.values.get(group.range())?;
            if group::falls(group.metric_type, old, &parts) {
                return None;
            }
            non_finite_sums += u64::from(left_out);
            values.extend((group.first..).zip(parts.iter().copied()));
        }
        Some(non_finite_sums)
    }

    #[inline]
    pub(crate) fn write(&mut self, at: usize, value: f64, stamp: Stamp) {
        faults::reach(Step::Value);
        if self.values[at].to_bits() != value.to_bits() {
            self.values[at] = value;
            self.changed[at] = stamp.sequence;
        }
        self.written[at] = stamp.written;
        if !self.ttls.is_empty() {
            self.ttls[at] = stamp.ttl;
        }
    }

    pub(crate) fn positions(&self) -> usize {
        self.targets.len()
    }

    /// Adds a position that has no value yet.
    pub(crate) fn add_position(&mut self, target: Target) -> u32 {
        let at = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        self.targets.push(target);
        self.values.push(ABSENT);
        self.changed.push(0);
        self.written.push(0);
        if !self.ttls.is_empty() {
            self.ttls.push(0);
        }
        if !self.peaks.is_empty() {
            self.peaks.push(ABSENT);
        }
        if let Some(index) = &mut self.by_target {
            let targets = &self.targets;
            index.insert_unique(spread(target), at, |p| {
                targets.get(*p as usize).map_or(0, |t| spread(*t))
            });
        }
        at
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        if self.targets.is_empty() {
            self.targets.reserve_exact(more);
            self.values.reserve_exact(more);
            self.changed.reserve_exact(more);
            self.written.reserve_exact(more);
        }
    }

    /// The position of a target that is no part of a group.
    pub(crate) fn find(&mut self, target: Target) -> Option<u32> {
        let targets = &self.targets;
        let index = self.by_target.get_or_insert_with(|| {
            let mut index = HashTable::with_capacity(targets.len());
            for (at, target) in targets.iter().enumerate() {
                if target.kind() != Kind::Part {
                    let at = u32::try_from(at).unwrap_or(u32::MAX);
                    index.insert_unique(spread(*target), at, |p: &u32| {
                        targets.get(*p as usize).map_or(0, |t| spread(*t))
                    });
                }
            }
            index
        });
        index.find(spread(target), |p| targets.get(*p as usize) == Some(&target)).copied()
    }

    /// The share of one position in a sum: what earlier lives counted and what this one has.
    pub(crate) fn share(&self, position: usize) -> Total {
        let mut share = Total::from_value(self.values[position]);
        if let Some(base) = self.bases.get(&u32::try_from(position).unwrap_or(u32::MAX)) {
            share.add_total(*base);
        }
        share
    }

    /// The decay of a whole instance that has `rule_decay` as the longest by rule.
    pub(crate) fn decay(&self, default: Duration, longest_by_rule: Duration) -> Duration {
        self.ttl.unwrap_or(default).max(longest_by_rule)
    }
}

/// What a push of known positions writes.
#[derive(Debug)]
pub(crate) struct KnownWrites<'p> {
    pub(crate) values: Cow<'p, [(u32, f64)]>,
    pub(crate) non_finite_sums: u64,
}

/// What a check of known positions found.
struct Found {
    /// A histogram or summary is among them.
    parts: bool,
    /// Positions only rise, so none stands there twice.
    in_order: bool,
}

/// How many of the staged samples another one for the same position follows.
pub(crate) fn repeated(staged: &[(u32, f64)], positions: usize) -> u64 {
    let mut seen = vec![0u64; positions.div_ceil(64)];
    let mut repeated = 0;
    for (position, _) in staged {
        let (word, bit) = (*position as usize / 64, 1 << (position % 64));
        if let Some(word) = seen.get_mut(word) {
            repeated += u64::from(*word & bit != 0);
            *word |= bit;
        }
    }
    repeated
}

/// Of a series that stands in the body more than once the last value counts.
pub(crate) fn keep_last(scalars: &mut Vec<(u32, f64)>, positions: usize) {
    let mut seen = vec![false; positions];
    scalars.reverse();
    scalars.retain(|(position, _)| {
        seen.get_mut(*position as usize).is_none_or(|seen| !std::mem::replace(seen, true))
    });
    scalars.reverse();
}

/// Series are numbered in order and mostly come in that order: neighbours stay neighbours in the
/// table, whose tags (the upper bits) a multiplication spreads. The numbers are ours, no client
/// chooses them.
fn spread(target: Target) -> u64 {
    let bits = u64::from(target.bits());
    (bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0xFFFF_FFFF_0000_0000) | bits
}
