//! Reads a page line by line and says what is wrong with its frame: families in one piece, names
//! that are nobody else's, no series twice, `# EOF`. (Types and values: the Python client's parser
//! reads whole pages in the end-to-end tests.)

use std::collections::BTreeSet;

/// The number of samples, or the line at fault and why.
pub(crate) fn check(page: &[u8]) -> Result<usize, String> {
    let page = std::str::from_utf8(page).map_err(|error| error.to_string())?;
    let body = page.strip_suffix("# EOF\n").ok_or("no end")?;
    let mut state = State::default();
    for line in body.split_terminator('\n') {
        state.line(line).map_err(|why| format!("{why}: {line}"))?;
    }
    Ok(state.series.len())
}

#[derive(Default)]
struct State {
    /// Name and type of the open family.
    open: Option<(String, String)>,
    claimed: BTreeSet<String>,
    series: BTreeSet<String>,
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total", "_created"],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_sum", "_count", "_created"],
        "gaugehistogram" => &["_bucket", "_gsum", "_gcount"],
        "summary" => &["", "_sum", "_count", "_created"],
        _ => &[""],
    }
}

impl State {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.rsplit_once(' ').ok_or("no type")?;
            let name = unquoted(name)?;
            let own: BTreeSet<String> = suffixes(kind)
                .iter()
                .chain(&[""])
                .map(|suffix| format!("{name}{suffix}"))
                .collect();
            for name in own {
                if !self.claimed.insert(name) {
                    return Err("a name twice".to_owned());
                }
            }
            self.open = Some((name, kind.to_owned()));
            return Ok(());
        }
        if line.starts_with("# UNIT ") || line.starts_with("# HELP ") {
            return Ok(());
        }
        let (name, rest) = sample(line)?;
        let (family, kind) = self.open.as_ref().ok_or("a sample without a family")?;
        let suffix = name.strip_prefix(family.as_str()).ok_or("another family's sample")?;
        if !suffixes(kind).contains(&suffix) {
            return Err("a sample that does not fit its family".to_owned());
        }
        if !self.series.insert(format!("{name} {rest}")) {
            return Err("a series twice".to_owned());
        }
        Ok(())
    }
}

/// Name and labels of a sample.
fn sample(line: &str) -> Result<(String, &str), String> {
    let (mut quoted, mut escaped) = (false, false);
    let end = line
        .find(|char| {
            let end = char == ' ' && !quoted;
            quoted ^= char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            end
        })
        .ok_or("no value")?;
    let (series, _) = line.split_at(end);
    if let Some(rest) = series.strip_prefix("{\"") {
        let mut escaped = false;
        let end = rest.find(|char| {
            let end = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            end
        });
        let (name, labels) = rest.split_at(end.ok_or("an open name")?);
        return Ok((name.to_owned(), labels));
    }
    let name = series.split('{').next().unwrap_or_default();
    Ok((name.to_owned(), series.strip_prefix(name).unwrap_or_default()))
}

fn unquoted(name: &str) -> Result<String, String> {
    match name.strip_prefix('"') {
        Some(rest) => Ok(rest.strip_suffix('"').ok_or("an open name")?.to_owned()),
        None if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':') => {
            Err("a name that is not plain".to_owned())
        }
        None => Ok(name.to_owned()),
    }
}
