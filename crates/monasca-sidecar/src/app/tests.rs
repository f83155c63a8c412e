//! Each route of the table, asked with and without what it takes.

use super::{Built, bind, build};
use crate::config::{self, Right, Rights};
use crate::http::router::{Row, TABLE};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// A daemon in this process.
struct Daemon {
    addresses: Vec<SocketAddr>,
    runtime: Option<Runtime>,
    built: Option<Built>,
}

impl Daemon {
    fn start(text: &str) -> Daemon {
        let config = config::of_text(text);
        let bound = bind(&config.doors()).unwrap();
        let addresses = bound.iter().map(|bound| bound.address.unwrap()).collect();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let built = build(config).unwrap();
        for bound in bound {
            let (hall, dispatch) = (Arc::clone(&built.hall), built.dispatch.clone());
            runtime.spawn(async move { hall.accept(bound, dispatch).await.unwrap() });
        }
        drop(entered);
        Daemon { addresses, runtime: Some(runtime), built: Some(built) }
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
