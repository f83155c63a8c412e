//! What a body says of its families: the lines about each, read block by block, and which family a
//! sample's name belongs to. Tells no sink anything.

use super::decode::Text;
use crate::lines::{Fault, Lines, Read, Reason};
use hashbrown::HashMap;
use sidecar_model::{MetricType, base_name, role_of};
use std::borrow::Cow;

type Cursor<'a> = Lines<'a, Text>;

#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) metric_type: MetricType,
    /// There was a TYPE.
    pub(super) typed: bool,
    pub(super) help: Option<Cow<'a, str>>,
    /// The sink knows of it.
    pub(super) told: bool,
    /// Type and help are read.
    pub(super) parsed: bool,
    /// Where all that is said of it stands, if in one piece; of one that has no lines, the bytes of
    /// its first sample that hold the name.
    pub(super) raw: Option<(usize, usize)>,
    /// Where it begins, and its lines TYPE and HELP.
    pub(super) at: usize,
    type_at: usize,
    help_at: usize,
}

impl<'a> Family<'a> {
    pub(super) fn new(name: Cow<'a, str>, at: usize) -> Family<'a> {
        Family {
            name,
            metric_type: MetricType::Unknown,
            typed: false,
            help: None,
            told: false,
            parsed: false,
            raw: None,
            at,
            type_at: at,
            help_at: at,
        }
    }

    /// Whether samples of this name belong to it.
    pub(super) fn has(&self, sample: &str) -> bool {
        let base = base_name(self.metric_type, &self.name);
        *self.name == *sample
            || (base != sample && role_of(self.metric_type, base, sample).is_some())
    }
}

/// All families of a body so far.
#[derive(Debug, Default)]
pub(super) struct Families<'a> {
    list: Vec<Family<'a>>,
    by_name: HashMap<Cow<'a, str>, usize, foldhash::fast::RandomState>,
}

/// What stands behind the family's name in the names of samples that come alone.
const SUFFIXES: [&str; 8] =
    ["_bucket", "_sum", "_count", "_created", "_gsum", "_gcount", "_total", "_info"];

impl<'a> Families<'a> {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Family<'a>> {
        self.list.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Family<'a>> {
        self.list.get_mut(index)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn add(&mut self, family: Family<'a>) -> usize {
        let index = self.list.len();
        self.by_name.insert(family.name.clone(), index);
        self.list.push(family);
        index
    }

    /// The families that a sample of this name may belong to, the likeliest first.
    pub(super) fn candidates(&self, name: &str) -> Vec<usize> {
        let shorter = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
        std::iter::once(name).chain(shorter).filter_map(|name| self.find(name)).collect()
    }

    /// Reads the lines of a family that was taken in without.
    pub(super) fn parse(&mut self, index: usize, mut lines: Cursor<'a>) -> Read<()> {
        let Some(family) = self.list.get_mut(index) else { return Ok(()) };
        if family.parsed {
            return Ok(());
        }
        lines.at = family.at;
        if let Some(block) = read_block(&mut lines)? {
            *family = Family { told: family.told, raw: family.raw, ..block };
        }
        Ok(())
    }

    /// Adds what a later block says of the family.
    pub(super) fn extend(&mut self, index: usize, block: Family<'a>) -> Read<()> {
        let Some(family) = self.list.get_mut(index) else { return Ok(()) };
        if block.typed {
            if family.typed || family.told {
                let reason = if family.typed { Reason::SecondType } else { Reason::LateType };
                return Fault::at(reason, block.type_at);
            }
            (family.typed, family.metric_type) = (true, block.metric_type);
            family.raw = None;
        }
        if block.help.is_some() {
            if family.help.is_some() {
                return Fault::at(Reason::SecondHelp, block.help_at);
            }
            family.help = block.help;
            family.raw = None;
        }
        Ok(())
    }
}

