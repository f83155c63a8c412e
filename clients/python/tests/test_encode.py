"""The body of a push: what the sidecar reads, in the order that it reads fast."""
from __future__ import annotations

import json
from typing import Any, Dict, List

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client.core import GaugeHistogramMetricFamily, Metric, UnknownMetricFamily

from monasca_sidecar._encode import Encoder, Family


def families(registry: Any) -> List[Family]:
    return [Family(m, None, [s.value for s in m.samples]) for m in registry.collect()]


def encode(registry: Any, encoder: Encoder) -> str:
    return encoder.body(families(registry)).decode("utf-8")


def pushed(registry: Any) -> List[Dict[str, Any]]:
    return json.loads(encode(registry, Encoder("i1")))


class Custom:
    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Any:
        return self._metrics


def test_a_counter_is_written_with_its_value_last(registry: CollectorRegistry, monkeypatch: Any) -> None:
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)
    Counter("http_requests", "Requests", ["method"], registry=registry).labels("GET").inc(3)
    assert encode(registry, Encoder("i1")) == (
        '[{"name":"http_requests","type":"counter","help":"Requests","values":['
        '{"name":"http_requests_total","labels":{"method":"GET","_id":"i1"},"value":3.0}]}]'
    )


def test_the_aggregation_is_a_label_beside_the_id(registry: CollectorRegistry) -> None:
    Gauge("g", "G", registry=registry)
    (metric,) = registry.collect()
    body = Encoder("i1").body([Family(metric, "max", [1])])
    assert body == (
        b'[{"name":"g","type":"gauge","help":"G","values":['
        b'{"name":"g","labels":{"_id":"i1","_aggregate":"max"},"value":1}]}]'
    )


def test_every_type_and_its_samples_are_pushed(registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    Gauge("g", "", registry=registry)
    Histogram("h", "", registry=registry, buckets=[1, 2])
    Summary("s", "", registry=registry)
    Info("i", "", registry=registry).info({"version": "1"})
    Enum("e", "", states=["on", "off"], registry=registry)
    registry.register(Custom(UnknownMetricFamily("u", "", 1.5)))
    registry.register(Custom(GaugeHistogramMetricFamily("gh", "", buckets=[("1", 1), ("+Inf", 2)], gsum_value=3)))
    types = {family["name"]: family["type"] for family in pushed(registry)}
    assert types == {
        "c": "counter", "g": "gauge", "h": "histogram", "s": "summary", "i": "info",
        "e": "stateset", "u": "unknown", "gh": "gaugehistogram",
    }  # fmt: skip
    for family, metric in zip(pushed(registry), registry.collect()):
        assert [(s["name"], s["value"]) for s in family["values"]] == [(s.name, s.value) for s in metric.samples]


def test_values_that_json_has_no_word_for_are_written_as_python_does(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "", ["v"], registry=registry)
    for name in ("nan", "inf", "-inf"):
        gauge.labels(name).set(float(name))
    text = encode(registry, Encoder("i1"))
    assert [text.count(f'"value":{token}}}') for token in ("NaN", "Infinity", "-Infinity")] == [1, 1, 1]


def test_a_unit_is_pushed(registry: CollectorRegistry) -> None:
    Gauge("size_bytes", "", unit="bytes", registry=registry)
    assert pushed(registry)[0]["unit"] == "bytes"


def test_hostile_names_and_labels_stay_json(registry: CollectorRegistry) -> None:
    hostile = 'a"b\\c\nd\x00 é 😀'
    Gauge("g", hostile, ["v"], registry=registry).labels(hostile)
    (family,) = pushed(registry)
    assert (family["help"], family["values"][0]["labels"]["v"]) == (hostile, hostile)


def test_half_a_surrogate_pair_does_not_lose_the_push(registry: CollectorRegistry) -> None:
    Gauge("g", "", ["v"], registry=registry).labels("a\ud800b")
    assert pushed(registry)[0]["values"][0]["labels"]["v"] == "a?b"


def test_an_id_label_of_the_application_does_not_rename_the_instance() -> None:
    metric = Metric("g", "", "gauge")
    metric.add_sample("g", {"_id": "other", "a": "b"}, 1)
    assert pushed(Custom(metric))[0]["values"][0]["labels"] == {"a": "b", "_id": "i1"}


def test_a_sample_without_a_number_is_left_out_alone() -> None:
    metric = Metric("g", "", "gauge")
    metric.add_sample("g", {"a": "1"}, None)  # type: ignore[arg-type]
    metric.add_sample("g", {"a": "2"}, 2)
    assert [s["value"] for s in pushed(Custom(metric))[0]["values"]] == [2]


def test_a_removed_label_set_is_forgotten(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "", ["v"], registry=registry)
    encoder = Encoder("i1")
    for number in range(100):
        gauge.clear()
        gauge.labels(str(number))
        encode(registry, encoder)
    assert sum(len(kept) for kept in encoder._prefixes.values()) == 1
