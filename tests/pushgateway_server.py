"""Debian's prometheus-pushgateway on a free port, and what a gateway holds as both it and the sidecar show it.

Owns the comparison's terms: the series of a page with the own metrics of the gateway left out, the types, the
two push times as zero or not, and the JSON of `/api/v1/metrics` without its dates.
"""

import http.client
import re
import subprocess
import threading
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from sidecar import Response, eventually

LISTENING = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')
# What the gateway says of itself on the same page.
OWN = re.compile(r"(go|process|promhttp|pushgateway)_")
TIMES = ("push_time_seconds", "push_failure_time_seconds")


class Pushgateway:
    def __init__(self, binary):
        self.log = []
        self.process = subprocess.Popen(
            [str(binary), "--web.listen-address=127.0.0.1:0", "--web.enable-admin-api", "--persistence.file="],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        self.port = eventually(self._find_port, f"the Pushgateway's port in {self.log}", 30)

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def _find_port(self):
        assert self.process.poll() is None, self.log
        found = [LISTENING.search(line) for line in list(self.log)]
        return next((int(match.group(1)) for match in found if match), None)

    def request(self, method, path, body=None, headers=None, timeout=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


@dataclass
class View:
    """What is on the page of a gateway."""

    series: dict = field(default_factory=dict)  # {(name, labels): value}
    types: dict = field(default_factory=dict)
    helps: dict = field(default_factory=dict)
    times: dict = field(default_factory=dict)  # {(name, labels): whether it ever happened}


def view(server):
    """The page of either server."""
    answer = server.request("GET", "/metrics")
    assert answer.status == 200, (answer.status, answer.text)
    found = View()
    for family in text_string_to_metric_families(answer.text):
        if OWN.match(family.name):
            continue
        for sample in family.samples:
            key = (sample.name, labels_of(sample))
            assert key not in found.series and key not in found.times, f"{key} twice"
            if family.name in TIMES:
                found.times[key] = sample.value > 0
            else:
                found.series[key] = comparable(sample.value)
        if family.name not in TIMES:
            found.types[family.name] = family.type
            found.helps[family.name] = family.documentation
    return found


def labels_of(sample):
    """Bounds are compared as numbers."""
    labels = {name: number(text) if name in ("le", "quantile") else text for name, text in sample.labels.items()}
    return tuple(sorted(labels.items()))


def number(text):
    try:
        return comparable(float(text))
    except ValueError:
        return text


def comparable(value):
    """NaN equals itself, and minus zero is zero."""
    return "NaN" if value != value else repr(float(value) + 0.0)


def listing(server):
    """`/api/v1/metrics` by grouping key, dates checked and left out."""
    answer = server.request("GET", "/api/v1/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert body["status"] == "success", body
    return {tuple(sorted(group["labels"].items())): group_listing(group) for group in body["data"]}


def group_listing(group):
    found = {"last_push_successful": group["last_push_successful"]}
    for name, family in group.items():
        if name in ("labels", "last_push_successful"):
            continue
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", family["time_stamp"]), family
        metrics = [metric_listing(metric, name in TIMES) for metric in family["metrics"]]
        found[name] = (family["type"], sorted(metrics, key=repr))
    return found


def metric_listing(metric, is_time):
    """Every value is a text; they are compared as numbers."""
    found = {"labels": tuple(sorted(metric["labels"].items()))}
    for key in ("value", "count", "sum"):
        if key in metric:
            found[key] = (float(metric[key]) > 0) if is_time else number(checked_text(metric[key]))
    for key in ("buckets", "quantiles"):
        if key in metric:
            found[key] = {number(bound): number(checked_text(value)) for bound, value in metric[key].items()}
    assert metric.keys() <= {"labels", "value", "count", "sum", "buckets", "quantiles"}, metric
    return sorted(found.items(), key=lambda pair: pair[0])


def checked_text(value):
    assert isinstance(value, str), value
    return value
