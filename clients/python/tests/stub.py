"""A small model of the sidecar, for tests: last value per instance and series, and departed totals."""
from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Tuple

Labels = FrozenSet[Tuple[str, str]]
Series = Tuple[str, Labels]

CUMULATIVE = ("counter", "histogram", "summary")


class Push(NamedTuple):
    """One request as it arrived."""

    families: List[Dict[str, Any]]
    text: str
    epoch: str
    number: int
    acked: int
    final: bool
    client: Tuple[str, int]

    @property
    def id(self) -> str:
        (found,) = {s["labels"]["_id"] for f in self.families for s in f["values"]}
        return found

    def family(self, name: str) -> Dict[str, Any]:
        (found,) = (f for f in self.families if f["name"] == name)
        return found

    def value(self, name: str, **labels: str) -> Any:
        for family in self.families:
            for sample in family["values"]:
                if sample["name"] == name and own_labels(sample) == frozenset(labels.items()):
                    return sample["value"]
        return None


class Instance:
    def __init__(self) -> None:
        self.epoch = ""
        self.number = 0
        self.values: Dict[Series, Tuple[float, str, Optional[str]]] = {}
        self.gone = False


def own_labels(sample: Dict[str, Any]) -> Labels:
    return frozenset((k, v) for k, v in sample["labels"].items() if k not in ("_id", "_aggregate"))


class Stub:
    """Serves on a free port of loopback; `answer` may be replaced to misbehave."""

    def __init__(self) -> None:
        self.pushes: List[Push] = []
        self.problems: List[str] = []
        self.answer: Callable[[Push], Tuple[int, bytes]] = lambda push: (200, b"true")
        self.instances: Dict[str, Instance] = {}
        self.departed: Dict[Series, float] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def receive(self, push: Push) -> Tuple[int, bytes]:
        status, body = self.answer(push)
        with self._lock:
            self.pushes.append(push)
            if 200 <= status < 300:
                self._apply(push)
        return status, body

    def samples(self) -> Dict[Series, float]:
        """The merged values; gauges that are not summed, min or max give any live instance's."""
        with self._lock:
            merged = dict(self.departed)
            for instance in self.instances.values():
                for series, (value, kind, aggregate) in instance.values.items():
                    if kind in CUMULATIVE or aggregate == "sum":
                        merged[series] = merged.get(series, 0.0) + value
                    elif aggregate in ("min", "max") and series in merged:
                        merged[series] = min(merged[series], value) if aggregate == "min" else max(merged[series], value)
                    else:
                        merged[series] = value
            return merged

    def live(self) -> int:
        with self._lock:
            return sum(not instance.gone for instance in self.instances.values())

    def _apply(self, push: Push) -> None:
        if not any(family["values"] for family in push.families):
            return
        instance = self.instances.setdefault(push.id, Instance())
        if instance.epoch not in ("", push.epoch):
            self.problems.append(f"{push.id} changed its epoch")
        if instance.gone or push.number <= instance.number:
            return
        instance.epoch, instance.number = push.epoch, push.number
        for family in push.families:
            for sample in family["values"]:
                series = (sample["name"], own_labels(sample))
                self._check(push, series, instance, family["type"], sample["value"])
                instance.values[series] = (sample["value"], family["type"], sample["labels"].get("_aggregate"))
        if push.final:
            self._depart(instance)

    def _check(self, push: Push, series: Series, instance: Instance, kind: str, value: float) -> None:
        before = instance.values.get(series)
        if kind == "counter" and (value < 0 or (before and value < before[0])):
            self.problems.append(f"{series[0]} of {push.id} fell to {value}")

    def _depart(self, instance: Instance) -> None:
        instance.gone = True
        for series, (value, kind, _) in instance.values.items():
            if kind in CUMULATIVE:
                self.departed[series] = self.departed.get(series, 0.0) + value
        instance.values = {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news: tests kill some."""


def _handler(stub: Stub) -> type:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
            path, _, query = self.path.partition("?")
            if path != "/v1/ingest" or query not in ("", "final=true"):
                stub.problems.append(f"asked for {self.path}")
            epoch, number, acked = self.headers["Push-Sequence"].rsplit(".", 2)
            push = Push(json.loads(text), text, epoch, int(number), int(acked), query != "", self.client_address)
            status, body = stub.receive(push)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
