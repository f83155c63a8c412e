//! The command line and the environment as typed: which flag or variable gave which key its text.
//!
//! Flags and their help come from the table of keys. Nothing is read into values here.

use super::keys::{KEYS, Key, variable};
use super::resolve::Override;
use super::{Config, ConfigError, example};
use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches};
use std::ffi::OsString;
use std::path::PathBuf;

const ABOUT: &str = "Merges the metrics of an application's processes and serves them as one \
                     application on /metrics.";

const AFTER: &str = "\
A flag wins over its environment variable, that over the file, that over the default. An empty
variable counts as not set. Durations: 90s, 1h30m, 500ms or a number of seconds. Sizes: 32MiB,
512KiB or a number of bytes. Rules for families are in the file only; SIGHUP reads it again.

Exit status: 0 success, 64 usage or configuration, 65 state that cannot be used, 69 cannot listen,
70 a bug.";

/// What was asked for, values still as typed.
pub(super) enum Asked {
    Serve { file: Option<PathBuf>, overrides: Vec<Override> },
    Check(PathBuf),
    Print(String),
}

/// `args` begins with the program's name.
pub(super) fn parse(
    args: impl Iterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Asked, ConfigError> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return shown(&error),
    };
    match matches.subcommand() {
        Some(("check", check)) => {
            let path = check.get_one::<PathBuf>("FILE").cloned();
            path.map(Asked::Check).ok_or_else(|| ConfigError::new("check", "no file"))
        }
        Some((_, _)) => Ok(Asked::Print(example::text())),
        None => Ok(serve(&matches, env)),
    }
}

/// Help and version are errors to clap.
fn shown(error: &clap::Error) -> Result<Asked, ConfigError> {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(Asked::Print(text));
    }
    let text = text.trim_end();
    Err(ConfigError::new("", text.strip_prefix("error: ").unwrap_or(text)))
}

fn serve(matches: &ArgMatches, env: &dyn Fn(&str) -> Option<String>) -> Asked {
    // `NAME=` is how compose files and manifests write "not set".
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let file = matches.get_one::<PathBuf>("config").cloned();
    let file = file.or_else(|| env(&variable("config")).map(PathBuf::from));
    let overrides = KEYS.iter().filter_map(|key| {
        from_flag(key, matches).or_else(|| {
            let variables = std::iter::once(variable(key.name));
            variables
                .chain(key.other_variable.map(str::to_owned))
                .find_map(|name| env(&name).map(|value| from_variable(key, name, &value)))
        })
    });
    Asked::Serve { file, overrides: overrides.collect() }
}

fn from_flag(key: &'static Key, matches: &ArgMatches) -> Option<Override> {
    let texts: Vec<String> = matches.get_many::<String>(key.name)?.cloned().collect();
    Some(Override { key: key.name, source: format!("--{}", key.flag), texts })
}

fn from_variable(key: &'static Key, name: String, value: &str) -> Override {
    let texts = if key.is_list() {
        value.split(',').map(|part| part.trim().to_owned()).collect()
    } else {
        vec![value.to_owned()]
    };
    Override { key: key.name, source: name, texts }
}

fn command() -> clap::Command {
    let file =
        |id: &'static str| Arg::new(id).value_name("FILE").value_parser(ValueParser::path_buf());
    let config = file("config").long("config").help(format!(
        "Configuration file in YAML; `example-config` prints one. [env: {}]",
        variable("config")
    ));
    let check = clap::Command::new("check")
        .about("Check a configuration file: every error with its line and column")
        .arg(file("FILE").required(true).help("The file to check"));
    let example = clap::Command::new("example-config")
        .about("Print an annotated configuration file with every key and its default");
    let defaults = Config::default();
    clap::Command::new("monasca-sidecar")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands([check, example])
        .arg(config)
        .args(KEYS.iter().map(|key| flag(key, &defaults)))
}

fn flag(key: &'static Key, defaults: &Config) -> Arg {
    let arg = Arg::new(key.name)
        .long(key.flag)
        .visible_aliases(key.other_flag)
        .value_name(key.placeholder())
        .allow_hyphen_values(true)
        .help(help(key, defaults))
        .help_heading(key.name.contains('.').then_some("Limits"));
    if key.is_switch() {
        return arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    if key.is_list() {
        return arg.action(ArgAction::Append).value_delimiter(',');
    }
    arg
}

fn help(key: &Key, defaults: &Config) -> String {
    let mut variables = variable(key.name);
    if let Some(other) = key.other_variable {
        variables.push_str(", then ");
        variables.push_str(other);
    }
    let default = match key.texts(defaults).join(",") {
        text if text.is_empty() => "none".to_owned(),
        text => text,
    };
    format!("{} [env: {variables}] [default: {default}]", key.help)
}
