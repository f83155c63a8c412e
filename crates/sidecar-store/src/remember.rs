//! After a push: its shape, so that the next one like it is followed instead of parsed.

use crate::apply::Apply;
use crate::instance::Body;
use crate::maps::Map;
use crate::place::Writes;
use crate::shape::{HeaderStep, NO_HEADER, Shape, StepRef};
use crate::stager::{ParsedSample, Stager};
use crate::store::Store;
use sidecar_model::Temporality;
use std::sync::Arc;

impl Apply<'_> {
    /// Remembers the raw bytes of what was new, and in which order the body had it.
    pub(crate) fn remember(&mut self, body: &mut Body, writes: &Writes) {
        if let Some(primary) = &mut self.stager.primary {
            // Only when nobody else reads the shape it can be grown in place.
            primary.shape = Arc::default();
        }
        if body.shape.is_bloated(body.positions()) {
            body.shape = Arc::default();
            body.generation = body.generation.wrapping_add(1);
            return;
        }
        let wanted = self.stager.parsed.iter().filter(|s| s.raw_len > 0).count();
        if wanted == 0 && self.stager.links.is_empty() {
            return;
        }
        let shape = Arc::make_mut(&mut body.shape);
        let known = |(sample, position): (&ParsedSample, &u32)| {
            sample.raw_len > 0 && *position < writes.first_new
        };
        let own = self.stager.parsed_of(0).map(|(_, sample)| sample);
        let missed = own.zip(&writes.placed).any(known);
        if missed && !shape.is_dense() {
            shape.make_dense();
        }
        shape.reserve(wanted);
        let mut headers: Map<u32, u16> = Map::default();
        let mut steps = vec![u32::MAX; self.stager.parsed.len()];
        for (at, sample) in self.stager.parsed.iter().enumerate() {
            if sample.raw_len == 0 || sample.writer != 0 {
                continue;
            }
            let position = writes.placed[self.stager.rank(at)];
            if position == u32::MAX {
                continue;
            }
            let header = *headers
                .entry(sample.header)
                .or_insert_with(|| remember_header(&self.stager, self.store, shape, sample.header));
            if header == NO_HEADER {
                continue;
            }
            // A new position has no step, or one of this push.
            let known = missed
                .then(|| shape.find(sample.raw_hash, usize::from(sample.raw_len), header))
                .flatten();
            steps[at] = known
                .unwrap_or_else(|| shape.add(sample.raw_hash, sample.raw_len, position, header));
        }
        let step_of = |step: StepRef| match step {
            StepRef::Known(at) => at,
            StepRef::New(at) => steps.get(at as usize).copied().unwrap_or(u32::MAX),
        };
        for (from, to) in &self.stager.links {
            shape.link(step_of(*from), step_of(*to));
            shape.add_entry(step_of(*to));
        }
        if let Some(first) = self.stager.first {
            shape.add_entry(step_of(first));
            shape.begin_with(step_of(first));
        }
    }
}

fn remember_header(stager: &Stager<'_>, store: &Store, shape: &mut Shape, header: u32) -> u16 {
    let Some(staged) = stager.headers.get(header as usize) else { return NO_HEADER };
    let Some((hash, len)) = staged.raw else { return NO_HEADER };
    if staged.facts.temporality == Temporality::Delta {
        return NO_HEADER;
    }
    let facts = store.intern_facts(&staged.facts);
    shape.add_header(HeaderStep { hash, len, facts })
}
