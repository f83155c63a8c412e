//! Settings as bytes: they decide what a push comes to, so they are part of the state.

use super::{Corrupt, Reader, Stored, Writer, stored, stored_choice};
use crate::settings::{
    Bounds, Departed, Glob, JobSettings, Limits, Match, Rule, Settings, UnknownPast,
};

stored_choice!(UnknownPast { Full = 0, Baseline = 1 });
stored_choice!(Bounds { Union = 0, Intersect = 1 });
stored_choice!(Departed { Keep = 0, Drop = 1 });

stored!(Settings {
    decay,
    resume_window,
    retain,
    instance_labels,
    jobs,
    worker_label,
    strict,
    unknown_past,
    limits,
    rules,
});

stored!(Limits {
    name_bytes,
    label_name_bytes,
    label_value_bytes,
    help_bytes,
    labels_per_series,
    series_per_instance,
    instances,
    groups,
    departed_instances,
    series,
    idempotency_keys,
    forgotten_ids,
});

stored!(Rule {
    matches,
    aggregate,
    metric_type,
    decay,
    departed,
    unknown_past,
    bounds,
    drop_labels,
    drop
});

stored!(JobSettings { job, instance_labels, max_series, max_instances });

stored!(Match { name, labels });

impl Stored for Glob {
    fn put(&self, out: &mut Writer<'_>) {
        self.pattern().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Glob, Corrupt> {
        from.str().map(Glob::new)
    }
}

impl Settings {
    /// Both decide the same.
    pub(crate) fn is_same(&self, other: &Settings) -> bool {
        let bytes = |settings: &Settings| {
            let mut out = Writer::new();
            settings.put(&mut out);
            out.as_bytes().to_vec()
        };
        bytes(self) == bytes(other)
    }
}
