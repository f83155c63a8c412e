//! What is listened on: addresses, and the `listeners` of the file, which say who may do what
//! where.

use super::file::{Content, Entry, Node};
use super::resolve::Problems;
use super::rights::right;
use super::{Rights, field};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

const KEYS: [&str; 7] = ["address", "rights", "tls", "authenticate", "mode", "owner", "group"];
/// The kernel's limit, less its terminating zero.
const MAX_SOCKET_PATH_BYTES: usize = 107;
const DEFAULT_MODE: u32 = 0o660;
const MAX_MODE: u32 = 0o777;

/// Where connections come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    /// A unix socket that we make.
    Unix(PathBuf),
    /// Sockets that systemd made: those of this name, or all.
    Systemd(Option<String>),
}

/// One listener, or several that systemd made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) address: Address,
    pub(crate) rights: Rights,
    /// `None`: with a certificate, except on unix sockets.
    pub(crate) tls: Option<bool>,
    /// Whether the configured credentials are asked for.
    pub(crate) authenticate: bool,
    pub(crate) socket: SocketFile,
}

/// How the file of a unix socket looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketFile {
    pub(crate) mode: u32,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
}

impl Listener {
    /// Everything is allowed.
    pub(crate) fn open(address: Address) -> Listener {
        let socket = SocketFile { mode: DEFAULT_MODE, owner: None, group: None };
        Listener { address, rights: Rights::ALL, tls: None, authenticate: true, socket }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(out),
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
            Address::Systemd(None) => out.write_str("systemd"),
            Address::Systemd(Some(name)) => write!(out, "systemd:{name}"),
        }
    }
}

/// An address as `listen` and `listeners` have it.
pub(super) fn address(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path).map(Address::Unix);
    }
    match text.strip_prefix("systemd") {
        Some("") => return Ok(Address::Systemd(None)),
        Some(rest) if rest.starts_with(':') && rest.len() > 1 => {
            return Ok(Address::Systemd(rest.strip_prefix(':').map(str::to_owned)));
        }
        Some(_) | None => {}
    }
    tcp(text).map(Address::Tcp)
}

fn socket_path(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() || path.contains('\0') {
        return Err("a unix socket needs a path: unix:/run/monasca-sidecar/push.sock".to_owned());
    }
    if path.len() > MAX_SOCKET_PATH_BYTES {
        return Err(format!("a unix socket's path has at most {MAX_SOCKET_PATH_BYTES} bytes"));
    }
    Ok(PathBuf::from(path))
}

fn tcp(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        || format!("{text:?}: write IP:PORT, [IPv6]:PORT, :PORT, unix:PATH or systemd[:NAME]");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    if !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let host = match host {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        // Names are not looked up: what is listened on must not depend on a resolver.
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => return text.parse().map_err(|_| wrong()),
    };
    Ok(SocketAddr::new(host, port.parse().map_err(|_| wrong())?))
}

/// Reads the list; entries with errors are left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Vec<Listener> {
    let nodes = problems.list(node, "listeners");
    if let (Content::List(_), []) = (&node.content, nodes) {
        problems.at(node.place, "listeners", "must have at least one listener");
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let path = format!("listeners[{at}]");
        let Some(found) = listener(node, &path, problems) else { continue };
        let free = matches!(found.address, Address::Tcp(address) if address.port() == 0);
        if !free && listeners.iter().any(|other| other.address == found.address) {
            problems.at(node.place, &path, format!("{} is given twice", found.address));
        }
        listeners.push(found);
    }
    listeners
}

fn listener(node: &Node, path: &str, problems: &mut Problems) -> Option<Listener> {
    let entries = problems.entries(node, path);
    let mut found = Listener::open(Address::Systemd(None));
    let mut named = false;
    for entry in &entries {
        let key = format!("{path}.{}", entry.name);
        let outcome = match entry.name.as_str() {
            "rights" => {
                found.rights = rights(&entry.value, &key, problems);
                continue;
            }
            name if KEYS.contains(&name) => {
                let Some(text) = problems.text(&entry.value, &key) else { continue };
                one(&mut found, name, text).map(|()| named |= name == "address")
            }
            _ => {
                problems.unknown(entry, path, KEYS.into_iter());
                continue;
            }
        };
        if let Err(message) = outcome {
            problems.at(entry.value.place, &key, message);
            named |= entry.name == "address";
        }
    }
    if !named {
        problems.at(node.place, path, "has no address: give address: IP:PORT or unix:PATH");
    }
    fits_the_address(&found, &entries, path, problems);
    named.then_some(found)
}

fn one(found: &mut Listener, name: &str, text: &str) -> Result<(), String> {
    match name {
        "address" => found.address = address(text)?,
        "tls" => found.tls = Some(field::switch(text)?),
        "authenticate" => found.authenticate = field::switch(text)?,
        "mode" => found.socket.mode = mode(text)?,
        "owner" => found.socket.owner = Some(number_of(text, "/etc/passwd")?),
        _ => found.socket.group = Some(number_of(text, "/etc/group")?),
    }
    Ok(())
}

/// A socket's file has a mode and an owner, and no TLS.
fn fits_the_address(found: &Listener, entries: &[&Entry], path: &str, problems: &mut Problems) {
    let is_unix = matches!(found.address, Address::Unix(_));
    for entry in entries {
        let of_a_file = ["mode", "owner", "group"].contains(&entry.name.as_str());
        let key = format!("{path}.{}", entry.name);
        if of_a_file && !is_unix {
            problems.at(entry.place, &key, "only a unix:PATH has it");
        } else if entry.name == "tls" && is_unix && found.tls == Some(true) {
            problems.at(entry.value.place, &key, "a unix socket has no TLS");
        }
    }
}

/// A list of rights, or one.
pub(super) fn rights(node: &Node, path: &str, problems: &mut Problems) -> Rights {
    let nodes = match &node.content {
        Content::Text(_) => std::slice::from_ref(node),
        Content::Empty | Content::List(_) | Content::Map(_) => problems.list(node, path),
    };
    let mut all = Rights::NONE;
    for node in nodes {
        let Some(text) = problems.text(node, path) else { continue };
        match right(text) {
            Ok(right) if all.has(right) => {
                problems.at(node.place, path, format!("{text:?} is given twice"));
            }
            Ok(right) => all = all.with(right),
            Err(message) => problems.at(node.place, path, message),
        }
    }
    all
}

fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= MAX_MODE)
        .ok_or_else(|| format!("{text:?}: write an octal mode such as 0660"))
}

/// The number of a user or group: as written, or from this file. Other directories are not asked:
/// a static binary cannot load what would ask them.
fn number_of(text: &str, file: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let line = known.lines().find(|line| line.split(':').next() == Some(text));
    line.and_then(|line| line.split(':').nth(2)?.parse().ok())
        .ok_or_else(|| format!("{text:?} is not in {file}: write its number"))
}

#[cfg(test)]
mod tests;
