//! One keep-alive connection to the server under test.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::page::Page;
use crate::response::ResponseReader;

/// A connection that opens itself when it is needed. A failed exchange is never repeated: it is the
/// caller's error to count.
#[derive(Debug)]
pub struct Connection {
    addr: SocketAddr,
    timeout: Duration,
    stream: Option<TcpStream>,
    reader: ResponseReader,
    buffer: Vec<u8>,
    connects: u64,
}

impl Connection {
    /// A connection to `addr` whose reads take up to `buffer_bytes` at once.
    #[must_use]
    pub fn new(addr: SocketAddr, timeout: Duration, buffer_bytes: usize) -> Self {
        Self {
            addr,
            timeout,
            stream: None,
            reader: ResponseReader::default(),
            buffer: vec![0; buffer_bytes],
            connects: 0,
        }
    }

    /// Opens the connection if it is not open.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub async fn open(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.addr).await?;
            stream.set_nodelay(true)?;
            self.connects += 1;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Writes `request`, reads the whole answer; its body goes to `page`. Gives the status.
    ///
    /// # Errors
    /// When the connection fails, the answer is no HTTP, or the time is over.
    pub async fn exchange(&mut self, request: &[u8], page: &mut Page) -> io::Result<u16> {
        page.clear();
        let limit = self.timeout;
        let result = match tokio::time::timeout(limit, self.try_exchange(request, page)).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
        };
        if result.is_err() || self.reader.closes() {
            self.stream = None;
        }
        result
    }

    /// How often it was opened.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.connects
    }

    async fn try_exchange(&mut self, request: &[u8], page: &mut Page) -> io::Result<u16> {
        self.open().await?;
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        self.reader.reset();
        stream.write_all(request).await?;
        loop {
            let n = stream.read(&mut self.buffer).await?;
            let data = self.buffer.get(..n).unwrap_or_default();
            let done =
                if n == 0 { self.reader.feed_end() } else { self.reader.feed(data, page)? };
            match (done, n) {
                (true, _) => return Ok(self.reader.status()),
                (false, 0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (false, _) => {}
            }
        }
    }
}
