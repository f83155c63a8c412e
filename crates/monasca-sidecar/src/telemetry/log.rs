//! Structured log lines on stderr, as text or JSON, and panics among them.

use super::Telemetry;
use crate::config::LogFormat;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// Installs the log once for the process. `level` has been checked with the configuration.
pub(crate) fn install(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .with_writer(std::io::stderr);
    // Only a second call in one process fails, and then the first one's choice stands.
    let installed = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    installed.unwrap_or_default();
}

/// From now on a panic is counted and logged; whoever catches it answers for it.
pub(crate) fn count_panics(telemetry: Arc<Telemetry>) {
    std::panic::set_hook(Box::new(move |panic| {
        telemetry.panics.add(1);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: panicked");
    }));
}
