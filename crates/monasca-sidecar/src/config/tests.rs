use super::resolve::resolve_text;
use super::{Address, Command, Config, ConfigError, LogFormat, check_file, from_args, reload};
use sidecar_model::{Aggregation, MetricType};
use sidecar_store::{Bounds, Departed, UnknownPast};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

mod places;

/// A file of this test alone, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("monasca-sidecar-config-{}-{count}.yaml", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        scratch.write(text);
        scratch
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file, read by nobody else")]
    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Command, ConfigError> {
    let args = std::iter::once(&"monasca-sidecar").chain(args).map(OsString::from);
    let env =
        |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    from_args(args, &env)
}

fn serve(args: &[&str], env: &[(&str, &str)]) -> Config {
    let Command::Serve(config) = run(args, env).unwrap() else { panic!("not to serve: {args:?}") };
    config
}

fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    run(args, env).unwrap_err().to_string()
}

fn printed(args: &[&str]) -> String {
    let Command::Print(text) = run(args, &[]).unwrap() else { panic!("not to print: {args:?}") };
    text
}

#[test]
fn without_anything_the_defaults_hold() {
    assert_eq!(format!("{:?}", serve(&[], &[])), format!("{:?}", Config::default()));
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = Scratch::new("decay: 11s\nlisten: 127.0.0.1:11\n");
    let config = ["--config", file.path()];
    let flags = ["--config", file.path(), "--decay", "44s", "--listen", "127.0.0.1:44"];
    let low = [("DECAY_SECONDS", "22")];
    let high = [
        ("DECAY_SECONDS", "22"),
        ("MONASCA_SIDECAR_DECAY", "33"),
        ("MONASCA_SIDECAR_LISTEN", "127.0.0.1:33"),
    ];
    let decay = |config: Config| config.store.decay.as_secs();
    assert_eq!(decay(serve(&[], &[])), 60);
    assert_eq!(decay(serve(&config, &[])), 11);
    assert_eq!(decay(serve(&config, &low)), 22);
    assert_eq!(decay(serve(&config, &high)), 33);
    assert_eq!(decay(serve(&flags, &high)), 44);
    let port = |config: Config| {
        assert_eq!(config.listen.len(), 1, "a list replaces, it does not add");
        let Address::Tcp(address) = config.listen[0] else { panic!("no port") };
        address.port()
    };
    assert_eq!(port(serve(&config, &[])), 11);
    assert_eq!(port(serve(&config, &high)), 33);
    assert_eq!(port(serve(&flags, &high)), 44);
}

#[test]
fn an_empty_variable_is_not_set() {
    let env =
        [("MONASCA_SIDECAR_DECAY", ""), ("DECAY_SECONDS", "7"), ("MONASCA_SIDECAR_CONFIG", "")];
    assert_eq!(serve(&[], &env).store.decay, Duration::from_secs(7));
}

#[test]
fn the_file_can_be_named_by_the_environment() {
    let file = Scratch::new("strict: true\n");
    let config = serve(&[], &[("MONASCA_SIDECAR_CONFIG", file.path())]);
    assert!(config.store.strict);
    assert_eq!(config.file.as_deref(), Some(Path::new(file.path())));
}

#[test]
fn lists_come_from_repeated_flags_commas_and_yaml_lists() {
    let both = ["127.0.0.1:1", "[::1]:2"].map(|text| Address::Tcp(text.parse().unwrap()));
    let flags = ["--listen", "127.0.0.1:1", "--listen", "[::1]:2"];
    assert_eq!(serve(&flags, &[]).listen, both);
    assert_eq!(serve(&["--listen=127.0.0.1:1,[::1]:2"], &[]).listen, both);
    assert_eq!(serve(&[], &[("MONASCA_SIDECAR_LISTEN", "127.0.0.1:1, [::1]:2")]).listen, both);
    let file = Scratch::new("listen: ['127.0.0.1:1', '[::1]:2']\ninstance_labels: pod\n");
    let config = serve(&["--config", file.path()], &[]);
    assert_eq!(config.listen, both);
    assert_eq!(config.store.instance_labels, ["pod"]);
}

