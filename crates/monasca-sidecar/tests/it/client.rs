//! One running sidecar and a plain HTTP/1.1 client.
//!
//! Waiting is always for a condition, with a deadline.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    #[expect(clippy::disallowed_methods, reason = "the deadline of a test")]
    let now = Instant::now;
    let deadline = now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(now() < deadline, "never came: {what}");
        std::thread::yield_now();
    }
}

/// A file of one test, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(text: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("it-{}-{count}.yaml", std::process::id());
        let scratch = Scratch(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        scratch.write(text);
        scratch
    }

    pub(crate) fn write(&self, text: &str) {
        File::create(&self.0).unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap_or_default();
    }
}

pub(crate) struct Sidecar {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Sidecar {
    pub(crate) fn start(arguments: &[&str]) -> Sidecar {
        Sidecar::spawn(command(arguments))
    }

    /// With listeners from a file or flags of its own; `address` is that of the first port.
    pub(crate) fn start_as_configured(arguments: &[&str]) -> Sidecar {
        Sidecar::spawn(bare(arguments))
    }

    fn spawn(mut command: Command) -> Sidecar {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                lines.lock().push(line.unwrap());
            }
        });
        let address = eventually("the line with the address", || {
            assert!(child.try_wait().unwrap().is_none(), "ended at once: {:?}", log.lock());
            log.lock().iter().find_map(|line| listening(line))
        });
        Sidecar { child, address, log }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn logged(&self, text: &str) {
        eventually(text, || self.log.lock().iter().any(|line| line.contains(text)).then_some(()));
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([format!("-{name}"), pid]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Response {
        self.request("POST", path, &[], body.as_bytes())
    }

    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.request("POST", path, headers, body.as_bytes())
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // The answer may come before the body is read.
        stream.write_all(body).unwrap_or_default();
        read_answer(&mut stream, method)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// The binary on a free port, without the caller's own settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    bare(&[&["--listen", "127.0.0.1:0"], arguments].concat())
}

fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monasca-sidecar"));
    command.args(arguments);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn listening(line: &str) -> Option<SocketAddr> {
    line.split_once("listening addr=")?.1.split_whitespace().next()?.parse().ok()
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status, code and place of an error.
    pub(crate) fn problem(&self) -> (u16, String, String) {
        assert_eq!(self.headers["content-type"], "application/json");
        let body = self.json();
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        (self.status, text("code"), text("at"))
    }

    pub(crate) fn code(&self) -> (u16, String) {
        let (status, code, _) = self.problem();
        (status, code)
    }
}

/// One answer, to the end of the connection or of its announced length.
pub(crate) fn read_answer(stream: &mut TcpStream, method: &str) -> Response {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed: {bytes:?}");
        bytes.push(byte[0]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    if status == 100 {
        return read_answer(stream, method);
    }
    let body = match headers.get("content-length") {
        _ if method == "HEAD" => Vec::new(),
        Some(length) => {
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            body
        }
        None => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            unchunked(&rest)
        }
    };
    Response { status, headers, body }
}

/// What is left until the server closes.
pub(crate) fn read_rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.shutdown(Shutdown::Write).unwrap_or_default();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).map(drop).unwrap_or_default();
    rest
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        rest = &rest[end + 2..];
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[..length]);
        rest = &rest[length + 2..];
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
