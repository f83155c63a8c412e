//! Start, warm-up, reload, stop, and the exit codes.

use super::client::{Scratch, Sidecar, command, eventually, read_answer};
use std::io::{Read, Write};
use std::net::TcpStream;

const GAUGE: &str = r#"[{"name":"g","type":"gauge","values":[{"value":1}]}]"#;

#[test]
fn probes_answer() {
    let sidecar = Sidecar::start(&[]);
    assert_eq!((sidecar.get("/-/healthy").status, sidecar.get("/-/ready").status), (200, 200));
}

#[test]
fn exit_codes_tell_usage_from_a_taken_address() {
    let sidecar = Sidecar::start(&[]);
    let taken = sidecar.address.to_string();
    assert_eq!(command(&["--listen", &taken]).status().unwrap().code(), Some(69));
    assert_eq!(command(&["--no-such-flag"]).status().unwrap().code(), Some(64));
    assert_eq!(command(&["--decay", "soon"]).status().unwrap().code(), Some(64));
}

#[test]
fn a_signal_ends_it_in_order() {
    for name in ["TERM", "INT"] {
        let mut sidecar = Sidecar::start(&[]);
        let mut idle = sidecar.connect();
        idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut idle, "GET").status, 200);
        sidecar.signal(name);
        assert_eq!(sidecar.wait().code(), Some(0), "{name}");
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
        assert!(TcpStream::connect(sidecar.address).is_err());
    }
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let mut sidecar = Sidecar::start(&[]);
    let mut slow = sidecar.connect();
    let head = "POST /ingest HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ";
    write!(slow, "{head}{}\r\n\r\n", GAUGE.len()).unwrap();
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    sidecar.signal("TERM");
    eventually("no more connections", || {
        TcpStream::connect(sidecar.address).is_err().then_some(())
    });
    slow.write_all(GAUGE.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut slow, "POST").text(), "true");
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn a_request_that_never_ends_is_cut_off_at_the_deadline() {
    let mut sidecar = Sidecar::start(&["--drain-timeout", "200ms"]);
    let mut slow = sidecar.connect();
    slow.write_all(b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[").unwrap();
    eventually("the slow body in memory", || {
        let page = sidecar.get("/-/metrics");
        page.text().contains("monasca_sidecar_body_memory_bytes 1\n").then_some(())
    });
    sidecar.signal("TERM");
    assert_eq!(sidecar.wait().code(), Some(0));
    sidecar.logged("requests were cut off");
}

#[test]
fn after_the_signal_one_more_scrape_is_answered() {
    let mut sidecar = Sidecar::start(&["--shutdown-delay", "1h"]);
    sidecar.signal("TERM");
    sidecar.logged("stopping");
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).status, 200);
    assert!(sidecar.get("/metrics").text().ends_with("g 1\n"));
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn while_it_warms_up_the_page_is_empty_and_everything_else_works() {
    let sidecar = Sidecar::start(&["--warmup", "1h"]);
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).status, 200);
    let answer = sidecar.get("/metrics");
    assert_eq!((answer.status, answer.body.len()), (503, 0));
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((sidecar.get("/-/healthy").status, sidecar.get("/-/ready").status), (200, 200));
}

#[test]
fn a_reload_takes_effect_and_a_bad_file_changes_nothing() {
    let file = Scratch::new("rules: []\n");
    let sidecar = Sidecar::start(&["--config", file.path()]);
    assert_eq!(sidecar.post("/v1/ingest", GAUGE).status, 200);
    assert!(sidecar.get("/metrics").text().ends_with("g 1\n"));

    file.write("rules:\n  - match: {name: g}\n    drop: true\n");
    assert_eq!(sidecar.post("/-/reload", "").status, 200);
    assert_eq!(sidecar.get("/metrics").text(), "");

    file.write("decay: soon\n");
    let answer = sidecar.post("/-/reload", "");
    assert_eq!(answer.code(), (400, "bad_configuration".to_owned()));
    assert!(answer.json()["message"].as_str().unwrap().contains(":1:"), "{}", answer.text());
    assert_eq!(sidecar.get("/metrics").text(), "");

    file.write("rules: []\n");
    sidecar.signal("HUP");
    eventually("the reload by signal", || {
        sidecar.get("/metrics").text().ends_with("g 1\n").then_some(())
    });
}

#[test]
fn check_explains_a_bad_file() {
    let file = Scratch::new("decay: soon\n");
    let run = |file: &Scratch| {
        std::process::Command::new(env!("CARGO_BIN_EXE_monasca-sidecar"))
            .args(["check", file.path()])
            .output()
            .unwrap()
    };
    let checked = run(&file);
    assert_eq!(checked.status.code(), Some(64));
    assert!(String::from_utf8(checked.stderr).unwrap().contains(":1:"));
    file.write("decay: 90s\n");
    assert_eq!(run(&file).status.code(), Some(0));
}

#[test]
fn json_log_lines_are_json() {
    let mut child =
        command(&["--log-format", "json"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"listening".into()));
    assert!(line["addr"].as_str().unwrap().starts_with("127.0.0.1:"));
}
