//! A hash that is the same in every process and on every machine.

const FIRST: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Tells bodies of one idempotency key apart; whoever makes two that collide fools nobody else.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = FIRST ^ bytes.len() as u64;
    let mut mix = |word: u64| hash = (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
    rest.iter().for_each(|byte| mix(u64::from(*byte)));
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::stable_hash;

    #[test]
    fn it_never_changes() {
        assert_eq!(stable_hash(b"[{\"name\":\"a\"}]"), 7_468_930_946_721_106_724);
    }

    #[test]
    fn each_byte_counts() {
        let body = [7_u8; 21];
        for at in 0..body.len() {
            let mut other = body;
            other[at] ^= 1;
            assert_ne!(stable_hash(&body), stable_hash(&other));
        }
    }
}