#[test]
fn a_switch_needs_no_value() {
    assert!(serve(&["--strict"], &[]).store.strict);
    assert!(!serve(&["--strict=false"], &[("MONASCA_SIDECAR_STRICT", "true")]).store.strict);
}

#[test]
fn limits_have_flags_and_variables_too() {
    let config = serve(
        &["--limits.max-series", "7", "--log-format", "json"],
        &[("MONASCA_SIDECAR_LIMITS_MAX_SERIES", "8"), ("MONASCA_SIDECAR_LIMITS_MAX_BODY", "1KiB")],
    );
    assert_eq!(config.store.limits.series, 7);
    assert_eq!(config.http.body_bytes, 1024);
    assert_eq!(config.log_format, LogFormat::Json);
}

#[test]
fn a_bad_flag_or_variable_is_named() {
    assert_eq!(
        refused(&["--decay", "soon"], &[]),
        "--decay: \"soon\": not a duration: write 90s, 1h30m, 500ms or a number of seconds"
    );
    assert_eq!(
        refused(&["--decay", "-1"], &[]),
        "--decay: \"-1\": not a duration: write 90s, 1h30m, 500ms or a number of seconds"
    );
    assert_eq!(refused(&[], &[("DECAY_SECONDS", "0")]), "DECAY_SECONDS: must be more than zero");
    assert_eq!(refused(&["--retain", "5m"], &[]), "--retain: retain is shorter than resume_window");
    assert!(refused(&["--decya", "1"], &[]).starts_with("unexpected argument '--decya' found"));
    assert!(refused(&["--decay", "1", "--decay", "2"], &[]).contains("cannot be used multiple"));
    assert!(refused(&["check"], &[]).contains("<FILE>"));
}

#[test]
fn a_refused_file_names_its_first_error_and_how_many_more_there_are() {
    let file = Scratch::new("decay: 0\nstrict: 2\ncolour: red\n");
    assert_eq!(
        refused(&["--config", file.path()], &[]),
        format!(
            "{}:1:8: decay: must be more than zero (and 2 more errors: see `check FILE`)",
            file.path()
        )
    );
    assert!(refused(&["--config", "/nowhere/x.yaml"], &[]).starts_with("/nowhere/x.yaml: cannot"));
}

#[test]
fn subcommands_and_help_are_told_apart() {
    let command = run(&["check", "some.yaml"], &[]).unwrap();
    assert!(matches!(command, Command::Check(path) if path == Path::new("some.yaml")));
    let version = printed(&["--version"]);
    assert!(version.starts_with("monasca-sidecar ") && version.ends_with('\n'), "{version}");
    assert!(printed(&["example-config"]).contains("\ndecay: 60s\n"));
    let help = printed(&["--help"]);
    for text in
        ["--listen <ADDR>", "--limits.max-series <NUMBER>", "DECAY_SECONDS", "[default: 60s]"]
    {
        assert!(help.contains(text), "{text} in {help}");
    }
}

#[test]
fn a_reload_reads_the_file_and_keeps_flags_and_environment() {
    let file = Scratch::new("decay: 10s\nretain: 2h\nresume_window: 1h\n");
    let args = ["--config", file.path(), "--resume-window", "30m"];
    let before = serve(&args, &[("MONASCA_SIDECAR_RETAIN", "3h")]);
    file.write(
        "decay: 20s\nretain: 9h\nresume_window: 8h\nrules:\n- match: {name: a}\n  drop: true\n",
    );
    let after = reload(&before).unwrap();
    assert_eq!(after.config.store.decay, Duration::from_secs(20));
    assert_eq!(after.config.store.retain, Duration::from_secs(3 * 3600));
    assert_eq!(after.config.store.resume_window, Duration::from_secs(1800));
    assert_eq!(after.config.store.rules.len(), 1);
    assert!(after.ignored.is_empty());
    file.write("decay: 30s\n");
    let again = reload(&after.config).unwrap().config;
    assert_eq!(again.store.retain, Duration::from_secs(3 * 3600));
    assert!(again.store.rules.is_empty());
}

