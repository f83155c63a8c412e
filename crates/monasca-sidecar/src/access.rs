//! Who may do what: the rights of the listener, and those of a credential where some are
//! configured.
//!
//! Where none are, a request costs a look at two bytes. What is known of a credential is kept as a
//! keyed hash: no password and no token stays in memory longer than its request, except the tokens'
//! hashes.

mod credentials;
mod origin;
mod password;
mod verified;

use crate::clock::Clock;
use crate::config::{Right, Rights};
use crate::http::{Entry, Problem};
use arc_swap::{ArcSwap, ArcSwapOption};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
pub(crate) use credentials::Credentials;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
pub(crate) use origin::{Asker, Origins};
use password::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::Semaphore;

/// Passwords that wait for being hashed; more are refused as too much at once.
const WAITING_AT_MOST: usize = 64;
/// Hashes at once, so that pushes keep their processors.
const HASHES_AT_MOST: usize = 4;

#[derive(Debug)]
pub(crate) struct Access {
    /// `None`: nobody is asked.
    credentials: ArcSwapOption<Credentials>,
    pub(crate) origins: ArcSwap<Origins>,
    clock: Arc<Clock>,
    hashing: Semaphore,
    waiting: AtomicUsize,
}

impl Access {
    pub(crate) fn new(clock: Arc<Clock>) -> Access {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Access {
            credentials: ArcSwapOption::empty(),
            origins: ArcSwap::default(),
            clock,
            hashing: Semaphore::new((processors / 2).clamp(1, HASHES_AT_MOST)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// What was verified with the old ones does not count any more.
    pub(crate) fn replace(&self, credentials: Option<Credentials>) {
        self.credentials.store(credentials.map(Arc::new));
    }

    /// Whether the request may go on that takes this right.
    pub(crate) async fn admit(
        &self,
        right: Right,
        entry: &Entry,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let forbidden = Problem::Forbidden { right: right.name() };
        if !entry.allows(right) {
            return Err(forbidden);
        }
        if !entry.authenticate || self.credentials.load().is_none() {
            return Ok(());
        }
        let Some(credentials) = self.credentials.load_full() else { return Ok(()) };
        let of_certificate = credentials.of_certificate(entry.names.as_deref());
        if of_certificate.is_some_and(|rights| rights.has(right)) {
            return Ok(());
        }
        let header = headers.get(AUTHORIZATION).map(|header| header.as_bytes());
        let rights = match header {
            Some(header) => self.of_header(&credentials, header).await?,
            None => None,
        };
        match (rights.or(of_certificate), credentials.challenge()) {
            (Some(rights), _) if rights.has(right) => Ok(()),
            (Some(_), _) | (None, None) => Err(forbidden),
            (None, Some(challenge)) => Err(Problem::Unauthorized { challenge }),
        }
    }

    /// `None`: not known here.
    async fn of_header(
        &self,
        credentials: &Arc<Credentials>,
        header: &[u8],
    ) -> Result<Option<Rights>, Problem> {
        let Some((scheme, rest)) =
            header.split_at_checked(header.iter().position(|b| *b == b' ').unwrap_or(0))
        else {
            return Ok(None);
        };
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Ok(credentials.of_token(rest));
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Ok(None);
        }
        if let Some(rights) = credentials.verified(rest, self.clock.elapsed()) {
            return Ok(Some(rights));
        }
        let Ok(decoded) = STANDARD.decode(rest) else { return Ok(None) };
        let mut parts = decoded.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(password)) = (parts.next(), parts.next()) else { return Ok(None) };
        let Some((hash, rights)) = credentials.user(name) else { return Ok(None) };
        let verified = self.verify(credentials, rest, hash, password.to_vec()).await?;
        let rights = rights.filter(|_| verified);
        if let Some(rights) = rights {
            credentials.remember(rest, rights, self.clock.elapsed());
        }
        Ok(rights)
    }

    /// Beside the workers, a few at once.
    async fn verify(
        &self,
        credentials: &Credentials,
        header: &[u8],
        hash: Arc<Hash>,
        password: Vec<u8>,
    ) -> Result<bool, Problem> {
        let _waiting = Waiting::begin(&self.waiting).ok_or(Problem::Busy)?;
        let Ok(_permit) = self.hashing.acquire().await else { return Err(Problem::Internal) };
        // Many connections with one password come at once when it is no longer remembered.
        if credentials.verified(header, self.clock.elapsed()).is_some() {
            return Ok(true);
        }
        let verify = move || hash.verify(&password);
        tokio::task::spawn_blocking(verify).await.map_err(|_| Problem::Internal)
    }
}

/// One that waits; it is counted until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Waiting<'a>> {
        let before = count.fetch_add(1, Relaxed);
        let waiting = Waiting(count);
        (before < WAITING_AT_MOST).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
