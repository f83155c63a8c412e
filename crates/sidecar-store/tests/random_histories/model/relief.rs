//! What goes when memory is short: whole merged series that nobody writes any more.

use super::expose::{merged_labels, millis};
use super::{Labels, Model};
use std::collections::BTreeSet;

impl Model {
    /// All that may go: the store's first slice is larger than a history.
    pub(crate) fn relieve(&mut self) {
        let going: Vec<(String, BTreeSet<Labels>)> =
            self.families.keys().map(|name| (name.clone(), self.relieved(name))).collect();
        let settings = self.settings.clone();
        for (name, going) in going {
            let Some(family) = self.families.get_mut(&name) else { continue };
            let stays = |labels: &Labels| !going.contains(&merged_labels(&settings, &name, labels));
            family.departed.retain(|labels, _| stays(labels));
            family.written.retain(|labels, _| stays(labels));
        }
        let window = millis(settings.resume_window);
        let has_series = |name: &String| {
            self.writers.values().any(|w| w.series.keys().any(|(family, _)| family == name))
        };
        let kept: BTreeSet<String> = self
            .families
            .iter()
            .filter(|(name, family)| {
                family.unheld_since.is_none_or(|since| self.now - since < window)
                    || !family.departed.is_empty()
                    || has_series(name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        self.families.retain(|name, _| kept.contains(name));
        self.keep_company();
    }

    /// Nobody has it, live or remembered, no deltas either; and the page no longer has it, or nobody has
    /// written it for as long as somebody could come back.
    fn relieved(&self, name: &str) -> BTreeSet<Labels> {
        let Some(family) = self.families.get(name) else { return BTreeSet::new() };
        let merged = |labels: &Labels| merged_labels(&self.settings, name, labels);
        let of_writers = self.writers.values().flat_map(|w| w.series.keys());
        let of_writers = of_writers.filter(|(family, _)| family == name).map(|(_, labels)| labels);
        let held: BTreeSet<Labels> =
            of_writers.chain(family.accumulated.keys()).map(merged).collect();
        let window = millis(self.settings.resume_window);
        let is_recent = |labels: &&Labels| {
            let written = family.written.get(*labels).copied().unwrap_or_default();
            self.now - written < window
        };
        let is_exposed = family.unheld_since.is_none_or(|since| self.now - since < window);
        let recent: BTreeSet<Labels> = match is_exposed {
            true => family.departed.keys().filter(is_recent).map(merged).collect(),
            false => BTreeSet::new(),
        };
        let stays = |labels: &Labels| held.contains(labels) || recent.contains(labels);
        family.departed.keys().map(merged).filter(|labels| !stays(labels)).collect()
    }
}
