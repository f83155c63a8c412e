//! From an address to sockets that listen.
//!
//! Binds before anything else is done, so that a second daemon fails here.

use super::socket_file::{self, SocketFileGuard};
use crate::config::{self, Address, Listener};
use listenfd::ListenFd;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

pub(super) const BACKLOG: i32 = 1_024;
const NO_SUCH_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();

/// A socket that listens, and what its listener says.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    /// With the port that was picked.
    pub(crate) shown: String,
    /// `None`: a unix socket, or one that cannot say.
    pub(crate) address: Option<SocketAddr>,
    pub(super) socket: Listening,
    /// Removes the file at the end.
    pub(super) _file: Option<SocketFileGuard>,
}

#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Sockets that were made before the process was, by systemd or the like.
pub(crate) struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

impl fmt::Debug for Inherited {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Inherited").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Inherited {
    /// Takes them out of the environment: to be called once, before there are threads.
    pub(crate) fn take() -> Inherited {
        let names = config::environment("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        Inherited { sockets: ListenFd::from_env(), names }
    }

    fn sockets(&mut self, name: Option<&str>) -> io::Result<Vec<Listening>> {
        let mut found = Vec::new();
        for at in 0..self.sockets.len() {
            let own = self.names.get(at).map(String::as_str);
            if name.is_some() && name != own {
                continue;
            }
            // What is not the one is the other, or a reason to end.
            let socket = match self.sockets.take_unix_listener(at) {
                Ok(unix) => unix.map(Listening::Unix),
                Err(_) => self.sockets.take_tcp_listener(at)?.map(Listening::Tcp),
            };
            found.extend(socket);
        }
        if found.is_empty() {
            let message = "systemd gave no such socket (LISTEN_FDS, LISTEN_FDNAMES)";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(found)
    }
}

/// The sockets of one listener. All addresses of a machine without IPv6 are those of IPv4.
pub(crate) fn bind(listener: &Listener, inherited: &mut Inherited) -> io::Result<Vec<Bound>> {
    let bound = |socket, file| bound(listener, socket, file);
    match &listener.address {
        Address::Tcp(address) => Ok(vec![bound(Listening::Tcp(tcp(*address)?), None)?]),
        Address::Unix(path) => {
            let (socket, file) = socket_file::bind(path, listener.socket)?;
            Ok(vec![bound(Listening::Unix(socket), Some(file))?])
        }
        Address::Systemd(name) => {
            let sockets = inherited.sockets(name.as_deref())?;
            sockets.into_iter().map(|socket| bound(socket, None)).collect()
        }
    }
}

fn bound(
    listener: &Listener,
    socket: Listening,
    file: Option<SocketFileGuard>,
) -> io::Result<Bound> {
    let address = match &socket {
        Listening::Tcp(tcp) => {
            tcp.set_nonblocking(true)?;
            Some(tcp.local_addr()?)
        }
        Listening::Unix(unix) => {
            unix.set_nonblocking(true)?;
            None
        }
    };
    let shown = match (&socket, address) {
        (_, Some(address)) => address.to_string(),
        (Listening::Unix(unix), None) => match unix.local_addr()?.as_pathname() {
            Some(path) => format!("unix:{}", path.display()),
            None => listener.address.to_string(),
        },
        (Listening::Tcp(_), None) => listener.address.to_string(),
    };
    Ok(Bound { listener: listener.clone(), shown, address, socket, _file: file })
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let all = address.is_ipv6() && address.ip().is_unspecified();
    match tcp_one(address) {
        Err(error) if all && error.raw_os_error() == Some(NO_SUCH_FAMILY) => {
            tcp_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        bound => bound,
    }
}

fn tcp_one(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
