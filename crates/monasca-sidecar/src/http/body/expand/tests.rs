use super::super::coding::Coding;
use super::super::memory::{BodyMemory, Lease};
use super::{LARGEST_PIECE_BYTES, MOST_PARTS, Output, expand};
use crate::http::Problem;
use crate::priority::Pace;
use flate2::Compression;
use proptest::prelude::*;
use std::io::Write;
use std::sync::Arc;

const MIB: usize = 1 << 20;
const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Snappy, Coding::Zstd];

/// Writes the pieces one by one, each flushed, so that blocks end where pieces do.
fn fill<W: Write>(mut writer: W, pieces: &[Vec<u8>]) -> W {
    for piece in pieces {
        writer.write_all(piece).unwrap();
        writer.flush().unwrap();
    }
    writer
}

fn packed(coding: Coding, pieces: &[Vec<u8>]) -> Vec<u8> {
    let level = Compression::fast();
    match coding {
        Coding::Gzip => {
            fill(flate2::write::GzEncoder::new(Vec::new(), level), pieces).finish().unwrap()
        }
        Coding::Deflate => {
            fill(flate2::write::ZlibEncoder::new(Vec::new(), level), pieces).finish().unwrap()
        }
        Coding::Snappy => {
            fill(snap::write::FrameEncoder::new(Vec::new()), pieces).into_inner().unwrap()
        }
        Coding::Zstd => {
            let mut writer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            writer.include_checksum(true).unwrap();
            fill(writer, pieces).finish().unwrap()
        }
    }
}

fn bare_deflate(text: &[u8]) -> Vec<u8> {
    let writer = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    fill(writer, &[text.to_vec()]).finish().unwrap()
}

/// Zeros, without having them all in memory.
fn bomb(coding: Coding, mib: usize) -> Vec<u8> {
    packed(coding, &vec![vec![0; MIB]; mib])
}

struct Unpacked {
    result: Result<Vec<u8>, Problem>,
    /// At the end, before the text is dropped.
    leased: usize,
}

fn unpack_within(coding: Coding, input: &[u8], limit: usize, memory_limit: usize) -> Unpacked {
    let memory = Arc::new(BodyMemory::default());
    let mut output = Output::new(Lease::new(&memory, memory_limit), limit, Pace::Stepping);
    let result = expand(coding, input, &mut output);
    let room = output.bytes.capacity();
    assert!(room <= limit + 2 * LARGEST_PIECE_BYTES, "{coding:?} took {room} of {limit}");
    let (bytes, lease) = output.finish();
    let leased = memory.used_bytes();
    drop(lease);
    assert_eq!(memory.used_bytes(), 0);
    Unpacked { result: result.map(|()| bytes), leased }
}

fn unpack(coding: Coding, input: &[u8]) -> Result<Vec<u8>, Problem> {
    unpack_within(coding, input, MIB, 64 * MIB).result
}

fn text() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let noise = prop::collection::vec(any::<u8>(), 0..3_000);
    let run = (any::<u8>(), 0..40_000_usize).prop_map(|(byte, count)| vec![byte; count]);
    prop::collection::vec(prop_oneof![noise, run], 0..5)
}

proptest! {
    #[test]
    fn what_was_packed_comes_back(pieces in text()) {
        let whole = pieces.concat();
        for coding in CODINGS {
            let packed = packed(coding, &pieces);
            let unpacked = unpack_within(coding, &packed, MIB, 64 * MIB);
            prop_assert_eq!(unpacked.leased, whole.len());
            prop_assert!(unpacked.result.as_ref() == Ok(&whole), "{:?}", coding);
        }
        prop_assert!(unpack(Coding::Deflate, &bare_deflate(&whole)) == Ok(whole));
    }

    #[test]
    fn a_cut_or_followed_body_is_never_taken_for_the_whole(
        pieces in text(), at in any::<prop::sample::Index>(), junk in 1..=255_u8,
    ) {
        let whole = pieces.concat();
        for coding in CODINGS {
            let mut packed = packed(coding, &pieces);
            let cut = at.index(packed.len().max(1));
            let cut = unpack(coding, packed.get(..cut).unwrap_or_default());
            // Snappy's chunks and nothing at all have no end of their own.
            let open = cut.as_ref().is_ok_and(|text| {
                whole.starts_with(text) && (coding == Coding::Snappy || text.is_empty())
            });
            prop_assert!(open || cut == Err(Problem::BadEncoding), "{:?}", coding);
            packed.push(junk);
            prop_assert_eq!(unpack(coding, &packed), Err(Problem::BadEncoding));
        }
    }

    #[test]
    fn a_changed_byte_gives_an_answer_and_no_other_text(
        pieces in text(), at in any::<prop::sample::Index>(), change in 1..=255_u8,
    ) {
        let whole = pieces.concat();
        for coding in CODINGS {
            let mut packed = packed(coding, &pieces);
            if packed.is_empty() {
                continue;
            }
            let at = at.index(packed.len());
            packed[at] ^= change;
            // A header's time may change, and a chunk become one that is skipped.
            if let (Ok(text), Coding::Gzip | Coding::Zstd) = (unpack(coding, &packed), coding) {
                prop_assert!(text == whole, "{:?}", coding);
            }
        }
    }

    #[test]
    fn noise_is_answered(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let starts: [&[u8]; 5] = [
            b"", b"\x1f\x8b\x08\x00\0\0\0\0\0\0", b"\x78\x9c", b"\xff\x06\0\0sNaPpY",
            b"\x28\xb5\x2f\xfd",
        ];
        for (start, coding) in starts.iter().flat_map(|s| CODINGS.map(|coding| (s, coding))) {
            let result = unpack(coding, &[*start, &noise].concat());
            let answered = matches!(
                result, Ok(_) | Err(Problem::BadEncoding | Problem::BodyTooLarge { .. })
            );
            prop_assert!(answered, "{:?} {:?}", coding, result);
        }
    }
}

