//! Several listeners, each with its rights: TCP, unix sockets, sockets that systemd made.

use super::client::{Scratch, Sidecar, eventually};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const GAUGE: &str = r#"[{"name":"g","type":"gauge","values":[{"value":1}]}]"#;

/// A place for a socket, with a short path, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("ms-it-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("push.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// Status and body over a unix socket.
fn ask(socket: &PathBuf, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn config(folder: &Folder) -> Scratch {
    Scratch::new(&format!(
        "listeners:\n  - {{address: 'unix:{}', rights: push, mode: 0600}}\n  \
         - {{address: '127.0.0.1:0', rights: scrape}}\n",
        folder.socket().display()
    ))
}

#[test]
fn pushes_come_by_the_socket_and_scrapes_by_the_port() {
    let folder = Folder::new("pod");
    let file = config(&folder);
    let mut sidecar = Sidecar::start_as_configured(&["--config", file.path()]);
    let socket = folder.socket();
    assert_eq!(ask(&socket, "POST", "/v1/ingest", GAUGE), (200, "true".to_owned()));
    assert!(sidecar.get("/metrics").text().ends_with("g 1\n"));
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).code(), (403, "forbidden".to_owned()));
    assert_eq!(ask(&socket, "GET", "/metrics", "").0, 403);
    assert_eq!(ask(&socket, "POST", "/v1/clear", "").0, 403);
    assert_eq!(ask(&socket, "GET", "/-/ready", "").0, 200);
    let page = sidecar.get("/-/metrics");
    assert!(page.text().contains("monasca_sidecar_refusals_total{code=\"forbidden\"} 3\n"));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    sidecar.signal("TERM");
    assert_eq!(sidecar.wait().code(), Some(0));
    assert!(fs::symlink_metadata(&socket).is_err(), "the socket's file is gone");
}

#[test]
fn a_killed_daemons_socket_is_replaced_and_a_live_ones_is_not() {
    let folder = Folder::new("stale");
    let file = config(&folder);
    let start = || Sidecar::start_as_configured(&["--config", file.path()]);
    let mut killed = start();
    killed.signal("KILL");
    killed.wait();
    assert!(fs::symlink_metadata(folder.socket()).unwrap().file_type().is_socket());
    let _live = start();
    assert_eq!(ask(&folder.socket(), "GET", "/-/healthy", "").0, 200);
    let second = Command::new(env!("CARGO_BIN_EXE_monasca-sidecar"))
        .args(["--config", file.path()])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(69), "{second:?}");
    assert_eq!(ask(&folder.socket(), "GET", "/-/healthy", "").0, 200);
}

#[test]
fn a_socket_that_was_made_before_is_taken_by_its_name() {
    let file = Scratch::new(
        "listeners:\n  - {address: 'systemd:metrics', rights: scrape}\n  \
         - {address: 'systemd:push', rights: push}\n",
    );
    // The shell makes no sockets; descriptor 3 and 4 come from here, in the order of the names.
    let push = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (to, from) = (push.local_addr().unwrap(), metrics.local_addr().unwrap());
    let fds = |listener: std::net::TcpListener| Stdio::from(std::os::fd::OwnedFd::from(listener));
    let script = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=push:metrics; \
                  exec \"$0\" --config \"$1\" 3<&0 4>&1 </dev/null >/dev/null";
    let mut child = Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_monasca-sidecar"), file.path()])
        .env_clear()
        .stdin(fds(push))
        .stdout(fds(metrics))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = |address: std::net::SocketAddr, method: &str, path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: 2\r\n\r\n[]").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap_or_default();
        text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    eventually("ready", || (status(from, "GET", "/-/ready") == Some(200)).then_some(()));
    assert_eq!(status(to, "POST", "/v1/ingest"), Some(200));
    assert_eq!(status(to, "GET", "/metrics"), Some(403));
    assert_eq!(status(from, "GET", "/metrics"), Some(200));
    assert_eq!(status(from, "POST", "/v1/ingest"), Some(403));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_open_to_the_network_is_said_and_can_be_refused() {
    let open = ["--listen", "0.0.0.0:0"];
    let sidecar = Sidecar::start_as_configured(&open);
    sidecar.logged("open to everybody who reaches it");
    let refused = Command::new(env!("CARGO_BIN_EXE_monasca-sidecar"))
        .args(open)
        .arg("--strict-access")
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("strict_access: 0.0.0.0:0: open to everybody who reaches it: push,admin"),
        "{said}"
    );
    let file = Scratch::new("listeners: [{address: '0.0.0.0:0', rights: scrape}]\n");
    Sidecar::start_as_configured(&["--config", file.path(), "--strict-access"]);
}
