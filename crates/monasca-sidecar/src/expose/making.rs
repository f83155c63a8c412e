//! One page being made: the text that is still to be written, and the compressor.

use crate::clock::Clock;
use crate::http::negotiate::Compression;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use flate2::{Compress, FlushCompress, Status};
use sidecar_formats::Page;
use sidecar_formats::prom_text::TextPage;
use std::time::Duration;
use tokio::sync::mpsc;

/// A piece is sent when it has so many bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// The line that makes a piece large enough goes beyond it.
const PIECE_SLACK_BYTES: usize = 2 * 1024;
const GZIP_LEVEL: u32 = 1;
/// Room that the compressor gets at a time.
const GZIP_ROOM_BYTES: usize = 32 * 1024;

/// What the scrape thread sends.
#[derive(Debug)]
pub(super) enum Made {
    /// The page in one piece.
    Whole(Bytes),
    Part(Bytes),
    End,
}

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Moved,
    /// The client has not taken the last pieces.
    Rests,
    Over,
}

pub(super) struct Making {
    page: TextPage,
    text: Vec<u8>,
    gzip: Option<Gzip>,
    pieces: mpsc::Sender<Made>,
    begun: bool,
    /// The last piece is sent, the end is not.
    ended: bool,
    spent: Duration,
}

struct Gzip {
    compress: Compress,
    out: Vec<u8>,
}

impl Making {
    pub(super) fn new(
        page: TextPage,
        compression: Compression,
        pieces: mpsc::Sender<Made>,
        spent: Duration,
    ) -> Making {
        let gzip = match compression {
            Compression::Identity => None,
            Compression::Gzip => Some(Gzip {
                compress: Compress::new_gzip(flate2::Compression::new(GZIP_LEVEL), 15),
                out: Vec::new(),
            }),
        };
        Making { page, text: Vec::new(), gzip, pieces, begun: false, ended: false, spent }
    }

    /// Makes and sends one piece.
    pub(super) fn step(&mut self, clock: &Clock, telemetry: &Telemetry) -> Step {
        if self.pieces.is_closed() {
            return Step::Over;
        }
        if self.pieces.capacity() == 0 {
            return Step::Rests;
        }
        if self.ended {
            return self.send(Made::End, Step::Over);
        }
        let begun = clock.elapsed();
        let (bytes, last) = self.piece();
        self.spent += clock.elapsed().saturating_sub(begun);
        telemetry.scrape_bytes.add(bytes.len() as u64);
        if last {
            telemetry.scrape_time.observe(self.spent);
            self.ended = true;
        }
        match (last, self.begun) {
            (true, false) => self.send(Made::Whole(bytes), Step::Over),
            (true, true) | (false, _) => {
                self.begun = true;
                self.send(Made::Part(bytes), Step::Moved)
            }
        }
    }

    /// There is room, or nobody is there any more.
    fn send(&self, made: Made, then: Step) -> Step {
        if self.pieces.try_send(made).is_ok() { then } else { Step::Over }
    }

    /// The next piece, and whether it is the last.
    fn piece(&mut self) -> (Bytes, bool) {
        if self.begun {
            // Behind the first piece the others are large too.
            self.text.reserve(PIECE_BYTES + PIECE_SLACK_BYTES);
        }
        loop {
            let last = !self.page.write_some(PIECE_BYTES, &mut self.text);
            let Some(gzip) = &mut self.gzip else {
                return (Bytes::from(std::mem::take(&mut self.text)), last);
            };
            gzip.compress(&self.text, last);
            self.text.clear();
            if last || gzip.out.len() >= PIECE_BYTES {
                return (Bytes::from(std::mem::take(&mut gzip.out)), last);
            }
        }
    }
}

impl Gzip {
    fn compress(&mut self, mut input: &[u8], last: bool) {
        let flush = if last { FlushCompress::Finish } else { FlushCompress::None };
        loop {
            self.out.reserve(GZIP_ROOM_BYTES);
            let before = self.compress.total_in();
            let status = self.compress.compress_vec(input, &mut self.out, flush);
            let read = usize::try_from(self.compress.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(read..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) | Err(_) => return,
                Ok(Status::Ok | Status::BufError) if input.is_empty() && !last => return,
                Ok(Status::Ok | Status::BufError) => {}
            }
        }
    }
}
