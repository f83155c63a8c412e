//! The state as JSON, goodbyes, clear, own metrics.

use super::client::Sidecar;

const TWO: &str = r#"[{"name":"c","type":"counter","values":[
    {"name":"c_total","labels":{"_id":"one","path":"/"},"value":3},
    {"name":"c_total","labels":{"_id":"two","path":"/"},"value":4}]}]"#;

#[test]
fn the_state_says_why_a_value_is_what_it_is() {
    let sidecar = Sidecar::start(&[]);
    assert_eq!(sidecar.post("/v1/ingest", TWO).status, 200);

    let families = sidecar.get("/v1/families").json();
    assert_eq!(families.as_array().unwrap().len(), 1, "{families}");
    assert_eq!(
        (&families[0]["type"], &families[0]["aggregation"]),
        (&"counter".into(), &"sum".into())
    );
    assert_eq!(families[0]["contributors"], 2);

    let instances = sidecar.get("/v1/instances").json();
    let ids: Vec<&str> =
        instances.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"one") && ids.contains(&"two"), "{ids:?}");

    let series = sidecar.get("/v1/series?match[]=c_total%7Bpath=%22/%22%7D").json();
    assert_eq!(series.as_array().unwrap().len(), 1, "{series}");
    assert_eq!(series[0]["value"], 7.0);
    assert_eq!(series[0]["contributions"].as_array().unwrap().len(), 2);
    assert_eq!(sidecar.get("/v1/series?match[]=other").json(), serde_json::json!([]));
}

#[test]
fn goodbye_keeps_the_share_and_erase_takes_it() {
    let sidecar = Sidecar::start(&[]);
    assert_eq!(sidecar.post("/v1/ingest", TWO).status, 200);
    let delete = |path| sidecar.request("DELETE", path, &[], b"").status;
    assert_eq!(delete("/v1/instances/one"), 202);
    assert!(sidecar.get("/metrics").text().contains("c_total{path=\"/\"} 7\n"));
    assert_eq!(delete("/v1/instances/nobody"), 202);
    assert_eq!(delete("/v1/instances/one?erase=maybe"), 400);
    assert_eq!(delete("/v1/instances/one?erase=true"), 202);
    assert!(!sidecar.get("/metrics").text().contains(" 7\n"));
}

#[test]
fn clear_forgets_everything() {
    let sidecar = Sidecar::start(&[]);
    for path in ["/v1/clear", "/clear", "/clear/"] {
        assert_eq!(sidecar.post("/v1/ingest", TWO).status, 200);
        assert_eq!(sidecar.post(path, "").text(), "true");
        assert_eq!(sidecar.get("/metrics").text(), "", "{path}");
    }
}

#[test]
fn own_metrics_count_what_happened() {
    let sidecar = Sidecar::start(&[]);
    assert_eq!(sidecar.post("/v1/ingest", TWO).status, 200);
    assert_eq!(sidecar.post("/v1/ingest", "[").status, 400);
    assert_eq!(sidecar.get("/metrics").status, 200);
    assert_eq!(sidecar.get("/nothing").status, 404);
    let page = sidecar.get("/-/metrics");
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "monasca_sidecar_pushes_total{code=\"ok\",path=\"/v1/ingest\"} 1\n",
        "monasca_sidecar_refusals_total{code=\"not_found\"} 1\n",
        "monasca_sidecar_samples_total 2\n",
        "monasca_sidecar_scrapes_total{code=\"ok\"} 1\n",
        "monasca_sidecar_push_duration_seconds_count 2\n",
        "monasca_sidecar_instances{state=\"live\"} 2\n",
        "monasca_sidecar_series 1\n",
        "monasca_sidecar_contributions 2\n",
        "monasca_sidecar_panics_total 0\n",
    ] {
        assert!(page.text().contains(line), "{line}{}", page.text());
    }
    for line in page.text().lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("monasca_sidecar_"), "{line}");
    }
}

#[test]
fn the_index_names_the_paths() {
    let sidecar = Sidecar::start(&[]);
    let answer = sidecar.get("/");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("/v1/ingest") && sidecar.url().contains("127.0.0.1"));
}
