//! Ids whose values are forgotten: who comes back under one counts from where it stands, not anew.

use crate::catalog::Catalog;
use crate::settings::Settings;
use crate::store::Store;
use sidecar_model::Tick;

/// An id whose values are forgotten but which is still known.
#[derive(Clone, Debug)]
pub(crate) struct ForgottenId {
    pub(crate) since: Tick,
    pub(crate) sequence: Option<(Box<str>, u64)>,
    /// Its last push was final: that epoch does not come back.
    pub(crate) ended: bool,
}

impl Store {
    /// Beyond the limit of remembered ids the longest gone are forgotten early: if one comes back, all that
    /// it has counts once more.
    pub(crate) fn limit_forgotten(&self, catalog: &mut Catalog, settings: &Settings) {
        let limit = settings.limits.forgotten_ids;
        if catalog.forgotten.len() <= limit {
            return;
        }
        let mut known: Vec<(Tick, Box<str>)> =
            catalog.forgotten.iter().map(|(id, known)| (known.since, id.clone())).collect();
        known.sort_unstable();
        // A tenth more than needed, so that this is not done for every id.
        let excess = known.len() - limit + limit / 10;
        known.truncate(excess);
        for (_, id) in &known {
            catalog.forgotten.remove(id);
        }
        self.counters.early_forgotten.add(known.len() as u64);
    }
}
