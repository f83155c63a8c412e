//! Pushes and goodbyes: from a request to the store and back to an answer.
//!
//! A body that repeats known series is decoded and applied where it arrived. What is long, or brings
//! much that is new, is done aside, so that it does not hold up others. A panic on the way is
//! answered as a bug and leaves nothing behind.

mod format;
mod group;
mod key;
mod marks;
mod order;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{HttpLimits, PushSettings};
use crate::http::body::{self, BodyMemory, Received};
use crate::http::{Answer, Aside, Problem, Progress, answer, problem};
use crate::journal::Keep;
use crate::priority::Pace;
use crate::telemetry::{Pushes, Telemetry};
use arc_swap::ArcSwap;
use hyper::Request;
use hyper::body::Incoming;
use key::Key;
use marks::Marks;
use order::Order;
use sidecar_formats::DecodeError;
use sidecar_model::{ProblemKind, Tick};
use sidecar_store::{Outcome, PushMeta, Room, Stager, Store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a push may bring that is new, in the store's memory, to be applied where it arrived.
const NEW_AT_ONCE_BYTES: usize = 16 * 1024;
/// Whatever the path was called: its keys are the same.
const JSON_PATH: &str = "/v1/ingest";

#[derive(Debug)]
pub(crate) struct Ingest {
    pub store: Arc<Store>,
    pub clock: Arc<Clock>,
    pub telemetry: Arc<Telemetry>,
    pub limits: Arc<ArcSwap<HttpLimits>>,
    pub memory: Arc<BodyMemory>,
    pub aside: Aside,
    pub admission: Arc<Admission>,
    pub push: Arc<ArcSwap<PushSettings>>,
    pub keep: Keep,
}

impl Ingest {
    /// `POST /v1/ingest`.
    pub(crate) async fn push(
        self: &Arc<Self>,
        request: Request<Incoming>,
        progress: &Progress,
    ) -> Result<Answer, Problem> {
        let marks = Marks::read(request.headers(), request.uri().query(), JSON_PATH);
        let outcome = match marks.map(Order::of_json) {
            Ok(order) => self.receive_and_apply(request, order, progress).await,
            Err(problem) => Err(problem),
        };
        self.count(&self.telemetry.json_pushes, &outcome);
        let outcome = outcome?;
        Ok(if outcome.refused.is_empty() {
            answer::done()
        } else {
            problem::partly(&outcome.refused)
        })
    }

    /// `DELETE /v1/instances/<id>`.
    pub(crate) async fn goodbye(&self, id: String, erase: bool) -> Result<Answer, Problem> {
        let change = move |store: &Store, now| {
            Ok(if erase { store.erase(&id, now)? } else { store.depart(&id, now)? })
        };
        let known = self.change(change).await?;
        self.keep.everything().await?;
        tracing::debug!(known, erase, "goodbye of an instance");
        Ok(problem::accepted())
    }

    /// `POST /v1/clear`.
    pub(crate) async fn clear(&self) -> Result<Answer, Problem> {
        self.change(|store, now| Ok(store.clear(now)?)).await?;
        self.keep.everything().await?;
        tracing::info!("cleared");
        Ok(answer::done())
    }

    /// Aside, since it waits for whoever has the catalog.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Store, Tick) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        self.aside.run(move || caught(|| change(&store, clock.now()))).await
    }

    async fn receive_and_apply(
        self: &Arc<Self>,
        request: Request<Incoming>,
        order: Order,
        progress: &Progress,
    ) -> Result<Outcome, Problem> {
        let (head, incoming) = request.into_parts();
        let limits = self.limits.load();
        let received =
            body::receive(incoming, &head.headers, &limits, &self.memory, &self.aside, progress)
                .await?;
        drop(limits);
        let (bytes, has_times) = (received.as_bytes().len(), order.has_times());
        let applied = match self.apply_at_once(&received, &order, progress) {
            Some(decided) => decided,
            None => {
                let ingest = Arc::clone(self);
                let work = move || ingest.apply_timed(&received, &order);
                self.aside.run(work).await
            }
        };
        if applied.is_err() && has_times {
            // When it failed may have been noted.
            self.keep.everything().await?;
        }
        let applied = applied?;
        if applied.repeats {
            progress.habit.has_repeated(bytes);
        }
        self.keep.record(applied.outcome.recorded).await?;
        Ok(applied.outcome)
    }

    /// `None`: it is too long, or brings too much, for that.
    fn apply_at_once(
        &self,
        received: &Received,
        order: &Order,
        progress: &Progress,
    ) -> Option<Result<Applied, Problem>> {
        if !progress.habit.is_at_once(received.as_bytes().len()) {
            return None;
        }
        let begun = self.clock.elapsed();
        let applied = caught(|| match self.apply(received.as_bytes(), order, Pace::Through) {
            Ok(applied) => Ok(Some(applied)),
            // What is refused may have cost as much as what is new.
            Err(Stop::Refused(problem)) => {
                progress.habit.has_surprised();
                Err(problem)
            }
            Err(Stop::Busy) => Ok(None),
            Err(Stop::TooMuch) => {
                progress.habit.has_surprised();
                Ok(None)
            }
        })
        .transpose();
        if applied.is_some() {
            self.telemetry.push_time.observe(self.clock.elapsed().saturating_sub(begun));
        }
        applied
    }

    fn apply_timed(&self, received: &Received, order: &Order) -> Result<Applied, Problem> {
        let begun = self.clock.elapsed();
        let applied = caught(|| match self.apply(received.as_bytes(), order, Pace::Stepping) {
            Ok(applied) => Ok(applied),
            Err(Stop::TooMuch | Stop::Busy) => Err(Problem::Internal),
            Err(Stop::Refused(problem)) => Err(problem),
        });
        self.telemetry.push_time.observe(self.clock.elapsed().saturating_sub(begun));
        applied
    }

    /// An idempotency key is held while the body is applied, and freed when nothing was.
    fn apply(&self, body: &[u8], order: &Order, pace: Pace) -> Result<Applied, Stop> {
        let now = self.clock.now();
        let ticket = self.admission.memory.ticket();
        let room = ticket.as_ref().map(|ticket| ticket as &dyn Room);
        let key = match &order.marks.key {
            None => None,
            Some(key) => match Key::begin(&self.store, key, body, now, room)? {
                key::Begun::Before(outcome) => {
                    return Ok(Applied { outcome: settled(outcome)?, repeats: false });
                }
                key::Begun::Now(key) => Some(key),
            },
        };
        let key = key.as_ref().map(Key::of_push);
        let meta =
            PushMeta { key, room, pace: Some(&pace), ..order.meta(self.clock.unix_seconds()) };
        let (mut is_charged, mut repeats) = (false, false);
        let outcome = self.store.push(&meta, now, |stager| {
            order.format.decode(body, order.timestamps, stager).map_err(decode_problem)?;
            repeats = stager.new_bytes() <= NEW_AT_ONCE_BYTES;
            let stop = self.stop(stager, &meta, pace, repeats);
            if let Some(ticket) = &ticket {
                ticket.settle(if stop.is_some() { 0 } else { stager.new_bytes() });
            }
            if let Some(stop) = stop {
                return Err(stop);
            }
            // What is decoded again came once.
            if !std::mem::replace(&mut is_charged, true) {
                self.admission.charge(stager).map_err(Problem::from)?;
            }
            Ok::<(), Stop>(())
        })?;
        if outcome.is_refusal() && order.has_times() {
            self.note_failure(order, now);
        }
        Ok(Applied { outcome: settled(outcome)?, repeats })
    }

    /// Why what is decoded is not applied at once.
    fn stop(
        &self,
        stager: &Stager<'_>,
        meta: &PushMeta<'_>,
        pace: Pace,
        repeats: bool,
    ) -> Option<Stop> {
        match (pace, repeats) {
            (Pace::Stepping, _) => None,
            (Pace::Through, false) => Some(Stop::TooMuch),
            (Pace::Through, true) => self.store.is_busy_for(stager, meta).then_some(Stop::Busy),
        }
    }

    /// Of a push that was read but refused the group shows when.
    fn note_failure(&self, order: &Order, now: Tick) {
        let meta = order.failure(self.clock.unix_seconds());
        let noted = self.store.push(&meta, now, |_| Ok::<(), DecodeError>(()));
        tracing::debug!(noted = noted.is_ok(), "a group's push was refused");
    }

    fn count(&self, pushes: &Pushes, outcome: &Result<Outcome, Problem>) {
        let telemetry = &self.telemetry;
        match outcome {
            Ok(outcome) => {
                telemetry.samples.add(outcome.samples);
                match (outcome.late, outcome.refused.is_empty()) {
                    (false, true) => pushes.done.add(1),
                    (true, _) => pushes.other.add("late", 1),
                    (false, false) => pushes.other.add("partial", 1),
                }
                for refused in &outcome.refused {
                    telemetry.refusals.add(refused.reason.code(), 1);
                }
            }
            Err(problem) => pushes.other.add(problem.code(), 1),
        }
    }
}

/// What an applied push came to.
#[derive(Debug)]
struct Applied {
    outcome: Outcome,
    /// It brought nothing new, or little.
    repeats: bool,
}

/// Why a push was not applied.
#[derive(Debug)]
enum Stop {
    /// It brings too much to be applied at once.
    TooMuch,
    /// It would wait for others.
    Busy,
    Refused(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Refused(problem)
    }
}

/// Nothing applied for what was refused is a problem; anything else is an answer.
fn settled(outcome: Outcome) -> Result<Outcome, Problem> {
    match outcome.is_refusal() {
        true if outcome.journal_full => Err(Problem::JournalFull),
        true => Err(Problem::Refused(outcome.refused)),
        false => Ok(outcome),
    }
}

fn decode_problem(error: DecodeError) -> Problem {
    if error.code == ProblemKind::OutOfMemory.code() {
        return Problem::MemoryLimit;
    }
    Problem::Decode { code: error.code, at: error.at, message: error.message }
}

/// A bug in one request is that request's alone: the store's steps are written so that an unwind
/// leaves each instance as it was.
fn caught<T>(run: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Problem::Internal))
}
