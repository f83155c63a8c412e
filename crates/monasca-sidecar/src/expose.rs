//! `GET /metrics`: hands the request to the scrape thread and streams what it makes.
//!
//! Owns the warm-up, and the count of answered scrapes that the end of the process waits for.

mod making;
mod worker;

use crate::clock::Clock;
use crate::http::answer::{Body, Piece, page, with_header};
use crate::http::negotiate::{Compression, compression};
use crate::http::{Answer, Pages, Problem, problem};
use crate::telemetry::Telemetry;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderValue};
use hyper::{HeaderMap, Method};
use making::Made;
use sidecar_store::Store;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use worker::{Queue, Worker};

/// The text format's own type.
const TEXT: HeaderValue = HeaderValue::from_static(sidecar_formats::prom_text::CONTENT_TYPE);

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
        warmup: Duration,
    ) -> io::Result<Expose> {
        let worker = Worker::start(store, Arc::clone(&clock), Arc::clone(&telemetry))?;
        let warm_at = clock.elapsed().saturating_add(warmup);
        Ok(Expose { worker, clock, telemetry, warm_at, answered: watch::Sender::new(0) })
    }

    pub(crate) async fn scrape(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let answer = self.make(method, headers).await;
        self.telemetry.scrapes.add(answer.as_ref().map_or_else(Problem::code, |_| "ok"), 1);
        answer
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

    async fn make(&self, method: &Method, headers: &HeaderMap) -> Result<Answer, Problem> {
        if self.clock.elapsed() < self.warm_at {
            return Ok(problem::warming_up(TEXT));
        }
        if method == Method::HEAD {
            return Ok(page(TEXT, Body::Empty));
        }
        let compression = compression(headers);
        let mut pieces = self.worker.ask(compression).ok_or(Problem::Busy)?;
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
        let answer = page(TEXT, body);
        Ok(match compression {
            Compression::Identity => answer,
            Compression::Gzip => with_header(answer, CONTENT_ENCODING, "gzip"),
        })
    }
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
