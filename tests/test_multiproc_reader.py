"""Directories of prometheus_client's multiprocess mode: what the sidecar makes of the files that come and go in them."""

import os
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar import ROOT, eventually

sys.path.insert(0, str(ROOT / "bench"))
import worker_files  # noqa: E402

WORKER = """
import sys
from prometheus_client import Counter, Gauge, Histogram, Summary
n = int(sys.argv[1])
counter = Counter("jobs", "Jobs.", ["queue"])
counter.labels("a").inc(n)
counter.labels('odd "\\\\\\n é').inc(2)
Histogram("took_seconds", "Took.", ["queue"]).labels("a").observe(n)
Summary("size", "Size.").observe(n)
for mode in ("all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"):
    Gauge("g_" + mode, "Gauge.", ["queue"], multiprocess_mode=mode).labels("a").set(n)
"""

COLLECT = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def python(folder, code, *args):
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code, *args], env=env, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "multiproc"
    path.mkdir()
    return path


def counter(folder, pid, value, queue="a"):
    """A file of one counter."""
    key = worker_files.key("jobs", "jobs_total", {"queue": queue}, "Jobs.")
    return worker_files.File(folder / f"counter_{pid}.db", [(key, value)])


def gauge(folder, pid, value, mode="livesum"):
    key = worker_files.key("busy", "busy", {}, "Busy.")
    return worker_files.File(folder / f"gauge_{mode}_{pid}.db", [(key, value)])


def histogram(folder, pid, counts):
    bounds = ("1.0", "+Inf")
    entries = [(worker_files.key("took", "took_sum", {}, "Took."), 1.0)]
    entries += [(worker_files.key("took", "took_bucket", {"le": le}, "Took."), n) for le, n in zip(bounds, counts)]
    return worker_files.File(folder / f"histogram_{pid}.db", entries)


def samples(sidecar):
    """The page's lines by what stands before their value."""
    lines = sidecar.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if not x.startswith("#"))}


def jobs(sidecar):
    return samples(sidecar).get('jobs_total{queue="a"}')


def parsed(text):
    """Families with their samples, in no order."""
    return {(family.name, family.type, family.documentation,
             frozenset((sample.name, frozenset(sample.labels.items()), sample.value) for sample in family.samples))
            for family in text_string_to_metric_families(text)}


def test_the_page_is_what_the_clients_own_collector_makes(launch, folder):
    for n in ("1", "2", "3"):
        python(folder, WORKER, n)
    sidecar = launch("--multiproc-dir", str(folder))
    assert parsed(sidecar.get("/metrics").text) == parsed(python(folder, COLLECT))
    python(folder, WORKER, "4")
    assert parsed(sidecar.get("/metrics").text) == parsed(python(folder, COLLECT))


def test_files_of_the_benchmarks_are_as_the_client_writes_them(folder):
    counter(folder, 1, 3.5)
    assert 'jobs_total{queue="a"} 3.5' in python(folder, COLLECT)


def test_only_what_changed_is_pushed_and_all_of_it_is_shown(launch, folder):
    keys = [worker_files.key("jobs", "jobs_total", {"queue": f"q{n}"}, "Jobs.") for n in range(100)]
    file = worker_files.File(folder / "counter_1.db", [(key, 1.0) for key in keys])
    sidecar = launch("--multiproc-dir", str(folder))
    before = sidecar.own_sum("monasca_sidecar_samples_total")
    for index in (7, 8, 99):
        file.add(index, 1.0)
    page = samples(sidecar)
    assert [n for n in range(100) if page[f'jobs_total{{queue="q{n}"}}'] == 2.0] == [7, 8, 99]
    assert len(page) == 100
    assert sidecar.own_sum("monasca_sidecar_samples_total") - before <= 6


