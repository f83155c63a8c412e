//! Reads the configuration again and hands it on. A bad one changes nothing.

use crate::clock::Clock;
use crate::config::{self, Config, HttpLimits, PushSettings};
use crate::http::{Answer, Problem, problem};
use crate::telemetry::Telemetry;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use sidecar_store::Store;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Reload {
    /// Held while reloading: one at a time.
    current: Mutex<Config>,
    store: Arc<Store>,
    clock: Arc<Clock>,
    limits: Arc<ArcSwap<HttpLimits>>,
    push: Arc<ArcSwap<PushSettings>>,
    telemetry: Arc<Telemetry>,
}

#[derive(Serialize)]
struct Reloaded {
    /// Keys whose change takes a restart.
    ignored: Vec<&'static str>,
}

impl Reload {
    pub(super) fn new(
        config: Config,
        store: Arc<Store>,
        clock: Arc<Clock>,
        (limits, push): (Arc<ArcSwap<HttpLimits>>, Arc<ArcSwap<PushSettings>>),
        telemetry: Arc<Telemetry>,
    ) -> Reload {
        Reload { current: Mutex::new(config), store, clock, limits, push, telemetry }
    }

    pub(super) async fn run(self: &Arc<Self>) -> Result<Answer, Problem> {
        let reload = Arc::clone(self);
        tokio::task::spawn_blocking(move || reload.read_and_apply())
            .await
            .unwrap_or(Err(Problem::Internal))
    }

    fn read_and_apply(&self) -> Result<Answer, Problem> {
        let mut current = self.current.lock();
        let config::Reloaded { config, ignored } = match config::reload(&current) {
            Ok(reloaded) => reloaded,
            Err(error) => {
                tracing::error!(%error, "reload failed, the old configuration stays");
                self.telemetry.reloads.add("bad_configuration", 1);
                return Err(Problem::Reload { message: error.to_string() });
            }
        };
        self.store.reload(config.store.clone(), self.clock.now());
        self.limits.store(Arc::new(config.http));
        self.push.store(Arc::new(config.push.clone()));
        *current = config;
        self.telemetry.reloads.add("ok", 1);
        tracing::info!(?ignored, "reloaded");
        Ok(problem::state(&Reloaded { ignored }))
    }
}
