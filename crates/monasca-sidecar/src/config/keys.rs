//! The table of keys: name, flag, help text and the field it sets. Flags, environment names, the
//! annotated example and the reference table in the documentation all come from here; defaults
//! come from `Config::default()`.

use super::field::{Field, MAX_COUNT, MAX_LABEL_BYTES, Zero};

pub(super) struct Key {
    /// As in the file; `a.b` is `b` in the map `a`.
    pub(super) name: &'static str,
    /// Without the dashes: the name with `-` for `_`.
    pub(super) flag: &'static str,
    /// An environment name of lower precedence than the key's own.
    pub(super) other_variable: Option<&'static str>,
    /// A shorter flag for the same.
    pub(super) other_flag: Option<&'static str>,
    pub(super) field: Field,
    pub(super) takes_effect: TakesEffect,
    pub(super) help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakesEffect {
    AtReload,
    AtStart,
}

const PREFIX: &str = "MONASCA_SIDECAR_";

/// The environment name of a key.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('.', "_"))
}

const fn live(name: &'static str, flag: &'static str, field: Field, help: &'static str) -> Key {
    let takes_effect = TakesEffect::AtReload;
    Key { name, flag, other_variable: None, other_flag: None, field, takes_effect, help }
}

const fn fixed(name: &'static str, flag: &'static str, field: Field, help: &'static str) -> Key {
    let takes_effect = TakesEffect::AtStart;
    Key { name, flag, other_variable: None, other_flag: None, field, takes_effect, help }
}