def test_a_worker_that_is_gone_stays_counted_and_its_gauges_go(launch, folder):
    counter(folder, 1, 5)
    gauge(folder, 1, 7)
    counter(folder, 2, 10)
    gauge(folder, 2, 1)
    sidecar = launch("--multiproc-dir", str(folder))
    assert (jobs(sidecar), samples(sidecar)["busy"]) == (15, 8)
    (folder / "gauge_livesum_1.db").unlink()
    assert (jobs(sidecar), samples(sidecar)["busy"]) == (15, 1)
    (folder / "counter_1.db").unlink()
    assert (jobs(sidecar), samples(sidecar)["busy"]) == (15, 1)
    assert [i["live"] for i in sidecar.instances()] == [False, True]


def test_another_process_with_the_same_pid_is_another_worker(launch, folder):
    counter(folder, 7, 5)
    gauge(folder, 7, 1)
    sidecar = launch("--multiproc-dir", str(folder))
    assert jobs(sidecar) == 5
    (folder / "counter_7.db").unlink()
    counter(folder, 7, 6)
    assert jobs(sidecar) == 11


def test_a_file_that_a_later_process_goes_on_with_is_one_worker(launch, folder):
    file = counter(folder, 7, 5)
    sidecar = launch("--multiproc-dir", str(folder))
    assert jobs(sidecar) == 5
    file.close()
    with open(folder / "counter_7.db", "r+b") as later:
        later.seek(file.places[0])
        later.write(worker_files.VALUE.pack(9.0, 0.0))
    assert jobs(sidecar) == 9
    assert len(sidecar.instances()) == 1


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_with_a_data_directory_loses_and_doubles_nothing(launch, folder, tmp_path, how):
    args = ("--multiproc-dir", str(folder), "--data-dir", str(tmp_path / "data"))
    first, gone, late = counter(folder, 1, 5), counter(folder, 2, 10), None
    gauge(folder, 1, 3)
    histogram(folder, 1, (1, 1))
    sidecar = launch(*args)
    gone.add(0, 1)
    assert jobs(sidecar) == 16
    (folder / "counter_2.db").unlink()
    assert jobs(sidecar) == 16
    sidecar.stop() if how == "stop" else sidecar.kill()
    first.add(0, 1)
    late = counter(folder, 3, 100)
    sidecar = launch(*args)
    assert (jobs(sidecar), samples(sidecar)["busy"], samples(sidecar)["took_count"]) == (117, 3, 2)
    sidecar.stop() if how == "stop" else sidecar.kill()
    for path in folder.glob("*_1.db"):
        path.unlink()
    counter(folder, 1, 1000)
    late.add(0, 1)
    sidecar = launch(*args)
    page = samples(sidecar)
    assert (jobs(sidecar), page["took_count"], page.get("busy")) == (1118, 2, None)


def test_a_worker_that_loses_its_oldest_file_is_not_counted_twice(launch, folder, tmp_path):
    args = ("--multiproc-dir", str(folder), "--data-dir", str(tmp_path / "data"))
    counter(folder, 1, 5)
    late = histogram(folder, 1, (3, 1))
    sidecar = launch(*args)
    assert (jobs(sidecar), samples(sidecar)["took_count"]) == (5, 4)
    (folder / "counter_1.db").unlink()
    late.add(1, 1)
    assert (jobs(sidecar), samples(sidecar)["took_count"]) == (5, 5)
    sidecar.stop()
    late.add(2, 1)
    sidecar = launch(*args)
    assert (jobs(sidecar), samples(sidecar)["took_count"]) == (5, 6)


def test_totals_that_come_after_gauges_are_counted_once(launch, folder, tmp_path):
    args = ("--multiproc-dir", str(folder), "--data-dir", str(tmp_path / "data"))
    gauge(folder, 1, 2)
    sidecar = launch(*args)
    assert samples(sidecar) == {"busy": 2}
    counter(folder, 1, 5)
    assert samples(sidecar) == {"busy": 2, 'jobs_total{queue="a"}': 5}
    sidecar.stop()
    sidecar = launch(*args)
    assert samples(sidecar) == {"busy": 2, 'jobs_total{queue="a"}': 5}


