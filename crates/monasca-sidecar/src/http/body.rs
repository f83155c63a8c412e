//! Reads a request's body: within the limits of size, time and the memory of all bodies together.
//!
//! A header is never trusted with memory: room grows with what has come. A body that arrives in
//! one piece is not copied.

use super::{Problem, Progress};
use crate::config::HttpLimits;
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;

/// Room that a Content-Length alone can get.
const FIRST_ROOM_BYTES: usize = 64 * 1024;

/// Room that is kept for the next bodies: pages of fresh memory cost more than what is read into
/// them.
const SPARES: usize = 4;
const LARGEST_SPARE_BYTES: usize = 1 << 20;

/// Memory of all request bodies together.
#[derive(Debug, Default)]
pub(crate) struct BodyMemory {
    used: AtomicUsize,
    spares: Mutex<Vec<Vec<u8>>>,
}

impl BodyMemory {
    pub(crate) fn used_bytes(&self) -> usize {
        self.used.load(Relaxed)
    }

    fn room(&self) -> Vec<u8> {
        self.spares.lock().pop().unwrap_or_default()
    }

    fn keep(&self, mut room: Vec<u8>) {
        if (FIRST_ROOM_BYTES..=LARGEST_SPARE_BYTES).contains(&room.capacity()) {
            let mut spares = self.spares.lock();
            if spares.len() < SPARES {
                room.clear();
                spares.push(room);
            }
        }
    }
}

/// A share of [`BodyMemory`], given back when dropped.
#[derive(Debug)]
struct Lease {
    memory: Arc<BodyMemory>,
    bytes: usize,
}

impl Lease {
    fn extend(&mut self, bytes: usize, limit: usize) -> Result<(), Problem> {
        let before = self.memory.used.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > limit { Err(Problem::Busy) } else { Ok(()) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A whole body, decompressed.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Whole,
    lease: Lease,
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Whole::Gathered(room) = &mut self.bytes {
            self.lease.memory.keep(std::mem::take(room));
        }
    }
}

#[derive(Debug)]
enum Whole {
    Piece(Bytes),
    Gathered(Vec<u8>),
}

impl Received {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Whole::Piece(bytes) => bytes,
            Whole::Gathered(bytes) => bytes,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

/// The body of a request.
pub(crate) async fn receive(
    incoming: Incoming,
    headers: &HeaderMap,
    limits: &HttpLimits,
    memory: &Arc<BodyMemory>,
    progress: &Progress,
) -> Result<Received, Problem> {
    let encoding = encoding(headers)?;
    let announced = announced(headers, limits.body_bytes)?;
    let mut lease = Lease { memory: Arc::clone(memory), bytes: 0 };
    let reading = Reading::begin(progress);
    let gathering = gather(incoming, announced, limits, &mut lease, progress);
    let whole = if progress.is_multiplexed() {
        tokio::time::timeout(limits.request_time, gathering).await.map_err(|_| Problem::Timeout)?
    } else {
        gathering.await
    }?;
    drop(reading);
    progress.has_read_body();
    let bytes = match encoding {
        Encoding::Identity => whole,
        Encoding::Gzip => Whole::Gathered(inflate(&whole, limits, &mut lease)?),
    };
    Ok(Received { bytes, lease })
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

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii()) {
        None | Some(b"") => Ok(Encoding::Identity),
        Some(name) if name.eq_ignore_ascii_case(b"identity") => Ok(Encoding::Identity),
        Some(name) if name.eq_ignore_ascii_case(b"gzip") => Ok(Encoding::Gzip),
        Some(name) if name.eq_ignore_ascii_case(b"x-gzip") => Ok(Encoding::Gzip),
        Some(_) => Err(Problem::UnsupportedEncoding),
    }
}

/// What Content-Length says; refused at once when that is too much.
fn announced(headers: &HeaderMap, limit_bytes: usize) -> Result<usize, Problem> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(0) };
    let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match usize::try_from(length) {
        Ok(length) if length <= limit_bytes => Ok(length),
        Ok(_) | Err(_) => Err(Problem::BodyTooLarge { limit_bytes }),
    }
}

