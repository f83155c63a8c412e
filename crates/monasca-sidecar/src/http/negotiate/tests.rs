use super::{Compression, Format, compression, format};
use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use sidecar_model::Escaping;

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn check(accept: &[&'static str], expected: Format, escaping: Escaping) {
    let mut headers = HeaderMap::new();
    for value in accept {
        headers.append(ACCEPT, HeaderValue::from_static(value));
    }
    let accepted = format(&headers);
    assert_eq!((accepted.format, accepted.escaping()), (expected, escaping), "{accept:?}");
}

#[test]
fn scrapers_get_what_they_like_best() {
    // Prometheus 3.14, without and with native histograms; 2.42 with native histograms; 2.42.
    check(
        &[
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ],
        Format::OpenMetrics1_0_0,
        Escaping::AllowUtf8,
    );
    check(
        &[
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        ],
        Format::Protobuf,
        Escaping::AllowUtf8,
    );
    check(
        &[
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ],
        Format::Protobuf,
        Escaping::Underscores,
    );
    check(
        &[
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ],
        Format::OpenMetrics1_0_0,
        Escaping::Underscores,
    );
}

#[test]
fn who_asks_for_nothing_special_gets_the_plain_text() {
    for accept in [
        &[][..],
        &[""],
        &["*/*"],
        &["text/*"],
        &["text/plain"],
        &["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"],
        &["application/json"],
        &["text/plain;version=3.0.0"],
        &["application/openmetrics-text;version=2.0.0"],
        &["application/vnd.google.protobuf"],
        &["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"],
        &["application/openmetrics-text;q=high"],
        &["application/openmetrics-text;q=1.5"],
        &["application/openmetrics-text;q=NaN"],
        &["application/openmetrics-text;q=0"],
        &[";;;=,\",\"\",/"],
    ] {
        check(accept, Format::Text0_0_4, Escaping::Underscores);
    }
}

#[test]
fn quality_decides_then_the_clients_order() {
    let (openmetrics, text) = (Format::OpenMetrics0_0_1, Format::Text1_0_0);
    check(
        &["text/plain;version=1.0.0;q=0.5", "application/openmetrics-text;q=0.6"],
        openmetrics,
        Escaping::Underscores,
    );
    check(&["text/plain;version=1.0.0, application/openmetrics-text"], text, Escaping::Underscores);
    check(
        &["application/openmetrics-text;version=\"0.0.1\" ; q=1.0, */*;q=0.9"],
        openmetrics,
        Escaping::Underscores,
    );
    // The closest range counts for its format, here to exclude it.
    check(
        &["text/plain;version=0.0.4;q=0, */*, application/openmetrics-text;q=0.1"],
        openmetrics,
        Escaping::Underscores,
    );
    check(
        &["APPLICATION/OpenMetrics-Text;Version=1.0.0"],
        Format::OpenMetrics1_0_0,
        Escaping::Underscores,
    );
}

#[test]
fn the_scheme_is_the_winners() {
    for (scheme, expected) in [
        ("escaping=dots", Escaping::Dots),
        ("escaping=values;q=0.9", Escaping::Values),
        ("q=0.9;escaping=\"allow-utf-8\"", Escaping::AllowUtf8),
        ("escaping=underscores", Escaping::Underscores),
        ("escaping=none", Escaping::Underscores),
    ] {
        let mut headers = HeaderMap::new();
        let accept = format!("text/plain;escaping=dots;q=0.1,{PROTOBUF};{scheme}");
        headers.insert(ACCEPT, HeaderValue::try_from(accept).unwrap());
        let accepted = format(&headers);
        assert_eq!(
            (accepted.format, accepted.escaping()),
            (Format::Protobuf, expected),
            "{scheme}"
        );
        let tail = format!("encoding=delimited; escaping={expected}");
        assert!(accepted.content_type().to_str().unwrap().ends_with(&tail), "{scheme}");
    }
}

#[test]
fn the_type_names_the_scheme_where_readers_know_it() {
    for (accept, expected) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;escaping=values", "text/plain; version=0.0.4; charset=utf-8; escaping=values"),
        (
            "text/plain;version=1.0.0",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(format(&headers).content_type(), expected);
    }
}

#[test]
fn the_best_compression_is_chosen_that_may_be() {
    for (accepted, expected) in [
        ("gzip", Compression::Gzip),
        ("deflate, GZIP;q=0.5", Compression::Gzip),
        ("gzip;q=0", Compression::Identity),
        ("gzip; q=0.0, *", Compression::Identity),
        ("*", Compression::Gzip),
        ("br", Compression::Identity),
        ("", Compression::Identity),
        ("zstd", Compression::Zstd),
        ("zstd, gzip", Compression::Gzip),
        ("gzip;q=0.5, zstd;q=0.8", Compression::Zstd),
        ("gzip;q=0.5, identity", Compression::Identity),
        ("gzip, identity", Compression::Gzip),
        ("gzip;q=x, zstd;q=0.1", Compression::Zstd),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        assert_eq!(compression(&headers), expected, "{accepted}");
    }
    assert_eq!(compression(&HeaderMap::new()), Compression::Identity);
}
