//! An HTTP/1.1 response, read as it arrives: status, end of the body, whether the connection stays.

use std::io;

use crate::page::Page;

const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;

/// Where in a response the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// Bytes of a body of known length still to come.
    Length(u64),
    ChunkSize {
        size: u64,
        digits_done: bool,
    },
    ChunkData(u64),
    /// The line end after a chunk's data.
    ChunkEnd,
    /// After the last chunk; the count is the length of the line so far.
    Trailer(usize),
    UntilClose,
    Done,
}

/// Reads one response at a time; `reset` makes it ready for the next on the same connection.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    head: Vec<u8>,
    status: u16,
    close: bool,
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self { state: State::Head, head: Vec::new(), status: 0, close: false }
    }
}

impl ResponseReader {
    /// Starts over.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.status = 0;
        self.close = false;
    }

    /// Takes what a read gave; the body's bytes go to `page`. True when the response is complete.
    ///
    /// # Errors
    /// When the bytes are no HTTP/1.1 response.
    pub fn feed(&mut self, data: &[u8], page: &mut Page) -> io::Result<bool> {
        let mut rest = data;
        if self.state == State::Head {
            rest = self.feed_head(data)?;
        }
        while !rest.is_empty() && !matches!(self.state, State::Head | State::Done) {
            rest = self.feed_body(rest, page)?;
        }
        Ok(self.state == State::Done)
    }

    /// The server closed. True when that is a proper end of this response.
    #[must_use]
    pub fn feed_end(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
            self.close = true;
        }
        self.state == State::Done
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the server will close the connection after this response.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.close
    }

    fn feed_head<'a>(&mut self, data: &'a [u8]) -> io::Result<&'a [u8]> {
        let had = self.head.len();
        self.head.extend_from_slice(data);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(&self.head) {
            Ok(httparse::Status::Complete(end)) => {
                self.status = parsed.code.unwrap_or(0);
                (self.state, self.close) = framing(&parsed);
                Ok(data.get(end.saturating_sub(had)..).unwrap_or_default())
            }
            Ok(httparse::Status::Partial) if self.head.len() <= MAX_HEAD_BYTES => Ok(&[]),
            Ok(httparse::Status::Partial) => Err(invalid("response head is too long")),
            Err(error) => Err(invalid(&error.to_string())),
        }
    }

    fn feed_body<'a>(&mut self, data: &'a [u8], page: &mut Page) -> io::Result<&'a [u8]> {
        match self.state {
            State::Length(left) => {
                let (body, rest) = split(data, left);
                page.take(body);
                self.state = match left - body.len() as u64 {
                    0 => State::Done,
                    left => State::Length(left),
                };
                Ok(rest)
            }
            State::ChunkData(left) => {
                let (body, rest) = split(data, left);
                page.take(body);
                self.state = match left - body.len() as u64 {
                    0 => State::ChunkEnd,
                    left => State::ChunkData(left),
                };
                Ok(rest)
            }
            State::UntilClose => {
                page.take(data);
                Ok(&[])
            }
            State::ChunkSize { .. } | State::ChunkEnd | State::Trailer(_) => {
                let Some((byte, rest)) = data.split_first() else { return Ok(data) };
                self.state = chunk_step(self.state, *byte)?;
                Ok(rest)
            }
            State::Head | State::Done => Ok(data),
        }
    }
}

/// How the body ends, and whether the connection does.
fn framing(response: &httparse::Response<'_, '_>) -> (State, bool) {
    let mut close = response.version == Some(0);
    let mut chunked = false;
    let mut length = None;
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<u64>().ok();
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    let state = match (response.code, chunked, length) {
        (Some(204 | 304), _, _) | (_, false, Some(0)) => State::Done,
        (_, true, _) => State::ChunkSize { size: 0, digits_done: false },
        (_, false, Some(length)) => State::Length(length),
        (_, false, None) => State::UntilClose,
    };
    (state, close)
}

/// The bytes of the chunked coding that are not data, one at a time.
fn chunk_step(state: State, byte: u8) -> io::Result<State> {
    Ok(match (state, byte) {
        (State::ChunkSize { size: 0, .. }, b'\n') => State::Trailer(0),
        (State::ChunkSize { size, .. }, b'\n') => State::ChunkData(size),
        (State::ChunkSize { size, digits_done: false }, _) => match char::from(byte).to_digit(16) {
            Some(digit) if size >> 60 == 0 => {
                State::ChunkSize { size: size * 16 + u64::from(digit), digits_done: false }
            }
            Some(_) => return Err(invalid("chunk is too long")),
            None => State::ChunkSize { size, digits_done: true },
        },
        (State::ChunkEnd, b'\n') => State::ChunkSize { size: 0, digits_done: false },
        (State::Trailer(0), b'\n') => State::Done,
        (State::Trailer(_), b'\n') => State::Trailer(0),
        (State::Trailer(length), b'\r') => State::Trailer(length),
        (State::Trailer(length), _) => State::Trailer(length.saturating_add(1)),
        (other, _) => other,
    })
}

fn split(data: &[u8], at: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(data.len());
    data.split_at_checked(at).unwrap_or((data, &[]))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Keep;

    fn read_in_two(text: &[u8], cut: usize) -> (bool, u16, bool, Vec<u8>) {
        let mut reader = ResponseReader::default();
        let mut page = Page::new(Keep::Whole);
        let mut done = reader.feed(&text[..cut], &mut page).unwrap();
        if !done {
            done = reader.feed(&text[cut..], &mut page).unwrap();
        }
        (done, reader.status(), reader.closes(), page.kept().to_vec())
    }

    #[test]
    fn a_body_of_known_length_ends_wherever_it_is_cut() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue";
        for cut in 0..text.len() {
            assert_eq!(
                read_in_two(text, cut),
                (true, 200, false, b"true".to_vec()),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_chunked_body_ends_wherever_it_is_cut() {
        let text = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
            3;x=1\r\nabc\r\n0b\r\ndefghijklmn\r\n0\r\nT: v\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(
                read_in_two(text, cut),
                (true, 503, true, b"abcdefghijklmn".to_vec()),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let mut reader = ResponseReader::default();
        let mut page = Page::new(Keep::Whole);
        assert!(!reader.feed(b"HTTP/1.0 200 OK\r\n\r\nall of it", &mut page).unwrap());
        assert!(reader.feed_end());
        assert_eq!(page.kept(), b"all of it");
    }

    #[test]
    fn a_connection_that_ends_inside_a_body_is_no_answer() {
        let mut reader = ResponseReader::default();
        let mut page = Page::new(Keep::Whole);
        assert!(
            !reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", &mut page).unwrap()
        );
        assert!(!reader.feed_end());
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        let mut page = Page::new(Keep::Excerpt);
        assert!(ResponseReader::default().feed(b"\x00\x01nonsense\r\n\r\n", &mut page).is_err());
    }
}