#[test]
fn a_reload_says_what_takes_a_restart_and_keeps_it() {
    let file = Scratch::new("listen: 127.0.0.1:1\nwarmup: 5s\n");
    let before = serve(&["--config", file.path()], &[]);
    file.write("listen: [127.0.0.1:2, 127.0.0.1:3]\nlog_level: debug\nlimits: {max_series: 9}\n");
    let after = reload(&before).unwrap();
    assert_eq!(after.ignored, ["listen", "log_level", "warmup"]);
    assert_eq!(after.config.listen, before.listen);
    assert_eq!(after.config.log_level, "info");
    assert_eq!(after.config.warmup, Duration::from_secs(5));
    assert_eq!(after.config.store.limits.series, 9);
}

#[test]
fn listeners_count_instead_of_a_variable_but_not_beside_a_flag() {
    let file = Scratch::new("listeners: [{address: '127.0.0.1:7', rights: push}]\n");
    let config = serve(&["--config", file.path()], &[("MONASCA_SIDECAR_LISTEN", "0.0.0.0:4888")]);
    let shown: Vec<String> = config.doors().iter().map(|door| door.address.to_string()).collect();
    assert_eq!(shown, ["127.0.0.1:7"]);
    let error = refused(&["--config", file.path(), "--listen", ":1"], &[]);
    assert!(error.ends_with(":1:1: listeners: give it or --listen, not both"), "{error}");
    let before = config;
    file.write("listeners: [{address: '127.0.0.1:7'}]\n");
    let after = reload(&before).unwrap();
    assert_eq!(after.ignored, ["listeners"]);
    assert_eq!(after.config.doors(), before.doors());
}

#[test]
fn a_bad_file_is_no_reload() {
    let file = Scratch::new("");
    let before = serve(&["--config", file.path()], &[]);
    file.write("decay: never\n");
    let error = reload(&before).unwrap_err();
    assert_eq!((error.line, error.column, error.key.as_str()), (Some(1), Some(8), "decay"));
    assert!(check_file(Path::new(file.path())).is_err());
}

#[test]
fn rules_are_read_in_order_with_all_they_set() {
    let text = "
rules:
- match: {name: 'http_*', labels: {path: '/a?', job: '*'}}
  drop_labels: [path, code]
  drop: true
- match:
    name: jobs
  aggregate: p99
  type: untyped
  decay: 26h
  departed: drop
  unknown_past: baseline
  bounds: intersect
";
    let rules = resolve_text(Path::new("f"), text).unwrap().store.rules;
    assert_eq!(rules.len(), 2);
    assert!(rules[0].matches.family(&["http_x"]) && !rules[0].matches.family(&["x"]));
    let labels: Vec<&str> = rules[0].matches.labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(labels, ["path", "job"]);
    assert_eq!(rules[0].drop_labels, ["path", "code"]);
    assert!(rules[0].drop && rules[0].aggregate.is_none());
    assert_eq!(rules[1].aggregate, Some(Aggregation::Percentile(99)));
    assert_eq!(rules[1].metric_type, Some(MetricType::Unknown));
    assert_eq!(rules[1].decay, Some(Duration::from_secs(26 * 3600)));
    assert_eq!(rules[1].departed, Some(Departed::Drop));
    assert_eq!(rules[1].unknown_past, Some(UnknownPast::Baseline));
    assert_eq!(rules[1].bounds, Some(Bounds::Intersect));
    assert!(!rules[1].drop);
}