#[test]
fn an_empty_body_is_an_empty_text_where_writers_make_it_so() {
    assert_eq!(unpack(Coding::Snappy, b""), Ok(Vec::new()));
    assert_eq!(unpack(Coding::Zstd, b""), Ok(Vec::new()));
    assert_eq!(unpack(Coding::Gzip, b""), Err(Problem::BadEncoding));
    assert_eq!(unpack(Coding::Deflate, b""), Err(Problem::BadEncoding));
    for coding in CODINGS {
        assert_eq!(unpack(coding, &packed(coding, &[])), Ok(Vec::new()), "{coding:?}");
    }
}

#[test]
fn parts_one_after_the_other_are_one_text() {
    let (one, two) = ([b"one ".to_vec()], [b"two".to_vec()]);
    for coding in [Coding::Gzip, Coding::Snappy, Coding::Zstd] {
        let both = [packed(coding, &one), packed(coding, &two)].concat();
        assert_eq!(unpack(coding, &both), Ok(b"one two".to_vec()), "{coding:?}");
    }
    let both = [packed(Coding::Deflate, &one), packed(Coding::Deflate, &two)].concat();
    assert_eq!(unpack(Coding::Deflate, &both), Err(Problem::BadEncoding));
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let both = [packed(Coding::Zstd, &one), skipped.to_vec(), packed(Coding::Zstd, &two)].concat();
    assert_eq!(unpack(Coding::Zstd, &both), Ok(b"one two".to_vec()));
}

#[test]
fn parts_without_end_are_refused() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let part = packed(coding, &[b"x".to_vec()]);
        assert_eq!(unpack(coding, &part.repeat(MOST_PARTS)), Ok(vec![b'x'; MOST_PARTS]));
        assert_eq!(unpack(coding, &part.repeat(MOST_PARTS + 1)), Err(Problem::BadEncoding));
    }
}

#[test]
fn a_bomb_is_refused_while_it_goes_off() {
    for coding in CODINGS {
        let bomb = bomb(coding, 16);
        let unpacked = unpack_within(coding, &bomb, MIB, 64 * MIB);
        assert_eq!(unpacked.result, Err(Problem::BodyTooLarge { limit_bytes: MIB }), "{coding:?}");
        assert!(unpacked.leased <= MIB, "{coding:?} {}", unpacked.leased);
    }
}

#[test]
fn the_limit_is_exact() {
    for coding in CODINGS {
        let packed = packed(coding, &[vec![b'x'; 300_000]]);
        let result = |limit| unpack_within(coding, &packed, limit, 64 * MIB).result;
        assert_eq!(result(300_000).map(|text| text.len()), Ok(300_000), "{coding:?}");
        assert_eq!(result(299_999), Err(Problem::BodyTooLarge { limit_bytes: 299_999 }));
    }
}

#[test]
fn the_decompressors_own_memory_counts() {
    for (coding, own) in [
        (Coding::Gzip, 40_000),
        (Coding::Deflate, 40_000),
        (Coding::Snappy, 130_000),
        (Coding::Zstd, 600_000),
    ] {
        let packed = packed(coding, &vec![vec![b'x'; 100_000]; 8]);
        let within = |memory| unpack_within(coding, &packed, MIB, memory).result;
        let limit_bytes = 800_000 + own;
        assert_eq!(within(limit_bytes), Err(Problem::BodyTooLarge { limit_bytes }), "{coding:?}");
        assert_eq!(within(3 * MIB).map(|text| text.len()), Ok(800_000), "{coding:?}");
    }
}

#[test]
fn a_window_above_the_content_codings_is_refused() {
    let with_window = |log| {
        let mut writer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        writer.window_log(log).unwrap();
        fill(writer, &[vec![b'x'; 1_000]]).finish().unwrap()
    };
    assert_eq!(unpack(Coding::Zstd, &with_window(23)), Ok(vec![b'x'; 1_000]));
    assert_eq!(unpack(Coding::Zstd, &with_window(24)), Err(Problem::BadEncoding));
}

#[test]
fn the_bare_snappy_block_is_not_the_stream() {
    let block = snap::raw::Encoder::new().compress_vec(b"a block as of remote write").unwrap();
    assert_eq!(unpack(Coding::Snappy, &block), Err(Problem::BadEncoding));
}
