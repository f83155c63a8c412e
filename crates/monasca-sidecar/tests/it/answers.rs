//! Each status and code that a request can be answered with.

use super::client::{Sidecar, read_answer};
use std::io::Write;

const COUNTER: &str = r#"[{"name":"requests","type":"counter","help":"Requests.","values":[{"name":"requests_total","labels":{"_id":"a","path":"/"},"value":3}]}]"#;
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[test]
fn what_is_pushed_is_shown() {
    let sidecar = Sidecar::start(&[]);
    for path in ["/v1/ingest", "/ingest", "/v1/ingest/", "/ingest/"] {
        let answer = sidecar.post(path, COUNTER);
        assert_eq!((answer.status, answer.text()), (200, "true"), "{path}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    for path in ["/metrics", "/v1/metrics", "/metrics/"] {
        let answer = sidecar.get(path);
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, TEXT));
        let expected = "# HELP requests_total Requests.\n# TYPE requests_total counter\n\
                        requests_total{path=\"/\"} 3\n";
        assert_eq!(answer.text(), expected, "{path}");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let sidecar = Sidecar::start(&[]);
    let answer = sidecar.request("HEAD", "/metrics", &[], b"");
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, TEXT));
}

#[test]
fn any_content_type_and_a_chunked_body_are_read() {
    let sidecar = Sidecar::start(&[]);
    for kind in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        let answer = sidecar.post_with("/v1/ingest", &[("Content-Type", kind)], COUNTER);
        assert_eq!(answer.status, 200, "{kind}");
    }
    let mut stream = sidecar.connect();
    stream
        .write_all(b"POST /ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let (one, two) = COUNTER.split_at(50);
    for piece in [one, two] {
        write!(stream, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, "POST").text(), "true");
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let sidecar = Sidecar::start(&[]);
    for path in ["/nothing", "/v2/ingest", "/metricsx", "/v1/instances/a/b", "/-/nothing"] {
        assert_eq!(sidecar.get(path).code(), (404, "not_found".to_owned()), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/ingest", "POST"),
        ("DELETE", "/metrics", "GET, HEAD, POST, PUT"),
        ("GET", "/metrics/job/a", "PUT, POST, DELETE"),
        ("GET", "/v1/instances/a", "DELETE"),
        ("GET", "/-/reload", "POST"),
    ] {
        let answer = sidecar.request(method, path, &[], b"");
        assert_eq!(answer.code(), (405, "method_not_allowed".to_owned()), "{method} {path}");
        assert_eq!(answer.headers["allow"], allow);
    }
}

#[test]
fn a_bad_body_is_refused_whole_with_its_place() {
    let sidecar = Sidecar::start(&[]);
    let good = r#"{"name":"g","type":"gauge","values":[{"value":1}]}"#;
    for (body, at) in [
        (format!(r#"[{good},{{"name":"h","values":[{{"value":true}}]}}]"#), "[1].values[0].value"),
        (format!(r#"[{good},{{"name":""}}]"#), "[1]"),
        (format!("[{good}"), ""),
        (String::new(), ""),
    ] {
        let (status, _, place) = sidecar.post("/v1/ingest", &body).problem();
        assert_eq!(status, 400, "{body}");
        assert!(place.starts_with(at), "{body}: {place}");
    }
    assert_eq!(sidecar.get("/metrics").text(), "");
}

#[test]
fn bad_headers_and_parameters_are_refused() {
    let sidecar = Sidecar::start(&[]);
    for query in ["final=perhaps", "strict=2", "ttl=soon", "ttl=-1s", "temporality=both"] {
        let (status, code, at) = sidecar.post(&format!("/v1/ingest?{query}"), COUNTER).problem();
        assert_eq!((status, code.as_str()), (400, "bad_parameter"), "{query}");
        assert!(query.starts_with(&at), "{query}: {at}");
    }
    for value in ["x", "a.b.c", "a.1", ".1.0"] {
        let answer = sidecar.post_with("/v1/ingest", &[("Push-Sequence", value)], COUNTER);
        assert_eq!(answer.code(), (400, "bad_sequence".to_owned()), "{value}");
    }
    let long = "k".repeat(300);
    let answer = sidecar.post_with("/v1/ingest", &[("Idempotency-Key", &long)], COUNTER);
    assert_eq!(answer.code(), (400, "bad_idempotency_key".to_owned()));
    let answer = sidecar.get("/v1/series?match[]=%7B");
    assert_eq!(answer.problem(), (400, "bad_parameter".to_owned(), "match[]".to_owned()));
}

#[test]
fn a_conflict_refuses_its_family_alone() {
    let sidecar = Sidecar::start(&[]);
    assert_eq!(sidecar.post("/v1/ingest", COUNTER).status, 200);
    let conflict = r#"{"name":"requests","type":"gauge","values":[{"name":"requests","labels":{"_id":"b"},"value":1}]}"#;
    let good = r#"{"name":"g","type":"gauge","values":[{"labels":{"_id":"b"},"value":1}]}"#;
    let both = format!("[{conflict},{good}]");

    let answer = sidecar.post("/v1/ingest?strict=true", &both);
    assert_eq!(answer.code().0, 409);
    assert!(!sidecar.get("/metrics").text().contains("\ng 1\n"));

    let answer = sidecar.post("/v1/ingest", &both);
    assert_eq!(answer.status, 202);
    let refused = answer.json();
    assert_eq!(refused["refused"].as_array().unwrap().len(), 1, "{refused}");
    assert_eq!(refused["refused"][0]["family"], "requests");
    assert!(refused["refused"][0]["code"].as_str().unwrap().ends_with("_conflict"), "{refused}");
    assert!(sidecar.get("/metrics").text().contains("\ng 1\n"));

    assert_eq!(sidecar.post("/v1/ingest", &format!("[{conflict}]")).code().0, 409);
}

#[test]
fn a_key_makes_a_retry_safe() {
    let sidecar = Sidecar::start(&[]);
    let delta = |value: u32| {
        format!(
            r#"[{{"name":"jobs","type":"counter","temporality":"delta","values":[{{"name":"jobs_total","value":{value}}}]}}]"#
        )
    };
    let push = |path, key, body: &str| sidecar.post_with(path, &[("Idempotency-Key", key)], body);
    assert_eq!(push("/v1/ingest", "k", "not json").status, 400);
    assert_eq!(push("/v1/ingest", "k", &delta(5)).status, 200);
    assert_eq!(push("/ingest", "k", &delta(5)).status, 200);
    assert!(sidecar.get("/metrics").text().contains("jobs_total 5\n"));
    let answer = push("/v1/ingest", "k", &delta(6));
    assert_eq!(answer.problem(), (422, "key_reused".to_owned(), "Idempotency-Key".to_owned()));
    assert_eq!(push("/v1/ingest", "other", &delta(6)).status, 200);
    assert!(sidecar.get("/metrics").text().contains("jobs_total 11\n"));
}

#[test]
fn gzip_is_read_and_written_and_other_encodings_are_refused() {
    let sidecar = Sidecar::start(&[]);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(COUNTER.as_bytes()).unwrap();
    let zipped = zipped.finish().unwrap();
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(sidecar.request("POST", "/ingest", &gzip, &zipped).text(), "true");
    let answer = sidecar.request("POST", "/ingest", &gzip, b"plain");
    assert_eq!(answer.code(), (400, "bad_encoding".to_owned()));
    let answer = sidecar.request("POST", "/ingest", &gzip, &zipped[..zipped.len() / 2]);
    assert_eq!(answer.code(), (400, "bad_encoding".to_owned()));
    let answer = sidecar.post_with("/ingest", &[("Content-Encoding", "br")], COUNTER);
    assert_eq!(answer.code(), (415, "unsupported_encoding".to_owned()));

    let plain = sidecar.get("/metrics").body;
    let answer = sidecar.request("GET", "/metrics", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert_eq!(gunzip(&answer.body), plain);
}

#[test]
fn a_page_of_many_pieces_is_whole() {
    let sidecar = Sidecar::start(&[]);
    let values: Vec<String> = (0..20_000)
        .map(|n| format!(r#"{{"name":"wide","labels":{{"_id":"a","n":"{n:05}"}},"value":{n}}}"#))
        .collect();
    let body = format!(r#"[{{"name":"wide","type":"gauge","values":[{}]}}]"#, values.join(","));
    assert_eq!(sidecar.post("/v1/ingest", &body).status, 200);
    let answer = sidecar.get("/metrics");
    assert_eq!(answer.headers["transfer-encoding"], "chunked");
    assert_eq!(answer.text().lines().count(), 20_001);
    assert!(answer.text().ends_with("wide{n=\"19999\"} 19999\n"));
    let zipped = sidecar.request("GET", "/metrics", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(gunzip(&zipped.body), answer.body);
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    let mut inflate = flate2::Decompress::new_gzip(15);
    inflate.decompress_vec(bytes, &mut out, flate2::FlushDecompress::Finish).unwrap();
    assert_eq!(inflate.total_in(), bytes.len() as u64);
    out
}

#[test]
fn many_requests_go_over_one_connection() {
    let sidecar = Sidecar::start(&[]);
    let mut stream = sidecar.connect();
    let length = COUNTER.len();
    for _ in 0..3 {
        write!(stream, "POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
            .unwrap();
        stream.write_all(COUNTER.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream, "POST").text(), "true");
    }
}
