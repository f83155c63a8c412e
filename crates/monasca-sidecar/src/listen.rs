//! Accepts connections and serves HTTP/1.1 and h2 on them.
//!
//! Owns the cap on connections and, with `listen/guard.rs`, the limits of header time, request
//! time and idle time. Knows no route: what answers a request is handed in.

mod bind;
mod guard;
mod socket;
mod socket_file;
mod stream;
mod tls;

use crate::clock::Clock;
use crate::config::HttpLimits;
use crate::http::{Answer, Body, Entry, Progress, progress::Verdict};
use crate::telemetry::{Connections, Telemetry};
use arc_swap::ArcSwap;
use guard::Guard;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket::{Acceptor, Socket};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use stream::Watched;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections accepted one after the other before all others have their turn: a new one costs more than
/// a push.
const ACCEPTED_AT_ONCE: u32 = 4;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most that one read takes from a socket into memory.
const READ_BUFFER_BYTES: usize = 512 * 1024;
/// Requests at once on one h2 connection.
const STREAMS: u32 = 100;
const PREFACE_START: &[u8] = b"PRI";
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

pub(crate) use bind::{Bound, Inherited, bind};
pub(crate) use tls::{Ready as TlsReady, Tls};

/// What answers a request.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn answer(
        &self,
        request: Request<Incoming>,
        progress: Arc<Progress>,
        entry: Entry,
    ) -> impl Future<Output = Answer> + Send + 'static;
}

/// All connections of all listeners.
#[derive(Debug)]
pub(crate) struct Hall {
    guard: Guard,
    limits: Arc<ArcSwap<HttpLimits>>,
    telemetry: Arc<Telemetry>,
    tracker: TaskTracker,
    /// Set when nothing new is to begin.
    closing: CancellationToken,
}

