//! Route to module: the one place where requests meet what answers them.

use super::reload::Reload;
use crate::expose::{Expose, small_page};
use crate::http::router::{Route, find};
use crate::http::{Answer, Entry, Problem, Progress};
use crate::ingest::Ingest;
use crate::listen::Handler;
use crate::status::Status;
use crate::telemetry::Telemetry;
use hyper::Request;
use hyper::body::Incoming;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Debug)]
pub(super) struct Dispatch(Arc<Rooms>);

#[derive(Debug)]
struct Rooms {
    ingest: Arc<Ingest>,
    expose: Expose,
    status: Arc<Status>,
    reload: Arc<Reload>,
    telemetry: Arc<Telemetry>,
}

impl Dispatch {
    pub(super) fn new(
        ingest: Ingest,
        expose: Expose,
        status: Status,
        reload: Reload,
        telemetry: Arc<Telemetry>,
    ) -> Dispatch {
        Dispatch(Arc::new(Rooms {
            ingest: Arc::new(ingest),
            expose,
            status: Arc::new(status),
            reload: Arc::new(reload),
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
            match rooms.answer(request, &progress, &entry).await {
                Ok(answer) => answer,
                Err(problem) => {
                    rooms.telemetry.refusals.add(problem.code(), 1);
                    problem.answer()
                }
            }
        }
    }
}

impl Rooms {
    async fn answer(
        &self,
        request: Request<Incoming>,
        progress: &Progress,
        entry: &Entry,
    ) -> Result<Answer, Problem> {
        let uri = request.uri();
        let found = find(request.method(), uri.path(), uri.query())?;
        if let Some(right) = found.row.right.filter(|right| !entry.allows(*right)) {
            return Err(Problem::Forbidden { right: right.name() });
        }
        match found.route()? {
            Route::Push => self.ingest.push(request, progress).await,
            Route::PushGroup { key, replaces } => {
                self.ingest.push_group(request, key, replaces, progress).await
            }
            Route::Accumulate { labels } => self.ingest.accumulate(request, labels, progress).await,
            Route::DeleteGroup { key, erase } => {
                self.ingest.delete_group(&key, erase, request.uri().query())
            }
            Route::Groups => self.status.groups().await,
            Route::PushStatus => Ok(self.status.push_status()),
            Route::DeleteSeries => self.status.delete_series(request.uri().query()).await,
            Route::Wipe => self.ingest.wipe(),
            Route::Scrape => {
                self.expose.scrape(request.method(), request.headers(), request.uri().query()).await
            }
            Route::Clear => self.ingest.clear(),
            Route::Goodbye { id, erase } => self.ingest.goodbye(&id, erase),
            Route::Families => self.status.families().await,
            Route::Instances => self.status.instances().await,
            Route::Series => self.status.series(request.uri().query()).await,
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
