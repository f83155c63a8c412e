"""One process and its sidecar: what is pushed, and what happens when pushing fails."""
from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Any, Iterator

import monasca_sidecar
import pytest
from conftest import eventually
from monasca_sidecar import _runtime
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge
from stub import Stub


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    yield
    monasca_sidecar.stop(0.1)
    _runtime._ended = None


def start(stub: Stub, registry: Any, **settings: Any) -> None:
    monasca_sidecar.start(stub.url, 0.05, registry, **settings)


def pushed(stub: Stub, count: int) -> None:
    eventually(lambda: len(stub.pushes) >= count)


def test_pushes_are_numbered_and_say_what_was_acknowledged(stub: Stub, registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    start(stub, registry)
    pushed(stub, 4)
    assert [(p.number, p.acked) for p in stub.pushes[:4]] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert len({p.epoch for p in stub.pushes}) == len({p.id for p in stub.pushes}) == 1
    assert "." not in stub.pushes[0].epoch


def test_a_failed_push_takes_a_number_and_is_not_acknowledged(stub: Stub, registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    stub.answer = lambda push: (503, b"") if push.number == 2 else (200, b"true")
    start(stub, registry)
    pushed(stub, 4)
    assert [(p.number, p.acked) for p in stub.pushes[:4]] == [(1, 0), (2, 1), (3, 1), (4, 3)]


def test_the_connection_is_kept(stub: Stub, registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    start(stub, registry)
    pushed(stub, 5)
    assert len({p.client for p in stub.pushes}) == 1


def test_a_second_start_changes_nothing(stub: Stub, registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    start(stub, registry)
    start(stub, registry)
    pushed(stub, 3)
    assert len({p.id for p in stub.pushes}) == 1


@pytest.mark.parametrize(
    ("mode", "function"),
    [
        ("sum", "sum"), ("livesum", "sum"), ("min", "min"), ("livemin", "min"), ("max", "max"), ("livemax", "max"),
        ("mostrecent", "last"), ("livemostrecent", "last"), ("all", "all"), ("liveall", "all"),
    ],
)  # fmt: skip
def test_the_multiprocess_mode_is_the_aggregation(
    stub: Stub, registry: CollectorRegistry, mode: Any, function: str
) -> None:
    Gauge("g", "", ["a"], registry=registry, multiprocess_mode=mode).labels("b").set(1)
    start(stub, registry)
    pushed(stub, 1)
    assert stub.pushes[0].family("g")["values"][0]["labels"]["_aggregate"] == function


def test_the_process_families_are_aggregated_for_an_application(stub: Stub) -> None:
    start(stub, REGISTRY, aggregate={"python_info": "max"})
    pushed(stub, 1)
    found = {f["name"]: f["values"][0]["labels"].get("_aggregate") for f in stub.pushes[0].families}
    assert {name: found[name] for name in found if name.startswith(("process_", "python_"))} == {
        "process_virtual_memory_bytes": "sum",
        "process_resident_memory_bytes": "sum",
        "process_open_fds": "sum",
        "process_max_fds": "max",
        "process_start_time_seconds": "min",
        "process_cpu_seconds": None,
        "python_gc_objects_collected": None,
        "python_gc_objects_uncollectable": None,
        "python_gc_collections": None,
        "python_info": "max",
    }


def test_a_collector_that_fails_takes_only_its_own_metrics_away(
    stub: Stub, registry: CollectorRegistry, caplog: Any
) -> None:
    class Broken:
        def collect(self) -> Any:
            raise RuntimeError("no database")

        def describe(self) -> Any:
            return []

    registry.register(Broken())
    Counter("c", "", registry=registry).inc(2)
    start(stub, registry)
    pushed(stub, 3)
    assert stub.pushes[-1].value("c_total") == 2
    assert len([r for r in caplog.records if "no database" in str(r.exc_info)]) == 1


def test_the_goodbye_carries_the_last_values_in_one_request(stub: Stub, registry: CollectorRegistry) -> None:
    counter = Counter("c", "", registry=registry)
    start(stub, registry)
    pushed(stub, 1)
    counter.inc(7)
    monasca_sidecar.stop()
    last = stub.pushes[-1]
    assert (last.final, last.value("c_total")) == (True, 7)
    assert [p.final for p in stub.pushes].count(True) == 1
    assert stub.live() == 0


def test_starting_again_does_not_count_twice(stub: Stub, registry: CollectorRegistry) -> None:
    counter = Counter("c", "", registry=registry)
    counter.inc(5)
    start(stub, registry)
    monasca_sidecar.stop()
    start(stub, registry)
    counter.inc(2)
    monasca_sidecar.stop()
    assert stub.samples()[("c_total", frozenset())] == 7


def test_refused_families_are_reported_once(stub: Stub, registry: CollectorRegistry, caplog: Any) -> None:
    Counter("c", "", registry=registry)
    refusal = b'{"refused":[{"family":"c","code":"type_conflict","message":"it is a gauge"}]}'
    stub.answer = lambda push: (202, refusal)
    start(stub, registry)
    pushed(stub, 4)
    assert stub.pushes[3].acked == 3
    assert len([r for r in caplog.records if "type_conflict" in r.getMessage()]) == 1


def test_failures_are_counted_and_logged_once_a_streak(stub: Stub, registry: CollectorRegistry, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "monasca_sidecar")
    Counter("c", "", registry=registry)
    stub.answer = lambda push: (500, b"broken") if push.number <= 3 else (200, b"true")
    start(stub, registry)
    eventually(lambda: monasca_sidecar.status().get("pushes"))
    assert monasca_sidecar.status()["failures"] == 3
    messages = [r.getMessage() for r in caplog.records]
    assert len([m for m in messages if "status 500: broken" in m]) == 1
    assert len([m for m in messages if "works again after 3 failures" in m]) == 1


def test_nothing_listening_disturbs_nobody(registry: CollectorRegistry) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monasca_sidecar.start(f"http://127.0.0.1:{port}", 0.02, registry)
        eventually(lambda: monasca_sidecar.status()["failures"] >= 2)
        began = time.monotonic()
        monasca_sidecar.stop()
        assert time.monotonic() - began < 1


def test_tries_become_rarer_while_the_sidecar_is_away(stub: Stub, registry: CollectorRegistry) -> None:
    times = []
    stub.answer = lambda push: (times.append(time.monotonic()), (503, b""))[1]
    Counter("c", "", registry=registry)
    start(stub, registry)
    eventually(lambda: len(times) >= 6)
    assert times[5] - times[4] > 0.3  # 0.05 s doubled four times, by half at least


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://h:99999", "http://[::1", "http://h:0x"])
def test_a_wrong_url_is_logged_and_not_raised(url: str, registry: CollectorRegistry, caplog: Any) -> None:
    monasca_sidecar.start(url, 1, registry)
    assert monasca_sidecar.status() == {}
    assert len(caplog.records) == 1


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), "x"])
def test_a_wrong_interval_is_logged_and_not_raised(interval: Any, registry: CollectorRegistry, caplog: Any) -> None:
    monasca_sidecar.start("http://127.0.0.1:1", interval, registry)
    assert monasca_sidecar.status() == {}
    assert len(caplog.records) == 1


def test_a_silent_sidecar_does_not_hold_up_the_exit(stub: Stub, registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    silent = threading.Event()
    arrived = threading.Event()
    stub.answer = lambda push: (arrived.set(), silent.wait(20), (200, b"true"))[2]
    start(stub, registry)
    assert arrived.wait(10)
    began = time.monotonic()
    monasca_sidecar.stop(0.5)
    assert time.monotonic() - began < 2
    silent.set()


def test_a_push_that_hangs_makes_room_for_the_goodbye(stub: Stub, registry: CollectorRegistry) -> None:
    counter = Counter("c", "", registry=registry)
    silent = threading.Event()
    arrived = threading.Event()
    stub.answer = lambda push: (push.final or (arrived.set(), silent.wait(20)), (200, b"true"))[1]
    start(stub, registry)
    assert arrived.wait(10)
    counter.inc()
    monasca_sidecar.stop(2)
    assert stub.samples()[("c_total", frozenset())] == 1
    silent.set()


def test_a_connection_that_the_sidecar_closed_is_opened_again(registry: CollectorRegistry) -> None:
    Counter("c", "", registry=registry)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monasca_sidecar.start(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.05, registry)
        for _ in range(3):
            # Promises to keep the connection and closes it.
            connection, _ = listener.accept()
            with connection:
                receive_request(connection)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
        eventually(lambda: monasca_sidecar.status()["pushes"] >= 3)
        assert monasca_sidecar.status()["failures"] == 0
        connection, _ = listener.accept()
        connection.close()


def receive_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65536)


def test_no_proxy_of_the_environment_is_used(stub: Stub, registry: CollectorRegistry, monkeypatch: Any) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    Counter("c", "", registry=registry)
    start(stub, registry)
    pushed(stub, 1)
