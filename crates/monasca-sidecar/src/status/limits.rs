//! `GET /v1/limits`: every limit, what is used of it, by job too, and what was refused.

use super::Status;
use crate::admission::{MemoryUse, RateUse};
use serde::Serialize;
use sidecar_store::{JobView, Stats};
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(super) struct Report {
    limits: Vec<Limit>,
    memory: Memory,
    samples_per_second: Option<Rate>,
    jobs: Vec<Job>,
    /// By code, since the start.
    refusals: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Limit {
    key: &'static str,
    /// Seconds, bytes or a count; nothing: there is no limit.
    limit: Option<f64>,
    /// Nothing: it concerns one request or one series at a time.
    used: Option<u64>,
}

#[derive(Serialize)]
struct Memory {
    limit_bytes: Option<usize>,
    resident_bytes: usize,
    reusable_bytes: usize,
    new_until_bytes: Option<usize>,
    short: bool,
}

#[derive(Serialize)]
struct Rate {
    limit: f64,
    available: f64,
}

#[derive(Serialize)]
struct Job {
    job: String,
    series: u64,
    max_series: Option<usize>,
    instances: u64,
    max_instances: Option<usize>,
    samples_per_second: Option<Rate>,
}

impl Report {
    pub(super) fn of(status: &Status) -> Report {
        let stats = status.store.stats();
        let memory = status.admission.memory.used();
        let (all, jobs) = status.admission.rates.used(status.clock.elapsed());
        let limits = status.limits.load();
        let limits = limits.iter().map(|(key, limit)| Limit {
            key,
            limit: if *key == MEMORY { memory.limit_bytes.map(float) } else { *limit },
            used: used(key, status, &stats, &memory),
        });
        Report {
            limits: limits.collect(),
            memory: Memory::of(&memory),
            samples_per_second: all.as_ref().map(Rate::of),
            jobs: Job::all(status.store.jobs(), &jobs),
            refusals: status.telemetry.refusals.sorted().into_iter().collect(),
        }
    }
}

const MEMORY: &str = "limits.max_memory";

fn used(key: &str, status: &Status, stats: &Stats, memory: &MemoryUse) -> Option<u64> {
    match key {
        MEMORY => Some(memory.resident_bytes as u64),
        "limits.max_body_memory" => Some(status.memory.used_bytes() as u64),
        "limits.max_connections" => Some(status.telemetry.connections.open.get()),
        "limits.max_series" => Some(stats.contributions),
        "limits.max_instances" => Some(stats.live_instances),
        "limits.max_groups" => Some(stats.groups),
        "limits.max_departed_instances" => Some(stats.departed_instances),
        "limits.max_idempotency_keys" => Some(stats.idempotency_keys),
        "limits.max_forgotten_ids" => Some(stats.forgotten_ids),
        _ => None,
    }
}

impl Memory {
    fn of(memory: &MemoryUse) -> Memory {
        Memory {
            limit_bytes: memory.limit_bytes,
            resident_bytes: memory.resident_bytes,
            reusable_bytes: memory.reusable_bytes,
            new_until_bytes: memory.new_until_bytes,
            short: memory.is_short,
        }
    }
}

impl Rate {
    fn of(used: &RateUse) -> Rate {
        Rate { limit: used.limit, available: used.available.floor() }
    }
}

impl Job {
    /// Those with the most series first; a job may have a rate and no series.
    fn all(views: Vec<JobView>, rates: &[RateUse]) -> Vec<Job> {
        let mut rates: BTreeMap<String, Rate> =
            rates.iter().map(|used| (used.job.clone(), Rate::of(used))).collect();
        let mut jobs: Vec<Job> = views
            .into_iter()
            .map(|view| Job {
                samples_per_second: rates.remove(&view.name),
                job: view.name,
                series: view.series,
                max_series: view.max_series,
                instances: view.instances,
                max_instances: view.max_instances,
            })
            .collect();
        jobs.extend(rates.into_iter().map(|(job, rate)| Job {
            job,
            series: 0,
            max_series: None,
            instances: 0,
            max_instances: None,
            samples_per_second: Some(rate),
        }));
        jobs
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn float(bytes: usize) -> f64 {
    bytes as f64
}