impl Hall {
    pub(crate) fn new(
        clock: Arc<Clock>,
        limits: Arc<ArcSwap<HttpLimits>>,
        telemetry: Arc<Telemetry>,
    ) -> Hall {
        Hall {
            guard: Guard::new(clock),
            limits,
            telemetry,
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Accepts until the hall closes.
    pub(crate) async fn accept<H: Handler>(
        self: Arc<Self>,
        bound: Bound,
        tls: Option<Arc<Tls>>,
        handler: H,
    ) -> io::Result<()> {
        let Bound { listener, socket, _file, .. } = bound;
        let acceptor = Acceptor::new(socket)?;
        let entry =
            Entry { rights: listener.rights, authenticate: listener.authenticate, names: None };
        let door = Door { entry, tls, handler };
        let mut in_a_row = 0;
        loop {
            in_a_row = (in_a_row + 1) % ACCEPTED_AT_ONCE;
            if in_a_row == 0 {
                tokio::task::yield_now().await;
            }
            let accepted = tokio::select! {
                biased;
                () = self.closing.cancelled() => return Ok(()),
                accepted = acceptor.accept() => accepted,
            };
            match accepted {
                Ok(stream) => {
                    // A bug with one connection is that connection's alone.
                    let admit = AssertUnwindSafe(|| self.admit(stream, &door));
                    catch_unwind(admit).unwrap_or_default();
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    if self.telemetry.connections.accept_failed() {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Judges connections until the hall is empty after closing; never returns before.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            let limits = self.limits.load_full();
            tokio::select! {
                () = tokio::time::sleep(guard::period(&limits)) => {}
                () = self.tracker.wait() => return,
            }
            let look = AssertUnwindSafe(|| self.guard.look(&limits));
            let expired = catch_unwind(look).unwrap_or_default();
            self.telemetry.connections.expired.add(expired);
        }
    }

    /// Stops accepting, finishes what is under way; false: not within `patience`.
    pub(crate) async fn close(&self, patience: Duration) -> bool {
        self.closing.cancel();
        self.tracker.close();
        self.guard.finish_all();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }

    fn admit<H: Handler>(self: &Arc<Self>, stream: Socket, door: &Door<H>) {
        let connections = &self.telemetry.connections;
        if connections.open.get() >= self.limits.load().connections as u64 {
            connections.refused.add(1);
            return;
        }
        connections.accepted.add(1);
        let open = Open::begin(Arc::clone(&self.telemetry));
        let (hall, door) = (Arc::clone(self), door.clone());
        self.tracker.spawn(async move {
            hall.serve(stream, door).await;
            drop(open);
        });
    }

    async fn serve<H: Handler>(&self, stream: Socket, door: Door<H>) {
        let limits = self.limits.load_full();
        let Door { mut entry, tls, handler } = door;
        let begun = tokio::select! {
            begun = self.begin(stream, tls.as_deref(), &mut entry, &limits) => begun,
            () = self.closing.cancelled() => return,
        };
        let Some((stream, h2)) = begun else { return };
        let progress = Arc::new(Progress::default());
        let _seat = self.guard.seat(Arc::clone(&progress));
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&progress)));
        let seen = Arc::clone(&progress);
        let service = service_fn(move |request| {
            answer(handler.clone(), request, Arc::clone(&seen), entry.clone())
        });
        if h2 {
            progress.multiplex();
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(STREAMS);
            builder.max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
            drive(builder.serve_connection(io, service), &progress).await;
        } else {
            let mut builder = http1::Builder::new();
            builder.header_read_timeout(None).half_close(true);
            builder.max_buf_size(READ_BUFFER_BYTES.max(limits.header_bytes));
            builder.max_header_size(limits.header_bytes);
            drive(builder.serve_connection(io, service), &progress).await;
        }
    }
}

/// What one listener's connections have in common.
#[derive(Clone)]
struct Door<H> {
    entry: Entry,
    tls: Option<Arc<Tls>>,
    handler: H,
}

impl Hall {
    /// Finds out what is spoken: h2 or not. `None`: nothing came of it.
    async fn begin(
        &self,
        stream: Socket,
        tls: Option<&Tls>,
        entry: &mut Entry,
        limits: &HttpLimits,
    ) -> Option<(Socket, bool)> {
        let connections = &self.telemetry.connections;
        let (tls, stream) = match (tls, stream) {
            (Some(tls), Socket::Tcp(stream)) => (tls, stream),
            (_, stream) => {
                let first = tokio::time::timeout(limits.idle_time, speaks_h2(&stream)).await;
                return Some((stream, first.ok()?.ok()?));
            }
        };
        match tokio::time::timeout(limits.header_time, tls.shake(stream)).await {
            Ok(Ok(shaken)) => {
                entry.names = shaken.names;
                Some((Socket::Tls(shaken.stream), shaken.is_h2))
            }
            Ok(Err(error)) => {
                connections.handshake_failures.add(1);
                tracing::debug!(%error, "no handshake");
                None
            }
            Err(_) => {
                connections.expired.add(1);
                None
            }
        }
    }
}

/// Errors of one connection that was gone before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Whether the client begins with h2's preface. Nothing is consumed.
async fn speaks_h2(stream: &Socket) -> io::Result<bool> {
    let mut start = [0; PREFACE_START.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        let seen = start.get(..seen).unwrap_or_default();
        if seen == PREFACE_START {
            return Ok(true);
        }
        if seen.is_empty() || !PREFACE_START.starts_with(seen) {
            return Ok(false);
        }
        // One or two bytes that could become either: more must come first.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}

/// A connection that can be told to finish.
trait Finishes: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<S> Finishes for http1::Connection<TokioIo<Watched>, S>
where
    S: HttpService<Incoming, ResBody = CountedBody, Error = Infallible>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Finishes for http2::Connection<TokioIo<Watched>, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = CountedBody, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs the connection to its end or until its guard closes it. How it ends is the client's
/// affair: errors are not looked at.
async fn drive<C: Finishes>(connection: C, progress: &Progress) {
    let mut connection = pin!(connection);
    let mut finishing = false;
    let mut watching = false;
    let mut is_behind_others = false;
    poll_fn(|context| {
        if !watching {
            watching = true;
            progress.watch(context.waker());
        }
        // However it was woken.
        if progress.is_turn_over() && !is_behind_others {
            is_behind_others = true;
            return others_first(context);
        }
        is_behind_others = false;
        progress.begin_turn();
        match progress.verdict() {
            Verdict::None | Verdict::Late => {}
            Verdict::Close => return Poll::Ready(()),
            Verdict::Finish if finishing => {}
            Verdict::Finish => {
                finishing = true;
                connection.as_mut().finish();
            }
        }
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}

/// Pending until all others that are ready now have had their turn, those too whose bytes have arrived
/// meanwhile: a plain wake would come before the runtime has looked for them.
fn others_first<T>(context: &mut Context<'_>) -> Poll<T> {
    if pin!(tokio::task::yield_now()).poll(context).is_ready() {
        context.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Counts one open connection.
struct Open(Arc<Telemetry>);

impl Open {
    fn begin(telemetry: Arc<Telemetry>) -> Open {
        let Connections { open, .. } = &telemetry.connections;
        open.add(1);
        Open(telemetry)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.open.subtract(1);
    }
}

/// An answer's body; the request is over when it is dropped.
struct CountedBody {
    body: Body,
    progress: Arc<Progress>,
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.progress.end_request();
    }
}

impl HttpBody for CountedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answer to one request. A request whose connection goes is over, too.
async fn answer<H: Handler>(
    handler: H,
    request: Request<Incoming>,
    progress: Arc<Progress>,
    entry: Entry,
) -> Result<Response<CountedBody>, Infallible> {
    progress.begin_request(!request.body().is_end_stream());
    if progress.is_turn_over() {
        tokio::task::yield_now().await;
    }
    let mut counted = CountedBody { body: Body::Empty, progress: Arc::clone(&progress) };
    let (parts, body) = handler.answer(request, progress, entry).await.into_parts();
    counted.body = body;
    Ok(Response::from_parts(parts, counted))
}
