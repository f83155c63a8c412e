//! Route to module: the one place where requests meet what answers them.

use super::reload::Reload;
use super::web::Web;
use crate::access::Asker;
use crate::config::Right;
use crate::expose::{Expose, small_page};
use crate::http::answer::with_header;
use crate::http::body::drain;
use crate::http::router::{Route, find};
use crate::http::{Answer, Entry, Problem, Progress};
use crate::ingest::Ingest;
use crate::listen::Handler;
use crate::status::Status;
use crate::telemetry::Telemetry;
use hyper::body::Incoming;
use hyper::header::X_CONTENT_TYPE_OPTIONS;
use hyper::{Method, Request};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

#[derive(Clone, Debug)]
pub(super) struct Dispatch(Arc<Rooms>);

#[derive(Debug)]
struct Rooms {
    ingest: Arc<Ingest>,
    expose: Expose,
    status: Arc<Status>,
    reload: Arc<Reload>,
    web: Arc<Web>,
    telemetry: Arc<Telemetry>,
}

impl Dispatch {
    pub(super) fn new(
        ingest: Ingest,
        expose: Expose,
        status: Status,
        reload: Reload,
        web: Arc<Web>,
        telemetry: Arc<Telemetry>,
    ) -> Dispatch {
        Dispatch(Arc::new(Rooms {
            ingest: Arc::new(ingest),
            expose,
            status: Arc::new(status),
            reload: Arc::new(reload),
            web,
            telemetry,
        }))
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.0.status.ready.store(ready, Relaxed);
    }

    pub(super) async fn next_scrape_answered(&self) {
        self.0.expose.next_answered().await;
    }

    /// On SIGHUP nobody waits for an answer: the log has it.
    pub(super) async fn reload_and_log(&self) {
        self.0.reload.run().await.map_or_else(drop, drop);
    }

    /// Never returns.
    pub(super) async fn follow_web(&self) {
        self.0.reload.follow_web().await;
    }

    pub(super) fn end(&self) {
        self.0.expose.stop();
    }
}

impl Handler for Dispatch {
    fn answer(
        &self,
        request: Request<Incoming>,
        progress: Arc<Progress>,
        entry: Entry,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let rooms = Arc::clone(&self.0);
        async move {
            let mut answering = pin!(rooms.answer(request, &progress, &entry));
            // A bug in one request is that request's alone, not its connection's.
            let answered = poll_fn(|context| {
                let poll = AssertUnwindSafe(|| answering.as_mut().poll(context));
                catch_unwind(poll)
                    .unwrap_or_else(|_| Poll::Ready(rooms.refused(&Problem::Internal)))
            });
            rooms.web.dress(answered.await)
        }
    }
}

impl Rooms {
    async fn answer(
        &self,
        request: Request<Incoming>,
        progress: &Progress,
        entry: &Entry,
    ) -> Answer {
        if request.method() == Method::OPTIONS
            && let Some(answer) = self.preflight(&request, entry)
        {
            return answer;
        }
        let is_page = request.method() == Method::GET;
        let (asker, admitted) = self.admit(&request, entry).await;
        let answered = match admitted {
            Ok(route) => self.run(route, request, progress).await,
            Err(problem) => {
                if progress.is_multiplexed() {
                    drain(request.into_body()).await;
                }
                Err(problem)
            }
        };
        match answered {
            Ok(answer) if is_page => with_header(answer, X_CONTENT_TYPE_OPTIONS, "nosniff"),
            Ok(answer) => asker.told(answer),
            Err(problem) => asker.told(self.refused(&problem)),
        }
    }

    fn refused(&self, problem: &Problem) -> Answer {
        self.telemetry.refusals.add(problem.code(), 1);
        problem.answer()
    }

    /// A browser asks without credentials.
    fn preflight(&self, request: &Request<Incoming>, entry: &Entry) -> Option<Answer> {
        let origins = self.web.access.origins.load();
        let path = request.uri().path();
        entry.allows(Right::Push).then(|| origins.preflight(path, request.headers())).flatten()
    }

    /// Who reads the answer, and what is to be done, if it may be.
    async fn admit(
        &self,
        request: &Request<Incoming>,
        entry: &Entry,
    ) -> (Asker, Result<Route, Problem>) {
        let (uri, headers) = (request.uri(), request.headers());
        let found = match find(request.method(), uri.path(), uri.query()) {
            Ok(found) => found,
            Err(problem) => return (Asker::Own, Err(problem)),
        };
        let Some(right) = found.row.right else { return (Asker::Own, found.route()) };
        let access = &self.web.access;
        let asker = match access.origins.load().check(right, uri, headers) {
            Ok(asker) => asker,
            Err(problem) => return (Asker::Own, Err(problem)),
        };
        let admitted = access.admit(right, entry, headers).await;
        (asker, admitted.and_then(|()| found.route()))
    }

    async fn run(
        &self,
        route: Route,
        request: Request<Incoming>,
        progress: &Progress,
    ) -> Result<Answer, Problem> {
        match route {
            Route::Push => self.ingest.push(request, progress).await,
            Route::PushGroup { key, replaces } => {
                self.ingest.push_group(request, key, replaces, progress).await
            }
            Route::Accumulate { labels } => self.ingest.accumulate(request, labels, progress).await,
            Route::DeleteGroup { key, erase } => {
                self.ingest.delete_group(key, erase, request.uri().query()).await
            }
            Route::Groups => self.status.groups().await,
            Route::PushStatus => Ok(self.status.push_status()),
            Route::DeleteSeries => self.status.delete_series(request.uri().query()).await,
            Route::Wipe => self.ingest.wipe().await,
            Route::Scrape => {
                self.expose.scrape(request.method(), request.headers(), request.uri().query()).await
            }
            Route::Clear => self.ingest.clear().await,
            Route::Goodbye { id, erase } => self.ingest.goodbye(id, erase).await,
            Route::Families => self.status.families().await,
            Route::Instances => self.status.instances().await,
            Route::Series => self.status.series(request.uri().query()).await,
            Route::Limits => self.status.limits().await,
            Route::Healthy => Ok(self.status.healthy()),
            Route::Ready => Ok(self.status.ready()),
            Route::OwnMetrics => {
                let exposition = self.status.own_metrics().await?;
                Ok(small_page(request.headers(), exposition))
            }
            Route::Reload => self.reload.run().await,
            Route::Index => Ok(self.status.index()),
        }
    }
}
