//! The whole process on one page.
//!
//! Start: bind every socket, make or restore the store, start the threads and tasks, ready.
//! Stop: shutdown delay (pushes and scrapes still answered), not ready, stop accepting, finish
//! requests (deadline), end the threads, write the last snapshot, exit.

mod dispatch;
mod reload;
mod web;

use crate::admission::Admission;
use crate::config::{self, Config, ConfigError, Listener, Rights};
use crate::expose::{Around, Expose};
use crate::http::Aside;
use crate::http::body::BodyMemory;
use crate::ingest::Ingest;
use crate::journal::Keep;
use crate::listen::{self, Bound, Hall, Inherited};
use crate::maintain::Upkeep;
use crate::maintain::restore::{self, Begun, RestoreError};
use crate::maintain::snapshots::{Desk, Snapshots};
use crate::multiproc::Multiproc;
use crate::multiproc::tend::Tending;
use crate::status::Status;
use crate::telemetry::{Telemetry, log};
use arc_swap::ArcSwap;
use dispatch::Dispatch;
use reload::{Live, Reload};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
pub(crate) use web::prepare;
use web::{Prepared, Web};

/// More would only cost memory: a push is a matter of microseconds.
const WORKERS_AT_MOST: usize = 16;
/// What tasks that do not end get when everything else has ended.
const LAST_PATIENCE: Duration = Duration::from_millis(100);

/// Why the process did not run to its ordered end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}")]
    Bind { address: String, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{address}: a unix socket has no TLS")]
    NoTls { address: String },
    #[error("{address}: everybody who reaches it has the rights {rights} (strict_access)")]
    Open { address: String, rights: Rights },
    #[error("cannot start {what}")]
    Start { what: &'static str, source: io::Error },
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("the task {name} ended early")]
    Ended { name: &'static str },
}

/// Runs until a signal; returns when everything has ended in order.
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    let prepared = prepare(&config)?;
    let listeners = bind(&config.doors())?;
    log::install(config.log_format, &config.log_level);
    for bound in &listeners {
        say_who_may(bound, &config)?;
    }
    let runtime = runtime().map_err(|source| StartError::Start { what: "tokio", source })?;
    let ended = runtime.block_on(serve(config, prepared, listeners));
    runtime.shutdown_timeout(LAST_PATIENCE);
    ended
}

fn bind(listeners: &[Listener]) -> Result<Vec<Bound>, StartError> {
    let mut inherited = Inherited::take();
    let mut all = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = || listener.address.to_string();
        let bound = listen::bind(listener, &mut inherited)
            .map_err(|source| StartError::Bind { address: address(), source })?;
        all.extend(bound);
    }
    Ok(all)
}

/// Says what an operator should know of a listener. One that systemd made is known only now.
fn say_who_may(bound: &Bound, config: &Config) -> Result<(), StartError> {
    let (addr, listener) = (&bound.shown, &bound.listener);
    let is_near = bound.address.is_none_or(|address| address.ip().is_loopback());
    let rights = web::open_rights(listener, is_near, config.web.as_ref());
    if listener.tls == Some(true) && bound.address.is_none() {
        return Err(StartError::NoTls { address: addr.clone() });
    }
    if rights != Rights::NONE && config.strict_access {
        return Err(StartError::Open { address: addr.clone(), rights });
    }
    if rights != Rights::NONE {
        tracing::warn!(%addr, %rights, "open to everybody who reaches it");
    }
    let secret = config.web.as_ref().is_some_and(|web| {
        let plain = web.tls.is_none() || listener.tls == Some(false);
        plain && listener.authenticate && web.has_credentials()
    });
    if secret && !is_near {
        tracing::warn!(%addr, "passwords and tokens pass without TLS");
    }
    Ok(())
}

/// With one processor a second thread would only take turns with the first.
fn runtime() -> io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors == 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread().worker_threads(processors.min(WORKERS_AT_MOST)).enable_all().build()
}

async fn serve(
    config: Config,
    prepared: Prepared,
    listeners: Vec<Bound>,
) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(start("signal handlers"))?;
    let (shutdown_delay, drain_timeout) = (config.shutdown_delay, config.drain_timeout);
    let Built { hall, dispatch, web, tending, upkeep, snapshots } = build(config, prepared)?;
    let mut tasks = Tasks::default();
    // Before anybody is accepted: who has read the address in the log finds it ready.
    dispatch.set_ready(true);
    for listener in listeners {
        let (addr, rights) = (listener.shown.clone(), listener.listener.rights);
        let (hall, dispatch) = (Arc::clone(&hall), dispatch.clone());
        let secure = web.tls_of(&listener);
        let tls = secure.is_some();
        tasks.spawn("listen", async move {
            if let Err(error) = hall.accept(listener, secure, dispatch).await {
                tracing::error!(%error, "cannot accept");
            }
        });
        tracing::info!(%addr, %rights, tls, "listening");
    }
    tasks.spawn("guard", Arc::clone(&hall).watch());
    let follower = dispatch.clone();
    tasks.spawn("web", async move { follower.follow_web().await });

    loop {
        tokio::select! {
            name = tasks.ended() => return Err(StartError::Ended { name }),
            _ = signals.hangup.recv() => dispatch.reload_and_log().await,
            name = signals.stop.recv() => {
                tracing::info!(signal = name, "stopping");
                break;
            }
        }
    }

    // A second signal shortens whatever is waited for.
    tokio::select! {
        () = tokio::time::sleep(shutdown_delay) => {}
        () = dispatch.next_scrape_answered(), if !shutdown_delay.is_zero() => {}
        _ = signals.stop.recv() => {}
    }
    dispatch.set_ready(false);
    let finished = tokio::select! {
        finished = hall.close(drain_timeout) => finished,
        _ = signals.stop.recv() => false,
    };
    if !finished {
        tracing::warn!("requests were cut off");
    }
    dispatch.end();
    if let Some(tending) = tending {
        tending.stop();
    }
    upkeep.stop();
    if let Some(snapshots) = snapshots {
        snapshots.stop();
    }
    tracing::info!("stopped");
    Ok(())
}

