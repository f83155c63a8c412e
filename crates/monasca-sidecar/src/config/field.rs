//! One key's value, from text and back to it: what is allowed, and what the message says when it is
//! not. The same rule reads flags, environment and file.

use super::keys::Key;
use super::listener::{Address, address};
use super::{Config, LogFormat, MaxMemory, PushStatus, duration, multiproc};
use crate::journal::SyncLevel;
use sidecar_formats::Timestamps;
use sidecar_model::Temporality;
use sidecar_store::UnknownPast;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Label sets keep lengths in 16 bits.
pub(super) const MAX_LABEL_BYTES: usize = u16::MAX as usize;

/// Positions and slots are kept in 32 bits.
pub(super) const MAX_COUNT: usize = u32::MAX as usize;

/// Where a value goes and how its text is read.
pub(super) enum Field {
    Listen,
    DataDirectory,
    Sync,
    LogFormat,
    LogLevel,
    WebFile,
    Origins,
    MultiprocDirectories,
    InstanceLabels,
    WorkerLabel,
    UnknownPast,
    PushStatus,
    Temporality,
    Timestamps,
    /// Of samples, or none.
    Rate,
    Memory,
    Switch(fn(&mut Config) -> &mut bool),
    Duration(fn(&mut Config) -> &mut Duration, Zero),
    Bytes(fn(&mut Config) -> &mut usize, RangeInclusive<usize>),
    /// From 1 to the given most.
    Count(fn(&mut Config) -> &mut usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

/// The text at `index` of the given ones is wrong.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) index: usize,
    pub(super) message: String,
}

impl Key {
    /// Whether several values can be given.
    pub(super) fn is_list(&self) -> bool {
        matches!(
            self.field,
            Field::Listen | Field::Origins | Field::InstanceLabels | Field::MultiprocDirectories
        )
    }

    pub(super) fn is_switch(&self) -> bool {
        matches!(self.field, Field::Switch(_))
    }

    /// What stands for the value in the help text.
    pub(super) fn placeholder(&self) -> &'static str {
        match self.field {
            Field::Listen => "ADDR",
            Field::DataDirectory | Field::MultiprocDirectories => "DIR",
            Field::Sync => "WHEN",
            Field::LogFormat => "FORMAT",
            Field::LogLevel => "LEVEL",
            Field::WebFile => "FILE",
            Field::Origins => "ORIGIN",
            Field::InstanceLabels | Field::WorkerLabel => "LABEL",
            Field::UnknownPast => "PAST",
            Field::PushStatus => "STATUS",
            Field::Temporality => "TEMPORALITY",
            Field::Timestamps => "WHAT",
            Field::Switch(_) => "BOOL",
            Field::Duration(..) => "DURATION",
            Field::Bytes(..) => "SIZE",
            Field::Count(..) | Field::Rate => "NUMBER",
            Field::Memory => "SIZE",
        }
    }

    /// Puts `texts` in place of the value; a key that is no list gets exactly one.
    pub(super) fn set(&self, config: &mut Config, texts: &[&str]) -> Result<(), Wrong> {
        match self.field {
            Field::Listen => config.listen = read_each(texts, address)?,
            Field::InstanceLabels => config.store.instance_labels = read_each(texts, own_label)?,
            Field::Origins => config.cors_origins = read_each(texts, origin)?,
            Field::MultiprocDirectories => {
                config.multiproc.directories = multiproc::of_paths(texts)?;
            }
            Field::DataDirectory
            | Field::Sync
            | Field::LogFormat
            | Field::LogLevel
            | Field::WebFile
            | Field::WorkerLabel
            | Field::UnknownPast
            | Field::PushStatus
            | Field::Temporality
            | Field::Timestamps
            | Field::Rate
            | Field::Memory
            | Field::Switch(_)
            | Field::Duration(..)
            | Field::Bytes(..)
            | Field::Count(..) => {
                let text = texts.first().copied().unwrap_or_default();
                self.set_one(config, text).map_err(|message| Wrong { index: 0, message })?;
            }
        }
        Ok(())
    }

    fn set_one(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match &self.field {
            Field::Listen
            | Field::Origins
            | Field::InstanceLabels
            | Field::MultiprocDirectories => {}
            Field::WebFile => config.web_file = path(text),
            Field::DataDirectory => config.data.directory = path(text),
            Field::Sync => config.data.sync = sync(text)?,
            Field::LogFormat => config.log_format = log_format(text)?,
            Field::LogLevel => config.log_level = log_level(text)?,
            Field::WorkerLabel => config.store.worker_label = shown_label(text)?,
            Field::UnknownPast => config.store.unknown_past = unknown_past(text)?,
            Field::PushStatus => config.push.status = push_status(text)?,
            Field::Temporality => config.push.temporality = temporality(text)?,
            Field::Timestamps => config.push.timestamps = timestamps(text)?,
            Field::Rate => config.budgets.samples_per_second = rate(text)?,
            Field::Memory => config.budgets.memory = max_memory(text)?,
            Field::Switch(of) => *of(config) = switch(text)?,
            Field::Duration(of, zero) => *of(config) = time(text, *zero)?,
            Field::Bytes(of, allowed) => *of(config) = within(size(text)?, allowed, "bytes")?,
            Field::Count(of, most) => *of(config) = within(number(text)?, &(1..=*most), "")?,
        }
        Ok(())
    }

