"""Directories of Ruby's DirectFileStore: one file for each metric of each process, made here as its source makes them."""

import struct
from urllib.parse import quote_plus

import pytest
from prometheus_client.parser import text_string_to_metric_families

ENTRY_BYTES = {"before 2.1": 8, "since": 16}


class Store:
    """What one process has of one metric."""

    def __init__(self, folder, metric, pid, width):
        self.path, self.width, self.places = folder / f"metric_{metric}___{pid}.bin", width, {}
        self.path.write_bytes(struct.pack("l", 8) + bytes((1 << 20) - 8))
        self.used = 8

    def increment(self, by, **labels):
        key = "&".join(f"{quote_plus(name)}={quote_plus(str(value))}" for name, value in sorted(labels.items()))
        with open(self.path, "r+b") as file:
            if key not in self.places:
                padded = key + " " * (8 - (len(key) + 4) % 8)
                entry = struct.pack("i", len(padded)) + padded.encode() + bytes(self.width)
                file.seek(self.used)
                file.write(entry)
                self.used += len(entry)
                self.places[key] = self.used - self.width
                file.seek(0)
                file.write(struct.pack("i", self.used))
            file.seek(self.places[key])
            value = struct.unpack("d", file.read(8))[0] + by
            file.seek(self.places[key])
            file.write(struct.pack("dd", value, 1234.5)[: self.width])


def samples(sidecar):
    families = text_string_to_metric_families(sidecar.get("/metrics").text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "ruby"
    path.mkdir()
    return path


@pytest.mark.parametrize("width", ENTRY_BYTES.values(), ids=ENTRY_BYTES)
def test_the_processes_of_a_ruby_application_are_one(launch, folder, width):
    for pid in (7, 8):
        Store(folder, "requests_total", pid, width).increment(pid, path="/a b", code="200")
        Store(folder, "queue", pid, width).increment(pid, pid=pid)
        Store(folder, "size", pid, width).increment(2, quantile="count")
        seconds = Store(folder, "seconds", pid, width)
        seconds.increment(1, le="0.5")
        seconds.increment(0.25, le="sum")
    seconds.increment(3, le="+Inf")
    sidecar = launch("--multiproc-dir", str(folder))
    assert samples(sidecar) == {
        ("requests_total", ("code", "200"), ("path", "/a b")): 15,
        ("queue", ("pid", "7")): 7,
        ("queue", ("pid", "8")): 8,
        ("size_count",): 4,
        ("seconds_bucket", ("le", "0.5")): 2,
        ("seconds_bucket", ("le", "+Inf")): 5,
        ("seconds_sum",): 0.5,
        ("seconds_count",): 5,
    }


def test_a_bucket_that_is_met_later_takes_nothing_back(launch, folder):
    seconds = Store(folder, "seconds", 7, 16)
    seconds.increment(2, le="1")
    seconds.increment(1.0, le="sum")
    sidecar = launch("--multiproc-dir", str(folder))
    assert samples(sidecar)["seconds_count",] == 2
    for met, le in enumerate(("0.5", "+Inf", "2.5", "1"), start=1):
        seconds.increment(1, le=le)
        seconds.increment(1.0, le="sum")
        page = samples(sidecar)
        assert page["seconds_count",] == page["seconds_bucket", ("le", "+Inf")] == 2 + met
        assert page["seconds_sum",] == 1.0 + met
    assert [page["seconds_bucket", ("le", le)] for le in ("0.5", "1", "2.5")] == [1, 4, 5]


def test_a_rule_says_what_the_files_do_not(launch, folder):
    for pid in (7, 8):
        Store(folder, "visits", pid, 16).increment(pid)
        Store(folder, "highest", pid, 16).increment(pid)
    rules = "rules:\n- match: {name: visits}\n  type: counter\n- match: {name: highest}\n  type: gauge\n  aggregate: max\n"
    sidecar = launch("--multiproc-dir", str(folder), config=rules)
    page = ["# TYPE highest gauge", "highest 8", "# TYPE visits counter", "visits 15"]
    assert sidecar.get("/metrics").text.splitlines() == page
