"""A Node application with prom-client 15 posts `register.getMetricsAsJSON()` as it is; the numbers are right."""

import json
import math
import os
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from sidecar import CACHE, ROOT


def run_worker(sidecar, name, factor, *more):
    env = {**os.environ, "NODE_PATH": str(CACHE / "node/node_modules")}
    answer = subprocess.run(
        ["node", str(ROOT / "tests/node/worker.js"), sidecar.url, name, str(factor), *more],
        env=env, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["answer"] == {"status": 200, "text": "true"}
    return report["text"]


def own_numbers(text):
    """What prom-client itself prints, without the label that names the worker."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {name: text for name, text in sample.labels.items() if name != "_id"}
            found[(sample.name, tuple(sorted(labels.items())))] = sample.value
    return found


def test_one_process_comes_out_as_prom_client_itself_prints_it(sidecar):
    text = run_worker(sidecar, "only", 3)
    wanted = {key: number for key, number in own_numbers(text).items() if key[0] in (
        "http_requests_total", "latency_seconds_bucket", "latency_seconds_sum", "latency_seconds_count",
        "size_bytes", "size_bytes_sum", "size_bytes_count", "g_sum", "g_min", "g_max", "g_average", "g_first")}
    assert len(wanted) == 2 + 6 + 4 + 5
    series = sidecar.page().series()
    assert {key: series.get(key) for key in wanted} == wanted
    assert series[("visits", ())] == 3
    assert math.isnan(series[("g_nan", ())])
    assert ("g_omit", ()) not in series


def test_processes_are_merged_by_their_aggregators(sidecar):
    run_worker(sidecar, "one", 1)
    run_worker(sidecar, "two", 4)
    page = sidecar.page()
    assert page.value("http_requests_total", path="/", code="200") == 50
    assert page.value("http_requests_total", path='with "quotes"\\\n', code="500") == 5
    assert page.value("visits") == 5
    assert [page.value("latency_seconds_bucket", path="/", le=le) for le in ("0.1", "1", "10", "+Inf")] == [5, 10, 15, 20]
    assert page.value("latency_seconds_count", path="/") == 20
    assert page.value("size_bytes_sum") == 500 and page.value("size_bytes_count") == 2
    assert page.get("size_bytes", quantile="0.5") is None, "a quantile of two processes means nothing"
    gauges = {name: page.value(f"g_{name}") for name in ("sum", "min", "max", "average", "first")}
    assert gauges == {"sum": 5, "min": 1, "max": 4, "average": 2.5, "first": 1}
    assert page.value("g_half_nan") == 4, "the NaN of one process hides nobody's value"
    assert page.get("g_omit") is None


def test_node_default_metrics_of_several_processes_make_a_valid_page(sidecar):
    texts = [run_worker(sidecar, name, 1) for name in ("one", "two", "three")]
    page = sidecar.page()
    limits = [own_numbers(text)[("process_max_fds", ())] for text in texts]
    assert page.value("process_max_fds") == sum(limits), "prom-client says sum"
    assert page.get("process_start_time_seconds") is None, "prom-client says omit"
    versions = [sample for sample in page.samples() if sample.name == "nodejs_version_info"]
    assert len(versions) == 1 and versions[0].value == 1


def test_a_process_without_an_id_is_shown_as_it_comes(sidecar):
    run_worker(sidecar, "nobody", 7, "anonymous")
    run_worker(sidecar, "nobody", 2, "anonymous")
    page = sidecar.page()
    assert page.value("visits") == 2 and page.value("latency_seconds_count", path="/") == 8
