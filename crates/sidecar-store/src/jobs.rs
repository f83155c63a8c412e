//! What each job has and may have. The label `job` of a series names the job that its
//! contributions count for; a writer's job is that of its grouping key, else of its first series.

use crate::maps::{Map, Seed};
use crate::settings::Settings;
use crate::stored::{Corrupt, Reader, Stored, Writer};
use std::sync::Arc;

/// Of a series that is no longer.
pub(crate) const NO_JOB: u32 = u32::MAX;
/// Jobs that a look at all of them shows: those with the most series.
const SHOWN: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Jobs {
    by_name: Map<Box<str>, u32>,
    entries: Vec<Job>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Job {
    name: Box<str>,
    /// Series and live writers that name it.
    refs: u64,
    contributions: u64,
    /// Live, and plain groups.
    instances: u64,
    limits: JobLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct JobLimits {
    series: Option<usize>,
    instances: Option<usize>,
}

/// A live writer's place in its job.
#[derive(Clone, Debug)]
pub(crate) struct InJob {
    job: u32,
    pub(crate) name: Arc<str>,
}

/// The catalog gives it a place when its writer is counted in.
impl Stored for InJob {
    fn put(&self, out: &mut Writer<'_>) {
        self.name.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<InJob, Corrupt> {
        Ok(InJob { job: NO_JOB, name: Stored::take(from)? })
    }
}

/// A job, what it has and what it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub name: String,
    /// Contributions.
    pub series: u64,
    /// Live, plain groups among them.
    pub instances: u64,
    pub max_series: Option<usize>,
    pub max_instances: Option<usize>,
}

impl Settings {
    fn limits_of(&self, job: &str) -> JobLimits {
        let of_job = || self.jobs.iter().filter(|settings| settings.job.matches(job));
        JobLimits {
            series: of_job().find_map(|settings| settings.max_series),
            instances: of_job().find_map(|settings| settings.max_instances),
        }
    }

    pub(crate) fn limits_series_of_jobs(&self) -> bool {
        self.jobs.iter().any(|settings| settings.max_series.is_some())
    }
}

impl Jobs {
    pub(crate) fn new(seed: Seed) -> Jobs {
        Jobs { by_name: Map::with_hasher(seed), entries: Vec::new(), free: Vec::new() }
    }

    /// One more names it.
    pub(crate) fn enter(&mut self, name: &str, settings: &Settings) -> u32 {
        let id = match self.by_name.get(name) {
            Some(id) => *id,
            None => self.add(name, settings),
        };
        if let Some(job) = self.entries.get_mut(id as usize) {
            job.refs += 1;
        }
        id
    }

    fn add(&mut self, name: &str, settings: &Settings) -> u32 {
        let limits = settings.limits_of(name);
        let job = Job { name: name.into(), refs: 0, contributions: 0, instances: 0, limits };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = job;
                id
            }
            None => {
                self.entries.push(job);
                u32::try_from(self.entries.len() - 1).unwrap_or(NO_JOB)
            }
        };
        self.by_name.insert(name.into(), id);
        id
    }

    /// One fewer names it.
    pub(crate) fn leave(&mut self, id: u32) {
        let Some(job) = self.entries.get_mut(id as usize) else { return };
        job.refs = job.refs.saturating_sub(1);
        if job.refs == 0 {
            self.by_name.remove(&*std::mem::take(&mut job.name));
            self.free.push(id);
        }
    }

    pub(crate) fn arrive(&mut self, name: &str, settings: &Settings) -> InJob {
        let job = self.enter(name, settings);
        if let Some(job) = self.entries.get_mut(job as usize) {
            job.instances += 1;
        }
        InJob { job, name: name.into() }
    }

    pub(crate) fn depart(&mut self, place: Option<&InJob>) {
        let Some(id) = place.map(|place| place.job) else { return };
        if let Some(job) = self.entries.get_mut(id as usize) {
            job.instances = job.instances.saturating_sub(1);
        }
        self.leave(id);
    }

    pub(crate) fn add_series(&mut self, id: u32, positions: u64) {
        if let Some(job) = self.entries.get_mut(id as usize) {
            job.contributions += positions;
        }
    }

    pub(crate) fn remove_series(&mut self, id: u32) {
        if let Some(job) = self.entries.get_mut(id as usize) {
            job.contributions = job.contributions.saturating_sub(1);
        }
    }

    fn find(&self, name: &str) -> Option<&Job> {
        self.entries.get(*self.by_name.get(name)? as usize)
    }

    /// No further instance may join.
    pub(crate) fn is_full(&self, name: &str, settings: &Settings) -> bool {
        let Some(job) = self.find(name) else {
            return settings.limits_of(name).instances == Some(0);
        };
        job.limits.instances.is_some_and(|most| job.instances >= most as u64)
    }

    /// How many more contributions it may have.
    pub(crate) fn series_room(&self, name: &str, settings: &Settings) -> usize {
        let (limit, has) = match self.find(name) {
            Some(job) => (job.limits.series, job.contributions),
            None => (settings.limits_of(name).series, 0),
        };
        let has = usize::try_from(has).unwrap_or(usize::MAX);
        limit.map_or(usize::MAX, |most| most.saturating_sub(has))
    }

    pub(crate) fn apply_settings(&mut self, settings: &Settings) {
        for job in self.entries.iter_mut().filter(|job| job.refs > 0) {
            job.limits = settings.limits_of(&job.name);
        }
    }

    /// Those with the most series first.
    pub(crate) fn view(&self) -> Vec<JobView> {
        let mut jobs: Vec<&Job> = self.entries.iter().filter(|job| job.refs > 0).collect();
        jobs.sort_by(|a, b| {
            b.contributions.cmp(&a.contributions).then_with(|| a.name.cmp(&b.name))
        });
        jobs.truncate(SHOWN);
        jobs.iter()
            .map(|job| JobView {
                name: job.name.to_string(),
                series: job.contributions,
                instances: job.instances,
                max_series: job.limits.series,
                max_instances: job.limits.instances,
            })
            .collect()
    }
}
