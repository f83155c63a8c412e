//! Takes in what a decoder reads, outside any lock: known positions with their values, and the
//! parsed parts of everything that is new. The commit decides what becomes of it.

mod clearing;
mod group;
mod labels;
mod room;
mod shares;
mod stored;

use crate::exemplars::{Staged, exemplar_of};
use crate::facts::{Facts, effective_type};
use crate::family::type_by_rule;
use crate::grouping::Grouping;
use crate::instance::{Instance, State};
use crate::maps::Map;
use crate::natives::StagedNative;
use crate::outcome::{PushMeta, PushTimes};
use crate::pace::Pace;
use crate::settings::Settings;
use crate::shape::{NO_HEADER, NO_STEP, Shape, StepRef};
use crate::store::Store;
pub(crate) use clearing::{CLEARMODE, Clearing};
pub(crate) use group::is_push_time;
use labels::wish;
pub(crate) use labels::writer_id;
use room::Held;
pub use room::{Grant, Room};
use shares::Shares;
use sidecar_model::{
    Aggregation, Exemplar, ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem,
    ProblemKind, Role, SampleParts, Sink, Temporality, role_of,
};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// The writer index of delta samples: they have no instance.
pub(crate) const ACCUMULATOR: u32 = u32::MAX;

/// Labels of a sample that are read at least, also where the limit is lower.
const LABELS_READ: usize = 1024;

/// Sink for one body; made by [`Store::push`].
#[derive(Debug)]
pub struct Stager<'s> {
    store: &'s Store,
    pub(crate) settings: Arc<Settings>,
    temporality: Option<Temporality>,
    has_sequence: bool,
    /// The id of all samples' writer, where the push says it.
    named: Option<&'s str>,
    pub(crate) grouping: Option<Grouping>,
    times: Option<PushTimes>,
    room: Option<&'s dyn Room>,
    pub(crate) pace: Option<&'s dyn Pace>,
    held: Held,
    /// The open family is one whose values are the store's own: its samples are left out.
    ignores: bool,
    /// Nothing is looked up in the shape memory: all of the body is parsed.
    forgetful: bool,
    /// Ids in order of appearance; empty: anonymous.
    pub(crate) writers: Vec<Box<str>>,
    /// All but the first, by id.
    other_writers: Map<Box<str>, usize>,
    pub(crate) primary: Option<Primary>,
    cursor: u32,
    /// The open header in the primary's shape.
    header: u16,
    /// The open header among `headers`.
    open: Option<u32>,
    pub(crate) known: Vec<(u32, f64)>,
    pub(crate) parsed: Vec<ParsedSample>,
    pub(crate) headers: Vec<StagedHeader>,
    /// Canonical labels and bound texts of `parsed`.
    arena: Vec<u8>,
    scratch: Vec<u8>,
    /// The first sample that may be remembered.
    pub(crate) first: Option<StepRef>,
    last: Option<StepRef>,
    /// The sample that was taken in last, which an exemplar behind it belongs to.
    taken: Option<Staged>,
    pub(crate) exemplars: Vec<(Staged, Arc<Exemplar>)>,
    pub(crate) natives: Vec<StagedNative>,
    /// Of `parsed`, `natives` and `exemplars`, when the body is decoded.
    shares: OnceCell<Shares>,
    /// Where the order of the body is not the one remembered.
    pub(crate) links: Vec<(StepRef, StepRef)>,
}

/// The instance of the first sample, whose shape the body is followed along.
#[derive(Debug)]
pub(crate) struct Primary {
    /// `None`: not seen before.
    pub(crate) instance: Option<Arc<Instance>>,
    pub(crate) shape: Arc<Shape>,
    pub(crate) generation: u32,
    /// Of a group: see `Body::times`.
    times: (f64, f64),
}

#[derive(Debug)]
pub(crate) struct StagedHeader {
    pub(crate) facts: Arc<Facts>,
    /// Hash and length of the raw bytes, when they may be remembered.
    pub(crate) raw: Option<(u64, u32)>,
    /// Its index in the primary's shape.
    pub(crate) remembered: u16,
    /// Made for a sample that does not belong to the family it came in.
    pub(crate) stray: bool,
}

