//! `loadgen`: pushes a fixed workload or scrapes, on one thread, and prints one JSON object.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use rustix::time::{ClockId, clock_gettime};
use sidecar_bench::body::{Body, Format};
use sidecar_bench::drive::{self, Lane, Plan, SideScrape, Until};
use sidecar_bench::exposition;
use sidecar_bench::page::Keep;
use sidecar_bench::report::Report;
use sidecar_bench::request::Request;
use sidecar_bench::workload::{Workload, counter_value};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A closed-loop HTTP load generator. Every request is built before the clock starts.
#[derive(Parser)]
struct Args {
    /// The server, an address and a port.
    #[arg(long, default_value = "127.0.0.1:4888")]
    addr: SocketAddr,
    /// What to send.
    #[arg(long, value_enum, default_value_t = Mode::Json)]
    mode: Mode,
    /// Path to push to or to scrape [default: what the mode says, or /metrics]
    #[arg(long)]
    path: Option<String>,
    /// W1: 16 instances, 500 samples a push. W2: 1000, 200. W3: 4 with 250,000 series each, 5000. W4: 16, 1.
    #[arg(long, default_value = "W1")]
    workload: String,
    /// Value sets per body; they take turns.
    #[arg(long, default_value_t = 2)]
    variants: usize,
    /// Keep-alive connections [default: the workload's; 1 for scrapes]
    #[arg(long)]
    connections: Option<usize>,
    /// Send every body once and stop: series creation.
    #[arg(long)]
    fill: bool,
    /// Stop after so many requests; 0: when the time is over.
    #[arg(long, default_value_t = 0)]
    requests: usize,
    /// Stop after so many seconds in any case.
    #[arg(long, default_value_t = 30.0)]
    max_seconds: f64,
    /// An exchange that takes longer is an error.
    #[arg(long, default_value_t = 60.0)]
    timeout: f64,
    /// Groups in mode groups.
    #[arg(long, default_value_t = 150_000)]
    groups: usize,
    /// Send this Accept with scrapes.
    #[arg(long, default_value = "text/plain;version=0.0.4")]
    accept: String,
    /// Send this Accept-Encoding with scrapes.
    #[arg(long)]
    accept_encoding: Option<String>,
    /// Also GET this path on a connection of its own while pushing.
    #[arg(long)]
    side_scrape: Option<String>,
    /// Pause between those.
    #[arg(long, default_value_t = 200)]
    side_interval_ms: u64,
    /// Scrape: write the last page to this file.
    #[arg(long)]
    dump: Option<PathBuf>,
    /// Write the first body to this file and exit.
    #[arg(long)]
    dump_body: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// POST JSON to /v1/ingest.
    Json,
    /// PUT or POST text 0.0.4 to /metrics/job/bench/_id/<id>.
    Text,
    /// The same as delimited protobuf.
    Protobuf,
    /// PUT one sample each to many groups /metrics/job/bench/instance/<n>, which are not merged.
    Groups,
    /// GET a page.
    Scrape,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let workload = Workload::named(&args.workload)
        .ok_or_else(|| format!("unknown workload {}", args.workload))?;
    let started = ticks_now();
    if let Some(file) = &args.dump_body {
        return dump_body(&bodies(args, &workload, 0, started), file);
    }
    let lanes = match args.mode {
        Mode::Scrape => scrape_lanes(args),
        _ => push_lanes(args, &workload, started),
    };
    let expected = expected_requests(args, &lanes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu_before = cpu_seconds();
    let outcome = runtime.block_on(drive::run(&plan(args), lanes, started, side_scrape(args)))?;
    let complete = outcome.main.latencies.len() >= expected;
    let mut report = Report::new(&outcome, complete, cpu_seconds() - cpu_before);
    if args.mode == Mode::Scrape {
        report = report.with_page(&outcome.main);
        if let Some(file) = &args.dump {
            std::fs::write(file, outcome.main.page.kept())?;
        }
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn plan(args: &Args) -> Plan {
    let keep = match (args.mode, &args.dump) {
        (Mode::Scrape, None) => Keep::Series,
        (Mode::Scrape, Some(_)) => Keep::Whole,
        _ => Keep::Excerpt,
    };
    let until = match (args.fill, args.requests) {
        (true, _) => Until::OnePass,
        (false, 0) => Until::Time,
        (false, limit) => Until::Requests(limit),
    };
    Plan {
        addr: args.addr,
        until,
        max_time: Duration::from_secs_f64(args.max_seconds),
        timeout: Duration::from_secs_f64(args.timeout),
        keep,
    }
}

fn push_lanes(args: &Args, workload: &Workload, started: u64) -> Vec<Lane> {
    let host = args.addr.to_string();
    let variants = if args.fill || args.mode == Mode::Groups { 1 } else { args.variants.max(1) };
    let requests = |variant| {
        let request =
            |body: &Body| Request::push(&host, args.path.as_deref().unwrap_or(&body.path), body);
        bodies(args, workload, variant, started).iter().map(request).collect()
    };
    drive::deal(
        (0..variants).map(requests).collect(),
        args.connections.unwrap_or(workload.connections),
    )
}

fn bodies(args: &Args, workload: &Workload, variant: usize, started: u64) -> Vec<Body> {
    let first = counter_value(started, 0);
    match args.mode {
        Mode::Text => workload.bodies(Format::Text, variant, first),
        Mode::Protobuf => workload.bodies(Format::Protobuf, variant, first),
        Mode::Groups => exposition::groups(args.groups, first),
        Mode::Json | Mode::Scrape => workload.bodies(Format::Json, variant, first),
    }
}

fn scrape_lanes(args: &Args) -> Vec<Lane> {
    let path = args.path.as_deref().unwrap_or("/metrics");
    let request = scrape(args, path);
    let connections = args.connections.unwrap_or(1).max(1);
    drive::deal(vec![vec![request; connections]], connections)
}

fn scrape(args: &Args, path: &str) -> Request {
    Request::scrape(&args.addr.to_string(), path, &args.accept, args.accept_encoding.as_deref())
}

fn side_scrape(args: &Args) -> Option<SideScrape> {
    let path = args.side_scrape.as_deref()?;
    Some(SideScrape {
        request: scrape(args, path),
        interval: Duration::from_millis(args.side_interval_ms),
    })
}

fn expected_requests(args: &Args, lanes: &[Lane]) -> usize {
    if args.fill { lanes.iter().map(Vec::len).sum() } else { args.requests }
}

fn dump_body(bodies: &[Body], file: &std::path::Path) -> Result<(), Failure> {
    let first = bodies.first().ok_or("the workload has no body")?;
    std::fs::write(file, &first.bytes)?;
    println!(
        "{{\"bytes\":{},\"samples\":{},\"bodies\":{}}}",
        first.bytes.len(),
        first.samples,
        bodies.len()
    );
    Ok(())
}

/// Tenths of a millisecond since the epoch: counters of a later run are above those of an earlier one.
fn ticks_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| u64::try_from(age.as_micros() / 100).unwrap_or(0))
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
