//! Reads a request's body: within the limits of size, time and the memory of all bodies together,
//! decompressed.
//!
//! A plain body that arrives in one piece is not copied.

mod coding;
mod drain;
mod expand;
mod gather;
mod memory;

use self::coding::Coding;
use self::expand::Output;
use self::gather::Whole;
use self::memory::Lease;
use super::{Aside, Problem, Progress};
use crate::config::HttpLimits;
use crate::priority::Pace;
use hyper::HeaderMap;
use hyper::body::Incoming;
use std::sync::Arc;

pub(crate) use self::drain::drain;
pub(crate) use self::memory::BodyMemory;

/// A compressed body is decompressed where it was received if it is no longer than this, and does not
/// become longer than that.
const AT_ONCE_BYTES: usize = 16 * 1024;
const AT_ONCE_TEXT_BYTES: usize = 128 * 1024;

/// A whole body, decompressed.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Whole,
    lease: Lease,
}

impl Received {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Whole::Gathered(room) = &mut self.bytes {
            self.lease.keep(std::mem::take(room));
        }
    }
}

/// The body of a request.
pub(crate) async fn receive(
    incoming: Incoming,
    headers: &HeaderMap,
    limits: &HttpLimits,
    memory: &Arc<BodyMemory>,
    aside: &Aside,
    progress: &Progress,
) -> Result<Received, Problem> {
    let coding = coding::coding(headers)?;
    let limit_bytes = limits.body_bytes;
    let announced = gather::announced(headers, limit_bytes)?;
    let mut lease = Lease::new(memory, limits.body_memory_bytes);
    let reading = Reading::begin(progress);
    let gathering = gather::gather(incoming, announced, limit_bytes, &mut lease, progress);
    let bytes = if progress.is_multiplexed() {
        tokio::time::timeout(limits.request_time, gathering).await.map_err(|_| Problem::Timeout)?
    } else {
        gathering.await
    }?;
    drop(reading);
    progress.has_read_body();
    let Some(coding) = coding else { return Ok(Received { bytes, lease }) };
    if let Some(decided) = decompressed_at_once(coding, &bytes, &lease, limit_bytes) {
        return decided;
    }
    aside.run(move || decompressed(coding, bytes, lease, limit_bytes)).await
}

/// `None`: it is too long for that.
fn decompressed_at_once(
    coding: Coding,
    compressed: &Whole,
    lease: &Lease,
    limit_bytes: usize,
) -> Option<Result<Received, Problem>> {
    if compressed.as_bytes().len() > AT_ONCE_BYTES {
        return None;
    }
    let text_bytes = limit_bytes.min(AT_ONCE_TEXT_BYTES);
    let mut output = Output::new(lease.another(), text_bytes, Pace::Through);
    match expand::expand(coding, compressed.as_bytes(), &mut output) {
        Ok(()) => {
            let (bytes, lease) = output.finish();
            Some(Ok(Received { bytes: Whole::Gathered(bytes), lease }))
        }
        Err(Problem::BodyTooLarge { .. }) if text_bytes < limit_bytes => None,
        Err(problem) => Some(Err(problem)),
    }
}

fn decompressed(
    coding: Coding,
    compressed: Whole,
    lease: Lease,
    limit_bytes: usize,
) -> Result<Received, Problem> {
    let mut output = Output::new(lease, limit_bytes, Pace::Stepping);
    expand::expand(coding, compressed.as_bytes(), &mut output)?;
    let (bytes, mut lease) = output.finish();
    lease.release(compressed.as_bytes().len());
    if let Whole::Gathered(room) = compressed {
        lease.keep(room);
    }
    Ok(Received { bytes: Whole::Gathered(bytes), lease })
}

/// Tells the connection's guard that a body is being read.
struct Reading<'a>(&'a Progress);

impl<'a> Reading<'a> {
    fn begin(progress: &'a Progress) -> Reading<'a> {
        progress.begin_body();
        Reading(progress)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.end_body();
    }
}
