//! Two threads against one: decode and apply of W1's bodies in process, each thread with its own
//! instances. Prints the best of several rounds.

#[path = "../tests/support/workload.rs"]
mod workload;

use sidecar_model::Tick;
use sidecar_store::{Settings, Store};
use std::io::{self, Write};
use std::time::{Duration, Instant};

const INSTANCES: usize = 16;
const ROUNDS: usize = 9;
const PASSES: usize = 400;

fn main() -> io::Result<()> {
    let store = Store::new(Settings::default(), Tick::default());
    let bodies: Vec<Vec<u8>> =
        (0..INSTANCES).map(|at| workload::body(at, 10, 0..500, 1_000_000_000_000)).collect();
    bodies.iter().for_each(|body| workload::push(&store, body));
    let (first, second) = bodies.split_at(INSTANCES / 2);
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        let one = timed(|| {
            run(&store, first);
            run(&store, second);
        });
        let two = timed(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| run(&store, first));
                run(&store, second);
            });
        });
        best = best.max(one.as_secs_f64() / two.as_secs_f64());
    }
    writeln!(io::stdout(), "two_threads_ratio={best:.2}")
}

fn run(store: &Store, bodies: &[Vec<u8>]) {
    for _ in 0..PASSES {
        bodies.iter().for_each(|body| workload::push(store, body));
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
