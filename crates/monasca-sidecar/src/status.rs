//! What the daemon says of itself: probes, own metrics, and the state as JSON.

mod groups;
mod limits;
mod selector;
mod views;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::ShownLimits;
use crate::http::answer::{Body, PLAIN, page};
use crate::http::body::BodyMemory;
use crate::http::{Answer, Problem, problem, query, router};
use crate::journal::{Keep, Restored};
use crate::telemetry::{self, Telemetry};
use arc_swap::ArcSwap;
use bytes::Bytes;
use sidecar_model::Exposition;
use sidecar_store::{Selector, Store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Series that `/v1/series` lists unless `limit` says otherwise.
const SERIES_LISTED: usize = 1_000;
const SERIES_LISTED_AT_MOST: usize = 100_000;
const MATCHES_AT_MOST: usize = 64;

#[derive(Debug)]
pub(crate) struct Status {
    pub store: Arc<Store>,
    pub clock: Arc<Clock>,
    pub telemetry: Arc<Telemetry>,
    pub memory: Arc<BodyMemory>,
    pub admission: Arc<Admission>,
    /// Every limit by its key.
    pub limits: Arc<ArcSwap<ShownLimits>>,
    pub ready: AtomicBool,
    pub keep: Keep,
    pub restored: Restored,
    /// There are directories of Python's multiprocess mode.
    pub reads_multiproc: bool,
}

impl Status {
    pub(crate) fn healthy(&self) -> Answer {
        text("ok\n")
    }

    pub(crate) fn ready(&self) -> Answer {
        if !self.ready.load(Relaxed) {
            return problem::not_ready("not ready\n");
        }
        let mut lines = String::from("ready\n");
        for what in &self.restored.left_out {
            lines.push_str("left out of the state: ");
            lines.push_str(what);
            lines.push('\n');
        }
        if let Some(why) = self.keep.refuses() {
            lines.push_str("no pushes: ");
            lines.push_str(&why);
            lines.push('\n');
        }
        page(PLAIN, Body::Once(Bytes::from(lines)))
    }

    pub(crate) fn index(&self) -> Answer {
        page(PLAIN, Body::Once(Bytes::from(router::index())))
    }

    pub(crate) async fn own_metrics(self: &Arc<Self>) -> Result<Exposition, Problem> {
        self.aside(|status| {
            let stats = status.store.stats();
            let bodies = status.memory.used_bytes();
            let memory = status.admission.memory.used();
            let mut page =
                telemetry::page(&status.telemetry, &status.clock, &stats, bodies, memory);
            if let Some(journal) = status.keep.state() {
                page.families.extend(telemetry::journal_page(
                    &status.telemetry,
                    &journal,
                    &status.restored,
                ));
            }
            if status.reads_multiproc {
                page.families.extend(telemetry::multiproc_page(&status.telemetry));
            }
            if status.reads_multiproc || status.keep.state().is_some() {
                page.families.sort_by(|a, b| a.layout.name.cmp(&b.layout.name));
            }
            Ok(page)
        })
        .await
    }

    pub(crate) async fn families(self: &Arc<Self>) -> Result<Answer, Problem> {
        self.aside(|status| {
            let families = status.store.families(status.clock.now());
            Ok(problem::state(&families.iter().map(views::Family::of).collect::<Vec<_>>()))
        })
        .await
    }

    pub(crate) async fn instances(self: &Arc<Self>) -> Result<Answer, Problem> {
        self.aside(|status| {
            let instances = status.store.instances(status.clock.now());
            Ok(problem::state(&instances.iter().map(views::Instance::of).collect::<Vec<_>>()))
        })
        .await
    }

    pub(crate) async fn limits(self: &Arc<Self>) -> Result<Answer, Problem> {
        self.aside(|status| Ok(problem::state(&limits::Report::of(status)))).await
    }

    pub(crate) async fn series(self: &Arc<Self>, query: Option<&str>) -> Result<Answer, Problem> {
        let (selectors, limit) = selected(query)?;
        self.aside(move |status| {
            let series = status.store.series(&selectors, limit, status.clock.now());
            Ok(problem::state(&series.iter().map(views::Series::of).collect::<Vec<_>>()))
        })
        .await
    }

    /// `DELETE /v1/series?match[]=...`.
    pub(crate) async fn delete_series(
        self: &Arc<Self>,
        query: Option<&str>,
    ) -> Result<Answer, Problem> {
        let (selectors, _) = selected(query)?;
        let answer = self.aside(move |status| {
            let deleted = status.store.delete_series(&selectors, status.clock.now())?;
            tracing::info!(deleted, "series deleted");
            Ok(problem::state(&views::Deleted { deleted }))
        });
        let answer = answer.await?;
        self.keep.everything().await?;
        Ok(answer)
    }

    /// `GET /api/v1/metrics`, as the Pushgateway answers it.
    pub(crate) async fn groups(self: &Arc<Self>) -> Result<Answer, Problem> {
        self.aside(|status| Ok(problem::state(&groups::Listing::of(&status.store.groups())))).await
    }

    /// `GET /api/v1/status`, as the Pushgateway answers it.
    pub(crate) fn push_status(&self) -> Answer {
        problem::state(&groups::About::new(self.clock.started_at_seconds()))
    }

    /// These may take long with a large state, so they run beside the connections' work.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl FnOnce(&Status) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let status = Arc::clone(self);
        let caught = move || catch_unwind(AssertUnwindSafe(|| make(&status)));
        match tokio::task::spawn_blocking(caught).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Problem::Internal),
        }
    }
}

/// The selectors of `match[]`, of which there must be one, and `limit`.
fn selected(query: Option<&str>) -> Result<(Vec<Selector>, usize), Problem> {
    let mut selectors = Vec::new();
    let mut limit = SERIES_LISTED;
    for (name, value) in query::parameters(query.unwrap_or_default())? {
        match name.as_str() {
            "match[]" => selectors.push(selector::parse(&value)?),
            "limit" => limit = listed(&value)?,
            _ => {}
        }
    }
    if selectors.is_empty() || selectors.len() > MATCHES_AT_MOST {
        let message = "give one or more, such as name{label=\"value\"}";
        return Err(Problem::BadParameter { name: "match[]", message });
    }
    Ok((selectors, limit))
}

fn listed(value: &str) -> Result<usize, Problem> {
    match value.parse::<usize>() {
        Ok(limit) if limit > 0 => Ok(limit.min(SERIES_LISTED_AT_MOST)),
        Ok(_) | Err(_) => {
            Err(Problem::BadParameter { name: "limit", message: "use a number above 0" })
        }
    }
}

fn text(text: &'static str) -> Answer {
    page(PLAIN, Body::Once(Bytes::from_static(text.as_bytes())))
}
