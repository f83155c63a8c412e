//! A server that does nothing: the ceiling that HTTP over loopback sets for any server on this machine.
//!
//! It reads a request's body by its Content-Length and answers `true` without looking at it; a GET is
//! answered with a page of a fixed length. One thread serves one listener; the kernel spreads
//! connections over listeners of the same address.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue";
const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 256 * 1024;
const MAX_HEAD_BYTES: usize = 64 * 1024;
const EVENTS: usize = 256;
const BACKLOG: i32 = 1024;

/// The whole answer to a GET: a head and `length` bytes that mean nothing.
#[must_use]
pub fn get_answer(length: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}

/// Binds one of several listeners of the same address.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves `listener` for ever on this thread.
///
/// # Errors
/// When the poller fails.
pub fn serve(
    listener: std::net::TcpListener,
    get_answer: &[u8],
) -> io::Result<std::convert::Infallible> {
    let mut server = Server::new(listener, get_answer)?;
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                server.accept()?;
            } else {
                server.ready(event.token(), event.is_read_closed());
            }
        }
    }
}

struct Server<'a> {
    poll: Poll,
    listener: TcpListener,
    clients: BTreeMap<usize, Client>,
    next: usize,
    buffer: Vec<u8>,
    get_answer: &'a [u8],
}

impl<'a> Server<'a> {
    fn new(listener: std::net::TcpListener, get_answer: &'a [u8]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            clients: BTreeMap::new(),
            next: 0,
            buffer: vec![0; BUFFER_BYTES],
            get_answer,
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let id = self.next;
            self.next += 1;
            self.poll.registry().register(
                &mut stream,
                Token(id),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.clients
                .insert(id, Client { stream, head: Vec::new(), body_left: 0, answer_left: 0 });
        }
    }

    fn ready(&mut self, token: Token, closed: bool) {
        let Some(client) = self.clients.get_mut(&token.0) else { return };
        let goes_on = client.go_on(&mut self.buffer, self.get_answer, closed);
        if !matches!(goes_on, Ok(true)) {
            self.clients.remove(&token.0);
        }
    }
}

struct Client {
    stream: TcpStream,
    /// A head that has not arrived whole; empty while heads arrive in one piece.
    head: Vec<u8>,
    body_left: u64,
    answer_left: usize,
}

impl Client {
    /// Sends what is left of an answer, then reads what is there. False: the client is gone.
    fn go_on(&mut self, buffer: &mut [u8], get_answer: &[u8], closed: bool) -> io::Result<bool> {
        loop {
            self.send_answer(get_answer)?;
            if self.answer_left > 0 {
                return Ok(true);
            }
            let n = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            self.take(buffer.get(..n).unwrap_or_default(), get_answer)?;
            // A short read has emptied the socket, so the next byte is a new event and no second
            // read is needed to see it; only a closed side would stay unseen.
            if n < buffer.len() && !closed && self.answer_left == 0 {
                return Ok(true);
            }
        }
    }

    fn take(&mut self, data: &[u8], get_answer: &[u8]) -> io::Result<()> {
        let mut rest = data;
        while !rest.is_empty() {
            if self.body_left == 0 {
                rest = self.take_head(rest, get_answer)?;
                continue;
            }
            let part = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(rest.len());
            self.body_left -= part as u64;
            rest = rest.get(part..).unwrap_or_default();
            if self.body_left == 0 {
                self.send_ok()?;
            }
        }
        Ok(())
    }

    /// Reads a request's head; gives what comes after it.
    fn take_head<'d>(&mut self, data: &'d [u8], get_answer: &[u8]) -> io::Result<&'d [u8]> {
        if self.head.is_empty()
            && let Some((head, rest)) = split_head(data)
        {
            self.start(head, get_answer)?;
            return Ok(rest);
        }
        let had = self.head.len();
        self.head.extend_from_slice(data);
        let whole = std::mem::take(&mut self.head);
        match split_head(&whole) {
            Some((head, rest)) => {
                self.start(head, get_answer)?;
                let used = whole.len() - rest.len();
                Ok(data.get(used.saturating_sub(had)..).unwrap_or_default())
            }
            None if whole.len() > MAX_HEAD_BYTES => Err(io::ErrorKind::InvalidData.into()),
            None => {
                self.head = whole;
                Ok(&[])
            }
        }
    }

    fn start(&mut self, head: &[u8], get_answer: &[u8]) -> io::Result<()> {
        if head.starts_with(b"GET ") {
            self.answer_left = get_answer.len();
            return self.send_answer(get_answer);
        }
        self.body_left = content_length(head);
        if self.body_left == 0 { self.send_ok() } else { Ok(()) }
    }

    fn send_ok(&mut self) -> io::Result<()> {
        // 80 bytes always fit: the client waits for each answer before it sends more.
        self.stream.write_all(OK)
    }

    fn send_answer(&mut self, get_answer: &[u8]) -> io::Result<()> {
        while self.answer_left > 0 {
            let from = get_answer.len() - self.answer_left;
            match self.stream.write(get_answer.get(from..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.answer_left -= n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn split_head(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memmem::find(data, b"\r\n\r\n")? + 4;
    data.split_at_checked(end)
}

fn content_length(head: &[u8]) -> u64 {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head).is_err() {
        return 0;
    }
    let named =
        request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    named
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
        .unwrap_or(0)
}
