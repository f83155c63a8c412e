"""A real Prometheus scrapes the sidecar in the formats that it negotiates (OpenMetrics; protobuf when it may store
native histograms), and has what was pushed: values, native buckets, exemplars."""

import time

import pytest

import protobuf_body
from prometheus_server import Prometheus
from sidecar import counter, eventually, family, gauge, histogram, value

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
IN_OPEN_METRICS = ["exemplar-storage"]
IN_PROTOBUF = ["exemplar-storage", "native-histograms"]
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
                 "scrape_series_added"}


@pytest.fixture
def scraped_by(sidecar, debian_bin, tmp_path):
    """Starts a Prometheus with these features, which scrapes the sidecar."""
    started = []

    def start(features):
        started.append(Prometheus(debian_bin / "prometheus", tmp_path, sidecar.port, features))
        return started[-1]

    yield start
    for prometheus in started:
        prometheus.stop()


def push_as(sidecar, content_type, instance, body):
    answer = sidecar.request("POST", f"/metrics/job/shop/_id/{instance}", body, {"Content-Type": content_type})
    assert answer.status == 200, answer.text


def push_native(sidecar, instance, total, zeros, buckets):
    metric = protobuf_body.native_histogram(total, zeros, buckets, path="/")
    body = protobuf_body.delimited(protobuf_body.family("latency_seconds", protobuf_body.HISTOGRAM, metric))
    push_as(sidecar, protobuf_body.CONTENT_TYPE, instance, body)


def push_with_exemplars(sidecar, grown, trace, moment):
    exemplar = f'# {{trace_id="{trace}"}}'
    push_as(sidecar, OPEN_METRICS, "1", f"""\
# TYPE jobs counter
jobs_total{{queue="a"}} {10 + grown} {exemplar} 2.5 {moment}
# TYPE wait_seconds histogram
wait_seconds_bucket{{le="0.5"}} {2 + grown} {exemplar} 0.25 {moment}
wait_seconds_bucket{{le="+Inf"}} {4 + grown}
wait_seconds_sum 9.5
wait_seconds_count {4 + grown}
# EOF
""".encode())


def push_all_types(sidecar):
    sidecar.push([
        counter("requests_total", 3, "1", code="200"), counter("requests_total", 2**53, "2", code='5"\\\n'),
        family("bare", "counter", value("bare", 7)), gauge("load", -1.5), gauge("tiny", 5e-324), gauge("many", float("inf")),
        family("odd", "unknown", value("odd", 0.1)), family("build", "info", value("build_info", 1, {"version": "1"})),
        family("state", "stateset", value("state", 1, {"state": "on"}), value("state", 0, {"state": "off"})),
        histogram("size_bytes", {"0.1": 1, "1": 4, "1e+06": 5, "+Inf": 1_000_000}, 12.25),
        family("took", "summary", value("took", 0.25, {"quantile": "0.5"}), value("took_sum", 3), value("took_count", 4)),
        gauge("größe.x", 2, **{"my.label": "ü"}),
    ])


def key_of(name, labels):
    """Bounds and quantiles are laid out in the format's own way: they count as numbers."""
    return name, tuple(sorted((label, float(text) if label in ("le", "quantile") else text)
                              for label, text in labels.items() if label not in ("job", "exported_job", "instance")))


def stored(prometheus, native=False):
    """{series: value} of what Prometheus scraped; native histograms only or plain values only."""
    answer = prometheus.query('{job="application"}')
    kept = [one for one in answer if ("histogram" in one) == native and one["metric"]["__name__"] not in OF_PROMETHEUS]
    field = "histogram" if native else "value"
    return {key_of(one["metric"].pop("__name__"), one["metric"]): one[field][1] for one in kept}


def shown(sidecar):
    return {key_of(sample.name, dict(sample.labels)): sample.value for sample in sidecar.page().samples()}


def assert_no_scrape_failed(prometheus):
    assert prometheus.scrape_errors() == []
    scrapes = prometheus.raw("up")
    assert scrapes and all(up == 1 for _, up in scrapes), scrapes


@pytest.mark.parametrize("features", [IN_OPEN_METRICS, IN_PROTOBUF])
def test_every_value_is_stored_as_it_is_shown(sidecar, scraped_by, features):
    push_all_types(sidecar)
    push_with_exemplars(sidecar, 0, "first", time.time())
    expected = shown(sidecar)
    prometheus = scraped_by(features)
    eventually(lambda: stored(prometheus), "the first scrape", 20)
    found = {key: float(number) for key, number in stored(prometheus).items()}
    assert found == expected
    assert len(found) > 20
    assert_no_scrape_failed(prometheus)


@pytest.mark.parametrize("features", [IN_OPEN_METRICS, IN_PROTOBUF])
def test_exemplars_are_stored_and_newer_ones_follow(sidecar, scraped_by, features):
    prometheus = scraped_by(features)
    began = time.time()

    def traces(series):
        return [(one["labels"], float(one["value"]), one["timestamp"])
                for one in prometheus.exemplars(series, began - 60, began + 600)]

    given = []
    for grown, trace in enumerate(["first", "second"]):
        given.append((trace, round(began + grown, 3)))
        push_with_exemplars(sidecar, grown, *given[-1])
        for series, observed in (("jobs_total", 2.5), ("wait_seconds_bucket", 0.25)):
            expected = [({"trace_id": name}, observed, pytest.approx(moment, abs=0.002)) for name, moment in given]
            eventually(lambda: len(traces(series)) == len(given), f"exemplars of {series}", 20)
            assert traces(series) == expected
    assert_no_scrape_failed(prometheus)


def test_native_histograms_are_stored_merged(sidecar, scraped_by):
    push_native(sidecar, "1", 10.5, 1, {1: 2, 3: 1})
    push_native(sidecar, "2", 8.0, 0, {1: 1, 2: 4})
    prometheus = scraped_by(IN_PROTOBUF)
    eventually(lambda: stored(prometheus, native=True), "the native histogram", 20)
    (series, found), = stored(prometheus, native=True).items()
    assert series == ("latency_seconds", (("path", "/"),))
    assert (float(found["count"]), float(found["sum"])) == (9, 18.5)
    buckets = {(float(low), float(high)): float(count) for _, low, high, count in found["buckets"]}
    zero = 2.0 ** -128
    assert buckets == {(-zero, zero): 1, (1, 2): 3, (2, 4): 4, (4, 8): 1}

    push_native(sidecar, "1", 20.5, 1, {1: 2, 3: 1, 4: 6})
    eventually(lambda: prometheus.number("histogram_count(latency_seconds)") == 15, "the new count", 20)
    assert prometheus.number("histogram_sum(latency_seconds)") == 28.5
    assert prometheus.number("histogram_quantile(1, latency_seconds)") == 16
    assert_no_scrape_failed(prometheus)


def test_a_prometheus_without_native_histograms_has_count_and_sum_of_them(sidecar, scraped_by):
    push_native(sidecar, "1", 10.5, 1, {1: 2, 3: 1})
    prometheus = scraped_by(IN_OPEN_METRICS)
    eventually(lambda: stored(prometheus), "the first scrape", 20)
    assert {key: float(number) for key, number in stored(prometheus).items()} == shown(sidecar)
    assert prometheus.number("latency_seconds_count") == 4
    assert_no_scrape_failed(prometheus)
