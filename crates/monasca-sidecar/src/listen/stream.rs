//! A connection's socket that notes what passes, and lingers at the end.
//!
//! A socket that is closed while the client still sends is reset, and the answer may be lost with
//! it. So after the last answer what still comes is read and dropped, within a limit. However much a
//! client sends, others have their turn in between.

use super::socket::Socket;
use crate::http::Progress;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What is read and dropped after the last answer.
const LINGER_BYTES: usize = 64 << 20;
/// Answers up to this size are written as one run.
const JOINED_BYTES: usize = 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_STEP_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Watched {
    stream: Socket,
    progress: Arc<Progress>,
    ending: Option<Ending>,
}

/// After the last answer, when the client may still be sending.
#[derive(Debug)]
struct Ending {
    left_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Ending {
    /// Reads and drops; ready when the client has stopped or a limit is reached.
    fn poll(
        &mut self,
        stream: &mut Socket,
        progress: &Progress,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut scratch = [0; LINGER_STEP_BYTES];
        while self.left_bytes > 0 && self.deadline.as_mut().poll(context).is_pending() {
            if progress.is_turn_over() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            progress.has_dropped(LINGER_STEP_BYTES);
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.left_bytes = self.left_bytes.saturating_sub(LINGER_STEP_BYTES);
        }
        Poll::Ready(Ok(()))
    }
}

impl Watched {
    pub(super) fn new(stream: Socket, progress: Arc<Progress>) -> Watched {
        Watched { stream, progress, ending: None }
    }
}

/// Small answers in one run of bytes: one plain write is cheaper than one of many parts.
fn join<'a>(slices: &[io::IoSlice<'_>], joined: &'a mut [u8; JOINED_BYTES]) -> Option<&'a [u8]> {
    let mut used = 0;
    for slice in slices {
        let end = used + slice.len();
        joined.get_mut(used..end)?.copy_from_slice(slice);
        used = end;
    }
    joined.get(..used)
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.progress.is_turn_over() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.progress.has_read(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.progress.has_written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; JOINED_BYTES];
        let written = match join(slices, &mut joined) {
            Some(bytes) => ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?,
            None => ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?,
        };
        self.progress.has_written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(ending) = &mut this.ending {
            return ending.poll(&mut this.stream, &this.progress, context);
        }
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        if !this.progress.is_unread() {
            return Poll::Ready(Ok(()));
        }
        let deadline = Box::pin(tokio::time::sleep(LINGER_TIME));
        let ending = this.ending.insert(Ending { left_bytes: LINGER_BYTES, deadline });
        ending.poll(&mut this.stream, &this.progress, context)
    }
}
