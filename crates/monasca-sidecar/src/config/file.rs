//! The configuration file as a tree of places and text; the only user of the YAML parser.
//!
//! Knows no key: numbers, durations and names are still text as written, so that every value is
//! read by one rule wherever it comes from, and every error can say where.

use super::ConfigError;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a Kubernetes ConfigMap can hold.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Rules need five levels.
const MAX_DEPTH: usize = 16;

/// Both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Nothing, `~` or `null`.
    Empty,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

/// Reads the file at `path` into a tree.
pub(super) fn read(path: &Path) -> Result<Node, ConfigError> {
    let fail = |message: String| ConfigError {
        file: Some(path.to_owned()),
        ..ConfigError::new("", message)
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        at(path, end_of(&String::from_utf8_lossy(valid)), "not UTF-8 text")
    })?;
    parse(path, text)
}

/// Reads `text`; `path` is for the errors only.
pub(super) fn parse(path: &Path, text: &str) -> Result<Node, ConfigError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(text, options);
    Reader { path, parser }.document()
}

fn at(path: &Path, place: Place, message: impl Into<String>) -> ConfigError {
    ConfigError {
        file: Some(path.to_owned()),
        line: Some(place.line),
        column: Some(place.column),
        ..ConfigError::new("", message)
    }
}

/// The place after `text`.
fn end_of(text: &str) -> Place {
    let line = text.split('\n').count();
    let column = text.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Place { line, column }
}

struct Reader<'a> {
    path: &'a Path,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Node, ConfigError> {
        let mut root = None;
        while let Some((event, place)) = self.next()? {
            let is_start = matches!(event, Event::DocumentStart(..));
            if matches!(event, Event::StreamStart | Event::StreamEnd | Event::DocumentEnd) {
                continue;
            }
            if root.is_some() {
                return Err(at(self.path, place, "a second document: there must be only one"));
            }
            if !is_start {
                root = Some(self.node(event, place, 0)?);
            }
        }
        let place = Place { line: 1, column: 1 };
        Ok(root.unwrap_or(Node { place, content: Content::Empty }))
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Place)>, ConfigError> {
        match self.parser.next() {
            Some(Ok((event, span))) => Ok(Some((event, start_of(&span)))),
            Some(Err(error)) => Err(syntax(self.path, &error)),
            None => Ok(None),
        }
    }

    /// The event that belongs to an open list or map.
    fn inner(&mut self, opened: Place) -> Result<(Event<'a>, Place), ConfigError> {
        self.next()?.ok_or_else(|| at(self.path, opened, "never closed"))
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, ConfigError> {
        if depth > MAX_DEPTH {
            return Err(at(self.path, place, format!("nested more than {MAX_DEPTH} deep")));
        }
        let content = if let Event::Scalar(text, style, ..) = event {
            scalar(text.into_owned(), style)
        } else if matches!(event, Event::SequenceStart(..)) {
            self.list(place, depth)?
        } else if matches!(event, Event::MappingStart(..)) {
            self.map(place, depth)?
        } else {
            return Err(at(self.path, place, "aliases (*name) are not supported"));
        };
        Ok(Node { place, content })
    }

    fn list(&mut self, opened: Place, depth: usize) -> Result<Content, ConfigError> {
        let mut nodes = Vec::new();
        loop {
            let (event, place) = self.inner(opened)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Content::List(nodes));
            }
            nodes.push(self.node(event, place, depth + 1)?);
        }
    }

    fn map(&mut self, opened: Place, depth: usize) -> Result<Content, ConfigError> {
        let mut entries = Vec::new();
        loop {
            let (event, place) = self.inner(opened)?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Content::Map(entries));
            }
            let Event::Scalar(name, ..) = event else {
                return Err(at(self.path, place, "a key must be text"));
            };
            let (event, value_place) = self.inner(opened)?;
            let mut value = self.node(event, value_place, depth + 1)?;
            if matches!(value.content, Content::Empty) {
                value.place = place;
            }
            entries.push(Entry { name: name.into_owned(), place, value });
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Content {
    let plain = matches!(style, ScalarStyle::Plain);
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        Content::Empty
    } else {
        Content::Text(text)
    }
}

