//! `GET /metrics`: hands the request to the scrape thread and streams what it makes.
//!
//! Owns the warm-up, and the count of answered scrapes that the end of the process waits for.

mod encoders;
mod making;
mod worker;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::http::answer::{Body, Piece, page, with_header};
use crate::http::negotiate::{Accepted, compression, format};
use crate::http::{Answer, Pages, Problem, problem, query};
use crate::journal::Keep;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, VARY};
use hyper::{HeaderMap, Method};
use making::Made;
use sidecar_model::Exposition;
use sidecar_store::Store;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use worker::{Queue, Wanted, Worker};

/// Brings what is read for a scrape up to date, and calls its argument before that can change again.
pub(crate) type Around = Box<dyn Fn(&mut dyn FnMut()) + Send>;

/// What the answer depends on besides the path.
const VARIES_BY: &str = "Accept, Accept-Encoding";

#[derive(Debug)]
pub(crate) struct Expose {
    worker: Worker,
    clock: Arc<Clock>,
    telemetry: Arc<Telemetry>,
    warm_at: Duration,
    answered: watch::Sender<u64>,
}

impl Expose {
    pub(crate) fn start(
        store: Arc<Store>,
        clock: Arc<Clock>,
        telemetry: Arc<Telemetry>,
        admission: Arc<Admission>,
        keep: Keep,
        around: Around,
        warmup: Duration,
    ) -> io::Result<Expose> {
        let state = (store, keep, around);
        let worker = Worker::start(state, Arc::clone(&clock), Arc::clone(&telemetry), admission)?;
        let warm_at = clock.elapsed().saturating_add(warmup);
        Ok(Expose { worker, clock, telemetry, warm_at, answered: watch::Sender::new(0) })
    }

    pub(crate) async fn scrape(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Answer, Problem> {
        let answer = self.make(method, headers, query).await;
        self.telemetry.scrapes.add(answer.as_ref().map_or_else(Problem::code, |_| "ok"), 1);
        answer.map(|answer| with_header(answer, VARY, VARIES_BY))
    }

    /// Returns when one more scrape than now has been answered.
    pub(crate) async fn next_answered(&self) {
        let mut answered = self.answered.subscribe();
        let before = *answered.borrow_and_update();
        // The sender lives as long as this.
        drop(answered.wait_for(|now| *now > before).await);
    }

    /// Ends the scrape thread; pages under way break off.
    pub(crate) fn stop(&self) {
        self.worker.stop();
    }

    async fn make(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Answer, Problem> {
        let (accepted, compression) = (format(headers), compression(headers));
        let content_type = accepted.content_type();
        if self.clock.elapsed() < self.warm_at {
            return Ok(problem::warming_up(content_type));
        }
        let names = names(query)?;
        let encoded = |answer| match compression.name() {
            None => answer,
            Some(name) => with_header(answer, CONTENT_ENCODING, name),
        };
        if method == Method::HEAD {
            return Ok(encoded(page(content_type, Body::Empty)));
        }
        let wanted = Wanted { accepted, compression, names };
        let mut pieces = self.worker.ask(wanted).ok_or(Problem::Busy)?;
        let body = match pieces.recv().await {
            Some(Made::Whole(bytes)) => {
                self.answered.send_modify(|n| *n += 1);
                Body::Once(bytes)
            }
            Some(Made::Part(first)) => Body::Pages(Box::new(Stream {
                first: Some(first),
                pieces,
                queue: self.worker.queue(),
                answered: self.answered.clone(),
            })),
            Some(Made::End) => Body::Empty,
            None => return Err(Problem::Internal),
        };
        Ok(encoded(page(content_type, body)))
    }
}

/// The parameters `name[]`: families are wanted by these names alone.
fn names(query: Option<&str>) -> Result<Vec<String>, Problem> {
    let parameters = query::parameters(query.unwrap_or_default())?;
    Ok(parameters.into_iter().filter(|(n, _)| n == "name[]").map(|(_, value)| value).collect())
}

/// A small page as a whole, in the client's format.
pub(crate) fn small_page(headers: &HeaderMap, exposition: Exposition) -> Answer {
    let accepted: Accepted = format(headers);
    let mut bytes = Vec::new();
    let mut made = encoders::page_once(exposition, accepted);
    while made.write_some(usize::MAX, &mut bytes) {}
    let answer = page(accepted.content_type(), Body::Once(Bytes::from(bytes)));
    with_header(answer, VARY, "Accept")
}

/// A page on its way from the scrape thread to one client.
struct Stream {
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Made>,
    queue: Arc<Queue>,
    answered: watch::Sender<u64>,
}

impl Pages for Stream {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Piece::Bytes(first)));
        }
        self.pieces.poll_recv(context).map(|made| match made {
            Some(Made::Whole(bytes) | Made::Part(bytes)) => {
                self.queue.nudge();
                Some(Piece::Bytes(bytes))
            }
            Some(Made::End) => {
                self.answered.send_modify(|n| *n += 1);
                None
            }
            None => Some(Piece::Cut),
        })
    }
}

impl Drop for Stream {
    /// A client that went away takes its page with it.
    fn drop(&mut self) {
        self.pieces.close();
        self.queue.nudge();
    }
}