    /// The value as [`Key::set`] reads it.
    pub(super) fn texts(&self, config: &Config) -> Vec<String> {
        // Fields are reached through `&mut`; nothing here is hot.
        let config = &mut config.clone();
        vec![match &self.field {
            Field::Listen => return config.listen.iter().map(Address::to_string).collect(),
            Field::InstanceLabels => return config.store.instance_labels.clone(),
            Field::Origins => return config.cors_origins.clone(),
            Field::MultiprocDirectories => {
                let directories = config.multiproc.directories.iter();
                return directories.map(|of| path_text(Some(&of.path))).collect();
            }
            Field::WebFile => path_text(config.web_file.as_deref()),
            Field::DataDirectory => path_text(config.data.directory.as_deref()),
            Field::Sync => match config.data.sync {
                SyncLevel::Always => "always".to_owned(),
                SyncLevel::Interval(interval) => duration::render(interval),
            },
            Field::LogFormat => match config.log_format {
                LogFormat::Text => "text".to_owned(),
                LogFormat::Json => "json".to_owned(),
            },
            Field::LogLevel => config.log_level.clone(),
            Field::WorkerLabel => config.store.worker_label.clone(),
            Field::UnknownPast => match config.store.unknown_past {
                UnknownPast::Full => "full".to_owned(),
                UnknownPast::Baseline => "baseline".to_owned(),
            },
            Field::PushStatus => match config.push.status {
                PushStatus::Ok => "200".to_owned(),
                PushStatus::Accepted => "202".to_owned(),
            },
            Field::Temporality => match config.push.temporality {
                Temporality::Cumulative => "cumulative".to_owned(),
                Temporality::Delta => "delta".to_owned(),
            },
            Field::Timestamps => match config.push.timestamps {
                Timestamps::Drop => "drop".to_owned(),
                Timestamps::Reject => "reject".to_owned(),
            },
            Field::Rate => {
                config.budgets.samples_per_second.map_or("none".to_owned(), |rate| rate.to_string())
            }
            Field::Memory => match config.budgets.memory {
                MaxMemory::Auto => "auto".to_owned(),
                MaxMemory::Unlimited => "none".to_owned(),
                MaxMemory::Bytes(bytes) => size_text(bytes),
            },
            Field::Switch(of) => of(config).to_string(),
            Field::Duration(of, _) => duration::render(*of(config)),
            Field::Bytes(of, _) => size_text(*of(config)),
            Field::Count(of, _) => of(config).to_string(),
        }]
    }
}

impl Key {
    /// A limit as a number, durations in seconds; `None`: there is no limit, or it is no number.
    #[expect(clippy::cast_precision_loss, reason = "limits stay below 2^53")]
    pub(super) fn number(&self, config: &Config) -> Option<f64> {
        let config = &mut config.clone();
        match &self.field {
            Field::Duration(of, _) => Some(of(config).as_secs_f64()),
            Field::Bytes(of, _) | Field::Count(of, _) => Some(*of(config) as f64),
            Field::Rate => config.budgets.samples_per_second.map(|rate| rate as f64),
            Field::Listen
            | Field::DataDirectory
            | Field::Sync
            | Field::InstanceLabels
            | Field::LogFormat
            | Field::LogLevel
            | Field::WorkerLabel
            | Field::UnknownPast
            | Field::PushStatus
            | Field::Temporality
            | Field::Timestamps
            | Field::Memory
            | Field::WebFile
            | Field::Origins
            | Field::MultiprocDirectories
            | Field::Switch(_) => None,
        }
    }
}

/// The least memory with which anything can be done.
const LEAST_MEMORY_BYTES: usize = 16 << 20;

fn rate(text: &str) -> Result<Option<usize>, String> {
    if text == "none" { Ok(None) } else { count(text).map(Some) }
}

fn max_memory(text: &str) -> Result<MaxMemory, String> {
    match text {
        "auto" => Ok(MaxMemory::Auto),
        "none" => Ok(MaxMemory::Unlimited),
        _ => within(size(text)?, &(LEAST_MEMORY_BYTES..=usize::MAX), "bytes").map(MaxMemory::Bytes),
    }
}

/// A number from 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    within(number(text)?, &(1..=MAX_COUNT), "")
}

