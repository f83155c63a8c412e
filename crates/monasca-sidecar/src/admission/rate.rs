//! Samples a second, in all and by job: token buckets that hold the tokens of one second.
//!
//! Of the bucket for all, the last third is kept for updates by jobs that are within their even
//! share of half the rate, and the third above it for updates by anybody. So new things come only
//! while there is plenty, and neither they nor one job can use up what the updates of others need.
//! A body larger than what a bucket can hold passes when it is full, and is paid off afterwards.

use super::{TooFast, Whose};
use crate::config::PushSettings;
use parking_lot::Mutex;
use sidecar_store::Glob;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Jobs that are told apart; what further ones send counts as of one.
const JOBS_AT_MOST: usize = 10_000;
/// A job that sent nothing for so long has no share.
const IDLE: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Of a job's own bucket what only updates use.
const KEPT_OF_JOB: f64 = 0.5;

#[derive(Debug, Default)]
pub(crate) struct Rates {
    are_set: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: Option<Bucket>,
    limits: Vec<(Glob, f64)>,
    jobs: BTreeMap<Box<str>, OfJob>,
    swept: Duration,
}

#[derive(Debug)]
struct OfJob {
    own: Option<Bucket>,
    /// Its even share of what is kept for updates.
    share: Bucket,
    used: Duration,
}

/// What is left of a rate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RateUse {
    pub(crate) job: String,
    pub(crate) limit: f64,
    pub(crate) available: f64,
}

#[derive(Clone, Debug)]
struct Bucket {
    rate: f64,
    size: f64,
    /// Below zero while a large body is paid off.
    level: f64,
    filled: Duration,
}

impl Bucket {
    fn full(rate: f64, size: f64, now: Duration) -> Bucket {
        Bucket { rate, size, level: size, filled: now }
    }

    fn fill(&mut self, now: Duration) {
        let more = now.saturating_sub(self.filled).as_secs_f64() * self.rate;
        self.level = (self.level + more).min(self.size);
        self.filled = self.filled.max(now);
    }

    /// How long until `amount` may be taken so that `kept` is left; `None`: now.
    fn wait(&self, amount: f64, kept: f64) -> Option<Duration> {
        let needed = (amount + kept).min(self.size);
        // A rounding error is no reason to wait.
        if self.level + 1e-6 >= needed {
            return None;
        }
        let seconds = (needed - self.level) / self.rate;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT))
    }
}

impl Rates {
    pub(crate) fn are_set(&self) -> bool {
        self.are_set.load(Relaxed)
    }

    /// Other limits from now on; the buckets begin full.
    pub(crate) fn set(&self, all: Option<usize>, push: &PushSettings) {
        let mut state = self.state.lock();
        let limits = push.jobs.iter().filter_map(|settings| {
            Some((settings.job.clone(), float(settings.max_samples_per_second?)))
        });
        state.limits = limits.collect();
        state.jobs.clear();
        state.all = all.map(|rate| Bucket::full(float(rate), float(rate), Duration::ZERO));
        self.are_set.store(all.is_some() || !state.limits.is_empty(), Relaxed);
    }

    /// Takes the samples of a push, or nothing of them. `now`: since the start.
    pub(super) fn take(
        &self,
        job: &str,
        samples: usize,
        is_update: bool,
        now: Duration,
    ) -> Result<(), TooFast> {
        let (mut state, amount) = (self.state.lock(), float(samples));
        let State { all, jobs, .. } = state.prepare(job, now);
        let name = named(jobs, job);
        let Some(of_job) = jobs.get_mut(name) else { return Ok(()) };
        let early = |whose, wait: Option<Duration>| match wait {
            Some(wait) => Err(TooFast { whose, wait }),
            None => Ok(()),
        };
        if let Some(own) = &of_job.own {
            let kept = if is_update { 0.0 } else { own.size * KEPT_OF_JOB };
            early(Whose::Job, own.wait(amount, kept))?;
        }
        if let Some(all) = all {
            let third = all.size / 3.0;
            let kept = if is_update { third } else { 2.0 * third };
            let within_share = is_update && of_job.share.wait(amount, 0.0).is_none();
            if !within_share {
                early(Whose::All, all.wait(amount, kept))?;
            }
            of_job.share.level -= if within_share { amount } else { 0.0 };
            // A debt is paid off within the longest wait.
            all.level = (all.level - amount).max(-all.rate * LONGEST_WAIT.as_secs_f64());
        }
        if let Some(own) = &mut of_job.own {
            own.level -= amount;
        }
        Ok(())
    }

    /// What is left of each rate that is set; the empty name stands for all together in `all`.
    pub(crate) fn used(&self, now: Duration) -> (Option<RateUse>, Vec<RateUse>) {
        let mut state = self.state.lock();
        let report = |job: &str, bucket: &mut Bucket| {
            bucket.fill(now);
            RateUse { job: job.to_owned(), limit: bucket.rate, available: bucket.level.max(0.0) }
        };
        let all = state.all.as_mut().map(|all| report("", all));
        let jobs = state.jobs.iter_mut();
        (all, jobs.filter_map(|(name, of)| Some(report(name, of.own.as_mut()?))).collect())
    }
}

impl State {
    /// Brings the buckets that a push of this job concerns up to now.
    fn prepare(&mut self, job: &str, now: Duration) -> &mut State {
        if now.saturating_sub(self.swept) >= IDLE / 4 {
            self.swept = now;
            self.jobs.retain(|_, of_job| now.saturating_sub(of_job.used) < IDLE);
        }
        let name = named_or_new(&self.jobs, job);
        if !self.jobs.contains_key(name) {
            let limit = self.limits.iter().find(|(glob, _)| glob.matches(name));
            let own = limit.map(|(_, rate)| Bucket::full(*rate, *rate, now));
            let share = Bucket::full(0.0, 0.0, now);
            self.jobs.insert(name.into(), OfJob { own, share, used: now });
        }
        let sharing = float(self.jobs.len());
        let share = self.all.as_ref().map_or(0.0, |all| all.rate / sharing);
        if let Some(all) = &mut self.all {
            all.fill(now);
        }
        if let Some(of_job) = self.jobs.get_mut(name) {
            of_job.used = now;
            of_job.share.rate = share / 2.0;
            let is_new = of_job.share.size == 0.0;
            of_job.share.size = share / 3.0;
            of_job.share.fill(now);
            if is_new {
                of_job.share.level = of_job.share.size;
            }
            if let Some(own) = &mut of_job.own {
                own.fill(now);
            }
        }
        self
    }
}

/// The job under which a push counts: when there are too many, the one of those without a name.
fn named_or_new<'a>(jobs: &BTreeMap<Box<str>, OfJob>, job: &'a str) -> &'a str {
    if jobs.len() < JOBS_AT_MOST || jobs.contains_key(job) { job } else { "" }
}

fn named<'a>(jobs: &BTreeMap<Box<str>, OfJob>, job: &'a str) -> &'a str {
    if jobs.contains_key(job) { job } else { "" }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
