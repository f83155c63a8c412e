//! The configured credentials, read and ready to be compared.

use super::password::Hash;
use super::verified::{Digest, Verified};
use crate::config::{CertificateRule, ConfigError, NamedFile, Rights, TokenFile, User, WebConfig};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

const LONGEST_FILE_BYTES: u64 = 64 * 1024;
const KEY_BYTES: usize = 32;
/// Less is guessed in time.
const SHORTEST_TOKEN_BYTES: usize = 16;

const BASIC: &str = "Basic realm=\"monasca-sidecar\", charset=\"UTF-8\"";
const BEARER: &str = "Bearer realm=\"monasca-sidecar\"";
const BOTH: &str =
    "Basic realm=\"monasca-sidecar\", charset=\"UTF-8\", Bearer realm=\"monasca-sidecar\"";

pub(crate) struct Credentials {
    /// Drawn anew each time.
    key: hmac::Key,
    users: Vec<(String, Arc<Hash>, Rights)>,
    tokens: Vec<(Digest, Rights)>,
    certificates: Vec<CertificateRule>,
    verified: Verified,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials")
            .field("users", &self.users.len())
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// `None`: there are none, and nobody is asked.
    pub(crate) fn load(web: &WebConfig) -> Result<Option<Credentials>, ConfigError> {
        if !web.has_credentials() {
            return Ok(None);
        }
        let mut secret = [0; KEY_BYTES];
        // The system's own generator; without it nothing could be secret.
        let drawn = SystemRandom::new().fill(&mut secret).is_ok();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let origin = web.users.first().map(|user| &user.origin);
        let origin = origin.or(web.tokens.first().map(|tokens| &tokens.file.origin));
        if let (false, Some(origin)) = (drawn, origin) {
            return Err(origin.refuse("the system gives no random numbers"));
        }
        let tokens = web.tokens.iter().map(|tokens| read_tokens(&key, tokens));
        Ok(Some(Credentials {
            users: web.users.iter().map(user).collect::<Result<_, _>>()?,
            tokens: tokens.collect::<Result<Vec<_>, _>>()?.concat(),
            certificates: web.certificates.clone(),
            verified: Verified::default(),
            key,
        }))
    }

    /// What to ask for; a certificate cannot be asked for any more.
    pub(super) fn challenge(&self) -> Option<&'static str> {
        match (self.users.is_empty(), self.tokens.is_empty()) {
            (false, false) => Some(BOTH),
            (false, true) => Some(BASIC),
            (true, false) => Some(BEARER),
            (true, true) => None,
        }
    }

    /// Every token is compared to its end, and only as a hash.
    pub(super) fn of_token(&self, token: &[u8]) -> Option<Rights> {
        let digest = digest(&self.key, token);
        let mut found = None;
        for (known, rights) in &self.tokens {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(found.map_or(*rights, |other: Rights| other.and(*rights)));
            }
        }
        found
    }

    /// The hash to verify, and the rights if it is right. A user that there is not has one as well,
    /// so that he takes as long; always the same, so that the time does not show it either.
    pub(super) fn user(&self, name: &[u8]) -> Option<(Arc<Hash>, Option<Rights>)> {
        if let Some((_, hash, rights)) = self.users.iter().find(|(own, ..)| own.as_bytes() == name)
        {
            return Some((Arc::clone(hash), Some(*rights)));
        }
        let digest = digest(&self.key, name);
        let at = digest.first().map_or(0, |byte| usize::from(*byte)) % self.users.len().max(1);
        self.users.get(at).map(|(_, hash, _)| (Arc::clone(hash), None))
    }

    /// All rights of the rules that meet one of the certificate's names; `None`: none meets.
    pub(super) fn of_certificate(&self, names: Option<&[String]>) -> Option<Rights> {
        let names = names?;
        let meets = |rule: &&CertificateRule| match &rule.san {
            Some(san) => names.contains(san),
            None => true,
        };
        let rights = self.certificates.iter().filter(meets).map(|rule| rule.rights);
        rights.reduce(Rights::and)
    }

    /// What this header was found to allow a short time ago.
    pub(super) fn verified(&self, header: &[u8], now: Duration) -> Option<Rights> {
        self.verified.get(&digest(&self.key, header), now)
    }

    pub(super) fn remember(&self, header: &[u8], rights: Rights, now: Duration) {
        self.verified.insert(digest(&self.key, header), rights, now);
    }
}

fn digest(key: &hmac::Key, secret: &[u8]) -> Digest {
    let mut digest = Digest::default();
    let tag = hmac::sign(key, secret);
    for (to, from) in digest.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    digest
}

fn user(user: &User) -> Result<(String, Arc<Hash>, Rights), ConfigError> {
    let hash = Hash::parse(user.hash.reveal()).map_err(|message| user.origin.refuse(message))?;
    Ok((user.name.clone(), Arc::new(hash), user.rights))
}

/// One a line, so that the old and the new one can both hold for a while.
fn read_tokens(key: &hmac::Key, tokens: &TokenFile) -> Result<Vec<(Digest, Rights)>, ConfigError> {
    let text = read(&tokens.file)?;
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() {
            continue;
        }
        if line.len() < SHORTEST_TOKEN_BYTES || !line.iter().all(u8::is_ascii_graphic) {
            let message = format!("a token has {SHORTEST_TOKEN_BYTES} or more visible characters");
            return Err(tokens.file.origin.refuse(message));
        }
        found.push((digest(key, line), tokens.rights));
    }
    if found.is_empty() {
        return Err(tokens.file.origin.refuse("the file has no token"));
    }
    Ok(found)
}

fn read(file: &NamedFile) -> Result<Vec<u8>, ConfigError> {
    let refuse = |what: String| file.origin.refuse(format!("{}: {what}", file.path.display()));
    let mut bytes = Vec::new();
    File::open(&file.path)
        .and_then(|file| file.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LONGEST_FILE_BYTES {
        return Err(refuse(format!("larger than {LONGEST_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Verified, digest};
    use crate::access::password::Hash;
    use crate::config::{Right, Rights};
    use ring::hmac;
    use std::sync::Arc;

    fn of(names: &[&str]) -> Credentials {
        let user = |name: &&str| {
            let hash = bcrypt::hash(name, 4).unwrap();
            ((*name).to_owned(), Arc::new(Hash::parse(&hash).unwrap()), Rights::ALL)
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of the test");
        let push = Rights::NONE.with(Right::Push);
        Credentials {
            users: names.iter().map(user).collect(),
            tokens: vec![(digest(&key, b"token"), push)],
            certificates: Vec::new(),
            verified: Verified::default(),
            key,
        }
    }

    #[test]
    fn who_is_not_known_has_a_hash_to_be_verified_but_no_rights() {
        let credentials = of(&["alice", "bob"]);
        let (_, rights) = credentials.user(b"alice").unwrap();
        assert_eq!(rights, Some(Rights::ALL));
        let (first, rights) = credentials.user(b"carol").unwrap();
        assert_eq!(rights, None);
        let (again, _) = credentials.user(b"carol").unwrap();
        assert!(Arc::ptr_eq(&first, &again), "the same each time");
        // Even a password that fits the borrowed hash gives nothing.
        assert!(first.verify(b"alice") || first.verify(b"bob"));
        assert!(of(&[]).user(b"carol").is_none());
    }

    #[test]
    fn a_token_is_whole_or_nothing() {
        let credentials = of(&[]);
        assert_eq!(credentials.of_token(b"token").unwrap().to_string(), "push");
        for wrong in [&b""[..], b"toke", b"token2", b"Token"] {
            assert_eq!(credentials.of_token(wrong), None);
        }
    }
}