async fn gather(
    mut incoming: Incoming,
    announced: usize,
    limits: &HttpLimits,
    lease: &mut Lease,
    progress: &Progress,
) -> Result<Whole, Problem> {
    let mut first = Bytes::new();
    let mut gathered = Vec::new();
    while let Some(piece) = next_piece(&mut incoming, progress).await? {
        let so_far = first.len() + gathered.len();
        let total = so_far.saturating_add(piece.len());
        if total > limits.body_bytes {
            return Err(Problem::BodyTooLarge { limit_bytes: limits.body_bytes });
        }
        lease.extend(piece.len(), limits.body_memory_bytes)?;
        if so_far == 0 {
            first = piece;
            if announced != 0 && first.len() >= announced {
                break;
            }
            continue;
        }
        if gathered.is_empty() {
            gathered = lease.memory.room();
        }
        make_room(&mut gathered, total, announced);
        gathered.extend_from_slice(&std::mem::take(&mut first));
        gathered.extend_from_slice(&piece);
    }
    Ok(if gathered.is_empty() { Whole::Piece(first) } else { Whole::Gathered(gathered) })
}

/// At most eight times of what has come, never more than was announced.
fn make_room(gathered: &mut Vec<u8>, total: usize, announced: usize) {
    if gathered.capacity() >= total {
        return;
    }
    let room = total.saturating_mul(8).max(FIRST_ROOM_BYTES).min(announced.max(total));
    let room = if announced < total { total.saturating_mul(2) } else { room };
    gathered.reserve_exact(room.saturating_sub(gathered.len()));
}

/// The next piece that is not empty. The guard's verdict is looked at when nothing has come: it
/// wakes the connection, which polls this.
async fn next_piece(
    incoming: &mut Incoming,
    progress: &Progress,
) -> Result<Option<Bytes>, Problem> {
    poll_fn(|context| {
        loop {
            match Pin::new(&mut *incoming).poll_frame(context) {
                Poll::Pending if progress.is_late() => {
                    return Poll::Ready(Err(Problem::Timeout));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Problem::CutBody)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Poll::Ready(Ok(Some(piece))),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    })
    .await
}

/// Inflates within the same limits; a bomb costs at most one more piece than is allowed.
fn inflate(whole: &Whole, limits: &HttpLimits, lease: &mut Lease) -> Result<Vec<u8>, Problem> {
    let mut input: &[u8] = match whole {
        Whole::Piece(bytes) => bytes,
        Whole::Gathered(bytes) => bytes,
    };
    let mut inflater = Decompress::new_gzip(15);
    let mut out = Vec::new();
    loop {
        out.try_reserve(FIRST_ROOM_BYTES).map_err(|_| Problem::Busy)?;
        let (read_before, written_before) = (inflater.total_in(), out.len());
        let status = inflater
            .decompress_vec(input, &mut out, FlushDecompress::None)
            .map_err(|_| Problem::BadEncoding)?;
        let read = usize::try_from(inflater.total_in() - read_before).unwrap_or(usize::MAX);
        let written = out.len() - written_before;
        input = input.get(read..).unwrap_or_default();
        lease.extend(written, limits.body_memory_bytes)?;
        if out.len() > limits.body_bytes {
            return Err(Problem::BodyTooLarge { limit_bytes: limits.body_bytes });
        }
        match status {
            Status::StreamEnd if input.is_empty() => return Ok(out),
            // Members one after the other are one text.
            Status::StreamEnd => inflater = Decompress::new_gzip(15),
            Status::Ok | Status::BufError if read == 0 && written == 0 => {
                return Err(Problem::BadEncoding);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::make_room;

    #[test]
    fn a_header_alone_gets_little_memory() {
        let mut gathered = Vec::new();
        make_room(&mut gathered, 1_000, 30_000_000);
        assert!(gathered.capacity() <= 128 * 1024, "{}", gathered.capacity());
        make_room(&mut gathered, 200_000, 30_000_000);
        assert!(gathered.capacity() <= 1_700_000, "{}", gathered.capacity());
    }
}
