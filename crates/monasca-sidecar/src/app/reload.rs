//! Reads the configuration again and hands it on. A bad one changes nothing.

use super::web::{Web, prepare};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{self, Config, HttpLimits, PushSettings, ShownLimits};
use crate::http::{Answer, Problem, problem};
use crate::telemetry::Telemetry;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use sidecar_store::Store;
use std::sync::Arc;
use std::time::Duration;

/// How soon a change of a certificate or token holds.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Reload {
    /// Held while reloading: one at a time.
    current: Mutex<Config>,
    live: Live,
    telemetry: Arc<Telemetry>,
}

/// What changes without a restart.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<Clock>,
    pub(super) limits: Arc<ArcSwap<HttpLimits>>,
    pub(super) push: Arc<ArcSwap<PushSettings>>,
    pub(super) web: Arc<Web>,
    /// Every limit as it is shown.
    pub(super) shown: Arc<ArcSwap<ShownLimits>>,
    pub(super) admission: Arc<Admission>,
}

#[derive(Serialize)]
struct Reloaded {
    /// Keys whose change takes a restart.
    ignored: Vec<&'static str>,
}

impl Reload {
    pub(super) fn new(config: Config, live: Live, telemetry: Arc<Telemetry>) -> Reload {
        Reload { current: Mutex::new(config), live, telemetry }
    }

    pub(super) async fn run(self: &Arc<Self>) -> Result<Answer, Problem> {
        let reload = Arc::clone(self);
        tokio::task::spawn_blocking(move || reload.read_and_apply())
            .await
            .unwrap_or(Err(Problem::Internal))
    }

    /// Certificates, tokens and the web configuration are read again when their files change.
    pub(super) async fn follow_web(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            let reload = Arc::clone(self);
            // One that panics is a bug; the next look may still help.
            let looked = tokio::task::spawn_blocking(move || reload.look_at_web()).await;
            if looked.is_err() {
                self.telemetry.panics.add(1);
            }
        }
    }

    fn look_at_web(&self) {
        match self.live.web.follow(&mut self.current.lock()) {
            None => {}
            Some(Ok(())) => {
                self.telemetry.reloads.add("ok", 1);
                tracing::info!("the web configuration was read again");
            }
            Some(Err(error)) => {
                self.telemetry.reloads.add("bad_configuration", 1);
                tracing::error!(%error, "the web configuration is bad, the old one stays");
            }
        }
    }

    fn read_and_apply(&self) -> Result<Answer, Problem> {
        let mut current = self.current.lock();
        // Last what can fail: then everything is applied, or nothing.
        let reloaded = config::reload(&current).and_then(|reloaded| {
            self.live.web.apply(prepare(&reloaded.config)?)?;
            Ok(reloaded)
        });
        let config::Reloaded { config, ignored } = match reloaded {
            Ok(reloaded) => reloaded,
            Err(error) => {
                tracing::error!(%error, "reload failed, the old configuration stays");
                self.telemetry.reloads.add("bad_configuration", 1);
                return Err(Problem::Reload { message: error.to_string() });
            }
        };
        let live = &self.live;
        if live.store.reload(config.store.clone(), live.clock.now()).is_err() {
            tracing::error!("reload failed, the old configuration stays: no space for the journal");
            self.telemetry.reloads.add("journal_full", 1);
            return Err(Problem::JournalFull);
        }
        live.admission.set(&config.budgets, &config.push);
        live.limits.store(Arc::new(live.admission.bounded(config.http)));
        live.shown.store(Arc::new(config::limits(&config)));
        live.push.store(Arc::new(config.push.clone()));
        *current = config;
        self.telemetry.reloads.add("ok", 1);
        tracing::info!(?ignored, "reloaded");
        Ok(problem::state(&Reloaded { ignored }))
    }
}