fn start(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Start { what, source }
}

/// Everything that is there before the first connection is accepted.
struct Built {
    hall: Arc<Hall>,
    dispatch: Dispatch,
    web: Arc<Web>,
    tending: Option<Tending>,
    upkeep: Upkeep,
    snapshots: Option<Snapshots>,
}

fn build(config: Config, prepared: Prepared) -> Result<Built, StartError> {
    let telemetry = Arc::new(Telemetry::default());
    log::count_panics(Arc::clone(&telemetry));
    let Begun { store, clock, journal, restored } = restore::begin(&config)?;
    let (store, clock) = (Arc::new(store), Arc::new(clock));
    let desk = journal.clone().map(|journal| Desk {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        journal,
        telemetry: Arc::clone(&telemetry),
        journal_bytes: restore::longest_journal(&config.data),
        at_once: restored.is_worth_a_snapshot(),
    });
    let snapshots = desk.map(Snapshots::start).transpose().map_err(start("snapshot thread"))?;
    let keep = Keep::with(journal);
    // With a state to go on from no scrape sees only a part of the instances.
    let warmup = if restored.had_state { Duration::ZERO } else { config.warmup };
    let admission =
        Admission::new(Arc::clone(&store), Arc::clone(&clock), &config.budgets, &config.push);
    let admission = Arc::new(admission);
    let limits = Arc::new(ArcSwap::from_pointee(admission.bounded(config.http)));
    let shown = Arc::new(ArcSwap::from_pointee(config::limits(&config)));
    let push = Arc::new(ArcSwap::from_pointee(config.push.clone()));
    let memory = Arc::new(BodyMemory::default());
    let upkeep =
        Upkeep::start(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&admission), keep.clone())
            .map_err(start("upkeep thread"))?;
    let multiproc =
        Multiproc::new(&config.multiproc, &store, &clock, &telemetry, &admission, &keep);
    let (around, tending) = begin_reading(multiproc).map_err(start("multiproc thread"))?;
    let expose = Expose::start(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&telemetry),
        Arc::clone(&admission),
        keep.clone(),
        around,
        warmup,
    )
    .map_err(start("scrape thread"))?;
    let status = Status {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        telemetry: Arc::clone(&telemetry),
        memory: Arc::clone(&memory),
        admission: Arc::clone(&admission),
        limits: Arc::clone(&shown),
        ready: AtomicBool::new(false),
        keep: keep.clone(),
        restored,
        reads_multiproc: !config.multiproc.directories.is_empty(),
    };
    let ingest = Ingest {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        telemetry: Arc::clone(&telemetry),
        limits: Arc::clone(&limits),
        memory,
        aside: Aside::new().map_err(start("threads for long work"))?,
        admission: Arc::clone(&admission),
        push: Arc::clone(&push),
        keep,
    };
    let hall = Hall::new(Arc::clone(&clock), Arc::clone(&limits), Arc::clone(&telemetry));
    let web = Arc::new(Web::new(Arc::clone(&clock), &config, prepared));
    let web_live = Arc::clone(&web);
    let live = Live { store, clock, limits, push, web: web_live, shown, admission };
    let reload = Reload::new(config, live, Arc::clone(&telemetry));
    let dispatch = Dispatch::new(ingest, expose, status, reload, Arc::clone(&web), telemetry);
    Ok(Built { hall: Arc::new(hall), dispatch, web, tending, upkeep, snapshots })
}

/// Reads the directories now, so that the first scrape finds only what has changed since.
fn begin_reading(multiproc: Multiproc) -> io::Result<(Around, Option<Tending>)> {
    let multiproc = Arc::new(multiproc);
    multiproc.read_then(&mut || {});
    let tending = Tending::start(&multiproc)?;
    Ok((Box::new(move |collect| multiproc.read_then(collect)), tending))
}

/// The tasks that run as long as the process.
#[derive(Debug, Default)]
struct Tasks {
    set: JoinSet<&'static str>,
}

impl Tasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            name
        });
    }

    /// The first task to end.
    async fn ended(&mut self) -> &'static str {
        match self.set.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) => "that panicked",
            None => "that was never started",
        }
    }
}

struct Signals {
    stop: Stop,
    hangup: Signal,
}

/// The signals that end the process.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let stop = Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Signals { stop, hangup: signal(SignalKind::hangup())? })
    }
}

impl Stop {
    async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests;
