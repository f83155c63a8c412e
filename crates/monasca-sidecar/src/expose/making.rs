//! One page being made: the text that is still to be written, and the compressor.

use crate::clock::Clock;
use crate::http::negotiate::Compression;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use flate2::{Compress, FlushCompress, Status};
use sidecar_formats::Page;
use std::time::Duration;
use tokio::sync::mpsc;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// A piece is sent when it has so many bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// The line that makes a piece large enough goes beyond it.
const PIECE_SLACK_BYTES: usize = 2 * 1024;
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
/// Room that the compressor gets at a time.
const ROOM_BYTES: usize = 32 * 1024;

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
    page: Box<dyn Page>,
    text: Vec<u8>,
    compressor: Option<Compressor>,
    pieces: mpsc::Sender<Made>,
    begun: bool,
    /// The last piece is sent, the end is not.
    ended: bool,
    spent: Duration,
}

struct Compressor {
    coder: Coder,
    out: Vec<u8>,
}

enum Coder {
    Gzip(Compress),
    Zstd(CCtx<'static>),
}

impl Making {
    pub(super) fn new(
        page: Box<dyn Page>,
        compression: Compression,
        pieces: mpsc::Sender<Made>,
        spent: Duration,
    ) -> Making {
        let coder = match compression {
            Compression::Identity => None,
            Compression::Gzip => {
                Some(Coder::Gzip(Compress::new_gzip(flate2::Compression::new(GZIP_LEVEL), 15)))
            }
            Compression::Zstd => Some(Coder::Zstd(zstd_coder())),
        };
        let compressor = coder.map(|coder| Compressor { coder, out: Vec::new() });
        Making { page, text: Vec::new(), compressor, pieces, begun: false, ended: false, spent }
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
            let Some(compressor) = &mut self.compressor else {
                return (Bytes::from(std::mem::take(&mut self.text)), last);
            };
            compressor.compress(&self.text, last);
            self.text.clear();
            if last || compressor.out.len() >= PIECE_BYTES {
                return (Bytes::from(std::mem::take(&mut compressor.out)), last);
            }
        }
    }
}

impl Compressor {
    fn compress(&mut self, input: &[u8], last: bool) {
        match &mut self.coder {
            Coder::Gzip(compress) => gzip(compress, input, last, &mut self.out),
            Coder::Zstd(context) => zstd(context, input, last, &mut self.out),
        }
    }
}

fn gzip(compress: &mut Compress, mut input: &[u8], last: bool, out: &mut Vec<u8>) {
    let flush = if last { FlushCompress::Finish } else { FlushCompress::None };
    loop {
        out.reserve(ROOM_BYTES);
        let before = compress.total_in();
        let status = compress.compress_vec(input, out, flush);
        let read = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
        input = input.get(read..).unwrap_or_default();
        match status {
            Ok(Status::StreamEnd) | Err(_) => return,
            Ok(Status::Ok | Status::BufError) if input.is_empty() && !last => return,
            Ok(Status::Ok | Status::BufError) => {}
        }
    }
}

fn zstd_coder() -> CCtx<'static> {
    let mut context = CCtx::create();
    // The level is one that there is; and any level will do.
    context.set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL)).unwrap_or_default();
    context
}

fn zstd(context: &mut CCtx<'_>, input: &[u8], last: bool, out: &mut Vec<u8>) {
    let mut input = InBuffer::around(input);
    let end = if last { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
    loop {
        out.reserve(ROOM_BYTES);
        let begin = out.len();
        let mut output = OutBuffer::around_pos(out, begin);
        match context.compress_stream2(&mut output, &mut input, end) {
            Ok(0) if last => return,
            Ok(_) if !last && input.pos() == input.src.len() => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
