//! Reads a page line by line, strictly, and says what is wrong with it.

use std::collections::BTreeSet;

/// The number of samples, or the line at fault and why.
pub(crate) fn check(page: &[u8]) -> Result<usize, String> {
    let page = std::str::from_utf8(page).map_err(|error| error.to_string())?;
    let mut state = State::default();
    if !page.is_empty() && !page.ends_with('\n') {
        return Err("no line feed at the end".to_owned());
    }
    for line in page.split_terminator('\n') {
        state.line(line).map_err(|why| format!("{why}: {line}"))?;
    }
    state.close()?;
    Ok(state.series.len())
}

#[derive(Default)]
struct State {
    /// Name and type of the open family, and its samples so far.
    open: Option<(String, String, usize)>,
    helped: Option<String>,
    typed: BTreeSet<String>,
    series: BTreeSet<(String, Vec<(String, String)>)>,
}

impl State {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            self.close()?;
            let (name, help) = rest.split_once(' ').ok_or("no help text")?;
            if help.is_empty() || self.typed.contains(name) {
                return Err("empty, late or repeated help".to_owned());
            }
            unescape(help, false)?;
            self.helped = Some(name.to_owned());
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            self.close()?;
            let (name, kind) = rest.split_once(' ').ok_or("no type")?;
            let kinds = ["counter", "gauge", "histogram", "summary", "untyped"];
            if !kinds.contains(&kind) || !plain(name, true) || !self.typed.insert(name.to_owned()) {
                return Err("bad or repeated type".to_owned());
            }
            if self.helped.take().is_some_and(|helped| helped != name) {
                return Err("help of another family".to_owned());
            }
            self.open = Some((name.to_owned(), kind.to_owned(), 0));
            return Ok(());
        }
        self.sample(line)
    }

    fn close(&mut self) -> Result<(), String> {
        match self.open.take() {
            Some((name, _, 0)) => Err(format!("{name} has no samples")),
            Some(_) | None => Ok(()),
        }
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        number(value)?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => {
                (name, self::labels(labels.strip_suffix('}').ok_or("no closing brace")?)?)
            }
            None => (series, vec![]),
        };
        let (family, kind, count) = self.open.as_mut().ok_or("a sample without a type")?;
        *count += 1;
        let suffix = name.strip_prefix(family.as_str()).ok_or("another family's sample")?;
        let fits = match kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            "summary" => ["", "_sum", "_count"].contains(&suffix),
            _ => suffix.is_empty(),
        };
        let bound = labels.iter().any(|(name, _)| name == "le");
        if !fits || !plain(name, true) || (kind == "histogram" && bound != (suffix == "_bucket")) {
            return Err("a sample that does not fit its family".to_owned());
        }
        let mut sorted = labels;
        sorted.sort();
        if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a label name twice".to_owned());
        }
        if !self.series.insert((name.to_owned(), sorted)) {
            return Err("a series twice".to_owned());
        }
        Ok(())
    }
}

fn labels(mut rest: &str) -> Result<Vec<(String, String)>, String> {
    let mut labels = vec![];
    loop {
        let (name, behind) = rest.split_once("=\"").ok_or("no label value")?;
        if !plain(name, false) || name == "__name__" {
            return Err(format!("bad label name {name}"));
        }
        let mut escaped = false;
        let end = behind
            .find(|char| {
                let end = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                end
            })
            .ok_or("a label value without an end")?;
        let (value, behind) = behind.split_at(end);
        labels.push((name.to_owned(), unescape(value, true)?));
        match behind.strip_prefix('"').ok_or("no closing quote")? {
            "" => return Ok(labels),
            more => rest = more.strip_prefix(',').ok_or("no comma")?,
        }
    }
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('\\') => out.push('\\'),
                Some('n') => out.push('\n'),
                Some('"') if quotes => out.push('"'),
                Some(_) | None => return Err("unknown escape".to_owned()),
            },
            other => out.push(other),
        }
    }
    Ok(out)
}

fn plain(name: &str, colon: bool) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn number(text: &str) -> Result<(), String> {
    let words = ["NaN", "+Inf", "-Inf"];
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b));
    match digits && text.parse::<f64>().is_ok() || words.contains(&text) {
        true => Ok(()),
        false => Err("no number".to_owned()),
    }
}
