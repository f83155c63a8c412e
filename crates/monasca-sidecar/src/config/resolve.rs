//! From what was typed to a [`Config`]: default, then file, then environment and flags, then what
//! must hold between keys. Collects every error instead of stopping at the first.

use super::field::{Field, Wrong};
use super::file::{self, Content, Entry, Node, Place};
use super::keys::{self, KEYS, Key, TakesEffect};
use super::suggest::suggest;
use super::{Config, ConfigError, jobs, listener, multiproc, rules, web};
use std::path::PathBuf;

/// Sections, and what has no flag.
const FILE_ONLY: [&str; 8] =
    ["rules", "jobs", "listeners", "limits", "push", "web", "cors", "multiproc"];

/// The text that a flag or a variable gave a key.
#[derive(Clone, Debug)]
pub(super) struct Override {
    pub(super) key: &'static str,
    /// `--decay` or `MONASCA_SIDECAR_DECAY`.
    pub(super) source: String,
    pub(super) texts: Vec<String>,
}

/// The errors come in the order of the file's lines, those without a place last.
pub(super) fn resolve(
    path: Option<PathBuf>,
    overrides: Vec<Override>,
) -> Result<Config, Vec<ConfigError>> {
    let mut config = Config::default();
    let mut problems = Problems::new(path.clone());
    if let Some(path) = &path {
        match file::read(path) {
            Ok(root) => problems.take_root(&root, &mut config),
            Err(error) => problems.errors.push(error),
        }
    }
    for given in &overrides {
        problems.take_override(given, &mut config);
    }
    problems.compare(&config);
    let web = config.web_file.as_deref().map(web::read).transpose();
    config.file = path;
    config.overrides = overrides;
    match (problems.into_result(config), web) {
        (Ok(config), Ok(web)) => Ok(Config { web, ..config }),
        (Ok(_), Err(errors)) | (Err(errors), Ok(_)) => Err(errors),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// Gives the keys that take a restart their previous value; returns those that would have changed.
pub(super) fn keep_fixed(previous: &Config, config: &mut Config) -> Vec<&'static str> {
    let mut ignored = Vec::new();
    // Of its directories the text is the path alone.
    let by_text = |key: &&Key| !matches!(key.field, Field::MultiprocDirectories);
    let fixed = KEYS.iter().filter(|key| key.takes_effect == TakesEffect::AtStart);
    for key in fixed.filter(by_text) {
        let before = key.texts(previous);
        if before == key.texts(config) {
            continue;
        }
        let texts: Vec<&str> = before.iter().map(String::as_str).collect();
        // What `texts` wrote, `set` reads: a test holds that for every key.
        if key.set(config, &texts).is_ok() {
            ignored.push(key.name);
        }
    }
    if previous.listeners != config.listeners {
        config.listeners.clone_from(&previous.listeners);
        ignored.push("listeners");
    }
    if previous.multiproc.directories != config.multiproc.directories {
        config.multiproc.directories.clone_from(&previous.multiproc.directories);
        ignored.push("multiproc.dirs");
    }
    ignored
}

/// The errors so far, and where each key got its value, for those that concern two keys.
pub(super) struct Problems {
    path: Option<PathBuf>,
    errors: Vec<ConfigError>,
    sources: Vec<(&'static str, Source)>,
}

enum Source {
    File(Place),
    Override(String),
    /// Its value was refused: what depends on it cannot be judged.
    Refused,
}

impl Problems {
    pub(super) fn new(path: Option<PathBuf>) -> Problems {
        Problems { path, errors: Vec::new(), sources: Vec::new() }
    }

    /// An error at a place of the file.
    pub(super) fn at(&mut self, place: Place, key: &str, message: impl Into<String>) {
        self.errors.push(ConfigError {
            file: self.path.clone(),
            line: Some(place.line),
            column: Some(place.column),
            ..ConfigError::new(key, message)
        });
    }

    pub(super) fn into_result<T>(mut self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.errors.is_empty() {
            return Ok(value);
        }
        self.errors.sort_by_key(|error| (error.line.is_none(), error.line, error.column));
        Err(self.errors)
    }

    /// The entries of a map, each name once; an empty node has none.
    pub(super) fn entries<'a>(&mut self, node: &'a Node, path: &str) -> Vec<&'a Entry> {
        let entries = match &node.content {
            Content::Map(entries) => entries.as_slice(),
            Content::Empty => &[],
            Content::Text(_) | Content::List(_) => {
                self.at(node.place, path, "must be a map of keys to values");
                &[]
            }
        };
        let mut kept: Vec<&Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            match kept.iter().find(|other| other.name == entry.name) {
                Some(first) => self.at(
                    entry.place,
                    &join(path, &entry.name),
                    format!("given twice, first in line {}", first.place.line),
                ),
                None => kept.push(entry),
            }
        }
        kept
    }

    pub(super) fn text<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a str> {
        let message = match &node.content {
            Content::Text(text) => return Some(text),
            Content::Empty => "has no value",
            Content::List(_) => "must be one value, not a list",
            Content::Map(_) => "must be one value, not a map",
        };
        self.at(node.place, path, message);
        None
    }

    pub(super) fn list<'a>(&mut self, node: &'a Node, path: &str) -> &'a [Node] {
        match &node.content {
            Content::List(nodes) => return nodes,
            Content::Empty => {}
            Content::Text(_) | Content::Map(_) => self.at(node.place, path, "must be a list"),
        }
        &[]
    }

    pub(super) fn unknown<'a>(
        &mut self,
        entry: &Entry,
        path: &str,
        known: impl Iterator<Item = &'a str>,
    ) {
        let message = match suggest(&entry.name, known) {
            Some(meant) => format!("unknown key: did you mean {meant}?"),
            None => "unknown key".to_owned(),
        };
        self.at(entry.place, &join(path, &entry.name), message);
    }

    fn take_root(&mut self, root: &Node, config: &mut Config) {
        for entry in self.entries(root, "") {
            if entry.name == "rules" {
                config.store.rules = rules::read(&entry.value, self);
            } else if entry.name == "jobs" {
                config.push.jobs = jobs::read(&entry.value, self);
                config.store.jobs = jobs::of_store(&config.push.jobs);
            } else if entry.name == "listeners" {
                config.listeners = listener::read(&entry.value, self);
                self.sources.push(("listeners", Source::File(entry.place)));
            } else if let Some((section, name)) = entry.name.split_once('.')
                && keys::find(&entry.name).is_some()
            {
                let message = format!("write it as {name} in the map {section}");
                self.at(entry.place, &entry.name, message);
            } else if let Some(key) = keys::find(&entry.name) {
                self.take(key, &entry.value, config);
            } else if is_section(&entry.name) {
                self.take_section(&entry.name, &entry.value, config);
            } else {
                let names = KEYS.iter().map(|key| key.name).chain(FILE_ONLY);
                self.unknown(entry, "", names);
            }
        }
    }

    fn take_section(&mut self, section: &str, node: &Node, config: &mut Config) {
        for entry in self.entries(node, section) {
            let name = join(section, &entry.name);
            match keys::find(&name) {
                Some(key) => self.take(key, &entry.value, config),
                None => self.unknown(entry, section, KEYS.iter().map(|key| key.name)),
            }
        }
    }

    /// One key's value in the file.
    fn take(&mut self, key: &'static Key, node: &Node, config: &mut Config) {
        let before = self.errors.len();
        if matches!(key.field, Field::MultiprocDirectories) {
            if let Some(directories) = multiproc::read(node, self) {
                config.multiproc.directories = directories;
            }
            return self.took(key, node, before);
        }
        let nodes: Vec<&Node> = match &node.content {
            Content::List(nodes) if key.is_list() => nodes.iter().collect(),
            Content::Empty | Content::Text(_) | Content::List(_) | Content::Map(_) => vec![node],
        };
        let texts: Vec<&str> = nodes.iter().filter_map(|node| self.text(node, key.name)).collect();
        if self.errors.len() == before
            && let Err(Wrong { index, message }) = key.set(config, &texts)
        {
            let place = nodes.get(index).map_or(node.place, |node| node.place);
            self.at(place, key.name, message);
        }
        self.took(key, node, before);
    }

    /// Notes where the key's value stands; `before`: how many errors there were.
    fn took(&mut self, key: &'static Key, node: &Node, before: usize) {
        let refused = self.errors.len() > before;
        let source = if refused { Source::Refused } else { Source::File(node.place) };
        self.sources.push((key.name, source));
    }

    fn take_override(&mut self, given: &Override, config: &mut Config) {
        let Some(key) = keys::find(given.key) else { return };
        let texts: Vec<&str> = given.texts.iter().map(String::as_str).collect();
        self.sources.retain(|(name, _)| *name != key.name);
        let source = match key.set(config, &texts) {
            Ok(()) => Source::Override(given.source.clone()),
            Err(wrong) => {
                self.errors.push(ConfigError::new(&given.source, wrong.message));
                Source::Refused
            }
        };
        self.sources.push((key.name, source));
    }

    /// What must hold between two keys. The error stands at the one that was given, if any.
    fn compare(&mut self, config: &Config) {
        if config.listen.is_empty() {
            self.at_keys(["listen", "listen"], "must have at least one address");
        }
        self.listen_once(config);
        if config.store.retain < config.store.resume_window {
            self.at_keys(["retain", "resume_window"], "retain is shorter than resume_window");
        }
        if config.multiproc.compact && config.data.directory.is_none() {
            self.at_keys(
                ["multiproc.compact", "data_dir"],
                "multiproc.compact needs data_dir: what the files of dead workers have counted would \
                 be lost with the process",
            );
        }
        if config.http.body_memory_bytes < config.http.body_bytes {
            self.at_keys(
                ["limits.max_body_memory", "limits.max_body"],
                "limits.max_body_memory is less than limits.max_body",
            );
        }
    }

    /// A variable may name the address of an image: the file's listeners count instead.
    fn listen_once(&mut self, config: &Config) {
        let given = |key: &str| self.sources.iter().find(|(name, _)| *name == key);
        let other = match given("listen") {
            _ if config.listeners.is_empty() => return,
            Some((_, Source::Override(name))) if name.starts_with("--") => name.clone(),
            Some((_, Source::File(_))) => "listen".to_owned(),
            Some((_, Source::Override(_) | Source::Refused)) | None => return,
        };
        if let Some((_, Source::File(place))) = given("listeners") {
            let place = *place;
            self.at(place, "listeners", format!("give it or {other}, not both"));
        }
    }

    fn at_keys(&mut self, keys: [&'static str; 2], message: &str) {
        let given = |key: &str| self.sources.iter().find(|(name, _)| *name == key);
        let found: Vec<_> = keys.into_iter().filter_map(given).collect();
        if found.iter().any(|(_, source)| matches!(source, Source::Refused)) {
            return;
        }
        match found.first() {
            Some((key, Source::File(place))) => {
                let (key, place) = (*key, *place);
                self.at(place, key, message);
            }
            Some((_, Source::Override(name))) => {
                self.errors.push(ConfigError::new(name, message));
            }
            Some((_, Source::Refused)) | None => {
                self.errors.push(ConfigError::new("", message));
            }
        }
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// For tests of the parts: resolves `text` as the file `path`.
#[cfg(test)]
pub(super) fn resolve_text(path: &std::path::Path, text: &str) -> Result<Config, Vec<ConfigError>> {
    let mut config = Config::default();
    let mut problems = Problems::new(Some(path.to_owned()));
    match file::parse(path, text) {
        Ok(root) => problems.take_root(&root, &mut config),
        Err(error) => problems.errors.push(error),
    }
    problems.compare(&config);
    problems.into_result(config)
}
