"""Clients of the Pushgateway push for real, unmodified, and the numbers on the page are right.

Python's prometheus_client, Node's prom-client, Go's client_golang (protobuf), curl as the Pushgateway's README has
it, and the bodies of Ruby, PHP and Java clients as they were recorded. Then what a Pushgateway cannot do: workers
under a key of their own that are merged, and pushes that are added up.
"""

import json
import math
import os
import subprocess
import sys
import uuid

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, delete_from_gateway
from prometheus_client import generate_latest, push_to_gateway, pushadd_to_gateway
from prometheus_client.exposition import basic_auth_handler
from prometheus_client.parser import text_string_to_metric_families

import exposition
from sidecar import CACHE, ROOT, eventually

CLIENTS = ROOT / "tests/clients"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def page(sidecar):
    answer = sidecar.get("/metrics")
    assert answer.status == 200, answer.text
    return exposition.parse(answer.body, grouped=True)


def numbers(text, **labels):
    """What a client's own text says, with the labels that the push gives to all of it; created times apart."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found[(sample.name, tuple(sorted({**sample.labels, **labels}.items())))] = sample.value
    return found


def of_key(sidecar, **labels):
    """What the page has under these labels; push times apart."""
    text = sidecar.get("/metrics").text
    return {key: value for key, value in numbers(text).items()
            if labels.items() <= dict(key[1]).items() and not key[0].startswith("push_")}


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == value or (math.isnan(found[key]) and math.isnan(value)), key


# -- Python


def python_registry(factor=1):
    registry = CollectorRegistry()
    jobs = Counter("jobs_done", 'Jobs "done"\nand more.', ["state"], registry=registry)
    jobs.labels("ok").inc(12 * factor)
    jobs.labels('a\\b\n"c" é').inc(0.5)
    Gauge("last_success_seconds", "When.", registry=registry).set(1.25e9)
    Gauge("nobody_knows", "", registry=registry).set(math.nan)
    latency = Histogram("latency_seconds", "", registry=registry, buckets=[0.1, 1, 10])
    for seconds in (0.05, 0.5, 5, 50):
        latency.observe(seconds)
    Summary("size_bytes", "", registry=registry).observe(100)
    Info("b", "", registry=registry).info({"version": "1"})
    return registry


def python_numbers(registry, **labels):
    return numbers(generate_latest(registry).decode(), **labels)


@pytest.mark.parametrize("compression", [None, "gzip", "snappy"])
def test_python_pushes_adds_and_deletes(sidecar, compression):
    registry, key = python_registry(), {"instance": "i"}
    push_to_gateway(sidecar.url, "night", registry, key, compression=compression)
    same(of_key(sidecar, job="night"), python_numbers(registry, job="night", instance="i"))
    page(sidecar)

    more = CollectorRegistry()
    Gauge("more", "", registry=more).set(1)
    pushadd_to_gateway(sidecar.url, "night", more, key, compression=compression)
    assert len(of_key(sidecar, job="night")) == len(python_numbers(registry)) + 1
    push_to_gateway(sidecar.url, "night", more, key, compression=compression)
    assert of_key(sidecar, job="night") == {("more", (("instance", "i"), ("job", "night"))): 1}
    delete_from_gateway(sidecar.url, "night", key)
    assert sidecar.get("/metrics").body == b""


@pytest.mark.parametrize("job, key", [
    ("a/b", {}), ("/var/tmp", {"path": "/"}), ("two words", {"l": "x y"}), ("é✓", {"l": "日本"}), ("j", {"empty": ""}),
    ("a+b", {"l": "50%"}), ("j", {"l": "a&b=c?d#e"}), ("j", {"l": 'q"\\'}), ("j", {"number": 7}), ("j", {"b": "1", "a": "2"}),
])
def test_python_keys_arrive_as_they_were_meant(sidecar, job, key):
    registry = CollectorRegistry()
    Gauge("g", "", registry=registry).set(1)
    push_to_gateway(sidecar.url, job, registry, key)
    wanted = {"job": job, "instance": "", **{name: str(value) for name, value in key.items()}}
    assert page(sidecar).value("g", **wanted) == 1
    delete_from_gateway(sidecar.url, job, key)
    assert sidecar.get("/metrics").body == b""


def test_python_credentials_do_no_harm(sidecar):
    def handler(url, method, timeout, headers, data):
        return basic_auth_handler(url, method, timeout, headers, data, "user", "secret")

    registry = python_registry()
    push_to_gateway(sidecar.url, "night", registry, handler=handler)
    same(of_key(sidecar, job="night"), python_numbers(registry, job="night", instance=""))
    delete_from_gateway(sidecar.url, "night", handler=handler)
    assert sidecar.get("/metrics").body == b""


WORKER = """\
import sys, uuid
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, push_to_gateway
url, number = sys.argv[1], int(sys.argv[2])
registry = CollectorRegistry()
jobs = Counter("jobs_done", "", ["queue"], registry=registry)
seconds = Histogram("seconds", "", registry=registry, buckets=[1, 10])
busy = Gauge("busy", "", registry=registry)
key = {"_id": str(uuid.uuid4())}
for turn in range(20):
    jobs.labels("mail").inc(number)
    seconds.observe(turn)
    busy.set(1)
    push_to_gateway(url, "workers", registry, key)
