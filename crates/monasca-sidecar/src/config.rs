//! Configuration: flags, environment, file and defaults become one resolved [`Config`].
//!
//! Owns every key's name, default and help text (`config/keys.rs`) and is the only reader of the
//! environment. Nothing outside sees a value as it was typed. Of a key's sources the first counts:
//! flag, environment, file, default.

mod cli;
mod duration;
mod example;
mod field;
mod file;
mod jobs;
mod keys;
mod listener;
mod multiproc;
mod resolve;
mod rights;
mod rules;
mod suggest;
mod web;

pub(crate) use duration::parse as parse_duration;
pub(crate) use listener::{Address, Listener, SocketFile};
pub(crate) use multiproc::{MultiprocDirectory, MultiprocLimits, MultiprocSettings};
pub(crate) use rights::{Right, Rights};
pub(crate) use web::{
    CertificateRule, ClientAuth, Curve, NamedFile, TlsSettings, TlsVersion, TokenFile, User,
    WebConfig,
};

use crate::journal::SyncLevel;
use resolve::Override;
use sidecar_formats::Timestamps;
use sidecar_model::Temporality;
use sidecar_store::Glob;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the process needs to know, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The short form of `listeners`.
    listen: Vec<Address>,
    /// In the file only; where there are some, `listen` does not count.
    listeners: Vec<Listener>,
    /// Refuse to start where anyone could push or administer.
    pub(crate) strict_access: bool,
    web_file: Option<PathBuf>,
    /// What `web_file` says.
    pub(crate) web: Option<WebConfig>,
    /// Of web pages that may push.
    pub(crate) cors_origins: Vec<String>,
    pub(crate) log_format: LogFormat,
    /// A filter directive of the log subscriber, checked.
    pub(crate) log_level: String,
    /// After a start without state `/metrics` answers 503 for so long.
    pub(crate) warmup: Duration,
    /// After the signal, how long at most to go on serving until one more scrape was answered.
    pub(crate) shutdown_delay: Duration,
    /// How long at most the requests under way may take to finish.
    pub(crate) drain_timeout: Duration,
    pub(crate) http: HttpLimits,
    pub(crate) data: DataSettings,
    pub(crate) push: PushSettings,
    pub(crate) multiproc: MultiprocSettings,
    pub(crate) budgets: Budgets,
    pub(crate) store: sidecar_store::Settings,
    /// What a reload reads again.
    pub(crate) file: Option<PathBuf>,
    /// Flags and environment, which keep their precedence over the file at a reload.
    overrides: Vec<Override>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What is kept on disk, and how.
#[derive(Clone, Debug)]
pub(crate) struct DataSettings {
    /// `None`: nothing is.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) sync: SyncLevel,
    /// A longer journal is made short by a snapshot.
    pub(crate) journal_bytes: usize,
}

impl Default for DataSettings {
    fn default() -> DataSettings {
        let sync = SyncLevel::Interval(Duration::from_secs(1));
        DataSettings { directory: None, sync, journal_bytes: 32 << 20 }
    }
}

/// How pushes in the manner of the Pushgateway are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct PushSettings {
    pub(crate) status: PushStatus,
    /// How long a group lives unless it is pushed again; zero: for ever.
    pub(crate) ttl: Duration,
    pub(crate) temporality: Temporality,
    pub(crate) timestamps: Timestamps,
    /// `/api/v1/admin/wipe` is there.
    pub(crate) admin_api: bool,
    /// In the file only.
    pub(crate) jobs: Vec<JobSettings>,
}

/// What the pushes of some jobs have of their own.
#[derive(Clone, Debug)]
pub(crate) struct JobSettings {
    pub(crate) job: Glob,
    pub(crate) ttl: Option<Duration>,
    pub(crate) temporality: Option<Temporality>,
    /// What names the instance in their groups, besides `_id` and the labels of all jobs.
    pub(crate) instance_labels: Vec<String>,
    pub(crate) max_series: Option<usize>,
    pub(crate) max_instances: Option<usize>,
    pub(crate) max_samples_per_second: Option<usize>,
}

impl JobSettings {
    pub(crate) fn of(job: Glob) -> JobSettings {
        JobSettings {
            job,
            ttl: None,
            temporality: None,
            instance_labels: Vec::new(),
            max_series: None,
            max_instances: None,
            max_samples_per_second: None,
        }
    }
}

/// What all clients together may take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budgets {
    pub(crate) samples_per_second: Option<usize>,
    pub(crate) memory: MaxMemory,
}

/// How large the process may grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MaxMemory {
    /// Within the limit of its control group, if that has one.
    #[default]
    Auto,
    Unlimited,
    Bytes(usize),
}

impl PushSettings {
    /// How long a group of this job lives; `None`: for ever.
    pub(crate) fn ttl_of(&self, job: &str) -> Option<Duration> {
        let own = self.of_job(job).find_map(|settings| settings.ttl);
        Some(own.unwrap_or(self.ttl)).filter(|ttl| !ttl.is_zero())
    }

    pub(crate) fn temporality_of(&self, job: &str) -> Temporality {
        self.of_job(job).find_map(|settings| settings.temporality).unwrap_or(self.temporality)
    }