fn start_of(span: &Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax(path: &Path, error: &ScanError) -> ConfigError {
    let marker = error.marker();
    let place = Place { line: marker.line(), column: marker.col() + 1 };
    at(path, place, format!("not YAML: {}", error.info()))
}

#[cfg(test)]
mod tests {
    use super::{Content, Node, parse, read};
    use std::fmt::Write as _;
    use std::path::Path;

    fn outline(node: &Node, out: &mut String) {
        write!(out, "{}:{}", node.place.line, node.place.column).unwrap();
        match &node.content {
            Content::Empty => out.push_str(" -"),
            Content::Text(text) => write!(out, " {text:?}").unwrap(),
            Content::List(nodes) => {
                out.push_str(" [");
                nodes.iter().for_each(|node| outline(node, out));
                out.push(']');
            }
            Content::Map(entries) => {
                out.push_str(" {");
                for entry in entries {
                    write!(out, "{}@{}:{}=", entry.name, entry.place.line, entry.place.column)
                        .unwrap();
                    outline(&entry.value, out);
                    out.push(' ');
                }
                out.push('}');
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let mut out = String::new();
        match parse(Path::new("f"), text) {
            Ok(node) => outline(&node, &mut out),
            Err(error) => out = error.to_string(),
        }
        assert_eq!(out, expected, "{text}");
    }

    #[test]
    fn values_stay_as_written_and_know_their_place() {
        check(
            "a: 1e3\nb: [010, yes]\n",
            "1:1 {a@1:1=1:4 \"1e3\" b@2:1=2:4 [2:5 \"010\"2:10 \"yes\"] }",
        );
        check("a: \"x # y\" # comment\n", "1:1 {a@1:1=1:4 \"x # y\" }");
        check("ä: {ö: ü}", "1:1 {ä@1:1=1:4 {ö@1:5=1:8 \"ü\" } }");
        check("a:\n  - b: ~\n    c:\n", "1:1 {a@1:1=2:3 [2:5 {b@2:5=2:5 - c@3:5=3:5 - }] }");
        check("a: 'null'", "1:1 {a@1:1=1:4 \"null\" }");
    }

    #[test]
    fn a_file_without_a_value_is_empty() {
        for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
            let node = parse(Path::new("f"), text).unwrap();
            assert!(matches!(node.content, Content::Empty), "{text:?}: {node:?}");
        }
    }

    #[test]
    fn what_is_not_one_yaml_document_is_refused_with_its_place() {
        check("a: 1\n---\nb: 2\n", "f:2:1: a second document: there must be only one");
        check("a: &x 1\nb: *x\n", "f:2:4: aliases (*name) are not supported");
        check("? [a]\n: b\n", "f:1:3: a key must be text");
        let deep = format!("{}{}", "[".repeat(18), "]".repeat(18));
        check(&deep, "f:1:18: nested more than 16 deep");
        for text in
            ["a: [1\nb: 2", "a: b: c", "a:\n\tb: 1", "a: 'x", "- a\nb: c", "a: \"\\q\"", "%", "[]]"]
        {
            let error = parse(Path::new("f"), text).unwrap_err();
            assert!(error.message.starts_with("not YAML: ") && error.line.is_some(), "{error}");
            assert!(error.message.len() > 12, "{error}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let samples = ["a: [", "- - -", "{}: ", "\"\\x", "&a *a", "!!", "|2\n", "a:\r\n b", "? :"];
        for left in samples {
            for right in samples {
                drop(parse(Path::new("f"), &format!("{left}{right}")));
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = read(Path::new("/nowhere/sidecar.yaml")).unwrap_err();
        assert!(
            error.to_string().starts_with("/nowhere/sidecar.yaml: cannot be read: "),
            "{error}"
        );
    }
}