"""


def test_eight_workers_under_ids_are_merged_and_outlive_themselves(launch):
    sidecar = launch("--decay", "2s")
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, sidecar.url, str(number)]) for number in range(1, 9)]
    assert [worker.wait(60) for worker in workers] == [0] * 8

    def check_totals():
        merged = page(sidecar)
        assert merged.value("jobs_done_total", job="workers", queue="mail") == 20 * sum(range(1, 9))
        assert merged.value("seconds_count", job="workers") == 8 * 20
        assert [merged.value("seconds_bucket", job="workers", le=le) for le in ("1.0", "10.0", "+Inf")] == [16, 88, 160]
        assert all("_id" not in dict(sample.labels) for sample in merged.samples())

    check_totals()
    eventually(lambda: page(sidecar).get("busy", job="workers") is None, "the end of their gauges")
    check_totals()


def test_a_delete_is_the_goodbye_of_a_worker(sidecar):
    registry = python_registry()
    keys = [{"_id": str(uuid.uuid4())} for _ in range(2)]
    for key in keys:
        push_to_gateway(sidecar.url, "workers", registry, key)
    for key in keys:
        delete_from_gateway(sidecar.url, "workers", key)
    left = page(sidecar)
    assert left.value("jobs_done_total", job="workers", state="ok") == 24
    assert left.get("last_success_seconds", job="workers") is None


# -- Node


def node(sidecar, what, job, factor, groupings, *kind):
    env = {**os.environ, "NODE_PATH": str(CACHE / "node/node_modules")}
    answer = subprocess.run(
        ["node", str(CLIENTS / "node/push.js"), sidecar.url, what, job, str(factor), json.dumps(groupings), *kind],
        env=env, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("what", ["push", "pushAdd"])
def test_node_pushes_and_deletes(sidecar, what):
    groupings = {"path": "/var/tmp x", "e": ""}
    report = node(sidecar, what, "night/é", 1, groupings)
    assert report["status"] == 200
    wanted = numbers(report["text"].replace(" Nan\n", " NaN\n"), job="night/é", instance="", **groupings)
    # Their parser reads an empty label as one; the last of the path is empty too.
    same(of_key(sidecar, job="night/é"), wanted)
    page(sidecar)
    assert node(sidecar, "delete", "night/é", 1, groupings)["status"] == 202
    assert sidecar.get("/metrics").body == b""


def stable_names(series):
    """Without what changes between the push and the report: handles of the push itself, and the first garbage collection."""
    return {name for name, _ in series if not name.startswith(("nodejs_active", "nodejs_gc_"))}


def test_node_pushes_its_default_metrics_again_and_again(sidecar):
    for factor in (1, 2):
        report = node(sidecar, "push", "app", factor, {}, "default")
        assert report["status"] == 200
        found = of_key(sidecar, job="app")
        wanted = numbers(report["text"].replace(" Nan\n", " NaN\n"), job="app", instance="")
        assert stable_names(found) == stable_names(wanted)
        page(sidecar)
    assert page(sidecar).value("jobs_total", job="app", instance="", state='a\\b\n"c" é') == 10


def test_node_pushes_open_metrics(sidecar):
    report = node(sidecar, "push", "app", 3, {}, "openmetrics")
    assert report["status"] == 200 and report["text"].endswith("# EOF\n")
    found = page(sidecar)
    assert found.value("jobs_total", job="app", instance="", state='a\\b\n"c" é') == 15
    assert found.value("latency_seconds_count", job="app", instance="") == 4
    assert found.value("below", job="app", instance="") == -1.5


def test_node_workers_under_ids_are_merged(sidecar):
    for factor in (1, 2, 4):
        node(sidecar, "push", "app", factor, {"_id": str(uuid.uuid4())})
    assert page(sidecar).value("jobs_total", job="app", state='a\\b\n"c" é') == 35
    assert page(sidecar).value("latency_seconds_bucket", job="app", le="1") == 6


# -- Go


@pytest.fixture(scope="session")
def go_pusher(tmp_path_factory):
    """The program of tests/clients/go, built with Debian's compiler and client_golang."""
    binary = tmp_path_factory.mktemp("go") / "push"
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(CACHE / "go"), "GOFLAGS": "-trimpath"}
    answer = subprocess.run(["go", "build", "-o", str(binary), "."], cwd=CLIENTS / "go", env=env, capture_output=True,
                            text=True, timeout=180, check=False)
    assert answer.returncode == 0, f"run scripts/setup-tests.sh: {answer.stderr}"

    def run(sidecar, *arguments):
        answer = subprocess.run([str(binary), sidecar.url, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert (answer.returncode, answer.stdout) == (0, ""), answer.stdout + answer.stderr

    return run


GO_NUMBERS = {
    ("jobs_total", (("state", "ok"),)): 12, ("jobs_total", (("state", 'a\\b\n"c" é'),)): 0.5,
    ("last_success_seconds", ()): 1.25e9, ("nobody_knows", ()): math.nan,
    ("latency_seconds_bucket", (("le", "0.1"),)): 1, ("latency_seconds_bucket", (("le", "1"),)): 2,
    ("latency_seconds_bucket", (("le", "10"),)): 3, ("latency_seconds_bucket", (("le", "+Inf"),)): 4,
    ("latency_seconds_sum", ()): 55.55, ("latency_seconds_count", ()): 4,
    ("size_bytes", (("quantile", "0.5"),)): 0.5, ("size_bytes", (("quantile", "0.9"),)): 50,
    ("size_bytes_sum", ()): 55.55, ("size_bytes_count", ()): 4,
    ("both_seconds_bucket", (("le", "1"),)): 2, ("both_seconds_bucket", (("le", "+Inf"),)): 4,
    ("both_seconds_sum", ()): 55.55, ("both_seconds_count", ()): 4,
    # What a native histogram alone shows in text.
    ("native_seconds_bucket", (("le", "+Inf"),)): 4, ("native_seconds_sum", ()): 55.55, ("native_seconds_count", ()): 4,
}


@pytest.mark.parametrize("what", ["push", "add"])
def test_go_pushes_protobuf_and_deletes(sidecar, go_pusher, what):
    key = {"path": "/var/tmp", "empty": "", "l": "xé"}
    arguments = ["a/b", *(f"{name}={value}" for name, value in key.items())]
    go_pusher(sidecar, what, *arguments)
    labels = {"job": "a/b", "instance": "", **key}
    wanted = {(name, tuple(sorted({**dict(pairs), **labels}.items()))): value for (name, pairs), value in GO_NUMBERS.items()}
    same(of_key(sidecar, job="a/b"), wanted)
    page(sidecar)
    go_pusher(sidecar, "delete", *arguments)
    assert sidecar.get("/metrics").body == b""


def test_a_blank_that_go_writes_as_a_plus_stays_a_plus(sidecar, go_pusher):
    """As in the Pushgateway, whose paths have no forms."""
    go_pusher(sidecar, "push", "two words")
    assert page(sidecar).value("last_success_seconds", job="two+words", instance="") == 1.25e9


def test_go_workers_under_ids_are_merged_native_histograms_too(sidecar, go_pusher):
    for _ in range(3):
        go_pusher(sidecar, "push", "workers", f"_id={uuid.uuid4()}")
    merged = page(sidecar)
    assert merged.value("jobs_total", job="workers", state="ok") == 36
    assert merged.value("both_seconds_bucket", job="workers", le="1") == 6
    assert merged.value("native_seconds_count", job="workers") == 12


# -- curl and recorded bodies


def shell(sidecar, command):
    command = command.replace("http://pushgateway.example.org:9091", sidecar.url)
    answer = subprocess.run(["bash", "-o", "pipefail", "-c", command], env={**os.environ, "NO_PROXY": "*"},
                            capture_output=True, text=True, timeout=30, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_the_commands_of_the_pushgateways_readme(sidecar):
    """As they stand in its section "Command line", the address apart."""
    shell(sidecar, 'echo "some_metric 3.14" | curl --fail --data-binary @- http://pushgateway.example.org:9091/metrics/job/some_job')
    assert page(sidecar).value("some_metric", job="some_job", instance="") == 3.14
    shell(sidecar, """cat <<EOF | curl --fail --data-binary @- http://pushgateway.example.org:9091/metrics/job/some_job/instance/some_instance
# TYPE some_metric counter
some_metric{label="val1"} 42
# TYPE another_metric gauge
# HELP another_metric Just an example.
another_metric 2398.283
EOF
true""")
    assert page(sidecar).value("another_metric", job="some_job", instance="some_instance") == 2398.283
    shell(sidecar, "curl --fail -X DELETE http://pushgateway.example.org:9091/metrics/job/some_job/instance/some_instance")
    assert page(sidecar).get("another_metric", job="some_job", instance="some_instance") is None
    assert page(sidecar).value("some_metric", job="some_job", instance="") == 3.14
    shell(sidecar, "curl --fail -X DELETE http://pushgateway.example.org:9091/metrics/job/some_job")
    assert sidecar.get("/metrics").body == b""


@pytest.mark.parametrize("headers, path, body, wanted", [
    # Ruby client_ruby: TYPE ahead of HELP, no charset, spaces as %20, padded base64.
    ({"Content-Type": "text/plain; version=0.0.4"}, "/metrics/job/night%20job/path@base64/L3Zhci90bXA=",
     "# TYPE jobs_total counter\n# HELP jobs_total Jobs.\njobs_total{state=\"ok\"} 3.0\n",
     ("jobs_total", {"job": "night job", "path": "/var/tmp", "instance": "", "state": "ok"}, 3)),
    # PHP: the path as it comes, the MIME type of its renderer.
    ({"Content-Type": TEXT.replace("; charset=utf-8", "")}, "/metrics/job/php/instance/web-1",
     "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 3\n", ("jobs_total", {"job": "php", "instance": "web-1"}, 3)),
    # Java simpleclient: text, form encoding of the path.
    ({"Content-Type": TEXT}, "/metrics/job/java/group/a+b",
     "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 3.0\n", ("jobs_total", {"job": "java", "group": "a+b", "instance": ""}, 3)),
])
def test_recorded_pushes_of_other_clients(sidecar, headers, path, body, wanted):
    name, labels, value = wanted
    for method in ("PUT", "POST"):
        assert sidecar.request(method, path, body, headers).status == 200
        assert page(sidecar).value(name, **labels) == value
    assert sidecar.request("DELETE", path, headers=headers).status == 202


def test_old_java_clients_get_the_202_that_they_wait_for(launch):
    sidecar = launch(config="push: {status: 202}\n")
    answer = sidecar.request("POST", "/metrics/job/java", "jobs_total 3.0\n", {"Content-Type": TEXT})
    assert (answer.status, answer.body) == (202, b"")


# -- pushes that are added up


FIRST = """\
# HELP jobs_total Jobs.
# TYPE jobs_total counter
jobs_total{queue="mail"} 2
# TYPE seconds histogram
seconds_bucket{le="1"} 1
seconds_bucket{le="+Inf"} 3
seconds_sum 7.5
seconds_count 3
# TYPE sizes summary
sizes_sum 10
sizes_count 2
# TYPE depth gauge
depth 4
"""
SECOND = """\
# TYPE jobs_total counter
jobs_total{queue="mail"} 3
jobs_total{queue="news"} 1
# TYPE seconds histogram
seconds_bucket{le="1"} 2
seconds_bucket{le="+Inf"} 2
seconds_sum 1
seconds_count 2
# TYPE sizes summary
sizes_sum 5
sizes_count 1
# TYPE depth gauge
depth 6
"""
# Counters, histograms and the sums and counts of summaries as both prom-aggregation-gateways have them. A gauge is the
# last one: they add gauges up, which is right for no gauge that a job sets.
MERGED = {
    ("jobs_total", (("queue", "mail"),)): 5, ("jobs_total", (("queue", "news"),)): 1,
    ("seconds_bucket", (("le", "1"),)): 3, ("seconds_bucket", (("le", "+Inf"),)): 5, ("seconds_sum", ()): 8.5, ("seconds_count", ()): 5,
    ("sizes_sum", ()): 15, ("sizes_count", ()): 3, ("depth", ()): 6,
}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path, labels", [
    ("/metrics?temporality=delta", {}), ("/metrics/?temporality=delta", {}),
    ("/metrics/job/x?temporality=delta", {"job": "x"}), ("/metrics/job/x/l/1?temporality=delta", {"job": "x", "l": "1"}),
    ("/metrics/region/eu?temporality=delta", {"region": "eu"}),
])
def test_deltas_are_added_up(sidecar, method, path, labels):
    for body in (FIRST, SECOND):
        answer = sidecar.request(method, path, body)
        assert (answer.status, answer.body) == (200, b"")
    wanted = {(name, tuple(sorted({**dict(pairs), **labels}.items()))): value for (name, pairs), value in MERGED.items()}
    assert page(sidecar).series() == wanted


@pytest.mark.parametrize("config, path, labels", [
    ("push: {temporality: delta}\n", "/metrics", {}), ("push: {temporality: delta}\n", "/metrics/job/x", {"job": "x"}),
    ("push: {temporality: delta}\n", "/metrics/job/x/", {"job": "x"}),
    ("jobs: [{match: \"lambda-*\", temporality: delta}]\n", "/metrics/job/lambda-1", {"job": "lambda-1"}),
])
def test_the_configuration_makes_it_an_aggregation_gateway(launch, config, path, labels):
    sidecar = launch(config=config)
    for body in (FIRST, SECOND):
        assert sidecar.request("POST", path, body).status == 200
    wanted = {(name, tuple(sorted({**dict(pairs), **labels}.items()))): value for (name, pairs), value in MERGED.items()}
    assert page(sidecar).series() == wanted


def test_deltas_with_other_bounds_are_added_at_their_own_bounds(sidecar):
    """As zapier's does it; weaveworks' interpolates."""
    for le, count in (("1", 1), ("5", 2)):
        body = f'# TYPE h histogram\nh_bucket{{le="{le}"}} {count}\nh_bucket{{le="+Inf"}} 3\nh_sum 1\nh_count 3\n'
        assert sidecar.request("POST", "/metrics?temporality=delta", body).status == 200
    assert [page(sidecar).value("h_bucket", le=le) for le in ("1", "5", "+Inf")] == [1, 3, 6]


def test_without_a_word_a_push_without_a_job_is_refused_with_the_reason(sidecar):
    answer = sidecar.request("POST", "/metrics", FIRST)
    assert (answer.status, answer.code) == (400, "not_delta")
    assert "?temporality=delta" in answer.json()["message"]
    assert sidecar.get("/metrics").body == b""


@pytest.mark.parametrize("path", ["/metrics", "/metrics/job/x"])
def test_a_retry_with_its_key_is_not_added(sidecar, path):
    labels = {"job": "x"} if "job" in path else {}
    keys = ["run-1", "run-1", "run-2", "run-1", "run-2"]
    for key in keys:
        answer = sidecar.request("POST", f"{path}?temporality=delta", "# TYPE c counter\nc 5\n", {"Idempotency-Key": key})
        assert answer.status == 200
    assert page(sidecar).value("c", **labels) == 10
    other = sidecar.request("POST", f"{path}?temporality=delta", "# TYPE c counter\nc 6\n", {"Idempotency-Key": "run-1"})
    assert (other.status, other.code) == (422, "key_reused")
    assert page(sidecar).value("c", **labels) == 10


def test_python_jobs_push_deltas_from_many_processes(launch):
    sidecar = launch(config="push: {temporality: delta}\n")
    program = ("import sys\nfrom prometheus_client import CollectorRegistry, Counter, pushadd_to_gateway\n"
               "registry = CollectorRegistry()\nCounter('runs', '', registry=registry).inc()\n"
               "pushadd_to_gateway(sys.argv[1], 'cron', registry)\n")
    runs = [subprocess.Popen([sys.executable, "-c", program, sidecar.url]) for _ in range(8)]
    assert [run.wait(60) for run in runs] == [0] * 8
    assert page(sidecar).value("runs_total", job="cron") == 8