    fn of_job(&self, job: &str) -> impl Iterator<Item = &JobSettings> {
        self.jobs.iter().filter(move |settings| settings.job.matches(job))
    }
}

/// What a push of a group is answered with when all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PushStatus {
    #[default]
    Ok,
    Accepted,
}

/// What one client, and all of them together, may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpLimits {
    pub(crate) body_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) header_time: Duration,
    pub(crate) request_time: Duration,
    pub(crate) idle_time: Duration,
    pub(crate) header_bytes: usize,
    /// The bodies of all requests under way together.
    pub(crate) body_memory_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 4888)))],
            listeners: Vec::new(),
            strict_access: false,
            web_file: None,
            web: None,
            cors_origins: Vec::new(),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            warmup: Duration::ZERO,
            shutdown_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
            http: HttpLimits::default(),
            data: DataSettings::default(),
            push: PushSettings::default(),
            multiproc: MultiprocSettings::default(),
            budgets: Budgets::default(),
            store: sidecar_store::Settings::default(),
            file: None,
            overrides: Vec::new(),
        }
    }
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            body_bytes: 32 << 20,
            connections: 10_000,
            header_time: Duration::from_secs(10),
            request_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(120),
            header_bytes: 64 << 10,
            body_memory_bytes: 512 << 20,
        }
    }
}

impl Config {
    /// Everything that is to be listened on.
    /// The file that `web` was read from.
    pub(crate) fn web_file(&self) -> Option<&Path> {
        self.web_file.as_deref()
    }

    pub(crate) fn doors(&self) -> Vec<Listener> {
        if self.listeners.is_empty() {
            return self.listen.iter().cloned().map(Listener::open).collect();
        }
        self.listeners.clone()
    }
}

/// The web configuration file as it is now.
pub(crate) fn web_again(config: &Config) -> Result<Option<WebConfig>, ConfigError> {
    config.web_file.as_deref().map(|path| web::read(path).map_err(first)).transpose()
}

/// For tests of other modules: the configuration of this file.
#[cfg(test)]
pub(crate) fn of_file(path: &Path) -> Config {
    resolve::resolve(Some(path.to_owned()), Vec::new()).unwrap()
}

/// What the command line asks for.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made once per process and taken apart at once")]
pub(crate) enum Command {
    Serve(Config),
    /// Check this file with [`check_file`].
    Check(PathBuf),
    /// Help, version or the annotated example, for stdout.
    Print(String),
}

/// Why there is no configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    pub(crate) file: Option<PathBuf>,
    /// Counted from 1, like the column, which counts characters.
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    /// The key in the file, or the flag or variable that gave the value; empty where there is none.
    pub(crate) key: String,
    pub(crate) message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{}:", file.display())?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(out, "{number}:")?;
            }
            out.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        out.write_str(&self.message)
    }
}

/// What a reload gives.
#[derive(Clone, Debug)]
pub(crate) struct Reloaded {
    pub(crate) config: Config,
    /// Keys whose change takes a restart; `config` keeps their previous value.
    pub(crate) ignored: Vec<&'static str>,
}

/// `args` begins with the program's name. An error is one of usage or of the configuration; of
/// several in the file it is the first and says how many more there are.
pub(crate) fn from_args(
    args: impl Iterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Command, ConfigError> {
    Ok(match cli::parse(args, env)? {
        cli::Asked::Serve { file, overrides } => {
            Command::Serve(resolve::resolve(file, overrides).map_err(first)?)
        }
        cli::Asked::Check(path) => Command::Check(path),
        cli::Asked::Print(text) => Command::Print(text),
    })
}

/// Every limit by its key; `None`: there is none.
pub(crate) type ShownLimits = Vec<(&'static str, Option<f64>)>;

pub(crate) fn limits(config: &Config) -> ShownLimits {
    let limits = keys::KEYS.iter().filter(|key| key.name.starts_with("limits."));
    limits.map(|key| (key.name, key.number(config))).collect()
}

/// The process's environment, for [`from_args`].
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads the file again. Flags and environment stay what they were at the start.
pub(crate) fn reload(previous: &Config) -> Result<Reloaded, ConfigError> {
    let mut config =
        resolve::resolve(previous.file.clone(), previous.overrides.clone()).map_err(first)?;
    let ignored = resolve::keep_fixed(previous, &mut config);
    Ok(Reloaded { config, ignored })
}

/// Every error of the file, in the order of its lines.
pub(crate) fn check_file(path: &Path) -> Result<Config, Vec<ConfigError>> {
    resolve::resolve(Some(path.to_owned()), Vec::new())
}

fn first(errors: Vec<ConfigError>) -> ConfigError {
    let more = errors.len().saturating_sub(1);
    let Some(mut error) = errors.into_iter().next() else {
        return ConfigError::new("", "the configuration cannot be used");
    };
    if more > 0 {
        let noun = if more == 1 { "error" } else { "errors" };
        error.message.push_str(&format!(" (and {more} more {noun}: see `check FILE`)"));
    }
    error
}

impl ConfigError {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: None,
            line: None,
            column: None,
            key: key.into(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests;
