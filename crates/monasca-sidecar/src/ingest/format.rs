//! Which format a body is in, and its decoder.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use sidecar_formats::{DecodeError, Timestamps, ingest_json, open_metrics, prom_text, protobuf};
use sidecar_store::Stager;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    /// Text 0.0.4 and 1.0.0.
    Text,
    OpenMetrics,
    Protobuf,
    /// Not said: text, or OpenMetrics by its end.
    Unsaid,
}

impl Format {
    /// Of a push to `/metrics`: as the Pushgateway does, whatever is nothing else is text.
    pub(super) fn of_push(headers: &HeaderMap) -> Format {
        let Some(header) = headers.get(CONTENT_TYPE) else { return Format::Unsaid };
        let text = header.to_str().unwrap_or_default().to_ascii_lowercase();
        let media_type = text.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/vnd.google.protobuf" if is_delimited(&text) => Format::Protobuf,
            "application/openmetrics-text" => Format::OpenMetrics,
            "application/json" => Format::Json,
            _ => Format::Text,
        }
    }

    pub(super) fn decode(
        self,
        body: &[u8],
        timestamps: Timestamps,
        stager: &mut Stager<'_>,
    ) -> Result<(), DecodeError> {
        match self {
            Format::Json => ingest_json::decode(body, stager),
            Format::Text => prom_text::decode(body, timestamps, stager),
            Format::OpenMetrics => open_metrics::decode(body, timestamps, stager),
            Format::Protobuf => protobuf::decode(body, timestamps, stager),
            Format::Unsaid if body.trim_ascii_end().ends_with(b"\n# EOF") => {
                open_metrics::decode(body, timestamps, stager)
            }
            Format::Unsaid => prom_text::decode(body, timestamps, stager),
        }
    }
}

/// The parameters that the one protobuf encoding has which anybody sends.
fn is_delimited(content_type: &str) -> bool {
    let mut parameters = content_type.split(';').skip(1).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), value.trim().trim_matches('"'))
    });
    parameters.all(|parameter| match parameter {
        ("proto", proto) => proto == "io.prometheus.client.metricfamily",
        ("encoding", encoding) => encoding == "delimited",
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::Format;
    use hyper::HeaderMap;
    use hyper::header::{CONTENT_TYPE, HeaderValue};

    #[test]
    fn the_content_type_names_the_format() {
        for (content_type, expected) in [
            ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
            ("text/html", Format::Text),
            ("", Format::Text),
            ("application/x-www-form-urlencoded", Format::Text),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/json", Format::Json),
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                Format::Protobuf,
            ),
            (
                "application/vnd.google.protobuf;encoding=delimited; proto=\"io.prometheus.client.MetricFamily\"",
                Format::Protobuf,
            ),
            ("application/vnd.google.protobuf; proto=x; encoding=delimited", Format::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(Format::of_push(&headers), expected, "{content_type}");
        }
        assert_eq!(Format::of_push(&HeaderMap::new()), Format::Unsaid);
    }
}
