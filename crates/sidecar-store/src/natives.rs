//! Native histograms beside their classic part: what each instance has, and what they come to.
//!
//! A merged histogram shows native buckets only where every contributor has them: a part of the
//! observations would look like all.

use crate::apply::Apply;
use crate::draft::FamilyDraft;
use crate::instance::{Body, Past, WriterRole};
use crate::maps::Set;
use crate::stored::stored;
use sidecar_model::{NativeHistogram, is_absent};

/// Buckets of one merged histogram; beyond it the resolution is lowered.
const MOST_BUCKETS: usize = 10_000;
/// By this part, for rounding.
const COUNTS_MAY_DIFFER: f64 = 1e-9;

/// A native histogram of the body, whose labels are in the stager's arena.
#[derive(Debug)]
pub(crate) struct StagedNative {
    pub(crate) header: u32,
    pub(crate) writer: u32,
    pub(crate) labels: (u32, u32),
    pub(crate) histogram: NativeHistogram,
}

/// What an instance has.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    value: NativeHistogram,
    /// Of earlier lives.
    base: Option<NativeHistogram>,
    /// A part of it counts for nothing (a baseline): then it is not shown.
    is_partial: bool,
}

stored!(Native { value, base, is_partial });

impl Native {
    /// What it counts, with earlier lives where they do; `None`: that is not known.
    pub(crate) fn share(&self, with_base: bool) -> Option<NativeHistogram> {
        let mut share = self.value.clone();
        if let Some(base) = self.base.as_ref().filter(|_| with_base) {
            base.merge_into(&mut share);
        }
        (!self.is_partial).then_some(share)
    }

    fn restart(&mut self) {
        let old = std::mem::take(&mut self.value);
        match &mut self.base {
            Some(base) => old.merge_into(base),
            None => self.base = Some(old),
        }
    }
}

/// What contributors add up to, and how many there were.
#[derive(Clone, Debug)]
pub(crate) struct NativeSum {
    pub(crate) total: NativeHistogram,
    pub(crate) contributors: u32,
}

impl NativeSum {
    pub(crate) fn of(total: NativeHistogram) -> NativeSum {
        NativeSum { total, contributors: 1 }
    }

    pub(crate) fn add(&mut self, share: &NativeHistogram) {
        share.merge_into(&mut self.total);
        self.total.limit_buckets(MOST_BUCKETS);
        self.contributors += 1;
    }

    /// As it is shown beside a classic part of this count and sum; `None`: it has not counted all of it.
    pub(crate) fn beside(&self, count: f64, sum: f64) -> Option<NativeHistogram> {
        // Counts of float histograms are rounded where they are added.
        let off = (self.total.count - count).abs();
        if off > COUNTS_MAY_DIFFER * count {
            return None;
        }
        let sum = if is_absent(sum) { self.total.sum } else { sum };
        Some(NativeHistogram { count, sum, ..self.total.clone() })
    }
}

impl Apply<'_> {
    /// Writes the native histograms of one writer, behind their classic samples.
    pub(crate) fn write_natives(
        &mut self,
        body: &mut Body,
        writer: u32,
        families: &[FamilyDraft],
        role: WriterRole,
        past: Past,
    ) {
        let staged = self.stager.natives_of(writer);
        if staged.is_empty() {
            return;
        }
        let refused = families.iter().filter(|family| family.refused.is_some());
        let refused: Set<&str> = refused.map(|family| &*family.base).collect();
        for native in staged.iter().filter_map(|at| self.stager.natives.get(*at as usize)) {
            let facts = &self.stager.headers[native.header as usize].facts;
            if refused.contains(facts.base()) {
                continue;
            }
            let labels = self.stager.native_labels(native);
            let series = self
                .catalog
                .family_named(facts.base())
                .and_then(|family| self.catalog.find_series(family, labels));
            let Some(series) = series.filter(|series| body.group_of.contains_key(series)) else {
                continue;
            };
            let is_cumulative = facts.metric_type.is_cumulative() && role == WriterRole::Identified;
            let begins_anew = is_cumulative.then_some(self.begins_anew);
            body.write_native(series, &native.histogram, begins_anew, past);
        }
    }
}

impl Body {
    /// `begins_anew`: whether the process began anew; `None`: values are shown as they come.
    fn write_native(
        &mut self,
        series: u32,
        value: &NativeHistogram,
        begins_anew: Option<bool>,
        past: Past,
    ) {
        let Some(known) = self.natives.get_mut(&series) else {
            let is_partial = begins_anew.is_some() && past == Past::Baseline;
            let native = Native { value: value.clone(), base: None, is_partial };
            self.natives.insert(series, native);
            return;
        };
        if let Some(begins_anew) = begins_anew
            && (begins_anew || NativeHistogram::has_reset(&known.value, value))
        {
            known.restart();
        }
        known.value.clone_from(value);
    }

    /// The hit series start at zero: what is counted from here on is only a part.
    pub(crate) fn cut_natives(&mut self, hit: impl Fn(u32) -> bool) {
        for (series, native) in &mut self.natives {
            native.is_partial |= hit(*series);
        }
    }
}