#[derive(Debug)]
pub(crate) struct ParsedSample {
    pub(crate) header: u32,
    pub(crate) writer: u32,
    pub(crate) role: Role,
    /// The sample's name carries the family's suffix.
    pub(crate) suffixed: bool,
    pub(crate) value: f64,
    labels: (u32, u32),
    /// Of a bucket or quantile.
    pub(crate) bound: f64,
    bound_text: (u32, u32),
    pub(crate) wish: Option<Aggregation>,
    /// Of deltas.
    pub(crate) clearing: Clearing,
    pub(crate) raw_hash: u64,
    /// 0: not to be remembered.
    pub(crate) raw_len: u16,
}

impl StagedHeader {
    /// The instance has not pushed it in this spelling before.
    pub(crate) fn is_unremembered(&self) -> bool {
        self.remembered == NO_HEADER
    }
}

impl ParsedSample {
    /// Whether the family's values carry its suffix, where this sample tells.
    pub(crate) fn suffixed_for_family(&self) -> Option<bool> {
        (self.role == Role::Value).then_some(self.suffixed)
    }
}

impl<'s> Stager<'s> {
    pub(crate) fn new(store: &'s Store, meta: &PushMeta<'s>, forgetful: bool) -> Stager<'s> {
        let settings = store.settings();
        let grouping = meta.group.map(|key| Grouping::new(key, &settings));
        let mut stager = Stager {
            store,
            settings,
            temporality: meta.temporality,
            has_sequence: meta.sequence.is_some(),
            named: meta.writer,
            grouping,
            times: meta.times,
            room: meta.room,
            pace: meta.pace,
            held: Held::default(),
            ignores: false,
            forgetful: forgetful || meta.temporality == Some(Temporality::Delta),
            writers: Vec::new(),
            other_writers: Map::with_hasher(store.seed().clone()),
            primary: None,
            cursor: NO_STEP,
            header: NO_HEADER,
            open: None,
            known: Vec::new(),
            parsed: Vec::new(),
            headers: Vec::new(),
            arena: Vec::new(),
            scratch: Vec::new(),
            first: None,
            last: None,
            taken: None,
            exemplars: Vec::new(),
            natives: Vec::new(),
            shares: OnceCell::new(),
            links: Vec::new(),
        };
        stager.begin_group();
        stager
    }

    /// All families of the push are deltas, whatever they say.
    pub(crate) fn is_delta(&self) -> bool {
        self.temporality == Some(Temporality::Delta)
    }

    /// Whether this writer is a plain group.
    pub(crate) fn is_plain_group(&self, writer: u32) -> bool {
        writer == 0 && self.grouping.as_ref().is_some_and(|g| g.is_plain)
    }

    pub(crate) fn labels_of(&self, sample: &ParsedSample) -> &[u8] {
        self.arena.get(range(sample.labels)).unwrap_or_default()
    }

    pub(crate) fn native_labels(&self, native: &StagedNative) -> &[u8] {
        self.arena.get(range(native.labels)).unwrap_or_default()
    }

    pub(crate) fn bound_text_of(&self, sample: &ParsedSample) -> &str {
        let text = self.arena.get(range(sample.bound_text)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    #[inline]
    fn hash(&self, raw: &[u8]) -> u64 {
        let mut hasher = self.store.seed().build_hasher();
        hasher.write(raw);
        hasher.finish()
    }

    /// The step at the cursor if it belongs to the open header.
    #[inline]
    fn next_step(&self) -> Option<(u64, u16)> {
        let shape = &self.primary.as_ref()?.shape;
        let step = shape.step(self.cursor)?;
        if step.header != self.header {
            return None;
        }
        Some((shape.hash_of(self.cursor)?, step.len))
    }

    /// Notes the order of the body: `step` came after the last one.
    fn came(&mut self, step: StepRef) {
        if let Some(last) = self.last {
            let expected = match last {
                StepRef::Known(at) => self
                    .primary
                    .as_ref()
                    .and_then(|p| p.shape.step(at))
                    .map(|s| StepRef::Known(s.next)),
                StepRef::New(at) => Some(StepRef::New(at + 1)),
            };
            if expected != Some(step) {
                self.links.push((last, step));
            }
        } else {
            self.first = Some(step);
        }
        self.last = Some(step);
    }

    /// The staged header of the open family, made from what is remembered when need be.
    fn open_header(&mut self) -> Option<u32> {
        if self.open.is_none() {
            let shape = &self.primary.as_ref()?.shape;
            let known = shape.header(self.header)?;
            let staged = StagedHeader {
                facts: Arc::clone(&known.facts),
                raw: Some((known.hash, known.len)),
                remembered: self.header,
                stray: false,
            };
            self.open = Some(self.stage_header(staged));
        }
        self.open
    }

    fn stage_header(&mut self, header: StagedHeader) -> u32 {
        self.headers.push(header);
        u32::try_from(self.headers.len() - 1).unwrap_or(u32::MAX)
    }

    /// The index of the writer that the sample names, the first one becoming the primary.
    fn writer(&mut self, sample: &SampleParts<'_>) -> Result<u32, ProblemKind> {
        let id = match (&self.grouping, self.named) {
            (Some(grouping), _) => grouping.writer_of(sample).into_owned().into(),
            (None, Some(named)) => Cow::Borrowed(named),
            (None, None) => writer_id(sample, &self.settings.instance_labels),
        };
        let known = match self.writers.first() {
            Some(first) if **first == *id => Some(0),
            Some(_) => self.other_writers.get(&*id).copied(),
            None => None,
        };
        let writer = match known {
            Some(writer) => writer,
            None if self.has_sequence && !self.writers.is_empty() => {
                return Err(ProblemKind::SeveralIds);
            }
            None => {
                let next = self.writers.len();
                self.writers.push(id.as_ref().into());
                if next > 0 {
                    self.other_writers.insert(id.as_ref().into(), next);
                }
                next
            }
        };
        if self.primary.is_none() {
            self.choose_primary(&id);
        }
        Ok(u32::try_from(writer).unwrap_or(u32::MAX))
    }

    fn choose_primary(&mut self, id: &str) {
        let found = self.store.find_writer(id, self.is_plain_group(0));
        let mut primary =
            Primary { instance: None, shape: Arc::default(), generation: 0, times: (0.0, 0.0) };
        if let Some(instance) = found {
            let body = instance.body.lock();
            primary.times = body.times;
            if body.state == State::Live && !self.forgetful {
                primary.shape = Arc::clone(&body.shape);
                primary.generation = body.generation;
                drop(body);
                primary.instance = Some(instance);
            }
        }
        if let Some(staged) = self.open.and_then(|at| self.headers.get_mut(at as usize))
            && let Some((hash, len)) = staged.raw
            && let Some(known) = primary.shape.find_header(hash, len as usize)
        {
            staged.remembered = known;
            self.header = known;
        }
        self.known.reserve(primary.shape.len().min(4096));
        self.primary = Some(primary);
    }

    fn open_family(
        &mut self,
        raw: Option<&[u8]>,
        header: &FamilyHeader<'_>,
    ) -> Result<(), Problem> {
        self.ignores = false;
        let limits = &self.settings.limits;
        let problem = |kind| Err(Problem { kind, label: None });
        if header.name.is_empty() {
            return problem(ProblemKind::EmptyName);
        }
        if header.name.len() > limits.name_bytes {
            return problem(ProblemKind::NameTooLong);
        }
        if header.help.len() > limits.help_bytes {
            return problem(ProblemKind::HelpTooLong);
        }
        self.header = NO_HEADER;
        self.open = None;
        let raw = match raw {
            Some(raw) if !self.forgetful && header.temporality == Temporality::Cumulative => {
                u32::try_from(raw.len()).ok().map(|len| (self.hash(raw), len))
            }
            Some(_) | None => None,
        };
        if let (Some((hash, len)), Some(primary)) = (raw, &self.primary)
            && let Some(known) = primary.shape.find_header(hash, len as usize)
        {
            self.header = known;
            return Ok(());
        }
        self.hold_header(header)?;
        let by_rule = type_by_rule(&self.settings, &header.name);
        let metric_type = effective_type(header.metric_type, &header.name, by_rule);
        if let Some(wish) = header.aggregation
            && !wish.allowed_for(metric_type)
        {
            return problem(ProblemKind::AggregationNotAllowed);
        }
        let mut facts = Facts::new(header, metric_type);
        facts.temporality = self.temporality.unwrap_or(facts.temporality);
        let staged =
            StagedHeader { facts: Arc::new(facts), raw, remembered: NO_HEADER, stray: false };
        self.open = Some(self.stage_header(staged));
        Ok(())
    }

    /// Takes the sample as known when its raw bytes are remembered.
    fn look_up(&mut self, raw_hash: u64, raw_len: usize, value: f64) -> bool {
        let Some(primary) = &self.primary else { return false };
        if self.header == NO_HEADER {
            return false;
        }
        let Some(step) = primary.shape.find(raw_hash, raw_len, self.header) else { return false };
        let Some(found) = primary.shape.step(step).copied() else { return false };
        self.known.push((found.position, value));
        self.taken = Some(Staged::Known(self.known.len() - 1));
        self.came(StepRef::Known(step));
        self.cursor = found.next;
        true
    }

    fn stage(
        &mut self,
        header: u32,
        writer: u32,
        raw: Option<(u64, u16)>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        self.hold_memory()?;
        let Some(staged) = self.headers.get(header as usize) else { return Ok(()) };
        let facts = &*staged.facts;
        let name: &str = sample.name.as_deref().unwrap_or(&facts.name);
        let base = facts.base();
        let (clearing, asked) = match writer {
            ACCUMULATOR => self.clearmode(sample),
            _ => (Clearing::ByType, None),
        };
        let (role, suffixed, header, raw, wish) = match role_of(facts.metric_type, base, name) {
            Some(role) => {
                let wish = wish(facts, sample, asked)?;
                (role, name.len() > base.len(), header, raw, wish)
            }
            None => {
                let by_rule = type_by_rule(&self.settings, name);
                let stray = Facts::stray(name, facts.temporality, by_rule);
                let suffixed = name.len() > stray.base().len();
                let wish = wish(&stray, sample, asked)?;
                let staged = StagedHeader {
                    facts: Arc::new(stray),
                    raw: None,
                    remembered: NO_HEADER,
                    stray: true,
                };
                (Role::Value, suffixed, self.stage_header(staged), None, wish)
            }
        };
        let (bound, bound_text) = self.bound(role, sample)?;
        let labels = self.canonical(writer, role, sample)?;
        if writer != ACCUMULATOR {
            let next = u32::try_from(self.parsed.len()).unwrap_or(u32::MAX);
            self.came(StepRef::New(next));
        }
        let (raw_hash, raw_len) = raw.unwrap_or((0, 0));
        self.taken = Some(Staged::Parsed(self.parsed.len()));
        self.sample_done(self.parsed.len());
        self.parsed.push(ParsedSample {
            header,
            writer,
            role,
            suffixed,
            value,
            labels,
            bound,
            bound_text,
            wish,
            clearing,
            raw_hash,
            raw_len,
        });
        Ok(())
    }
}

fn range((from, to): (u32, u32)) -> Range<usize> {
    from as usize..to as usize
}

/// One NaN for all, so that none can be taken for the absent value.
#[inline]
fn canonical_value(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

impl Sink for Stager<'_> {
    /// A series that is known stays when the limit is lowered, so its labels are read.
    fn most_labels(&self) -> usize {
        self.settings.limits.labels_per_series.max(LABELS_READ)
    }

    fn pause(&self) -> fn() {
        self.pace.map_or(|| {}, Pace::pause)
    }

    #[inline]
    fn next_header_len(&self) -> usize {
        let Some(primary) = &self.primary else { return 0 };
        match primary.shape.step(self.cursor).map(|s| s.header) {
            Some(header) if header != self.header => {
                primary.shape.header(header).map_or(0, |h| h.len as usize)
            }
            Some(_) | None => 0,
        }
    }

    #[inline]
    fn follow_header(&mut self, raw: &[u8]) -> bool {
        let Some(primary) = &self.primary else { return false };
        let Some(step) = primary.shape.step(self.cursor) else { return false };
        let header = step.header;
        let hash = self.hash(raw);
        if primary.shape.header(header).is_none_or(|h| h.hash != hash) {
            return false;
        }
        self.ignores = false;
        self.header = header;
        self.open = None;
        true
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        self.ignores = self.times.is_some() && is_push_time(&header.name);
        if self.ignores {
            self.header = NO_HEADER;
            self.open = None;
            return Ok(());
        }
        self.open_family(raw, header)
    }

    #[inline]
    fn next_sample_len(&self) -> usize {
        self.next_step().map_or(0, |(_, len)| usize::from(len))
    }

    #[inline]
    fn is_next_sample(&self, raw: &[u8]) -> bool {
        self.next_step().is_some_and(|(hash, _)| hash == self.hash(raw))
    }

    #[inline]
    fn value(&mut self, value: f64) {
        let Some(step) = self.primary.as_ref().and_then(|p| p.shape.step(self.cursor)) else {
            return;
        };
        let (position, next) = (step.position, step.next);
        self.known.push((position, canonical_value(value)));
        self.taken = Some(Staged::Known(self.known.len() - 1));
        if let Some(StepRef::New(_)) = self.last {
            self.came(StepRef::Known(self.cursor));
        } else {
            self.last = Some(StepRef::Known(self.cursor));
        }
        self.cursor = next;
    }

    #[inline]
    fn skip(&mut self, raw_len: usize) -> bool {
        let Some(step) = self.primary.as_ref().and_then(|p| p.shape.step(self.cursor)) else {
            return false;
        };
        if usize::from(step.len) != raw_len {
            return false;
        }
        let next = step.next;
        if let Some(StepRef::New(_)) = self.last {
            self.came(StepRef::Known(self.cursor));
        } else {
            self.last = Some(StepRef::Known(self.cursor));
        }
        self.cursor = next;
        true
    }

    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        self.taken = None;
        if self.ignores {
            return Ok(());
        }
        let value = canonical_value(value);
        let whole = |kind| Problem { kind, label: None };
        let delta = self
            .open
            .and_then(|at| self.headers.get(at as usize))
            .is_some_and(|h| h.facts.temporality == Temporality::Delta);
        let writer = if delta {
            if self.has_sequence {
                // Deltas have no instance, but whoever numbers its pushes is known by them.
                self.writer(sample).map_err(whole)?;
            }
            if !value.is_finite() {
                return Err(whole(ProblemKind::BadDelta));
            }
            ACCUMULATOR
        } else {
            self.writer(sample).map_err(whole)?
        };
        let raw = match raw {
            Some(raw) if writer == 0 && !self.forgetful => {
                u16::try_from(raw.len()).ok().map(|len| (self.hash(raw), len))
            }
            Some(_) | None => None,
        };
        if let Some((hash, len)) = raw
            && self.look_up(hash, usize::from(len), value)
        {
            return Ok(());
        }
        self.check_names(sample)?;
        let Some(header) = self.open_header() else { return Ok(()) };
        self.stage(header, writer, raw, sample, value)
    }

    fn exemplar(&mut self, exemplar: &ExemplarParts<'_>) {
        if let (Some(sample), Some(exemplar)) = (self.taken.take(), exemplar_of(exemplar)) {
            self.exemplars.push((sample, exemplar));
        }
    }

    fn native(
        &mut self,
        sample: &mut SampleParts<'_>,
        histogram: NativeHistogram,
    ) -> Result<(), Problem> {
        let is_delta = |header: &StagedHeader| header.facts.temporality == Temporality::Delta;
        let Some(header) = self.open_header().filter(|_| !self.ignores) else { return Ok(()) };
        if self.headers.get(header as usize).is_none_or(is_delta) {
            return Ok(());
        }
        let whole = |kind| Problem { kind, label: None };
        let writer = self.writer(sample).map_err(whole)?;
        let labels = self.canonical(writer, Role::Count, sample)?;
        self.natives.push(StagedNative { header, writer, labels, histogram });
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: self.known.len(), parsed: self.parsed.len(), headers: self.headers.len() }
    }

    fn rewind(&mut self, mark: Mark) {
        self.known.truncate(mark.known);
        self.parsed.truncate(mark.parsed);
        self.headers.truncate(mark.headers);
        self.links.clear();
        self.exemplars.retain(|(sample, _)| match sample {
            Staged::Known(at) => *at < mark.known,
            Staged::Parsed(at) => *at < mark.parsed,
        });
        self.natives.retain(|native| (native.header as usize) < mark.headers);
        self.taken = None;
        self.last = None;
        self.cursor = NO_STEP;
        self.header = NO_HEADER;
        self.open = None;
    }
}
