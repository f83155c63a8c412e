//! Pushes and goodbyes: from a request to the store and back to an answer.
//!
//! A body is decoded and applied where it arrived; only a very large one moves to a thread of its
//! own, so that it does not hold up others. A panic on the way is answered as a bug and leaves
//! nothing behind.

mod format;
mod group;
mod key;
mod marks;
mod order;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{HttpLimits, PushSettings};
use crate::http::body::{self, BodyMemory, Received};
use crate::http::{Answer, Problem, Progress, answer, problem};
use crate::journal::Keep;
use crate::telemetry::{Pushes, Telemetry};
use arc_swap::ArcSwap;
use hyper::Request;
use hyper::body::Incoming;
use key::Key;
use marks::Marks;
use order::Order;
use sidecar_formats::DecodeError;
use sidecar_model::{ProblemKind, Tick};
use sidecar_store::{Outcome, PushMeta, Room, Store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Larger bodies are decoded on a thread of their own.
const INLINE_BYTES: usize = 1 << 20;
/// Whatever the path was called: its keys are the same.
const JSON_PATH: &str = "/v1/ingest";

#[derive(Debug)]
pub(crate) struct Ingest {
    pub store: Arc<Store>,
    pub clock: Arc<Clock>,
    pub telemetry: Arc<Telemetry>,
    pub limits: Arc<ArcSwap<HttpLimits>>,
    pub memory: Arc<BodyMemory>,
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
    pub(crate) async fn goodbye(&self, id: &str, erase: bool) -> Result<Answer, Problem> {
        let now = self.clock.now();
        let known = caught(|| {
            Ok(if erase { self.store.erase(id, now)? } else { self.store.depart(id, now)? })
        })?;
        self.keep.everything().await?;
        tracing::debug!(known, erase, "goodbye of an instance");
        Ok(problem::accepted())
    }

    /// `POST /v1/clear`.
    pub(crate) async fn clear(&self) -> Result<Answer, Problem> {
        caught(|| Ok(self.store.clear(self.clock.now())?))?;
        self.keep.everything().await?;
        tracing::info!("cleared");
        Ok(answer::done())
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
            body::receive(incoming, &head.headers, &limits, &self.memory, progress).await?;
        drop(limits);
        let has_times = order.has_times();
        let outcome = if received.as_bytes().len() <= INLINE_BYTES {
            self.apply_timed(&received, &order)
        } else {
            let ingest = Arc::clone(self);
            tokio::task::spawn_blocking(move || ingest.apply_timed(&received, &order))
                .await
                .unwrap_or(Err(Problem::Internal))
        };
        if outcome.is_err() && has_times {
            // When it failed may have been noted.
            self.keep.everything().await?;
        }
        let outcome = outcome?;
        self.keep.record(outcome.recorded).await?;
        Ok(outcome)
    }

    fn apply_timed(&self, received: &Received, order: &Order) -> Result<Outcome, Problem> {
        let begun = self.clock.elapsed();
        let outcome = caught(|| self.apply(received.as_bytes(), order));
        self.telemetry.push_time.observe(self.clock.elapsed().saturating_sub(begun));
        outcome
    }

    /// An idempotency key is held while the body is applied, and freed when nothing was.
    fn apply(&self, body: &[u8], order: &Order) -> Result<Outcome, Problem> {
        let now = self.clock.now();
        let ticket = self.admission.memory.ticket();
        let room = ticket.as_ref().map(|ticket| ticket as &dyn Room);
        let key = match &order.marks.key {
            None => None,
            Some(key) => match Key::begin(&self.store, key, body, now, room)? {
                key::Begun::Before(outcome) => return settled(outcome),
                key::Begun::Now(key) => Some(key),
            },
        };
        let key = key.as_ref().map(Key::of_push);
        let meta = PushMeta { key, room, ..order.meta(self.clock.unix_seconds()) };
        let mut is_charged = false;
        let outcome = self.store.push(&meta, now, |stager| {
            order.format.decode(body, order.timestamps, stager).map_err(decode_problem)?;
            if let Some(ticket) = &ticket {
                ticket.settle(stager.new_bytes());
            }
            // What is decoded again came once.
            if !std::mem::replace(&mut is_charged, true) {
                self.admission.charge(stager)?;
            }
            Ok::<(), Problem>(())
        })?;
        if outcome.is_refusal() && order.has_times() {
            self.note_failure(order, now);
        }
        settled(outcome)
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
