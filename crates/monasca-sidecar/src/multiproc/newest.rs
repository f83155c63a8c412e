//! Gauges of which the value that was set last counts, over all workers of a directory: chosen anew at
//! each read, and pushed as one instance of its own.

use super::Tools;
use sidecar_formats::DecodeError;
use sidecar_formats::mmap_file::{Extra, FileKind, Key, Stamped, offer_values};
use sidecar_store::{ENDLESS, PushMeta, Replaces, Room, Standing};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Newest {
    id: String,
    /// By key, as it stands in the files.
    kinds: BTreeMap<FileKind, BTreeMap<Box<[u8]>, Latest>>,
    /// Not all of it has been pushed.
    is_changed: bool,
    standing: Option<Standing>,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    value: f64,
    timestamp: f64,
    /// As it was pushed.
    pushed: Option<u64>,
}

impl Newest {
    pub(super) fn new(id: String) -> Newest {
        Newest { id, kinds: BTreeMap::new(), is_changed: false, standing: None }
    }

    /// Whether an instance of the store is what was pushed here.
    pub(super) fn is_shown_as(&self, id: &str) -> bool {
        self.standing.is_some() && self.id == id
    }

    /// A read begins: nothing is set yet.
    pub(super) fn begin(&mut self) {
        for latest in self.kinds.values_mut().flat_map(BTreeMap::values_mut) {
            latest.timestamp = 0.0;
        }
    }

    /// A worker has this value.
    pub(super) fn see(&mut self, kind: FileKind, stamped: Stamped<'_>) {
        let Stamped { key, value, timestamp } = stamped;
        let known = self.kinds.entry(kind).or_default();
        match known.get_mut(key) {
            Some(latest) if latest.timestamp < timestamp => {
                latest.value = value;
                latest.timestamp = timestamp;
            }
            Some(_) => {}
            None => {
                known.insert(key.into(), Latest { value, timestamp, pushed: None });
            }
        }
    }

    /// The read is over: pushes what was chosen.
    pub(super) fn push(
        &mut self,
        tools: &Tools,
        labels: &[(String, String)],
        leaving: &mut Vec<String>,
    ) {
        self.forget_unset();
        if self.kinds.is_empty() {
            if self.standing.take().is_some() {
                leaving.push(self.id.clone());
            }
            return;
        }
        self.is_changed |= tools.store.standing(&self.id) != self.standing;
        if self.is_changed || self.standing.is_none() {
            self.push_all(tools, labels);
        }
    }

    fn forget_unset(&mut self) {
        let mut is_changed = false;
        self.kinds.retain(|_, known| {
            known.retain(|_, latest| {
                let is_set = latest.timestamp > 0.0;
                is_changed |= !is_set || latest.pushed != Some(latest.value.to_bits());
                is_set
            });
            !known.is_empty()
        });
        self.is_changed |= is_changed;
    }

    fn push_all(&mut self, tools: &Tools, labels: &[(String, String)]) {
        let ticket = tools.admission.memory.ticket();
        let room = ticket.as_ref().map(|ticket| ticket as &dyn Room);
        let meta = PushMeta {
            writer: Some(&self.id),
            ttl: Some(ENDLESS),
            replaces: Replaces::Everything,
            room,
            ..PushMeta::default()
        };
        let extra = Extra { labels, id: &self.id, pid: "" };
        let kinds = &self.kinds;
        let outcome = tools.store.push(&meta, tools.clock.now(), |stager| {
            for (kind, known) in kinds {
                offer_values(*kind, chosen(known), &extra, stager)?;
            }
            Ok::<(), DecodeError>(())
        });
        match outcome {
            Ok(outcome) if outcome.is_refusal() => tools.count_refusals(&outcome),
            Ok(outcome) => {
                tools.count_refusals(&outcome);
                tools.telemetry.samples.add(outcome.samples);
                // What was refused is offered again.
                self.is_changed = !outcome.refused.is_empty();
                for latest in self.kinds.values_mut().flat_map(BTreeMap::values_mut) {
                    latest.pushed = Some(latest.value.to_bits());
                }
                self.standing = tools.store.standing(&self.id);
            }
            Err(DecodeError { code, .. }) => tools.telemetry.refusals.add(code, 1),
        }
    }
}

/// In the order of their keys; of two keys that differ in the help text alone, the newer value.
fn chosen(known: &BTreeMap<Box<[u8]>, Latest>) -> Vec<(&[u8], f64)> {
    let mut chosen: Vec<(&[u8], Key<'_>, Latest)> = Vec::with_capacity(known.len());
    for (bytes, latest) in known {
        let Some(key) = Key::parse(bytes) else { continue };
        match chosen.last_mut() {
            Some((_, last, _)) if last.sample != key.sample || last.labels != key.labels => {}
            Some((_, _, than)) if latest.timestamp <= than.timestamp => continue,
            Some(_) => drop(chosen.pop()),
            None => {}
        }
        chosen.push((bytes, key, *latest));
    }
    chosen.into_iter().map(|(bytes, _, latest)| (bytes, latest.value)).collect()
}
