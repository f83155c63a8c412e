//! Password hashes: bcrypt and argon2.
//!
//! What a hash costs is in the hash. Those that would hold up a thread for long are refused when
//! they are read.

use argon2::{Algorithm, Argon2, Params, PasswordVerifier, password_hash::phc::PasswordHash};
use std::fmt;

/// Of bcrypt: about ten seconds.
const HIGHEST_COST: u32 = 17;
const BCRYPT_BYTES: usize = 60;
/// Of argon2.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;

pub(super) enum Hash {
    Bcrypt(String),
    Argon2(Box<PasswordHash>),
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Hash::Bcrypt(_) => "Bcrypt",
            Hash::Argon2(_) => "Argon2",
        })
    }
}

impl Hash {
    /// The message names nothing of the hash.
    pub(super) fn parse(text: &str) -> Result<Hash, String> {
        if text.starts_with("$argon2") {
            return argon2(text);
        }
        let is_bcrypt =
            ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|start| text.starts_with(start));
        let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
        match cost {
            Some(cost) if is_bcrypt && (4..=HIGHEST_COST).contains(&cost) => {
                // That it is whole shows in a trial of the cheapest kind: its own length and form.
                let is_whole = text.len() == BCRYPT_BYTES && text.is_ascii() && has_form(text);
                if is_whole { Ok(Hash::Bcrypt(text.to_owned())) } else { Err(not_a_hash()) }
            }
            Some(_) if is_bcrypt => Err(format!("bcrypt's cost must be 4 to {HIGHEST_COST}")),
            Some(_) | None => Err(not_a_hash()),
        }
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Argon2(hash) => {
                Argon2::default().verify_password(password, hash.as_ref()).is_ok()
            }
        }
    }
}

fn not_a_hash() -> String {
    "is no password hash: use bcrypt ($2y$...) or argon2 ($argon2id$...)".to_owned()
}

/// `$2y$10$`, then bcrypt's own base64.
fn has_form(text: &str) -> bool {
    let rest = text.get(6..).unwrap_or_default();
    let body = rest.strip_prefix('$').unwrap_or_default();
    body.len() == 53 && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

fn argon2(text: &str) -> Result<Hash, String> {
    let hash = PasswordHash::new(text).map_err(|_| not_a_hash())?;
    let known = Algorithm::try_from(hash.algorithm.as_str()).is_ok();
    let params = Params::try_from(&hash).map_err(|_| not_a_hash())?;
    if !known || hash.salt.is_none() || hash.hash.is_none() {
        return Err(not_a_hash());
    }
    if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES {
        return Err(format!("argon2's m must be at most {MOST_MEMORY_KIB}, t {MOST_PASSES}"));
    }
    Ok(Hash::Argon2(Box::new(hash)))
}

#[cfg(test)]
mod tests {
    use super::Hash;

    /// Made with htpasswd and argon2.
    pub(crate) const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuuKzrpVY3aQCQSi3XN4gBKvTMMEk2.Gye";

    #[test]
    fn what_is_no_hash_or_too_dear_is_refused_without_being_repeated() {
        for text in [
            "",
            "secret",
            "$2y$04$short",
            "$1$abc$def",
            "$argon2id$v=19$m=8,t=1,p=1$nosalt",
            "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$2y$31$abcdefghijklmnopqrstuuKzrpVY3aQCQSi3XN4gBKvTMMEk2.Gye",
            "$2y$04 abcdefghijklmnopqrstuuKzrpVY3aQCQSi3XN4gBKvTMMEk2.Gye",
        ] {
            let message = Hash::parse(text).unwrap_err();
            assert!(text.is_empty() || !message.contains(text), "{message}");
        }
        assert!(Hash::parse(BCRYPT).is_ok());
    }

    #[test]
    fn both_kinds_know_their_password() {
        let bcrypt = bcrypt::hash("correct horse", 4).unwrap();
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        let argon2 =
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let argon2 = argon2::PasswordHasher::hash_password_with_salt(
            &argon2,
            b"correct horse",
            b"saltsaltsalt",
        )
        .unwrap()
        .to_string();
        for text in [bcrypt, argon2] {
            let hash = Hash::parse(&text).unwrap();
            assert!(hash.verify(b"correct horse"), "{text}");
            for wrong in [&b"correct hors"[..], b"", b"correct horse2", b"\0", b"\xff"] {
                assert!(!hash.verify(wrong), "{text}");
            }
        }
    }
}
