//! One accepted connection, whatever it came in by.

use super::bind::Listening;
use rustix::net::{RecvFlags, recv};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

/// What accepts.
#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    pub(super) fn new(socket: Listening) -> io::Result<Acceptor> {
        Ok(match socket {
            Listening::Tcp(tcp) => Acceptor::Tcp(TcpListener::from_std(tcp)?),
            Listening::Unix(unix) => Acceptor::Unix(UnixListener::from_std(unix)?),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Acceptor::Tcp(tcp) => {
                let (stream, _) = tcp.accept().await?;
                // A socket that is gone already says so at the first read.
                stream.set_nodelay(true).unwrap_or_default();
                Ok(Socket::Tcp(stream))
            }
            Acceptor::Unix(unix) => Ok(Socket::Unix(unix.accept().await?.0)),
        }
    }
}

/// A connection's bytes.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// The first bytes, which stay to be read. Behind TLS they are not asked for: the handshake said
    /// what is spoken.
    pub(super) async fn peek(&self, start: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.peek(start).await,
            Socket::Unix(unix) => {
                let look = || Ok(recv(unix, &mut *start, RecvFlags::PEEK)?.1);
                unix.async_io(Interest::READABLE, look).await
            }
            Socket::Tls(_) => Ok(0),
        }
    }
}

/// Calls the same on whichever it is.
macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Socket::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Socket::Tls($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Tcp(stream) => stream.is_write_vectored(),
            Socket::Unix(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(context))
    }
}
