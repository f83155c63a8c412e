"""The Monasca agent's Prometheus check reads the page: every series that its own rules allow arrives.

What it should report is computed from what was pushed and from the agent's rules (stated below), so
neither the page nor our reader of it is the judge.
"""

import json
import math
import os
import re
import subprocess

import pytest

from sidecar import CACHE, ROOT, counter, family, gauge, histogram, value

PARSERS = ["0.20.0", "0.26.0"]
FORBIDDEN_IN_DIMENSIONS = re.compile(r'[<>={},"\\;&]')
FORBIDDEN_IN_NAMES = re.compile(r'[<>={},"\\;&() ]')
HOSTILE_VALUES = [
    "plain", "héllo", "世界 🚀", "with blank", "(round)", "'single'", "a/b|c?d%e#f:g", "line\nfeed", "tab\there", "nul\x00byte",
    "e\u0301", "\u2028\u2029", "[square]", "~^`!@$*", "# HELP x y", "NaN", "x" * 255, "é" * 255, "\x85next line", "\x0b\x0c\x1c\x1d\x1e",
    # From here on the agent drops the sample:
    'quote"', "back\\slash", "a=b", "a,b", "{a}", "<b>", "a;b", "a&b", "x" * 256, "é" * 256, "\\", "\\n",
]


@pytest.fixture(params=PARSERS)
def agent(request, tmp_path):
    """Reads a running sidecar with the agent's check; {(name, dimensions): value} and the errors."""

    def read(sidecar):
        # The agent looks for its configuration in the working directory, and for proxies in the environment.
        (tmp_path / "agent.yaml").write_text("Main: {hostname: test}\nLogging: {}\n")
        env = {**os.environ, "PYTHONPATH": str(CACHE / "parsers" / request.param), "NO_PROXY": "*"}
        answer = subprocess.run(
            [str(CACHE / "agent/bin/python"), str(ROOT / "tests/monasca_driver.py"), sidecar.url + "/metrics"],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 0, answer.stderr
        report = json.loads(answer.stdout)
        assert report["parser"] == request.param
        unreadable = [line for line in report["errors"] if not line.startswith("invalid metric: ")]
        assert not unreadable, unreadable
        return {(one["name"], tuple(sorted(one["dimensions"].items()))): one["value"]
                for one in report["measurements"]}

    return read


def allowed(name, labels, number):
    """The agent's rules: finite, short enough, none of its forbidden characters, no leading `_`."""
    if not math.isfinite(number) or not 1 <= len(name) <= 255 or FORBIDDEN_IN_NAMES.search(name):
        return False
    return all(1 <= len(text) <= 255 and 1 <= len(key) <= 255 and not key.startswith("_")
               and not FORBIDDEN_IN_DIMENSIONS.search(key + text) for key, text in labels.items())


def expected_of(series):
    """`series`: (name, labels, value) as the merged application has them."""
    wanted = {}
    for name, labels, number in series:
        present = {key: text for key, text in labels.items() if text != ""}
        if allowed(name, present, number):
            wanted[(name, tuple(sorted(present.items())))] = number
    return wanted


def test_hostile_labels_and_values_arrive(sidecar, agent):
    series = [("hostile", {"text": text, "n": str(index)}, float(index)) for index, text in enumerate(HOSTILE_VALUES)]
    series += [("numbers", {"n": str(index)}, number) for index, number in enumerate(
        [0.0, -1.5, 1e300, 5e-324, math.nan, math.inf, -math.inf, 9007199254740991.0, 0.1, 1e6])]
    series += [("labelled", {"empty": "", "kept": "1"}, 7.0), ("labelled", {"_hidden": "x"}, 8.0),
               ("x" * 255, {}, 9.0), ("y" * 256, {}, 10.0)]
    names = {name for name, _, _ in series}
    sidecar.push([family(name, "gauge", *(value(name, number, labels) for found, labels, number in series if found == name),
                         help='hostile "help" \\ with\nline feed') for name in sorted(names)])
    wanted = expected_of(series)
    assert len(wanted) > 25
    assert agent(sidecar) == wanted


def test_an_application_of_several_processes_arrives_as_one(sidecar, agent):
    for worker, requests in (("w1", 10), ("w2", 32)):
        sidecar.push([
            counter("http_requests_total", requests, instance=worker, path="/"),
            histogram("latency_seconds", {"0.1": requests // 2, "+Inf": requests}, requests * 0.5, instance=worker),
            family("pages", "summary", value("pages_sum", requests, instance=worker),
                   value("pages_count", requests, instance=worker)),
            gauge("queue", requests, instance=worker, aggregate="sum"),
            gauge("peak", requests, instance=worker, aggregate="max"),
            family("build", "info", value("build_info", 1, {"version": "1.2"}, instance=worker)),
        ])
    assert agent(sidecar) == expected_of([
        ("http_requests_total", {"path": "/"}, 42.0),
        ("latency_seconds_bucket", {"le": "0.1"}, 21.0), ("latency_seconds_bucket", {"le": "+Inf"}, 42.0),
        ("latency_seconds_sum", {}, 21.0), ("latency_seconds_count", {}, 42.0),
        ("pages_sum", {}, 42.0), ("pages_count", {}, 42.0), ("queue", {}, 42.0), ("peak", {}, 32.0),
        ("build_info", {"version": "1.2"}, 1.0),
    ])


def test_every_type_and_utf8_names_arrive(sidecar, agent):
    sidecar.push([
        counter("c_total", 3), gauge("g", 2), family("u", "untyped", value("u", 1)), family("k", "unknown", value("k", 2)),
        family("mood", "stateset", value("mood", 1, {"mood": "good"}), value("mood", 0, {"mood": "bad"})),
        family("made", "counter", value("made_total", 4), value("made_created", 1.7e9)),
        gauge("http.server.duration", 5, **{"service.name": "shop"}), gauge("größe", 6),
    ])
    assert agent(sidecar) == expected_of([
        ("c_total", {}, 3.0), ("g", {}, 2.0), ("u", {}, 1.0), ("k", {}, 2.0), ("mood", {"mood": "good"}, 1.0),
        ("mood", {"mood": "bad"}, 0.0), ("made_total", {}, 4.0),
        ("http_server_duration", {"service_name": "shop"}, 5.0), ("gr__e", {}, 6.0),
    ])


def test_a_counter_without_total_arrives_under_the_name_that_the_parser_gives_it(sidecar, agent):
    sidecar.push([counter("visits", 5)])
    assert agent(sidecar) == {("visits_total", ()): 5.0}


def test_an_empty_page_is_read_without_an_error(sidecar, agent):
    assert agent(sidecar) == {}
