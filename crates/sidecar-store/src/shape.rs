//! Shape memory of one instance: for every series it pushed, the hash and length of the raw bytes
//! that led to its value, where the value goes, and what came next. A push that repeats the
//! previous one is followed step by step; nothing of it is parsed.
//!
//! Shared and immutable while a decoder reads it; grown in place by a commit when nobody does.

use crate::facts::Facts;
use hashbrown::HashTable;
use std::sync::Arc;

pub(crate) const NO_STEP: u32 = u32::MAX;
/// Stands for "no header is open" and "a header that is not remembered".
pub(crate) const NO_HEADER: u16 = u16::MAX;

/// Steps beyond this many for each position are alternative spellings: then all is learned anew.
const SPELLINGS_PER_POSITION: usize = 4;
const SPELLINGS_AT_LEAST: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) position: u32,
    pub(crate) next: u32,
    pub(crate) len: u16,
    pub(crate) header: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct HeaderStep {
    pub(crate) hash: u64,
    pub(crate) len: u32,
    pub(crate) facts: Arc<Facts>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    hashes: Vec<u64>,
    steps: Vec<Step>,
    headers: Vec<HeaderStep>,
    /// Steps by hash: where pushes began and where their order broke; every step once `is_dense`.
    index: HashTable<u32>,
    /// A push had a known sample that the index did not find.
    is_dense: bool,
    /// The step that the last push to teach something began with, and one more; 0: none.
    first: u32,
    header_index: HashTable<u16>,
}

/// A sample's place in a push: a known step, or the n-th new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepRef {
    Known(u32),
    New(u32),
}

impl Shape {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Where a push is expected to begin.
    pub(crate) fn first(&self) -> u32 {
        self.first.wrapping_sub(1)
    }

    pub(crate) fn begin_with(&mut self, step: u32) {
        if step != NO_STEP {
            self.first = step + 1;
        }
    }

    #[inline]
    pub(crate) fn step(&self, step: u32) -> Option<&Step> {
        self.steps.get(step as usize)
    }

    #[inline]
    pub(crate) fn hash_of(&self, step: u32) -> Option<u64> {
        self.hashes.get(step as usize).copied()
    }

    pub(crate) fn header(&self, header: u16) -> Option<&HeaderStep> {
        self.headers.get(usize::from(header))
    }

    pub(crate) fn find(&self, hash: u64, len: usize, header: u16) -> Option<u32> {
        let matches = |step: &u32| {
            self.hash_of(*step) == Some(hash)
                && self.step(*step).is_some_and(|s| usize::from(s.len) == len && s.header == header)
        };
        self.index.find(hash, matches).copied()
    }

    pub(crate) fn find_header(&self, hash: u64, len: usize) -> Option<u16> {
        let matches =
            |at: &u16| self.header(*at).is_some_and(|h| h.hash == hash && h.len as usize == len);
        self.header_index.find(hash, matches).copied()
    }

    /// Remembers a header; `NO_HEADER` when there are too many.
    pub(crate) fn add_header(&mut self, step: HeaderStep) -> u16 {
        if let Some(known) = self.find_header(step.hash, step.len as usize) {
            return known;
        }
        match u16::try_from(self.headers.len()) {
            Ok(at) if at != NO_HEADER => {
                let hash = step.hash;
                self.headers.push(step);
                let headers = &self.headers;
                self.header_index.insert_unique(hash, at, |h| {
                    headers.get(usize::from(*h)).map_or(0, |h| h.hash)
                });
                at
            }
            Ok(_) | Err(_) => NO_HEADER,
        }
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        if self.steps.is_empty() {
            self.steps.reserve_exact(more);
            self.hashes.reserve_exact(more);
        }
        if self.is_dense {
            let hashes = &self.hashes;
            self.index.reserve(more, |step| hashes.get(*step as usize).copied().unwrap_or(0));
        }
    }

    pub(crate) fn is_dense(&self) -> bool {
        self.is_dense
    }

    /// From now on every step is found by its bytes, not only where a push began.
    pub(crate) fn make_dense(&mut self) {
        self.is_dense = true;
        self.index.clear();
        self.reserve(self.steps.len());
        for step in 0..self.steps.len() {
            self.index_step(u32::try_from(step).unwrap_or(NO_STEP));
        }
    }

    /// Makes the step one that is found by its bytes.
    pub(crate) fn add_entry(&mut self, step: u32) {
        let Some(hash) = self.hash_of(step) else { return };
        if !self.is_dense && self.index.find(hash, |known| *known == step).is_none() {
            self.index_step(step);
        }
    }

    fn index_step(&mut self, step: u32) {
        let hashes = &self.hashes;
        let hash_of = |step: &u32| hashes.get(*step as usize).copied().unwrap_or(0);
        self.index.insert_unique(hash_of(&step), step, hash_of);
    }

    /// Remembers a sample; its `next` is the step added after it until told otherwise.
    pub(crate) fn add(&mut self, hash: u64, len: u16, position: u32, header: u16) -> u32 {
        let at = u32::try_from(self.steps.len()).unwrap_or(NO_STEP);
        self.steps.push(Step { position, next: at.saturating_add(1), len, header });
        self.hashes.push(hash);
        if self.is_dense {
            self.index_step(at);
        }
        at
    }

    pub(crate) fn link(&mut self, from: u32, to: u32) {
        if let Some(step) = self.steps.get_mut(from as usize) {
            step.next = to;
        }
    }

    /// Too many spellings of the same positions.
    pub(crate) fn is_bloated(&self, positions: usize) -> bool {
        self.steps.len() > SPELLINGS_AT_LEAST + positions * SPELLINGS_PER_POSITION
    }

    /// The same memory after positions moved; steps to positions that are gone go too.
    pub(crate) fn remapped(&self, moved: &[u32]) -> Shape {
        let mut new_step = Vec::with_capacity(self.steps.len());
        let mut kept = Shape {
            headers: self.headers.clone(),
            header_index: self.header_index.clone(),
            is_dense: self.is_dense,
            ..Shape::default()
        };
        for (step, hash) in self.steps.iter().zip(&self.hashes) {
            match moved.get(step.position as usize) {
                Some(position) if *position != u32::MAX => {
                    new_step.push(kept.add(*hash, step.len, *position, step.header));
                }
                Some(_) | None => new_step.push(NO_STEP),
            }
        }
        for (old, new) in self.steps.iter().zip(&new_step) {
            let next = new_step.get(old.next as usize).copied().unwrap_or(NO_STEP);
            kept.link(*new, next);
        }
        for entry in &self.index {
            kept.add_entry(new_step.get(*entry as usize).copied().unwrap_or(NO_STEP));
        }
        kept.begin_with(new_step.get(self.first() as usize).copied().unwrap_or(NO_STEP));
        kept
    }
}
