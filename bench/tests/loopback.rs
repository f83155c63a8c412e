//! The load generator against the null server over loopback.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::net::SocketAddr;
use std::time::Duration;

use sidecar_bench::body::Format;
use sidecar_bench::drive::{self, Outcome, Plan, SideScrape, Until};
use sidecar_bench::null;
use sidecar_bench::page::Keep;
use sidecar_bench::request::Request;
use sidecar_bench::workload::Workload;

const PAGE_BYTES: usize = 3_000_000;

fn start_null_server() -> SocketAddr {
    let listener = null::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || null::serve(listener, &null::get_answer(PAGE_BYTES)));
    addr
}

fn plan(addr: SocketAddr, until: Until, keep: Keep) -> Plan {
    Plan { addr, until, max_time: Duration::from_secs(60), timeout: Duration::from_secs(30), keep }
}

fn run(plan: &Plan, lanes: Vec<drive::Lane>, side: Option<SideScrape>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(drive::run(plan, lanes, 0, side)).unwrap()
}

fn lanes(name: &str, addr: SocketAddr) -> Vec<drive::Lane> {
    let workload = Workload::named(name).unwrap();
    let bodies = workload.bodies(Format::Json, 0, 1_000_000_000_000);
    let requests =
        bodies.iter().map(|body| Request::push(&addr.to_string(), "/v1/ingest", body)).collect();
    drive::deal(vec![requests], workload.connections)
}

#[test]
fn one_pass_sends_every_body_once() {
    let addr = start_null_server();
    let outcome = run(&plan(addr, Until::OnePass, Keep::Excerpt), lanes("W2", addr), None);
    assert_eq!(
        (outcome.main.latencies.len(), outcome.main.samples, outcome.main.errors),
        (1000, 200_000, 0)
    );
    assert_eq!(outcome.main.statuses.get(&200), Some(&1000));
    assert_eq!(outcome.main.connects, 16);
}

#[test]
fn a_run_stops_after_the_requests_it_was_given() {
    let addr = start_null_server();
    let outcome = run(&plan(addr, Until::Requests(5000), Keep::Excerpt), lanes("W4", addr), None);
    assert_eq!((outcome.main.samples, outcome.main.errors), (5000, 0));
}

#[test]
fn a_scrape_reads_the_whole_page() {
    let addr = start_null_server();
    let request = Request::scrape(&addr.to_string(), "/metrics", "*/*", None);
    let lanes = drive::deal(vec![vec![request]], 1);
    let outcome = run(&plan(addr, Until::Requests(3), Keep::Series), lanes, None);
    assert_eq!((outcome.main.received, outcome.main.errors), (3 * PAGE_BYTES as u64, 0));
}

#[test]
fn scrapes_go_on_beside_the_pushes() {
    let addr = start_null_server();
    let request = Request::scrape(&addr.to_string(), "/metrics", "*/*", None);
    let side = SideScrape { request, interval: Duration::from_millis(5) };
    let mut plan = plan(addr, Until::Time, Keep::Excerpt);
    plan.max_time = Duration::from_millis(500);
    let outcome = run(&plan, lanes("W1", addr), Some(side));
    let scrapes = outcome.side.unwrap();
    assert!(!scrapes.latencies.is_empty());
    assert_eq!(
        (scrapes.received, scrapes.errors),
        (scrapes.latencies.len() as u64 * PAGE_BYTES as u64, 0)
    );
}
