//! `tls_server_config` of the web configuration file.

use super::super::file::Entry;
use super::{NamedFile, Origin, Reader};

const SECTION: &str = "tls_server_config";
const KEYS: [&str; 10] = [
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];
/// Those of TLS 1.2. Those of TLS 1.3 are always on, as in Go.
const SUITES: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
const NEWEST_SUITES: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

#[derive(Clone, Debug)]
pub(crate) struct TlsSettings {
    pub(crate) certificate: NamedFile,
    pub(crate) key: NamedFile,
    pub(crate) client_auth: ClientAuth,
    pub(crate) client_authorities: Option<NamedFile>,
    /// `None`: any name.
    pub(crate) client_names: Option<Vec<String>>,
    pub(crate) min_version: TlsVersion,
    pub(crate) max_version: TlsVersion,
    /// Of TLS 1.2; `None`: all.
    pub(crate) suites: Option<Vec<&'static str>>,
    pub(crate) prefers_own_order: bool,
    /// The best first; empty: all.
    pub(crate) curves: Vec<Curve>,
    /// For errors that concern the whole.
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    None,
    /// Taken unverified, if there is one.
    Request,
    /// Taken unverified.
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum TlsVersion {
    Tls12,
    Tls13,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    X25519,
}

impl ClientAuth {
    pub(crate) fn verifies(self) -> bool {
        matches!(self, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify)
    }

    pub(crate) fn requires(self) -> bool {
        matches!(self, ClientAuth::RequireAny | ClientAuth::RequireAndVerify)
    }
}

/// What the section says so far.
#[derive(Default)]
struct Draft {
    certificate: Option<NamedFile>,
    key: Option<NamedFile>,
    client_auth: Option<ClientAuth>,
    client_authorities: Option<NamedFile>,
    client_names: Option<Vec<String>>,
    min_version: Option<TlsVersion>,
    max_version: Option<TlsVersion>,
    suites: Option<Vec<&'static str>>,
    prefers_own_order: Option<bool>,
    curves: Vec<Curve>,
}

/// `None`: it has errors, or is empty, which turns nothing on.
pub(super) fn read(reader: &mut Reader<'_>, section: &Entry) -> Option<TlsSettings> {
    let mut draft = Draft::default();
    let entries = reader.problems.entries(&section.value, SECTION);
    for entry in &entries {
        one(reader, entry, &mut draft);
    }
    if entries.is_empty() {
        return None;
    }
    let client_auth = draft.client_auth.unwrap_or(ClientAuth::None);
    let message = match &draft {
        Draft { certificate: None, .. } => "has no cert_file",
        Draft { key: None, .. } => "has no key_file",
        Draft { client_authorities: Some(_), .. } if client_auth == ClientAuth::None => {
            "client_ca_file without client_auth_type"
        }
        Draft { client_names: Some(_), .. } if client_auth == ClientAuth::None => {
            "client_allowed_sans without client_auth_type"
        }
        Draft { client_authorities: None, .. } if client_auth.verifies() => {
            "client_auth_type verifies certificates: that takes a client_ca_file"
        }
        _ if draft.min_version > draft.max_version && draft.max_version.is_some() => {
            "max_version is below min_version"
        }
        _ => "",
    };
    if !message.is_empty() {
        reader.problems.at(section.place, SECTION, message);
        return None;
    }
    Some(TlsSettings {
        certificate: draft.certificate?,
        key: draft.key?,
        client_auth,
        client_authorities: draft.client_authorities,
        client_names: draft.client_names,
        min_version: draft.min_version.unwrap_or(TlsVersion::Tls12),
        max_version: draft.max_version.unwrap_or(TlsVersion::Tls13),
        suites: draft.suites,
        prefers_own_order: draft.prefers_own_order.unwrap_or(true),
        curves: draft.curves,
        origin: reader.origin(&section.value, SECTION),
    })
}

fn one(reader: &mut Reader<'_>, entry: &Entry, draft: &mut Draft) {
    let (node, key) = (&entry.value, format!("{SECTION}.{}", entry.name));
    match entry.name.as_str() {
        "cert_file" => draft.certificate = reader.file(node, &key),
        "key_file" => draft.key = reader.file(node, &key),
        "client_ca_file" => draft.client_authorities = reader.file(node, &key),
        "client_auth_type" => draft.client_auth = word(reader, entry, &key, client_auth),
        "min_version" => draft.min_version = word(reader, entry, &key, version),
        "max_version" => draft.max_version = word(reader, entry, &key, version),
        "prefer_server_cipher_suites" => draft.prefers_own_order = reader.switch(node, &key),
        "client_allowed_sans" => {
            let names = reader.texts(node, &key).into_iter().map(|(name, _)| name);
            draft.client_names = Some(names.collect());
        }
        "cipher_suites" => {
            let read = words(reader, entry, &key, suite);
            draft.suites = Some(read.into_iter().flatten().collect());
        }
        "curve_preferences" => draft.curves = words(reader, entry, &key, curve),
        _ => reader.problems.unknown(entry, SECTION, KEYS.into_iter()),
    }
}

fn word<T>(
    reader: &mut Reader<'_>,
    entry: &Entry,
    key: &str,
    read: fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = reader.problems.text(&entry.value, key)?;
    read(text).map_err(|message| reader.problems.at(entry.value.place, key, message)).ok()
}

fn words<T>(
    reader: &mut Reader<'_>,
    entry: &Entry,
    key: &str,
    read: fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut found = Vec::new();
    for node in reader.problems.list(&entry.value, key) {
        let Some(text) = reader.problems.text(node, key) else { continue };
        match read(text) {
            Ok(value) => found.push(value),
            Err(message) => reader.problems.at(node.place, key, message),
        }
    }
    found
}

fn client_auth(text: &str) -> Result<ClientAuth, String> {
    Ok(match text {
        "" | "NoClientCert" => ClientAuth::None,
        "RequestClientCert" => ClientAuth::Request,
        "RequireClientCert" | "RequireAnyClientCert" => ClientAuth::RequireAny,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
        _ => {
            return Err(format!(
                "{text:?}: use NoClientCert, RequestClientCert, RequireAnyClientCert, \
                 VerifyClientCertIfGiven or RequireAndVerifyClientCert"
            ));
        }
    })
}

fn version(text: &str) -> Result<TlsVersion, String> {
    match text {
        "TLS12" => Ok(TlsVersion::Tls12),
        "TLS13" => Ok(TlsVersion::Tls13),
        "TLS10" | "TLS11" => Err(format!("{text} is not supported: TLS12 is the oldest")),
        _ => Err(format!("{text:?}: use TLS12 or TLS13")),
    }
}

/// `None`: one of TLS 1.3, which cannot be switched off.
fn suite(text: &str) -> Result<Option<&'static str>, String> {
    if NEWEST_SUITES.contains(&text) {
        return Ok(None);
    }
    let found = SUITES.into_iter().find(|suite| *suite == text);
    found.map(Some).ok_or_else(|| {
        format!(
            "{text:?} is not supported: use {}, {}",
            SUITES.join(", "),
            NEWEST_SUITES.join(", ")
        )
    })
}

fn curve(text: &str) -> Result<Curve, String> {
    match text {
        "CurveP256" => Ok(Curve::P256),
        "CurveP384" => Ok(Curve::P384),
        "X25519" => Ok(Curve::X25519),
        _ => Err(format!("{text:?} is not supported: use X25519, CurveP256 or CurveP384")),
    }
}
