//! From arguments to exit code: 0, 64 usage or configuration, 65 state that cannot be used, 69 cannot
//! bind, 70 a bug.

mod access;
mod admission;
mod app;
mod clock;
mod config;
mod expose;
mod http;
mod ingest;
mod journal;
mod listen;
mod maintain;
mod multiproc;
mod priority;
mod status;
mod telemetry;

use anyhow::Error;
use app::StartError;
use config::{Command, Config};
use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

const USAGE: u8 = 64;
const UNUSABLE_STATE: u8 = 65;
const CANNOT_BIND: u8 = 69;
const BUG: u8 = 70;

fn main() -> ExitCode {
    match config::from_args(std::env::args_os(), &config::environment) {
        Ok(Command::Serve(config)) => match app::run(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(error),
        },
        Ok(Command::Check(path)) => check(&path),
        Ok(Command::Print(text)) => print(&text),
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

fn failed(error: StartError) -> ExitCode {
    let code = match &error {
        StartError::Bind { .. } => CANNOT_BIND,
        StartError::Config(_) | StartError::NoTls { .. } | StartError::Open { .. } => USAGE,
        StartError::Restore(error) if error.is_bug() => BUG,
        StartError::Restore(_) => UNUSABLE_STATE,
        StartError::Start { .. } | StartError::Ended { .. } => BUG,
    };
    say(&format!("{:#}", Error::new(error)));
    ExitCode::from(code)
}

fn check(path: &Path) -> ExitCode {
    let checked = config::check_file(path);
    let prepared = |config: Config| app::prepare(&config).map(drop).map_err(|error| vec![error]);
    match checked.and_then(prepared) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => {
            errors.iter().for_each(|error| say(&error.to_string()));
            ExitCode::from(USAGE)
        }
    }
}

fn print(text: &str) -> ExitCode {
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(BUG),
    }
}

/// When nobody can read stderr, the exit code has to do.
fn say(text: &str) {
    writeln!(stderr(), "monasca-sidecar: {text}").unwrap_or_default();
}
