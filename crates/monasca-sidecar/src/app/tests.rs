//! Each route of the table, asked with and without what it takes.

use super::{Built, bind, build, prepare};
use crate::config::{self, Right, Rights};
use crate::http::router::{Row, TABLE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::runtime::{Builder, Runtime};

/// A daemon in this process.
struct Daemon {
    addresses: Vec<SocketAddr>,
    runtime: Option<Runtime>,
    built: Option<Built>,
    _folder: Folder,
}

impl Daemon {
    fn start(text: &str) -> Daemon {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = Folder::new(&format!("daemon-{}", COUNT.fetch_add(1, Relaxed)));
        let config = config::of_file(Path::new(&folder.write("sidecar.yaml", text)));
        let bound = bind(&config.doors()).unwrap();
        let addresses = bound.iter().map(|bound| bound.address.unwrap()).collect();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let prepared = prepare(&config).unwrap();
        let built = build(config, prepared).unwrap();
        // A test says itself why it fails.
        drop(std::panic::take_hook());
        for bound in bound {
            let (hall, dispatch) = (Arc::clone(&built.hall), built.dispatch.clone());
            runtime.spawn(async move { hall.accept(bound, None, dispatch).await.unwrap() });
        }
        built.dispatch.set_ready(true);
        drop(entered);
        Daemon { addresses, runtime: Some(runtime), built: Some(built), _folder: folder }
    }

    /// The status, and the whole answer.
    fn ask(&self, door: usize, row: &Row, headers: &str) -> (u16, String) {
        let (method, path) = (row.method, example(row));
        let length = if method == "GET" { "" } else { "Content-Length: 2\r\n" };
        let body = if method == "GET" { "" } else { "[]" };
        let mut stream = TcpStream::connect(self.addresses[door]).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}{headers}\r\n{body}"
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let built = self.built.take().unwrap();
        built.dispatch.end();
        built.upkeep.stop();
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// A path that meets the row's pattern.
fn example(row: &Row) -> String {
    let path = row.path.text().replace("<id>", "a").replace("<job>", "j").replace("...", "");
    path.replace("<label>/<value>", "job2/v")
}

fn is_refusal(status: u16) -> bool {
    status == 401 || status == 403
}

#[test]
fn each_route_is_open_where_the_listener_has_its_right_and_closed_elsewhere() {
    let daemon = Daemon::start(
        "
listeners:
  - {address: '127.0.0.1:0', rights: []}
  - {address: '127.0.0.1:0', rights: push}
  - {address: '127.0.0.1:0', rights: scrape}
  - {address: '127.0.0.1:0', rights: admin}
  - {address: '127.0.0.1:0', rights: [push, scrape, admin]}
",
    );
    let sets = [
        Rights::NONE,
        Rights::NONE.with(Right::Push),
        Rights::NONE.with(Right::Scrape),
        Rights::NONE.with(Right::Admin),
        Rights::ALL,
    ];
    for row in TABLE {
        for (door, rights) in sets.iter().enumerate() {
            let (status, text) = daemon.ask(door, row, "");
            let allowed = row.right.is_none_or(|right| rights.has(right));
            let what = format!("{} {} with {rights}: {text}", row.method, example(row));
            assert_eq!(is_refusal(status), !allowed, "{what}");
            assert!(allowed || (status == 403 && text.contains("\"forbidden\"")), "{what}");
        }
    }
}

/// Files of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder =
            std::env::temp_dir().join(format!("sidecar-app-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file, read by nobody else")]
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A user and a token for each right, and one of each for none. The password is the user's name
/// twice, the token four times.
fn with_credentials(folder: &Folder) -> Daemon {
    let mut users = String::new();
    let mut rights = String::new();
    let mut tokens = String::new();
    for name in ["push", "scrape", "admin", "nothing"] {
        let hash = bcrypt::hash(name.repeat(2), 4).unwrap();
        let set = if name == "nothing" { String::new() } else { name.to_owned() };
        let file = folder.write(name, &format!("{}\n", name.repeat(4)));
        users.push_str(&format!("  {name}: '{hash}'\n"));
        rights.push_str(&format!("    {name}: {{rights: [{set}]}}\n"));
        tokens.push_str(&format!("    - {{file: '{file}', rights: [{set}]}}\n"));
    }
    let web = format!(
        "basic_auth_users:\n{users}monasca_sidecar:\n  users:\n{rights}  bearer_tokens:\n{tokens}"
    );
    let web = folder.write("web.yml", &web);
    Daemon::start(&format!(
        "web: {{config.file: '{web}'}}\nlisteners:\n  - {{address: '127.0.0.1:0'}}\n  \
         - {{address: '127.0.0.1:0', authenticate: false}}\n  \
         - {{address: '127.0.0.1:0', rights: scrape}}\n"
    ))
}

#[test]
fn each_route_is_closed_to_each_wrong_credential_and_open_to_the_right_one() {
    let folder = Folder::new("table");
    let daemon = with_credentials(&folder);
    let unknown = [
        String::new(),
        basic("push", "wrong"),
        basic("push", ""),
        basic("", "pushpush"),
        basic("nobody", "nobodynobody"),
        bearer("pushpushpushpushpush"),
        bearer("pushpushpush"),
        bearer(""),
        "Authorization: Basic ???\r\n".to_owned(),
        format!("Authorization: Basic {}\r\n", STANDARD.encode("pushpushpush")),
        "Authorization: Negotiate pushpushpushpush\r\n".to_owned(),
        "Authorization: \r\n".to_owned(),
    ];
    for row in TABLE {
        let what = format!("{} {}", row.method, example(row));
        let Some(right) = row.right else {
            assert_eq!(daemon.ask(0, row, &unknown[1]).0, 200, "{what}");
            continue;
        };
        for header in &unknown {
            let (status, text) = daemon.ask(0, row, header);
            assert_eq!(status, 401, "{what} with {header}: {text}");
            assert!(text.contains("\"unauthorized\""), "{text}");
            let asked = text.to_lowercase();
            assert!(asked.contains("www-authenticate: basic realm=\"monasca-sidecar\""), "{text}");
        }
        for name in ["push", "scrape", "admin", "nothing"] {
            for header in [basic(name, &name.repeat(2)), bearer(&name.repeat(4))] {
                let (status, text) = daemon.ask(0, row, &header);
                let allowed = right.name() == name;
                assert_eq!(is_refusal(status), !allowed, "{what} as {name}: {text}");
                assert!(allowed || status == 403, "{what} as {name}: {text}");
                // The listener's rights hold whoever asks, and before he is asked.
                let (status, _) = daemon.ask(2, row, &header);
                assert_eq!(is_refusal(status), !allowed || right != Right::Scrape, "{what}");
            }
        }
        assert!(!is_refusal(daemon.ask(1, row, "").0), "{what} where nobody is asked");
    }
}

#[test]
fn where_the_listener_lacks_the_right_no_password_is_tried() {
    let folder = Folder::new("early");
    let daemon = with_credentials(&folder);
    let push = &TABLE[0];
    assert_eq!(push.right, Some(Right::Push));
    assert_eq!(daemon.ask(2, push, &basic("push", "wrong")).0, 403);
    assert_eq!(daemon.ask(2, push, "").0, 403);
}

#[test]
fn no_secret_is_told() {
    let folder = Folder::new("secrets");
    let daemon = with_credentials(&folder);
    let own = TABLE.iter().find(|row| row.path.text() == "/-/metrics").unwrap();
    for header in [basic("scrape", "nearlyscrape"), bearer("nearlyscrapescrape")] {
        assert!(!daemon.ask(0, own, &header).1.contains("nearly"));
    }
    let (status, page) = daemon.ask(0, own, &basic("scrape", "scrapescrape"));
    assert_eq!(status, 200);
    assert!(page.contains("monasca_sidecar_refusals_total{code=\"unauthorized\"} 2"), "{page}");
    assert!(!page.contains("scrapescrape") && !page.contains("$2b$"));
    let web = daemon.built.as_ref().unwrap();
    let shown = format!("{:?} {:?}", web.web, web.dispatch);
    assert!(!shown.contains("$2b$") && !shown.contains("scrapescrape"), "{shown}");
}

#[test]
fn pages_of_other_origins_change_nothing_unless_they_may_push() {
    let daemon =
        Daemon::start("listen: '127.0.0.1:0'\ncors: {origins: ['https://shop.example']}\n");
    for row in TABLE {
        let what = format!("{} {}", row.method, example(row));
        let (status, _) = daemon.ask(0, row, "Origin: https://evil.example\r\n");
        let changes = matches!(row.right, Some(Right::Push | Right::Admin));
        assert_eq!(status == 403, changes, "{what}");
        let (status, text) = daemon.ask(0, row, "Origin: https://shop.example\r\n");
        assert_eq!(status == 403, row.right == Some(Right::Admin), "{what}");
        let told =
            text.to_lowercase().contains("access-control-allow-origin: https://shop.example");
        assert_eq!(told, row.right == Some(Right::Push), "{what}: {text}");
        let (status, _) = daemon.ask(0, row, "Origin: http://x\r\n");
        assert!(!is_refusal(status), "{what} from our own page");
    }
}

#[test]
fn the_hashes_of_the_documentation_are_some() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```yaml\n# web.yml\n").unwrap();
    let folder = Folder::new("documentation");
    let web = folder.write("web.yml", rest.split_once("```").unwrap().0);
    let file = folder.write("sidecar.yaml", &format!("web: {{config.file: '{web}'}}\n"));
    let mut web = config::of_file(Path::new(&file)).web.unwrap();
    // Without the files that it names.
    web.tokens.clear();
    assert!(crate::access::Credentials::load(&web).unwrap().is_some());
}