/// The name in the family's first line, where that is written in the usual way.
pub(super) fn plain_block_name(raw: &[u8]) -> Option<&str> {
    let rest = raw.strip_prefix(b"# HELP ").or_else(|| raw.strip_prefix(b"# TYPE "))?;
    let len = rest.iter().position(|byte| *byte == b' ')?;
    let name = std::str::from_utf8(rest.get(..len)?).ok()?;
    sidecar_model::is_plain_metric_name(name).then_some(name)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keyword {
    Help,
    Type,
}

/// At a number sign: reads the line and all others of the same family up to a sample or a line of
/// another family, and goes there. `None`: a comment, behind which it goes.
pub(super) fn read_block<'a>(lines: &mut Cursor<'a>) -> Read<Option<Family<'a>>> {
    let start = lines.at;
    let Some((keyword, name)) = read_keyword(lines)? else { return Ok(None) };
    let mut family = Family::new(name, start);
    family.parsed = true;
    read_rest(lines, start, keyword, &mut family)?;
    loop {
        lines.skip_blanks();
        let start = lines.at;
        match lines.rest() {
            [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r'] => {
                lines.at += 1;
            }
            [b'#', ..] => match read_keyword(lines)? {
                Some((keyword, name)) if name == family.name => {
                    read_rest(lines, start, keyword, &mut family)?;
                }
                Some(_) => {
                    lines.at = start;
                    break;
                }
                None => {}
            },
            [..] => break,
        }
    }
    family.raw = Some((family.at, lines.at));
    Ok(Some(family))
}

/// At a number sign: the keyword and the name; goes to what is said of it. `None`: a comment (a
/// keyword with no more than a name is one), behind which it goes.
fn read_keyword<'a>(lines: &mut Cursor<'a>) -> Read<Option<(Keyword, Cow<'a, str>)>> {
    lines.at += 1;
    lines.skip_blanks();
    let keyword = match lines.until(|byte| matches!(byte, b' ' | b'\t' | b'\n')) {
        b"HELP" => Keyword::Help,
        b"TYPE" => Keyword::Type,
        _ => {
            lines.line();
            return Ok(None);
        }
    };
    lines.skip_blanks();
    if at_line_end(lines) {
        lines.line();
        return Ok(None);
    }
    let name = lines.family_name()?;
    if at_line_end(lines) && !name.is_empty() {
        lines.line();
        return Ok(None);
    }
    if name.is_empty() || !matches!(lines.peek(), Some(b' ' | b'\t')) {
        return lines.fault(Reason::BadName);
    }
    lines.skip_blanks();
    Ok(Some((keyword, name)))
}

fn at_line_end(lines: &Cursor<'_>) -> bool {
    matches!(lines.rest(), [] | [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r'])
}

/// Reads what a line says into `family`, and goes behind the line.
fn read_rest<'a>(
    lines: &mut Cursor<'a>,
    start: usize,
    keyword: Keyword,
    family: &mut Family<'a>,
) -> Read<()> {
    if at_line_end(lines) {
        lines.line();
        return Ok(());
    }
    match keyword {
        Keyword::Help if family.help.is_some() => Fault::at(Reason::SecondHelp, start),
        Keyword::Type if family.typed => Fault::at(Reason::SecondType, start),
        Keyword::Help => {
            family.help = Some(read_help(lines)?);
            family.help_at = start;
            Ok(())
        }
        Keyword::Type => {
            family.metric_type = read_type(lines)?;
            (family.typed, family.type_at) = (true, start);
            Ok(())
        }
    }
}

fn read_help<'a>(lines: &mut Cursor<'a>) -> Read<Cow<'a, str>> {
    let start = lines.at;
    let line = lines.line();
    let end = start + line.strip_suffix(b"\r").unwrap_or(line).len();
    if !line.contains(&b'\\') {
        return lines.text(start, end).map(Cow::Borrowed);
    }
    lines.at = start;
    lines.help_with_escapes(end - start).map(Cow::Owned)
}

/// In any letter case, as Prometheus's own parser takes it.
fn read_type(lines: &mut Cursor<'_>) -> Read<MetricType> {
    let start = lines.at;
    let word = lines.line().trim_ascii_end();
    let word = std::str::from_utf8(word).unwrap_or_default();
    let parsed = word.parse().or_else(|_| match word.to_ascii_lowercase().as_str() {
        "gauge_histogram" => Ok(MetricType::GaugeHistogram),
        lower => lower.parse(),
    });
    parsed.or_else(|_| Fault::at(Reason::UnknownType, start))
}
