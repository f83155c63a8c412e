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
use super::{Problem, Progress};
use crate::config::HttpLimits;
use hyper::HeaderMap;
use hyper::body::Incoming;
use std::sync::Arc;

pub(crate) use self::drain::drain;
pub(crate) use self::memory::BodyMemory;

/// Compressed bodies up to this size are decompressed where they are received, larger ones on a
/// thread of their own.
const INLINE_BYTES: usize = 128 * 1024;

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
    match coding {
        None => Ok(Received { bytes, lease }),
        Some(coding) if bytes.as_bytes().len() <= INLINE_BYTES => {
            decompressed(coding, bytes, lease, limit_bytes)
        }
        Some(coding) => {
            tokio::task::spawn_blocking(move || decompressed(coding, bytes, lease, limit_bytes))
                .await
                .unwrap_or(Err(Problem::Internal))
        }
    }
}

fn decompressed(
    coding: Coding,
    compressed: Whole,
    lease: Lease,
    limit_bytes: usize,
) -> Result<Received, Problem> {
    let mut output = Output::new(lease, limit_bytes);
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
