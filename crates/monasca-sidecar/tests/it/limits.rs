//! Slow, idle, half-open and greedy clients are answered or closed, and hold up nobody.

use super::client::{Sidecar, eventually, read_answer, read_rest};
use std::io::{Read, Write};
use std::net::TcpStream;

const GAUGE: &str = r#"[{"name":"g","type":"gauge","values":[{"value":1}]}]"#;

fn metric(sidecar: &Sidecar, line: &str) -> f64 {
    let page = sidecar.get("/-/metrics");
    let value = page.text().lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

#[test]
fn a_body_over_the_limit_is_refused_early_and_late() {
    let sidecar = Sidecar::start(&["--limits.max-body", "1000"]);
    let code = (413, "body_too_large".to_owned());
    assert_eq!(sidecar.post("/v1/ingest", &" ".repeat(1001)).code(), code);
    assert_eq!(sidecar.post("/v1/ingest", &" ".repeat(3_000_000)).code(), code);

    let mut stream = sidecar.connect();
    let head = b"POST /ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).unwrap();
    for _ in 0..3 {
        write!(stream, "1f4\r\n{}\r\n", " ".repeat(500)).unwrap();
    }
    assert_eq!(read_answer(&mut stream, "POST").code(), code);

    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zipped.write_all(&vec![b' '; 10_000_000]).unwrap();
    let gzip = [("Content-Encoding", "gzip")];
    let bomb = zipped.finish().unwrap();
    let cut = &bomb[..bomb.len().min(900)];
    assert_eq!(sidecar.request("POST", "/ingest", &gzip, cut).code(), code);
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).status, 200);
}

#[test]
fn an_announced_giant_is_refused_before_it_is_sent() {
    let sidecar = Sidecar::start(&[]);
    let mut stream = sidecar.connect();
    let head = "POST /ingest HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ";
    write!(stream, "{head}99999999999\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, "POST").code(), (413, "body_too_large".to_owned()));
}

#[test]
fn bodies_share_a_memory() {
    let sidecar =
        Sidecar::start(&["--limits.max-body-memory", "1MiB", "--limits.max-body", "1MiB"]);
    let mut slow = sidecar.connect();
    slow.write_all(b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n").unwrap();
    slow.write_all(&vec![b' '; 800_000]).unwrap();
    eventually("the slow body in memory", || {
        (metric(&sidecar, "monasca_sidecar_body_memory_bytes") >= 800_000.0).then_some(())
    });
    let answer = sidecar.post("/v1/ingest", &" ".repeat(500_000));
    assert_eq!(answer.code(), (503, "busy".to_owned()));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).status, 200);
    drop(slow);
    eventually("the memory given back", || {
        (metric(&sidecar, "monasca_sidecar_body_memory_bytes") == 0.0).then_some(())
    });
}

#[test]
fn a_slow_body_is_timed_out() {
    let sidecar = Sidecar::start(&["--limits.max-request-time", "300ms"]);
    let mut slow = sidecar.connect();
    slow.write_all(b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[").unwrap();
    let answer = read_answer(&mut slow, "POST");
    assert_eq!(answer.code(), (408, "timeout".to_owned()));
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
}

#[test]
fn half_a_head_and_idleness_end_a_connection() {
    let sidecar =
        Sidecar::start(&["--limits.max-header-time", "200ms", "--limits.max-idle-time", "400ms"]);
    let mut half = sidecar.connect();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost").unwrap();
    let mut silent = sidecar.connect();
    let mut kept = sidecar.connect();
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut kept, "GET").status, 200);
    for stream in [&mut half, &mut silent, &mut kept] {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    assert_eq!(sidecar.get("/-/healthy").status, 200);
}

#[test]
fn connections_over_the_limit_are_closed() {
    let sidecar = Sidecar::start(&["--limits.max-connections", "2"]);
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(read_answer(stream, "GET").status, 200);
    };
    let (mut one, mut two) = (sidecar.connect(), sidecar.connect());
    ask(&mut one);
    ask(&mut two);
    let mut three = sidecar.connect();
    assert_eq!(three.read(&mut [0]).unwrap_or(0), 0);
    ask(&mut one);
    drop(two);
    eventually("a free place", || {
        let mut next = sidecar.connect();
        next.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_or_default();
        read_rest(&mut next).starts_with(b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn a_huge_head_is_refused() {
    let sidecar = Sidecar::start(&["--limits.max-header", "8KiB"]);
    let long = "x".repeat(20_000);
    assert_eq!(sidecar.request("GET", "/metrics", &[("X", &long)], b"").status, 431);
    assert_eq!(sidecar.get("/metrics").status, 200);
}

#[test]
fn a_scraper_that_does_not_read_holds_up_nobody() {
    let sidecar = Sidecar::start(&[]);
    let label = "x".repeat(2_000);
    let values: Vec<String> = (0..5_000)
        .map(|n| format!(r#"{{"name":"g","labels":{{"n":"{n}{label}"}},"value":1}}"#))
        .collect();
    let body = format!(r#"[{{"name":"g","type":"gauge","values":[{}]}}]"#, values.join(","));
    assert_eq!(sidecar.post("/v1/ingest", &body).status, 200);
    let stuck: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = sidecar.connect();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(sidecar.get("/metrics").text().lines().count(), 5_001);
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).status, 200);
    drop(stuck);
}
