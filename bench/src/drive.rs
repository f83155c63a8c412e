//! Drives a server: one lane per connection, and beside them scrapes at an interval.
//!
//! The loop is closed: a lane sends its next push when the last one is answered. Every body belongs to
//! one lane for the whole run, so that the pushes of a series never overtake each other.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::page::{Keep, Page};
use crate::request::Request;
use crate::workload::counter_value;

const PUSH_BUFFER: usize = 16 * 1024;
const SCRAPE_BUFFER: usize = 256 * 1024;
/// After so many errors a lane gives up: the server is gone, and a loop of refused connections measures nothing.
const MAX_LANE_ERRORS: u64 = 20;

/// How long and how far to drive.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub addr: SocketAddr,
    /// When to stop.
    pub until: Until,
    /// Never run longer than this.
    pub max_time: Duration,
    /// One exchange may take so long.
    pub timeout: Duration,
    /// What to keep of the answers.
    pub keep: Keep,
}

/// When a run ends, besides its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After every request of the first variant was sent once: series creation.
    OnePass,
    /// After so many requests.
    Requests(usize),
    /// Only when the time is over.
    Time,
}

/// A scrape beside the pushes.
#[derive(Clone, Debug)]
pub struct SideScrape {
    /// What to send.
    pub request: Request,
    /// Pause after each answer.
    pub interval: Duration,
}

/// What the requests of one connection are: for each body its variants, sent in turn.
pub type Lane = Vec<Vec<Request>>;

/// What happened to the requests of one lane, of all lanes together, or of the side scrape.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Time of each answered request in nanoseconds.
    pub latencies: Vec<u64>,
    /// Samples in requests that were answered 2xx.
    pub samples: u64,
    /// Bytes written.
    pub sent: u64,
    /// Bytes of answers' bodies.
    pub received: u64,
    /// Requests without an answer.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections opened.
    pub connects: u64,
    /// Answers with another status than 2xx.
    pub refused: u64,
    /// The beginning of the first such answer's body.
    pub refusal: Option<Vec<u8>>,
    /// The last body.
    pub page: Page,
}

impl Tally {
    fn new(keep: Keep) -> Self {
        Self {
            latencies: Vec::with_capacity(1 << 14),
            samples: 0,
            sent: 0,
            received: 0,
            errors: 0,
            first_error: None,
            statuses: BTreeMap::new(),
            connects: 0,
            refused: 0,
            refusal: None,
            page: Page::new(keep),
        }
    }

    async fn exchange(&mut self, connection: &mut Connection, request: &Request) {
        let sent_at = Instant::now();
        match connection.exchange(request.bytes(), &mut self.page).await {
            Ok(status) => self.answered(status, sent_at.elapsed(), request),
            Err(error) => self.failed(&error),
        }
    }

