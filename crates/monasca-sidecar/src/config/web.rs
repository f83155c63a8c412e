//! The web configuration file, in the format of the Prometheus projects (`--web.config.file`): TLS,
//! users, headers. Under `monasca_sidecar` it says who may do what, which that format does not know.
//!
//! What it asks for and we cannot do is an error. Files that it names are relative to it.

mod tls;

use super::file::{self, Content, Entry, Node};
use super::listener::rights;
use super::resolve::Problems;
use super::{ConfigError, Rights, field};
use std::fmt;
use std::path::{Path, PathBuf};
pub(crate) use tls::{ClientAuth, Curve, TlsSettings, TlsVersion};

const KEYS: [&str; 4] =
    ["tls_server_config", "http_server_config", "basic_auth_users", "monasca_sidecar"];
const OWN_KEYS: [&str; 3] = ["users", "bearer_tokens", "client_certificates"];
/// Those that the Prometheus projects let one set.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

/// The file, resolved; the files that it names are not read yet.
#[derive(Clone, Debug)]
pub(crate) struct WebConfig {
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) http2: bool,
    /// Of every answer.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) users: Vec<User>,
    pub(crate) tokens: Vec<TokenFile>,
    pub(crate) certificates: Vec<CertificateRule>,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) hash: Secret,
    pub(crate) rights: Rights,
    pub(crate) origin: Origin,
}

/// A file with bearer tokens, one a line.
#[derive(Clone, Debug)]
pub(crate) struct TokenFile {
    pub(crate) file: NamedFile,
    pub(crate) rights: Rights,
}

/// What the client with such a certificate may do.
#[derive(Clone, Debug)]
pub(crate) struct CertificateRule {
    /// A subject alternative name; `None`: any certificate that was verified.
    pub(crate) san: Option<String>,
    pub(crate) rights: Rights,
}

/// A text that is never printed.
#[derive(Clone)]
pub(crate) struct Secret(String);

/// A file that a key names.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile {
    pub(crate) path: PathBuf,
    pub(crate) origin: Origin,
}

/// Where something was said, for errors that show only later.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    file: Option<PathBuf>,
    line: usize,
    column: usize,
    key: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(secret)")
    }
}

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl Origin {
    pub(crate) fn refuse(&self, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            line: Some(self.line),
            column: Some(self.column),
            key: self.key.clone(),
            message: message.into(),
        }
    }
}

impl WebConfig {
    /// Every file that it names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &NamedFile> {
        let tls = self.tls.iter().flat_map(|tls| {
            [&tls.certificate, &tls.key].into_iter().chain(tls.client_authorities.as_ref())
        });
        tls.chain(self.tokens.iter().map(|tokens| &tokens.file))
    }

    /// Whether somebody must say who he is.
    pub(crate) fn has_credentials(&self) -> bool {
        !self.users.is_empty() || !self.tokens.is_empty() || !self.certificates.is_empty()
    }
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<WebConfig, Vec<ConfigError>> {
    let root = file::read(path).map_err(|error| vec![error])?;
    resolve(path, &root)
}

fn resolve(path: &Path, root: &Node) -> Result<WebConfig, Vec<ConfigError>> {
    let mut problems = Problems::new(Some(path.to_owned()));
    let mut config = WebConfig {
        tls: None,
        http2: true,
        headers: Vec::new(),
        users: Vec::new(),
        tokens: Vec::new(),
        certificates: Vec::new(),
    };
    let mut reader = Reader { path, problems: &mut problems };
    let entries = reader.problems.entries(root, "");
    // Our own rights speak of the users, who may stand below.
    let (own, others): (Vec<&Entry>, Vec<&Entry>) =
        entries.into_iter().partition(|entry| entry.name == "monasca_sidecar");
    for entry in others {
        match entry.name.as_str() {
            "tls_server_config" => config.tls = tls::read(&mut reader, entry),
            "http_server_config" => reader.http(&entry.value, &mut config),
            "basic_auth_users" => config.users = reader.users(&entry.value),
            _ => reader.problems.unknown(entry, "", KEYS.into_iter()),
        }
    }
    for entry in own {
        reader.own(&entry.value, &mut config);
    }
    problems.into_result(config)
}

