//! Decompresses a whole body, within the limits while it does: a bomb costs at most one piece more
//! than is allowed, and the memory of the decompressor itself counts.
//!
//! A body must be exactly what its encoding says: whole, and nothing after it. See ADR 0009.

use super::coding::Coding;
use super::memory::Lease;
use crate::http::Problem;
use crate::priority::Pace;
use flate2::{Decompress, FlushDecompress, Status};
use sidecar_store::Pace as _;
use snap::read::FrameDecoder;
use std::io::Read;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

const SMALLEST_PIECE_BYTES: usize = 4 * 1024;
const LARGEST_PIECE_BYTES: usize = 64 * 1024;

/// Members or frames one after the other in one body. Each costs a start, even an empty one.
const MOST_PARTS: usize = 10_000;

/// Window and state of inflate.
const INFLATE_BYTES: usize = 48 * 1024;

/// A compressed and a decompressed chunk, which are at most 64 KiB of text each.
const SNAPPY_BYTES: usize = 140 * 1024;

/// 8 MiB: what every decoder of the content coding must take, and no encoder may exceed.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What a body was decompressed to so far, and the share of memory that it needs.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    limit_bytes: usize,
    lease: Lease,
    /// What the decompressor itself takes of the lease.
    held: usize,
    pace: Pace,
}

/// Fills `output` with what `input` says.
pub(super) fn expand(coding: Coding, input: &[u8], output: &mut Output) -> Result<(), Problem> {
    match coding {
        Coding::Gzip => gzip(input, output),
        Coding::Deflate => deflate(input, output),
        Coding::Snappy => snappy(input, output),
        Coding::Zstd => zstd(input, output),
    }
}

impl Output {
    pub(super) fn new(lease: Lease, limit_bytes: usize, pace: Pace) -> Output {
        Output { bytes: lease.room(), limit_bytes, lease, held: 0, pace }
    }

    /// The text, and the share of memory without the decompressor's.
    pub(super) fn finish(mut self) -> (Vec<u8>, Lease) {
        self.lease.release(self.held);
        (self.bytes, self.lease)
    }

    /// The decompressor takes this much memory now.
    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(self.held);
        self.held += more;
        self.lease.extend(more)
    }

    /// Lets `step` write one piece; it returns how much it wrote.
    fn piece<F>(&mut self, step: F) -> Result<usize, Problem>
    where
        F: FnOnce(&mut [u8]) -> Result<usize, Problem>,
    {
        let before = self.bytes.len();
        let end = before + before.clamp(SMALLEST_PIECE_BYTES, LARGEST_PIECE_BYTES);
        if self.bytes.capacity() < end {
            let most = self.limit_bytes.saturating_add(LARGEST_PIECE_BYTES);
            let room = end.saturating_mul(2).min(most).max(end);
            self.bytes.try_reserve_exact(room - before).map_err(|_| Problem::Busy)?;
        }
        self.bytes.resize(end, 0);
        let written = step(self.bytes.get_mut(before..).unwrap_or_default())?;
        self.bytes.truncate(before.saturating_add(written));
        if self.bytes.len() > self.limit_bytes {
            return Err(Problem::BodyTooLarge { limit_bytes: self.limit_bytes });
        }
        self.lease.extend(written)?;
        self.pace.step();
        Ok(written)
    }
}

/// Members one after the other are one text.
fn gzip(mut input: &[u8], output: &mut Output) -> Result<(), Problem> {
    for _ in 0..MOST_PARTS {
        input = inflate(Decompress::new_gzip(15), input, output)?;
        if input.is_empty() {
            return Ok(());
        }
    }
    Err(Problem::BadEncoding)
}

/// The name means zlib's format, and half of the world sends the bare stream under it. They cannot
/// be confused: as a bare stream, zlib's first byte would begin a stored block with padding that
/// is not zero.
fn deflate(input: &[u8], output: &mut Output) -> Result<(), Problem> {
    let rest = inflate(Decompress::new(has_zlib_header(input)), input, output)?;
    if rest.is_empty() { Ok(()) } else { Err(Problem::BadEncoding) }
}

fn has_zlib_header(input: &[u8]) -> bool {
    let [first, second, ..] = input else { return false };
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([*first, *second]) % 31 == 0
}

/// One stream to its end; returns what comes after it.
fn inflate<'a>(
    mut stream: Decompress,
    mut input: &'a [u8],
    output: &mut Output,
) -> Result<&'a [u8], Problem> {
    output.hold(INFLATE_BYTES)?;
    loop {
        let (read_before, written_before) = (stream.total_in(), stream.total_out());
        let mut status = Status::Ok;
        let written = output.piece(|room| {
            let step = stream.decompress(input, room, FlushDecompress::None);
            status = step.map_err(|_| Problem::BadEncoding)?;
            Ok(usize::try_from(stream.total_out() - written_before).unwrap_or(usize::MAX))
        })?;
        let read = usize::try_from(stream.total_in() - read_before).unwrap_or(usize::MAX);
        input = input.get(read..).unwrap_or_default();
        match status {
            Status::StreamEnd => return Ok(input),
            Status::Ok | Status::BufError if read == 0 && written == 0 => {
                return Err(Problem::BadEncoding);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Nothing is what writers make of an empty text.
fn snappy(input: &[u8], output: &mut Output) -> Result<(), Problem> {
    output.hold(SNAPPY_BYTES)?;
    let mut frames = FrameDecoder::new(input);
    while output.piece(|room| frames.read(room).map_err(|_| Problem::BadEncoding))? > 0 {}
    Ok(())
}

/// Frames one after the other are one text; none at all is what some writers make of an empty one.
fn zstd(mut input: &[u8], output: &mut Output) -> Result<(), Problem> {
    let mut context = DCtx::try_create().ok_or(Problem::Busy)?;
    let window = DParameter::WindowLogMax(ZSTD_WINDOW_LOG);
    context.set_parameter(window).map_err(|_| Problem::Internal)?;
    let mut frames = 0;
    while !input.is_empty() {
        input = zstd_frame(&mut context, input, output)?;
        frames += 1;
        if frames > MOST_PARTS {
            return Err(Problem::BadEncoding);
        }
    }
    Ok(())
}

/// One frame to its end; returns what comes after it.
fn zstd_frame<'a>(
    context: &mut DCtx<'_>,
    mut input: &'a [u8],
    output: &mut Output,
) -> Result<&'a [u8], Problem> {
    loop {
        let mut source = InBuffer::around(input);
        let mut left = 0;
        let written = output.piece(|room| {
            let mut target = OutBuffer::around(room);
            let step = context.decompress_stream(&mut target, &mut source);
            left = step.map_err(|_| Problem::BadEncoding)?;
            Ok(target.pos())
        })?;
        let read = source.pos();
        input = input.get(read..).unwrap_or_default();
        output.hold(context.sizeof())?;
        if left == 0 {
            return Ok(input);
        }
        if read == 0 && written == 0 {
            return Err(Problem::BadEncoding);
        }
    }
}

#[cfg(test)]
mod tests;
