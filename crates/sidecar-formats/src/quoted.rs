//! Where the plain part of a text in quotes ends, searched for eight bytes at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where, from `at` on, the first quote, backslash or control character stands.
#[inline(always)]
pub(crate) fn end_in_json(bytes: &[u8], at: usize) -> usize {
    let control = |word: u64| word.wrapping_sub(ONES * 0x20);
    end(bytes, at, control, |byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// Where, from `at` on, the first quote, backslash or line feed stands.
#[inline(always)]
pub(crate) fn end_on_line(bytes: &[u8], at: usize) -> usize {
    end(bytes, at, |word| equal(word, b'\n'), |byte| matches!(byte, b'"' | b'\\' | b'\n'))
}

/// `others` marks further bytes that stop the search, as `equal` does; `stops` names all of them.
#[inline(always)]
fn end(
    bytes: &[u8],
    mut at: usize,
    others: impl Fn(u64) -> u64,
    stops: impl Fn(u8) -> bool,
) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let marked = equal(word, b'"') | equal(word, b'\\') | others(word);
        let stops = marked & !word & TOPS;
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    at + tail.iter().take_while(|byte| !stops(**byte)).count()
}

/// A byte that is equal shows its top bit, unless it had one; a carry can only disturb bytes behind
/// the first such.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES)
}

#[cfg(test)]
mod tests {
    use super::{end_in_json, end_on_line};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn a_text_ends_where_a_byte_by_byte_search_ends_it(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let slow = |stops: fn(u8) -> bool| bytes.iter().take_while(|b| !stops(**b)).count();
            let in_json = slow(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(end_in_json(&bytes, 0), in_json);
            let on_line = slow(|byte| matches!(byte, b'"' | b'\\' | b'\n'));
            prop_assert_eq!(end_on_line(&bytes, 0), on_line);
        }
    }
}
