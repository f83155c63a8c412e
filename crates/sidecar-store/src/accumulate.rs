//! Deltas: each is added to what its series has accumulated, or takes its place where the push says
//! so.

use crate::catalog::Catalog;
use crate::instance::{Body, Kind, Stamp};
use crate::place::Writes;
use crate::stager::Clearing;
use crate::values::GroupWrite;
use sidecar_model::{ABSENT, Aggregation, MetricType, Total, is_absent};

impl Body {
    /// Cumulative deltas are added to the base, where sums are exact; the value stays 0.
    pub(crate) fn accumulate(&mut self, catalog: &Catalog, writes: &Writes, stamp: Stamp) {
        for (position, value) in &writes.scalars {
            let at = *position as usize;
            let target = self.targets[at];
            let clearing = writes.clearings.get(position).copied().unwrap_or_default();
            match target.kind() {
                Kind::Cumulative => {
                    let (news, before) = (self.changed[at], *self.base_of(at));
                    self.write(at, 0.0, stamp);
                    self.add_to_base(at, *value, clearing);
                    // To add nothing is no news.
                    let same = *self.base_of(at) == before;
                    self.changed[at] = if same { news } else { stamp.sequence };
                }
                Kind::Gauge => {
                    let function = catalog
                        .family_of(target.index())
                        .map_or(Aggregation::Last, |(_, family)| family.function());
                    let first = is_absent(self.values[at]);
                    let next = match clearing {
                        _ if first => *value,
                        Clearing::ByType => accumulated_gauge(function, self.values[at], *value),
                        Clearing::Add => self.values[at] + *value,
                        Clearing::Replace | Clearing::ReplaceFamily => *value,
                    };
                    if first {
                        self.write_first(at, next, stamp);
                    } else {
                        self.write(at, next, stamp);
                    }
                }
                Kind::Part | Kind::Created => {}
            }
        }
        for write in &writes.groups {
            self.accumulate_group(write, stamp);
        }
    }

    fn add_to_base(&mut self, at: usize, value: f64, clearing: Clearing) {
        let base = self.base_of(at);
        match clearing {
            Clearing::ByType | Clearing::Add => base.add(value),
            Clearing::Replace | Clearing::ReplaceFamily => *base = Total::from_value(value),
        }
    }

    fn accumulate_group(&mut self, write: &GroupWrite, stamp: Stamp) {
        let group = &self.groups[write.group as usize];
        let range = group.range();
        let is_summary = group.metric_type == MetricType::Summary;
        let sum_at = group.sum_at();
        if write.clearing >= Clearing::Replace {
            for at in range.clone() {
                self.bases.remove(&u32::try_from(at).unwrap_or(u32::MAX));
                self.values[at] = ABSENT;
            }
        }
        for (part, (at, value)) in range.zip(&write.parts).enumerate() {
            if is_absent(*value) {
                // What the push does not say stays, and lives as long as the rest.
                self.write(at, self.values[at], stamp);
            } else if is_summary && part < sum_at {
                self.write(at, *value, stamp);
            } else {
                self.write(at, 0.0, stamp);
                self.base_of(at).add(*value);
            }
        }
    }
}

/// The current value of a gauge after another delta.
fn accumulated_gauge(function: Aggregation, old: f64, delta: f64) -> f64 {
    match function {
        Aggregation::Sum => old + delta,
        Aggregation::Min => old.min(delta),
        Aggregation::Max => old.max(delta),
        Aggregation::Mean
        | Aggregation::Count
        | Aggregation::First
        | Aggregation::Last
        | Aggregation::StdDev
        | Aggregation::StdVar
        | Aggregation::Percentile(_)
        | Aggregation::All
        | Aggregation::Window(_) => delta,
    }
}