/// A duration in the key's bounds.
pub(super) fn time(text: &str, zero: Zero) -> Result<Duration, String> {
    let read = duration::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
    match zero {
        Zero::Refused if read.is_zero() => Err("must be more than zero".to_owned()),
        Zero::Refused | Zero::Allowed => Ok(read),
    }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?}: use true or false")),
    }
}

pub(super) fn unknown_past(text: &str) -> Result<UnknownPast, String> {
    match text {
        "full" => Ok(UnknownPast::Full),
        "baseline" => Ok(UnknownPast::Baseline),
        _ => Err(format!("{text:?}: use full or baseline")),
    }
}

pub(super) fn temporality(text: &str) -> Result<Temporality, String> {
    match text {
        "cumulative" => Ok(Temporality::Cumulative),
        "delta" => Ok(Temporality::Delta),
        _ => Err(format!("{text:?}: use cumulative or delta")),
    }
}

fn timestamps(text: &str) -> Result<Timestamps, String> {
    match text {
        "drop" => Ok(Timestamps::Drop),
        "reject" => Ok(Timestamps::Reject),
        _ => Err(format!("{text:?}: use drop or reject")),
    }
}

fn push_status(text: &str) -> Result<PushStatus, String> {
    match text {
        "200" => Ok(PushStatus::Ok),
        "202" => Ok(PushStatus::Accepted),
        _ => Err(format!("{text:?}: use 200 or 202")),
    }
}

/// A label name; every UTF-8 text can be one.
pub(super) fn label(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a label name cannot be empty".to_owned()),
        _ if text.len() > MAX_LABEL_BYTES => {
            Err(format!("a label name has at most {MAX_LABEL_BYTES} bytes"))
        }
        _ => Ok(text.to_owned()),
    }
}

pub(super) fn own_label(text: &str) -> Result<String, String> {
    match text {
        "_id" => Err("_id always names the instance".to_owned()),
        "_aggregate" | "__name__" | "le" | "quantile" => {
            Err(format!("{text} has a meaning of its own and cannot name an instance"))
        }
        _ => label(text),
    }
}

fn shown_label(text: &str) -> Result<String, String> {
    match text {
        "_id" | "_aggregate" | "__name__" | "le" | "quantile" => {
            Err(format!("{text} has a meaning of its own and cannot show the slot"))
        }
        _ => label(text),
    }
}

pub(super) fn read_each<T: PartialEq>(
    texts: &[&str],
    read: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    let mut values = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let value = read(text).map_err(|message| Wrong { index, message })?;
        // Two requests for a free port are two listeners.
        if values.contains(&value) && !text.ends_with(":0") {
            return Err(Wrong { index, message: format!("{text:?} is given twice") });
        }
        values.push(value);
    }
    Ok(values)
}

/// As browsers write it: a scheme, a host, and a port where it is not the usual one.
fn origin(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map_or("", |(_, host)| host);
    let is_one = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
        && !host.is_empty()
        && !host.contains(['/', '?', '#', '@', ' '])
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    if text == "*" || is_one {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?}: write * or an origin such as https://shop.example, in lower case"))
}

/// An empty text is none.
fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn path_text(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

fn sync(text: &str) -> Result<SyncLevel, String> {
    if text == "always" {
        return Ok(SyncLevel::Always);
    }
    let interval = time(text, Zero::Refused);
    interval.map(SyncLevel::Interval).map_err(|error| format!("{error}; or use always"))
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?}: use text or json")),
    }
}

fn log_level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // The filter takes a word that is no level for a module, so that a slip would silence the log.
    for directive in text.split(',').filter(|directive| !directive.contains(['=', '['])) {
        if !LEVELS.contains(&directive) {
            return Err(format!("{directive:?}: use {}, or MODULE=LEVEL", LEVELS.join(", ")));
        }
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?}: write a whole number");
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong());
    }
    text.replace('_', "").parse().map_err(|_| wrong())
}

/// Longest suffix first, because all end with `B`.
const SIZE_UNITS: [(&str, usize); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?}: write a size such as 32MiB, 512KiB or a number of bytes");
    let (count, unit) = SIZE_UNITS
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((text, 1));
    let count = number(count).map_err(|_| wrong())?;
    count.checked_mul(unit).ok_or_else(|| format!("{text:?}: too large"))
}

fn size_text(bytes: usize) -> String {
    for (suffix, unit) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{suffix}", bytes / unit);
        }
    }
    bytes.to_string()
}

fn within(value: usize, allowed: &RangeInclusive<usize>, unit: &str) -> Result<usize, String> {
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    if value == 0 {
        Err("must be more than zero".to_owned())
    } else if value < *allowed.start() {
        Err(format!("{value}{unit} is less than the least, {}{unit}", allowed.start()))
    } else if value > *allowed.end() {
        Err(format!("{value}{unit} is more than the most, {}{unit}", allowed.end()))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
