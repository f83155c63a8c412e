//! `nullserver 127.0.0.1:PORT`: answers every push without looking at it, on every CPU it may use.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::ExitCode;

use clap::Parser;
use sidecar_bench::null;

/// Reads each body, answers 200 `true`; answers GET with bytes that mean nothing.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 picks one.
    addr: SocketAddr,
    /// Length of the body that answers a GET.
    #[arg(long, default_value_t = 52_000)]
    get_bytes: usize,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("nullserver: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<std::convert::Infallible> {
    let first = null::bind(args.addr)?;
    let addr = first.local_addr()?;
    eprintln!("listening addr={addr}");
    let answer = null::get_answer(args.get_bytes);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let listener = null::bind(addr)?;
            let answer = &answer;
            scope.spawn(move || null::serve(listener, answer));
        }
        null::serve(first, &answer)
    })
}