struct Reader<'a> {
    path: &'a Path,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn origin(&self, node: &Node, key: &str) -> Origin {
        let (line, column) = (node.place.line, node.place.column);
        Origin { file: Some(self.path.to_owned()), line, column, key: key.to_owned() }
    }

    fn file(&mut self, node: &Node, key: &str) -> Option<NamedFile> {
        let text = self.problems.text(node, key)?;
        if text.is_empty() {
            self.problems.at(node.place, key, "names no file");
            return None;
        }
        let path = self.path.parent().unwrap_or(Path::new("")).join(text);
        Some(NamedFile { path, origin: self.origin(node, key) })
    }

    fn switch(&mut self, node: &Node, key: &str) -> Option<bool> {
        let text = self.problems.text(node, key)?;
        field::switch(text).map_err(|message| self.problems.at(node.place, key, message)).ok()
    }

    fn texts(&mut self, node: &Node, key: &str) -> Vec<(String, Origin)> {
        let mut texts = Vec::new();
        for node in self.problems.list(node, key) {
            if let Some(text) = self.problems.text(node, key) {
                texts.push((text.to_owned(), self.origin(node, key)));
            }
        }
        texts
    }

    fn http(&mut self, node: &Node, config: &mut WebConfig) {
        const SECTION: &str = "http_server_config";
        for entry in self.problems.entries(node, SECTION) {
            let key = format!("{SECTION}.{}", entry.name);
            match entry.name.as_str() {
                "http2" => config.http2 = self.switch(&entry.value, &key).unwrap_or(true),
                "headers" => config.headers = self.headers(&entry.value, &key),
                _ => self.problems.unknown(entry, SECTION, ["http2", "headers"].into_iter()),
            }
        }
    }

    fn headers(&mut self, node: &Node, key: &str) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        for entry in self.problems.entries(node, key) {
            let own = format!("{key}.{}", entry.name);
            let Some(name) = HEADERS.iter().find(|name| name.eq_ignore_ascii_case(&entry.name))
            else {
                let message = format!("cannot be set: only {}", HEADERS.join(", "));
                self.problems.at(entry.place, &own, message);
                continue;
            };
            let Some(value) = self.problems.text(&entry.value, &own) else { continue };
            if value.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
                self.problems.at(entry.value.place, &own, "a header's value is visible ASCII");
            } else if !value.is_empty() {
                headers.push((*name, value.to_owned()));
            }
        }
        headers
    }

    /// As elsewhere in the Prometheus world a user may do everything, unless rights are given below.
    fn users(&mut self, node: &Node) -> Vec<User> {
        const SECTION: &str = "basic_auth_users";
        let mut users = Vec::new();
        for entry in self.problems.entries(node, SECTION) {
            let key = format!("{SECTION}.{}", entry.name);
            if entry.name.is_empty() || entry.name.contains(':') {
                self.problems.at(entry.place, &key, "a user's name is not empty and has no colon");
            }
            let Some(hash) = self.problems.text(&entry.value, &key) else { continue };
            let origin = self.origin(&entry.value, &key);
            let hash = Secret(hash.to_owned());
            users.push(User { name: entry.name.clone(), hash, rights: Rights::ALL, origin });
        }
        users
    }

    fn own(&mut self, node: &Node, config: &mut WebConfig) {
        const SECTION: &str = "monasca_sidecar";
        for entry in self.problems.entries(node, SECTION) {
            let key = format!("{SECTION}.{}", entry.name);
            match entry.name.as_str() {
                "users" => self.rights_of_users(&entry.value, &key, &mut config.users),
                "bearer_tokens" => config.tokens = self.tokens(&entry.value, &key),
                "client_certificates" => {
                    config.certificates = self.certificates(entry, &key, config.tls.as_ref());
                }
                _ => self.problems.unknown(entry, SECTION, OWN_KEYS.into_iter()),
            }
        }
    }

    fn rights_of_users(&mut self, node: &Node, section: &str, users: &mut [User]) {
        for entry in self.problems.entries(node, section) {
            let key = format!("{section}.{}", entry.name);
            let found = self.map_with_rights(&entry.value, &key, &[]);
            match users.iter_mut().find(|user| user.name == entry.name) {
                Some(user) => user.rights = found.rights,
                None => {
                    let message = "no such user in basic_auth_users";
                    self.problems.at(entry.place, &key, message);
                }
            }
        }
    }

    fn tokens(&mut self, node: &Node, section: &str) -> Vec<TokenFile> {
        let mut tokens = Vec::new();
        for (at, node) in self.problems.list(node, section).iter().enumerate() {
            let key = format!("{section}[{at}]");
            let found = self.map_with_rights(node, &key, &["file"]);
            match found.other {
                Some(other) => {
                    let file = self.file(&other.value, &format!("{key}.file"));
                    tokens.extend(file.map(|file| TokenFile { file, rights: found.rights }));
                }
                None => self.problems.at(node.place, &key, "has no file: tokens, one a line"),
            }
        }
        tokens
    }

    fn certificates(
        &mut self,
        entry: &Entry,
        section: &str,
        tls: Option<&TlsSettings>,
    ) -> Vec<CertificateRule> {
        if !tls.is_some_and(|tls| tls.client_auth.verifies()) {
            let message = "needs tls_server_config with client_auth_type \
                           RequireAndVerifyClientCert or VerifyClientCertIfGiven";
            self.problems.at(entry.place, section, message);
        }
        let mut rules = Vec::new();
        for (at, node) in self.problems.list(&entry.value, section).iter().enumerate() {
            let key = format!("{section}[{at}]");
            let found = self.map_with_rights(node, &key, &["san"]);
            let san = found
                .other
                .and_then(|other| self.problems.text(&other.value, &format!("{key}.san")));
            rules.push(CertificateRule { san: san.map(str::to_owned), rights: found.rights });
        }
        rules
    }

    /// A map with `rights` and at most one key of the `others`.
    fn map_with_rights<'a>(&mut self, node: &'a Node, path: &str, others: &[&str]) -> Found<'a> {
        let mut found = Found { rights: Rights::ALL, other: None };
        if matches!(node.content, Content::Empty) {
            self.problems.at(node.place, path, "is empty");
        }
        for entry in self.problems.entries(node, path) {
            match entry.name.as_str() {
                "rights" => {
                    found.rights = rights(&entry.value, &format!("{path}.rights"), self.problems);
                }
                name if others.contains(&name) => found.other = Some(entry),
                _ => {
                    let known = others.iter().copied().chain(["rights"]);
                    self.problems.unknown(entry, path, known);
                }
            }
        }
        found
    }
}

struct Found<'a> {
    rights: Rights,
    other: Option<&'a Entry>,
}

#[cfg(test)]
mod tests;
