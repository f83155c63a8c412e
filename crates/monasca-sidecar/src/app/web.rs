//! The web configuration in use: who may ask, with which certificate we answer, and what each
//! answer says. Read at the start, at a reload, and when one of its files has changed.

use crate::access::{Access, Credentials, Origins};
use crate::clock::Clock;
use crate::config::{
    self, Address, ClientAuth, Config, ConfigError, Listener, Right, Rights, WebConfig,
};
use crate::http::Answer;
use crate::listen::{Bound, Tls, TlsReady};
use arc_swap::ArcSwap;
use hyper::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Headers = Vec<(HeaderName, HeaderValue)>;

#[derive(Debug)]
pub(super) struct Web {
    pub(super) access: Access,
    /// That it is there does not change.
    tls: Option<Arc<Tls>>,
    headers: ArcSwap<Headers>,
    seen: Mutex<Vec<Seen>>,
}

/// A file as it was when it was last looked at: device, number, time, size.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    state: Option<(u64, u64, i64, i64, u64)>,
}

/// Everything that the files say, ready to be used at once.
#[derive(Debug)]
pub(crate) struct Prepared {
    credentials: Option<Credentials>,
    tls: Option<TlsReady>,
    origins: Origins,
    headers: Headers,
}

/// Reads the files that the web configuration names. Nothing is changed yet.
pub(crate) fn prepare(config: &Config) -> Result<Prepared, ConfigError> {
    let web = config.web.as_ref();
    let settings = web.and_then(|web| web.tls.as_ref().map(|tls| (tls, web.http2)));
    for door in config.doors() {
        if door.tls == Some(true) && settings.is_none() {
            let message =
                format!("{}: tls takes a web.config.file with a certificate", door.address);
            return Err(ConfigError::new("listeners", message));
        }
        let open = open_rights(&door, is_near(&door.address), web);
        if config.strict_access && open != Rights::NONE {
            let message = format!("{}: open to everybody who reaches it: {open}", door.address);
            return Err(ConfigError::new("strict_access", message));
        }
    }
    let headers = web.into_iter().flat_map(|web| &web.headers);
    let headers = headers.filter_map(|(name, value)| {
        Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_str(value).ok()?))
    });
    Ok(Prepared {
        credentials: web.map(Credentials::load).transpose()?.flatten(),
        tls: settings.map(|(tls, http2)| TlsReady::load(tls, http2)).transpose()?,
        origins: Origins::new(config.cors_origins.clone()),
        headers: headers.collect(),
    })
}

impl Web {
    pub(super) fn new(clock: Arc<Clock>, config: &Config, prepared: Prepared) -> Web {
        let access = Access::new(clock);
        access.replace(prepared.credentials);
        access.origins.store(Arc::new(prepared.origins));
        Web {
            access,
            tls: prepared.tls.map(|ready| Arc::new(Tls::new(ready))),
            headers: ArcSwap::from_pointee(prepared.headers),
            seen: Mutex::new(look(config)),
        }
    }

    /// What this listener's connections shake hands with.
    pub(super) fn tls_of(&self, bound: &Bound) -> Option<Arc<Tls>> {
        let wanted = bound.listener.tls.unwrap_or(true) && bound.address.is_some();
        self.tls.clone().filter(|_| wanted)
    }

    /// All of it or nothing.
    pub(super) fn apply(&self, prepared: Prepared) -> Result<(), ConfigError> {
        match (&self.tls, prepared.tls) {
            (Some(tls), Some(ready)) => tls.replace(ready),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                let message = "TLS is switched on or off by a restart only";
                return Err(ConfigError::new("tls_server_config", message));
            }
        }
        self.access.replace(prepared.credentials);
        self.access.origins.store(Arc::new(prepared.origins));
        self.headers.store(Arc::new(prepared.headers));
        Ok(())
    }

    /// Reads again what has changed. `None`: nothing has. A bad state is told once, and the old one
    /// stays: with two files that belong together the second comes a moment later.
    pub(super) fn follow(&self, config: &mut Config) -> Option<Result<(), ConfigError>> {
        let now = look(config);
        let mut seen = self.seen.lock();
        if *seen == now {
            return None;
        }
        *seen = now;
        Some(config::web_again(config).and_then(|web| {
            let mut next = config.clone();
            next.web = web;
            self.apply(prepare(&next)?)?;
            *config = next;
            Ok(())
        }))
    }

    /// What the configuration lets every answer say.
    pub(super) fn dress(&self, mut answer: Answer) -> Answer {
        for (name, value) in self.headers.load().iter() {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
        answer
    }
}

/// The rights to push and to administer that everybody has who reaches a listener, where that is
/// more than this machine.
pub(super) fn open_rights(listener: &Listener, is_near: bool, web: Option<&WebConfig>) -> Rights {
    let asks = listener.authenticate && web.is_some_and(WebConfig::has_credentials);
    let tls = web.and_then(|web| web.tls.as_ref()).filter(|_| listener.tls != Some(false));
    let verifies = tls.is_some_and(|tls| tls.client_auth == ClientAuth::RequireAndVerify);
    let is_open = !is_near && !asks && !verifies;
    [Right::Push, Right::Admin]
        .into_iter()
        .filter(|right| is_open && listener.rights.has(*right))
        .fold(Rights::NONE, Rights::with)
}

/// What systemd made is judged when it is there.
fn is_near(address: &Address) -> bool {
    match address {
        Address::Tcp(address) => address.ip().is_loopback(),
        Address::Unix(_) | Address::Systemd(_) => true,
    }
}

fn look(config: &Config) -> Vec<Seen> {
    let named = config.web.iter().flat_map(WebConfig::files).map(|file| file.path.as_path());
    config.web_file().into_iter().chain(named).map(look_at).collect()
}

fn look_at(path: &Path) -> Seen {
    let state = std::fs::metadata(path).ok();
    let state = state.map(|s| (s.dev(), s.ino(), s.mtime(), s.mtime_nsec(), s.size()));
    Seen { path: path.to_owned(), state }
}
