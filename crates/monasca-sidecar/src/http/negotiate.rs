//! What the client can read, from its Accept headers: format and escaping scheme of a page, and how
//! it is compressed. Nothing is ever refused: who asks for nothing that is there gets the plain
//! text.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue};
use sidecar_model::Escaping;

/// Longest Accept that is looked at.
const LONGEST_BYTES: usize = 8 * 1024;

/// A page's format. Of formats that the client likes equally, the first in its header is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    OpenMetrics1_0_0,
    OpenMetrics0_0_1,
    Text1_0_0,
    Text0_0_4,
}

/// What the client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) format: Format,
    /// `None`: it asked for no scheme that there is.
    asked: Option<Escaping>,
}

impl Accepted {
    pub(crate) fn escaping(self) -> Escaping {
        self.asked.unwrap_or_default()
    }

    pub(crate) fn content_type(self) -> HeaderValue {
        let media = match self.format {
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
            Format::OpenMetrics1_0_0 => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            Format::OpenMetrics0_0_1 => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            }
            Format::Text1_0_0 => "text/plain; version=1.0.0; charset=utf-8",
            Format::Text0_0_4 => "text/plain; version=0.0.4; charset=utf-8",
        };
        // Text 0.0.4 knows no schemes: its readers hear of one only when they named it.
        if self.format == Format::Text0_0_4 && self.asked.is_none() {
            return HeaderValue::from_static(media);
        }
        let text = format!("{media}; escaping={}", self.escaping());
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(media))
    }
}

const PLAIN: Accepted = Accepted { format: Format::Text0_0_4, asked: None };

/// One range of an Accept header.
struct Range {
    format: Format,
    /// How closely the range names the format.
    closeness: u8,
    quality: f32,
    escaping: Option<Escaping>,
}

/// The format that the client likes best.
pub(crate) fn format(headers: &HeaderMap) -> Accepted {
    let header = joined(headers, &ACCEPT);
    let ranges: Vec<Range> = split(&header, ',').filter_map(range).collect();
    let mut best: Option<&Range> = None;
    for range in &ranges {
        // Of several ranges that name a format, the closest counts.
        let is_closest = ranges
            .iter()
            .all(|other| other.format != range.format || other.closeness <= range.closeness);
        let is_better = best.is_none_or(|best| range.quality > best.quality);
        if is_closest && is_better && range.quality > 0.0 {
            best = Some(range);
        }
    }
    best.map_or(PLAIN, |range| Accepted { format: range.format, asked: range.escaping })
}

fn range(text: &str) -> Option<Range> {
    let mut fields = split(text, ';').map(str::trim);
    let media = fields.next()?.to_ascii_lowercase();
    let mut quality = 1.0;
    let (mut version, mut escaping) = (None, None);
    let (mut is_metric_family, mut is_delimited) = (false, false);
    for field in fields {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = weight(value)?,
            "version" => version = Some(value),
            "escaping" => escaping = value.parse().ok(),
            "proto" => is_metric_family = value == "io.prometheus.client.MetricFamily",
            "encoding" => is_delimited = value == "delimited",
            _ => {}
        }
    }
    let (format, closeness) = match (media.as_str(), version) {
        ("application/vnd.google.protobuf", _) if is_metric_family && is_delimited => {
            (Format::Protobuf, 3)
        }
        ("application/openmetrics-text", Some("1.0.0")) => (Format::OpenMetrics1_0_0, 3),
        ("application/openmetrics-text", Some("0.0.1")) => (Format::OpenMetrics0_0_1, 3),
        ("application/openmetrics-text", None) => (Format::OpenMetrics0_0_1, 2),
        ("text/plain", Some("1.0.0")) => (Format::Text1_0_0, 3),
        ("text/plain", Some("0.0.4")) => (Format::Text0_0_4, 3),
        ("text/plain", None) => (Format::Text0_0_4, 2),
        ("text/*", _) => (Format::Text0_0_4, 1),
        ("*/*", _) => (Format::Text0_0_4, 0),
        _ => return None,
    };
    Some(Range { format, closeness, quality, escaping })
}

/// A quality: 0 to 1. `None`: none, and what it belongs to is not looked at.
fn weight(text: &str) -> Option<f32> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|q| is_decimal && (0.0..=1.0).contains(q))
}

/// All values of the header as one list; what is no text is not there.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let mut all = String::new();
    for value in headers.get_all(name) {
        let value = value.to_str().unwrap_or_default();
        if all.len() + value.len() > LONGEST_BYTES {
            break;
        }
        all.push_str(value);
        all.push(',');
    }
    all
}

/// The parts between separators that are not in quotation marks.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |char| {
        quoted ^= char == '"';
        char == separator && !quoted
    })
}

/// How a page is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Identity,
    Gzip,
    Zstd,
}

impl Compression {
    /// As in Content-Encoding; `None`: there is none.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Compression::Identity => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }
}

/// The compression that the client likes best of those that it names (or, by `*`, gzip).
pub(crate) fn compression(headers: &HeaderMap) -> Compression {
    let header = joined(headers, &ACCEPT_ENCODING);
    let (mut gzip, mut zstd, mut identity, mut any) = (None, None, None, None);
    for part in header.split(',') {
        let mut fields = part.split(';').map(str::trim);
        let name = fields.next().unwrap_or_default().to_ascii_lowercase();
        let text = fields.find_map(|f| f.strip_prefix("q=").or_else(|| f.strip_prefix("Q=")));
        let Some(quality) = text.map_or(Some(1.0), weight) else { continue };
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(quality),
            "zstd" => zstd = Some(quality),
            "identity" => identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let mut best = (Compression::Identity, 0.0);
    let offered = [
        (Compression::Gzip, gzip.or(any)),
        (Compression::Zstd, zstd),
        (Compression::Identity, identity),
    ];
    for (compression, quality) in offered {
        if let Some(quality) = quality.filter(|quality| *quality > best.1) {
            best = (compression, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests;
