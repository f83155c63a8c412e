//! The names that the families of a body take up: no two may print one name.

use super::block::{Block, suffixes};
use crate::lines::{Fault, Read, Reason};
use hashbrown::HashMap;
use sidecar_model::MetricType;
use std::borrow::Cow;

#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    families: HashMap<Cow<'a, str>, MetricType, foldhash::fast::RandomState>,
    scratch: String,
}

/// All suffixes of all types.
const SUFFIXES: [&str; 8] =
    ["_total", "_created", "_bucket", "_sum", "_count", "_gsum", "_gcount", "_info"];

impl<'a> Names<'a> {
    pub(super) fn add(&mut self, block: &Block<'a>) -> Read<()> {
        if self.clashes(block) {
            let reason =
                Reason::Syntax("a family of this name, or with samples of such names, came before");
            return Fault::at(reason, block.at);
        }
        self.families.insert(block.name.clone(), block.metric_type());
        Ok(())
    }

    fn clashes(&mut self, block: &Block<'_>) -> bool {
        let name = &*block.name;
        if self.families.contains_key(name) {
            return true;
        }
        // No suffix ends as another one does, so that names meet in these two ways alone.
        let as_sample = SUFFIXES.iter().any(|suffix| {
            let of = name.strip_suffix(suffix).and_then(|base| self.families.get(base));
            of.is_some_and(|of| suffixes(*of).iter().any(|(known, _)| known == suffix))
        });
        as_sample
            || suffixes(block.metric_type()).iter().any(|(suffix, _)| {
                self.scratch.clear();
                self.scratch.push_str(name);
                self.scratch.push_str(suffix);
                self.families.contains_key(self.scratch.as_str())
            })
    }
}
