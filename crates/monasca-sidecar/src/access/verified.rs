//! Credentials that were verified a short time ago, so that a hash is made once a minute and not
//! for each push.

use crate::config::Rights;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

const REMEMBERED_FOR: Duration = Duration::from_secs(60);
const REMEMBERED_AT_MOST: usize = 1_024;

/// A keyed hash of a credential.
pub(super) type Digest = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Until when, with what rights.
    known: Mutex<BTreeMap<Digest, (Duration, Rights)>>,
}

impl Verified {
    pub(super) fn get(&self, digest: &Digest, now: Duration) -> Option<Rights> {
        let (until, rights) = self.known.lock().get(digest).copied()?;
        (now < until).then_some(rights)
    }

    pub(super) fn insert(&self, digest: Digest, rights: Rights, now: Duration) {
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED_AT_MOST {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= REMEMBERED_AT_MOST {
            // Digests have no order that a client could know: any may go.
            known.pop_first();
        }
        known.insert(digest, (now.saturating_add(REMEMBERED_FOR), rights));
    }
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED_AT_MOST, REMEMBERED_FOR, Verified};
    use crate::config::Rights;
    use std::time::Duration;

    #[test]
    fn it_is_forgotten_after_a_minute_and_there_is_an_end() {
        let verified = Verified::default();
        verified.insert([1; 32], Rights::ALL, Duration::ZERO);
        let last = REMEMBERED_FOR - Duration::from_millis(1);
        assert_eq!(verified.get(&[1; 32], last), Some(Rights::ALL));
        assert_eq!(verified.get(&[1; 32], REMEMBERED_FOR), None);
        assert_eq!(verified.get(&[2; 32], last), None);
        for n in 0..REMEMBERED_AT_MOST as u64 + 10 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            verified.insert(digest, Rights::ALL, REMEMBERED_FOR);
        }
        assert_eq!(verified.known.lock().len(), REMEMBERED_AT_MOST);
    }
}