    fn answered(&mut self, status: u16, latency: Duration, request: &Request) {
        self.latencies.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        *self.statuses.entry(status).or_insert(0) += 1;
        self.sent += request.bytes().len() as u64;
        self.received += self.page.bytes();
        if (200..300).contains(&status) {
            self.samples += request.samples() as u64;
        } else {
            self.refused += 1;
            self.refusal.get_or_insert_with(|| self.page.kept().to_vec());
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    fn join(&mut self, other: Self) {
        self.page = other.page;
        self.refused += other.refused;
        if let Some(body) = other.refusal {
            self.refusal.get_or_insert(body);
        }
        self.latencies.extend_from_slice(&other.latencies);
        self.samples += other.samples;
        self.sent += other.sent;
        self.received += other.received;
        self.errors += other.errors;
        self.connects += other.connects;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_insert(0) += count;
        }
        if let Some(error) = other.first_error {
            self.first_error.get_or_insert(error);
        }
    }
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All lanes.
    pub main: Tally,
    /// The side scrape, if there was one.
    pub side: Option<Tally>,
    /// From the first request to the last answer of the lanes.
    pub wall: Duration,
}

/// Deals bodies out to `lanes` connections in turn; each body keeps its variants. There are never more
/// lanes than bodies.
#[must_use]
pub fn deal(variants: Vec<Vec<Request>>, lanes: usize) -> Vec<Lane> {
    let bodies = variants.first().map_or(0, Vec::len);
    let lanes = lanes.clamp(1, bodies.max(1));
    let mut dealt: Vec<Lane> = vec![Vec::new(); lanes];
    let mut columns: Vec<_> = variants.into_iter().map(Vec::into_iter).collect();
    for body in 0..bodies {
        if let Some(lane) = dealt.get_mut(body % lanes) {
            lane.push(columns.iter_mut().filter_map(Iterator::next).collect());
        }
    }
    dealt
}

/// Runs all lanes to their end.
///
/// # Errors
/// When a connection cannot be opened before the start.
pub async fn run(
    plan: &Plan,
    lanes: Vec<Lane>,
    started: u64,
    side: Option<SideScrape>,
) -> io::Result<Outcome> {
    let mut opened = Vec::with_capacity(lanes.len());
    let buffer = if plan.keep == Keep::Excerpt { PUSH_BUFFER } else { SCRAPE_BUFFER };
    for lane in lanes {
        let mut connection = Connection::new(plan.addr, plan.timeout, buffer);
        connection.open().await?;
        opened.push((connection, lane));
    }
    let begin = Instant::now();
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        started,
        taken: AtomicUsize::new(0),
        deadline: begin + plan.max_time,
        done: AtomicBool::new(false),
    });
    let side = side.map(|side| tokio::spawn(run_side(side, Arc::clone(&shared))));
    let tasks: Vec<_> = opened
        .into_iter()
        .map(|(connection, lane)| tokio::spawn(run_lane(connection, lane, Arc::clone(&shared))))
        .collect();
    let mut main = Tally::new(plan.keep);
    for task in tasks {
        main.join(task.await?);
    }
    let wall = begin.elapsed();
    shared.done.store(true, Ordering::Relaxed);
    let side = match side {
        Some(task) => Some(task.await?),
        None => None,
    };
    Ok(Outcome { main, side, wall })
}

struct Shared {
    plan: Plan,
    started: u64,
    taken: AtomicUsize,
    deadline: Instant,
    done: AtomicBool,
}

impl Shared {
    /// Whether one more request may be sent; counts it.
    fn take_one(&self) -> bool {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let within = match self.plan.until {
            Until::Requests(limit) => taken < limit,
            Until::OnePass | Until::Time => true,
        };
        within && Instant::now() < self.deadline
    }
}

async fn run_lane(mut connection: Connection, mut lane: Lane, shared: Arc<Shared>) -> Tally {
    let mut tally = Tally::new(shared.plan.keep);
    'rounds: for round in 0_usize.. {
        if (round > 0 && shared.plan.until == Until::OnePass) || lane.is_empty() {
            break;
        }
        let counter = counter_value(shared.started, round as u64);
        for variants in &mut lane {
            let variant = round % variants.len().max(1);
            let Some(request) = variants.get_mut(variant) else { break 'rounds };
            if tally.errors >= MAX_LANE_ERRORS || !shared.take_one() {
                break 'rounds;
            }
            request.set_counters(counter);
            tally.exchange(&mut connection, request).await;
        }
    }
    tally.connects = connection.connects();
    tally
}

async fn run_side(side: SideScrape, shared: Arc<Shared>) -> Tally {
    let mut connection = Connection::new(shared.plan.addr, shared.plan.timeout, SCRAPE_BUFFER);
    let mut tally = Tally::new(Keep::Excerpt);
    loop {
        // The pause comes first: the first scrape falls into running pushes.
        tokio::time::sleep(side.interval).await;
        if shared.done.load(Ordering::Relaxed) || tally.errors >= MAX_LANE_ERRORS {
            break;
        }
        tally.exchange(&mut connection, &side.request).await;
    }
    tally.connects = connection.connects();
    tally
}
