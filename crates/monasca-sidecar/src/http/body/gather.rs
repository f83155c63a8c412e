//! A body as it comes from the connection: within the limits of size and time.
//!
//! A header is never trusted with memory: room grows with what has come. A body that arrives in
//! one piece is not copied.

use super::memory::Lease;
use crate::http::{Problem, Progress};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::CONTENT_LENGTH;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Room that a Content-Length alone can get.
const FIRST_ROOM_BYTES: usize = 64 * 1024;

/// A whole body.
#[derive(Debug)]
pub(super) enum Whole {
    Piece(Bytes),
    Gathered(Vec<u8>),
}

impl Whole {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Whole::Piece(bytes) => bytes,
            Whole::Gathered(bytes) => bytes,
        }
    }
}

/// What Content-Length says; refused at once when that is too much.
pub(super) fn announced(headers: &HeaderMap, limit_bytes: usize) -> Result<usize, Problem> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(0) };
    let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match usize::try_from(length) {
        Ok(length) if length <= limit_bytes => Ok(length),
        Ok(_) | Err(_) => Err(Problem::BodyTooLarge { limit_bytes }),
    }
}

pub(super) async fn gather(
    mut incoming: Incoming,
    announced: usize,
    limit_bytes: usize,
    lease: &mut Lease,
    progress: &Progress,
) -> Result<Whole, Problem> {
    let mut first = Bytes::new();
    let mut gathered = Vec::new();
    while let Some(piece) = next_piece(&mut incoming, progress).await? {
        let so_far = first.len() + gathered.len();
        let total = so_far.saturating_add(piece.len());
        if total > limit_bytes {
            return Err(Problem::BodyTooLarge { limit_bytes });
        }
        lease.extend(piece.len())?;
        if so_far == 0 {
            first = piece;
            if announced != 0 && first.len() >= announced {
                break;
            }
            continue;
        }
        if gathered.is_empty() {
            gathered = lease.room();
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