def test_what_was_cleared_deleted_or_said_goodbye_to_is_read_again(launch, folder):
    counter(folder, 1, 5)
    gauge(folder, 1, 2)
    sidecar = launch("--multiproc-dir", str(folder))
    whole = {"busy": 2, 'jobs_total{queue="a"}': 5}
    assert samples(sidecar) == whole
    assert sidecar.request("POST", "/v1/clear").status == 200
    assert samples(sidecar) == whole
    assert sidecar.request("DELETE", "/v1/series?match[]=busy").status == 200
    assert samples(sidecar) == whole
    [instance] = sidecar.instances()
    assert sidecar.goodbye(instance["id"]).status == 202
    assert samples(sidecar) == whole


def test_decay_does_not_touch_what_stands_in_a_file(launch, folder):
    counter(folder, 1, 5)
    gauge(folder, 1, 2)
    sidecar = launch("--multiproc-dir", str(folder), "--decay", "1s")
    sidecar.push([{"name": "pushed", "type": "gauge", "values": [{"labels": {"_id": "p"}, "value": 1}]}])
    assert samples(sidecar) == {"busy": 2, 'jobs_total{queue="a"}': 5, "pushed": 1}
    eventually(lambda: "pushed" not in samples(sidecar), "the decay of what was pushed")
    assert samples(sidecar) == {"busy": 2, 'jobs_total{queue="a"}': 5}
    assert [i["decay_seconds"] for i in sidecar.instances() if i["live"]] == [None]


def test_a_directory_has_labels_of_its_own(launch, folder, tmp_path):
    other = tmp_path / "other"
    config = f"""
multiproc:
  dirs:
    - {{path: "{folder}", job: web, labels: {{tier: front}}}}
    - "{other}"
"""
    counter(folder, 1, 5)
    sidecar = launch(config=config)
    assert samples(sidecar) == {'jobs_total{job="web",queue="a",tier="front"}': 5}
    other.mkdir()
    counter(other, 1, 6)
    assert samples(sidecar) == {'jobs_total{job="web",queue="a",tier="front"}': 5, 'jobs_total{queue="a"}': 6}


def test_bad_files_cost_themselves_alone(launch, folder):
    counter(folder, 1, 5)
    (folder / "counter_2.db").symlink_to(folder / "counter_1.db")
    os.mkfifo(folder / "counter_3.db")
    (folder / "counter_4.db").mkdir()
    (folder / "counter_5.db").write_bytes(b"\x10\x27\0\0\0\0\0\0")
    (folder / "counter_6.db").write_bytes(b"\x00\x01\0\0\0\0\0\0" + b"\xff" * 300)
    (folder / "counter_7.db").write_bytes(b"")
    sidecar = launch("--multiproc-dir", str(folder))
    assert samples(sidecar) == {'jobs_total{queue="a"}': 5}
    faults = {code: sidecar.own_sum("monasca_sidecar_multiproc_faults_total", code=code)
              for code in ("not_regular", "truncated", "bad_length")}
    assert faults == {"not_regular": 6, "truncated": 2, "bad_length": 2}
    assert sidecar.own_sum("monasca_sidecar_multiproc_faulty_files") == 5
    assert len([line for line in sidecar.log if "left out" in line]) == 5


def test_a_file_that_breaks_keeps_what_it_had(launch, folder):
    counter(folder, 1, 5)
    sidecar = launch("--multiproc-dir", str(folder))
    assert jobs(sidecar) == 5
    with open(folder / "counter_1.db", "r+b") as file:
        file.write(b"\xff\xff\xff\xff")
    assert jobs(sidecar) == 5
    assert sidecar.own_sum("monasca_sidecar_multiproc_faults_total", code="bad_length") == 1