/// In the order of the example and of the help text; those of one section stand together.
pub(super) const KEYS: &[Key] = &[
    fixed(
        "listen",
        "listen",
        Field::Listen,
        "Address to listen on: IP:PORT, :PORT for all addresses (IPv4 and IPv6), unix:PATH, or \
         systemd[:NAME] for sockets that systemd made; port 0 picks a free one. Several are \
         allowed: a list in the file, commas in the environment, the flag repeated. The listeners \
         of the file, which can have rights, count instead of it.",
    ),
    fixed(
        "strict_access",
        "strict-access",
        Field::Switch(|c| &mut c.strict_access),
        "Refuse to start when everybody who reaches a listener that is not on loopback may push or \
         has admin rights; without it a warning is logged.",
    ),
    live(
        "web.config.file",
        "web.config.file",
        Field::WebFile,
        "File with TLS, users, tokens and headers, in the format of the Prometheus projects, with \
         our rights; see docs/security.md. It and the files that it names are read again when they \
         change.",
    ),
    live(
        "cors.origins",
        "cors.origins",
        Field::Origins,
        "Origins of web pages that may push, such as https://shop.example, or * for all.",
    ),
    fixed(
        "data_dir",
        "data-dir",
        Field::DataDirectory,
        "Directory in which the state is kept, so that it is there again after a restart. It belongs to \
         one daemon. Without it nothing is written to disk.",
    ),
    fixed(
        "sync",
        "sync",
        Field::Sync,
        "When the journal in data_dir is synced to the disk: so long after a push at most, or \
         `always` before it is answered. An answered push survives the end of the process in either \
         case, the loss of power only with `always`.",
    ),
    fixed(
        "journal_size",
        "journal-size",
        Field::Bytes(|c| &mut c.data.journal_bytes, 1..=1 << 40),
        "Size on disk beyond which a snapshot is written and the journal begins anew, 256KiB at least.",
    ),
    fixed(
        "log_format",
        "log-format",
        Field::LogFormat,
        "How log lines on stderr look: text or json.",
    ),
    fixed(
        "log_level",
        "log-level",
        Field::LogLevel,
        "Least severe level that is logged: off, error, warn, info, debug or trace; per module as \
         in `info,hyper=warn`.",
    ),
    Key {
        name: "decay",
        flag: "decay",
        other_variable: Some("DECAY_SECONDS"),
        other_flag: None,
        field: Field::Duration(|c| &mut c.store.decay, Zero::Refused),
        takes_effect: TakesEffect::AtReload,
        help: "Silence after which an instance has departed and a gauge is gone. Must be longer \
               than the interval of the pushes.",
    },
    live(
        "resume_window",
        "resume-window",
        Field::Duration(|c| &mut c.store.resume_window, Zero::Allowed),
        "How long the values of a departed instance are remembered, so that it can come back, and \
         how long a family without any live instance stays exposed.",
    ),
    live(
        "retain",
        "retain",
        Field::Duration(|c| &mut c.store.retain, Zero::Allowed),
        "How long the id of a departed instance and the departed total of a family are remembered. \
         Not shorter than resume_window.",
    ),
    fixed(
        "warmup",
        "warmup",
        Field::Duration(|c| &mut c.warmup, Zero::Allowed),
        "For so long after a start without state /metrics answers 503, so that no scrape sees only \
         a part of the instances.",
    ),
    fixed(
        "shutdown_delay",
        "shutdown-delay",
        Field::Duration(|c| &mut c.shutdown_delay, Zero::Allowed),
        "After SIGTERM go on serving until one more scrape has been answered, but for this time at \
         most.",
    ),
    fixed(
        "drain_timeout",
        "drain-timeout",
        Field::Duration(|c| &mut c.drain_timeout, Zero::Allowed),
        "How long requests under way may take to finish when the daemon stops.",
    ),
    live(
        "instance_labels",
        "instance-labels",
        Field::InstanceLabels,
        "Labels that name the writing instance, besides _id. They are not exposed. A list in the \
         file, commas in the environment and the flag.",
    ),
    live(
        "worker_label",
        "worker-label",
        Field::WorkerLabel,
        "Label under which the aggregation `all` shows each instance's slot.",
    ),
    live(
        "strict",
        "strict",
        Field::Switch(|c| &mut c.store.strict),
        "Refuse the whole push when one of its families is refused, instead of that family alone.",
    ),
    live(
        "unknown_past",
        "unknown-past",
        Field::UnknownPast,
        "What the first totals of an unknown instance count for when its push does not say: full \
         (all of it) or baseline (only its growth).",
    ),
    live(
        "push.status",
        "push.status",
        Field::PushStatus,
        "What a push to /metrics/job/... is answered when all is well: 200, or the 202 that old \
         Java clients wait for.",
    ),
    live(
        "push.ttl",
        "push.ttl",
        Field::Duration(|c| &mut c.push.ttl, Zero::Allowed),
        "How long a group without an id lives unless it is pushed again; 0s is for ever.",
    ),
    live(
        "push.temporality",
        "push.temporality",
        Field::Temporality,
        "What text pushes are when they do not say: cumulative, or delta, so that each is added.",
    ),
    live(
        "push.timestamps",
        "push.timestamps",
        Field::Timestamps,
        "What becomes of pushed timestamps: drop them, or reject the push as the Pushgateway does.",
    ),
    live(
        "push.admin_api",
        "push.admin-api",
        Field::Switch(|c| &mut c.push.admin_api),
        "Whether PUT /api/v1/admin/wipe is there.",
    ),
    Key {
        name: "multiproc.dirs",
        flag: "multiproc.dirs",
        other_variable: None,
        other_flag: Some("multiproc-dir"),
        field: Field::MultiprocDirectories,
        takes_effect: TakesEffect::AtStart,
        help: "Directories of Python's multiprocess mode (PROMETHEUS_MULTIPROC_DIR), whose files are \
               read at each scrape. A list in the file, of paths or of maps with path, job and \
               labels; commas in the environment, the flag repeated.",
    },
    fixed(
        "multiproc.interval",
        "multiproc.interval",
        Field::Duration(|c| &mut c.multiproc.interval, Zero::Allowed),
        "A scrape reads the directories again when they were last read so long ago; 0s is at each \
         scrape.",
    ),
    Key {
        name: "multiproc.compact",
        flag: "multiproc.compact",
        other_variable: None,
        other_flag: Some("multiproc-compact"),
        field: Field::Switch(|c| &mut c.multiproc.compact),
        takes_effect: TakesEffect::AtStart,
        help: "Whether files of workers that are dead for certain are folded into totals and \
               deleted; needs data_dir.",
    },
    fixed(
        "multiproc.compact_interval",
        "multiproc.compact-interval",
        Field::Duration(|c| &mut c.multiproc.compact_interval, Zero::Refused),
        "How often it is looked which workers live, and dead ones are folded; a dead one shows no \
         gauge of a live mode any more, with and without compaction.",
    ),
    fixed(
        "multiproc.max_files",
        "multiproc.max-files",
        Field::Count(|c| &mut c.multiproc.limits.files, MAX_COUNT),
        "Files that are read of a directory.",
    ),
    fixed(
        "multiproc.max_file",
        "multiproc.max-file",
        Field::Bytes(|c| &mut c.multiproc.limits.file_bytes, 1..=1 << 30),
        "The filled part of one file, 1GiB at most; a longer one is left out.",
    ),
    fixed(
        "multiproc.max_total",
        "multiproc.max-total",
        Field::Bytes(|c| &mut c.multiproc.limits.total_bytes, 1..=usize::MAX),
        "The filled parts of all files of a directory; what goes beyond is left out.",
    ),
    live(
        "limits.max_body",
        "limits.max-body",
        Field::Bytes(|c| &mut c.http.body_bytes, 1..=usize::MAX),
        "Body of one request, after decompression too.",
    ),
    live(
        "limits.max_body_memory",
        "limits.max-body-memory",
        Field::Bytes(|c| &mut c.http.body_memory_bytes, 1..=usize::MAX),
        "Bodies of all requests under way together. Not less than limits.max_body.",
    ),
    live(
        "limits.max_connections",
        "limits.max-connections",
        Field::Count(|c| &mut c.http.connections, MAX_COUNT),
        "Open connections.",
    ),
    live(
        "limits.max_header_time",
        "limits.max-header-time",
        Field::Duration(|c| &mut c.http.header_time, Zero::Refused),
        "Time for a request's head to arrive.",
    ),
    live(
        "limits.max_request_time",
        "limits.max-request-time",
        Field::Duration(|c| &mut c.http.request_time, Zero::Refused),
        "Time for a whole body to arrive, and for an answer to be taken whole.",
    ),
    live(
        "limits.max_idle_time",
        "limits.max-idle-time",
        Field::Duration(|c| &mut c.http.idle_time, Zero::Refused),
        "Time for which a connection may stay open without a request.",
    ),
    live(
        "limits.max_header",
        "limits.max-header",
        // The HTTP library reads into a buffer of at least 8 KiB.
        Field::Bytes(|c| &mut c.http.header_bytes, 8 * 1024..=1 << 30),
        "Head of a request, 8KiB or more.",
    ),
    live(
        "limits.max_name",
        "limits.max-name",
        Field::Bytes(|c| &mut c.store.limits.name_bytes, 1..=MAX_LABEL_BYTES),
        "Metric name, 65535 bytes at most.",
    ),
    live(
        "limits.max_label_name",
        "limits.max-label-name",
        Field::Bytes(|c| &mut c.store.limits.label_name_bytes, 1..=MAX_LABEL_BYTES),
        "Label name, 65535 bytes at most.",
    ),
    live(
        "limits.max_label_value",
        "limits.max-label-value",
        Field::Bytes(|c| &mut c.store.limits.label_value_bytes, 1..=MAX_LABEL_BYTES),
        "Label value, 65535 bytes at most.",
    ),
    live(
        "limits.max_help",
        "limits.max-help",
        Field::Bytes(|c| &mut c.store.limits.help_bytes, 1..=usize::MAX),
        "Help text of a family.",
    ),
    live(
        "limits.max_labels_per_series",
        "limits.max-labels-per-series",
        Field::Count(|c| &mut c.store.limits.labels_per_series, MAX_COUNT),
        "Labels of one series.",
    ),
    live(
        "limits.max_series_per_instance",
        "limits.max-series-per-instance",
        Field::Count(|c| &mut c.store.limits.series_per_instance, MAX_COUNT),
        "Series of one instance.",
    ),
    live(
        "limits.max_instances",
        "limits.max-instances",
        Field::Count(|c| &mut c.store.limits.instances, MAX_COUNT),
        "Live instances.",
    ),
    live(
        "limits.max_groups",
        "limits.max-groups",
        Field::Count(|c| &mut c.store.limits.groups, MAX_COUNT),
        "Groups without an id.",
    ),
    live(
        "limits.max_departed_instances",
        "limits.max-departed-instances",
        Field::Count(|c| &mut c.store.limits.departed_instances, MAX_COUNT),
        "Departed instances whose values are remembered; of more, the longest gone are forgotten \
         first.",
    ),
    live(
        "limits.max_series",
        "limits.max-series",
        Field::Count(|c| &mut c.store.limits.series, MAX_COUNT),
        "Series of all instances together.",
    ),
    live(
        "limits.max_samples_per_second",
        "limits.max-samples-per-second",
        Field::Rate,
        "Samples of all pushes in a second, and as many at once; none is no limit. Updates of known \
         series come before what is new, and each job has its share.",
    ),
    Key {
        name: "limits.max_memory",
        flag: "limits.max-memory",
        other_variable: None,
        other_flag: Some("max-memory"),
        field: Field::Memory,
        takes_effect: TakesEffect::AtReload,
        help: "Memory of the process. Well before it is reached nothing new is taken, while updates of \
               known series go on. auto is 90 % of what the control group (the container) may have; \
               none is no limit.",
    },
    live(
        "limits.max_idempotency_keys",
        "limits.max-idempotency-keys",
        Field::Count(|c| &mut c.store.limits.idempotency_keys, MAX_COUNT),
        "Remembered Idempotency-Key headers.",
    ),
    live(
        "limits.max_forgotten_ids",
        "limits.max-forgotten-ids",
        Field::Count(|c| &mut c.store.limits.forgotten_ids, MAX_COUNT),
        "Ids of instances whose values are forgotten; of more, the longest gone are forgotten first, \
         and count in full if they come back.",
    ),
];

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::{KEYS, variable};

    #[test]
    fn flags_and_variables_follow_from_the_names() {
        for key in KEYS {
            assert_eq!(key.flag, key.name.replace('_', "-"));
            assert!(key.help.ends_with('.'), "{}", key.name);
        }
        assert_eq!(variable("limits.max_series"), "MONASCA_SIDECAR_LIMITS_MAX_SERIES");
        let mut variables: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
        variables.push(variable("config"));
        variables.sort();
        assert!(variables.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
