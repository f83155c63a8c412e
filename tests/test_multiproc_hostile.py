"""Whatever lies in a multiprocess directory, and whatever is done to it meanwhile: the scrape answers, the honest files
are right, and what is wrong with a file is counted under its reason and said once."""

import os
import shutil
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path

import pytest

import sidecar as sidecar_module
from mmap_files import content, counters, entry, histogram, key

FAULTS = "monasca_sidecar_multiproc_faults_total"
HONEST = 41


@pytest.fixture
def directory(tmp_path):
    """With one honest worker."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(counters(honest=HONEST))
    (folder / "histogram_1.db").write_bytes(content(*histogram("took", {"1.0": 2, "+Inf": 1}, 7.5)))
    return folder


@pytest.fixture
def read(launch):
    return lambda directory, *more: launch("--multiproc-dir", str(directory), *more)


def honest_is_right(sidecar, honest=HONEST):
    page = sidecar.page()
    assert page.value("honest_total") == honest
    assert page.value("took_bucket", le="1.0") == 2 and page.value("took_count") == 3 and page.value("took_sum") == 7.5
    return page


def is_told(sidecar, name, code):
    """Each read counts the file under this reason and no other; one log line names it, however often it is read."""
    before, others = sidecar.own_sum(FAULTS, code=code), sidecar.own_sum(FAULTS) - sidecar.own_sum(FAULTS, code=code)
    for _ in range(3):
        honest_is_right(sidecar)
    assert sidecar.own_sum(FAULTS, code=code) >= before + 3
    assert sidecar.own_sum(FAULTS) - sidecar.own_sum(FAULTS, code=code) == others
    lines = sidecar.logged(name)
    assert len(lines) == 1, lines


# ---- What is in a file -----------------------------------------------------------------------------

WRONG = {
    "used_negative": (content(entry(key("x")), used=-8), "bad_length"),
    "used_odd": (content(entry(key("x")), used=61), "bad_length"),
    "used_beyond_the_file": (content(entry(key("x")), used=65536 + 8), "truncated"),
    "used_beyond_all_limits": (content(entry(key("x")), used=2 ** 31 - 8), "too_large"),
    "ends_in_an_entry": (content(entry(key("x")), used=24, size=24), "bad_length"),
    "truncated": (content(*[entry(key(f"x{n}")) for n in range(99)], size=0)[:1000], "truncated"),
    "length_negative": (content(entry(key("x"), length=-1)), "bad_length"),
    "length_zero": (content(entry(key("x"), length=0)), "bad_length"),
    "length_lowest": (content(entry(key("x"), length=-(2 ** 31))), "bad_length"),
    "length_overflows": (content(entry(key("x"), length=2 ** 31 - 1)), "bad_length"),
    "length_beyond_used": (content(entry(key("x"), length=500)), "bad_length"),
    "key_endless": (content(entry(key("x", labels={"a": "b" * 70000})), size=2 ** 18), "bad_length"),
    "not_utf8": (content(entry(b'["x", "x_total", {"a": "\xff\xfe"}, ""]')), "bad_key"),
    "not_json": (content(entry(b"rubbish, as it comes")), "bad_key"),
    "json_cut_short": (content(entry(b'["x", "x_total", {"a": "b"}, "')), "bad_key"),
    "json_goes_on": (content(entry(key("x") + b"]")), "bad_key"),
    "json_nested": (content(entry(b"[" * 9000), size=2 ** 17), "bad_key"),
    "another_shape": (content(entry(b'{"metric": "x"}')), "bad_key"),
    "no_elements": (content(entry(b"[]")), "bad_key"),
    "numbers_for_names": (content(entry(b'[1, 2, {}, ""]')), "bad_key"),
    "label_of_a_number": (content(entry(b'["x", "x_total", {"a": 1}, ""]')), "bad_key"),
    "label_of_a_list": (content(entry(b'["x", "x_total", {"a": ["b"]}, ""]')), "bad_key"),
    "names_without_values": (content(entry(b'["x", "x_total", ["a"], []]')), "bad_key"),
    "random_bytes": (content(bytes(range(256)) * 16), "bad_length"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_with_wrong_content_costs_only_itself(directory, read, name):
    wrong, code = WRONG[name]
    (directory / "counter_66.db").write_bytes(wrong)
    sidecar = read(directory)
    is_told(sidecar, "counter_66.db", code)
    (directory / "counter_66.db").write_bytes(counters(x=5))
    assert honest_is_right(sidecar).value("x_total") == 5, "what is repaired is read"


@pytest.mark.parametrize("begun", [b"", b"\0", b"\0\0\0\0", bytes(8), bytes(65536), struct.pack("ii", 8, 0)])
def test_a_file_that_is_just_being_made_is_no_fault(directory, read, begun):
    (directory / "counter_66.db").write_bytes(begun)
    sidecar = read(directory)
    honest_is_right(sidecar)
    assert sidecar.own_sum(FAULTS) == 0
    assert sidecar.logged("counter_66.db") == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_a_number_that_no_counter_has_costs_its_family_alone(directory, read, number):
    (directory / "counter_66.db").write_bytes(content(entry(key("x"), number), entry(key("honest"), 1.0)))
    page = honest_is_right(read(directory), HONEST + 1)
    assert page.get("x_total") is None


FOREIGN = {
    "sample of a histogram": key("honest", "took_sum"),
    "a bucket": key("took", "took_bucket", {"le": "1.0"}),
    "a bucket without a bound": key("took", "took_bucket"),
    "no names": key("", ""),
    "a label twice": b'["honest", "honest_total", {"a": "1", "a": "2"}, ""]',
    "a label without a name": key("honest", labels={"": "x"}),
    "the name as a label": key("honest", labels={"__name__": "took_sum"}),
    "a function as a label": key("honest", labels={"_aggregate": "max"}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_key_of_a_counter_that_means_another_series_changes_none(directory, read, name):
    (directory / "counter_66.db").write_bytes(content(entry(FOREIGN[name], 1000.0)))
    honest_is_right(read(directory))


def test_a_label_that_names_another_instance_does_not_write_for_it(directory, read):
    sidecar = read(directory)
    honest_is_right(sidecar)
    (honest,) = [instance["id"] for instance in sidecar.instances()]
    forged = content(entry(key("honest", labels={"_id": honest}), 1.0))
    (directory / "counter_66.db").write_bytes(forged)
    for _ in range(2):
        assert sidecar.page().value("honest_total") in (HONEST, HONEST + 1)
    (directory / "counter_66.db").unlink()
    assert sidecar.page().value("honest_total") in (HONEST, HONEST + 1)


@pytest.mark.parametrize("counts", [{}, {"1.0": 4}, {"1.0": 4, "NaN": 1, "+Inf": 1}, {"x": 1, "+Inf": 1}, {"": 1, "+Inf": 1},
                                    {"1.0": -5, "+Inf": 1}, {"1.0": float("nan"), "+Inf": 1}])
def test_a_histogram_that_is_none_is_not_shown(directory, read, counts):
    (directory / "histogram_66.db").write_bytes(content(*histogram("half", counts, 1.0)))
    page = honest_is_right(read(directory))
    assert "half" not in page.families


def test_a_file_is_read_no_further_than_its_limit(directory, read):
    many = [entry(key("x", labels={"n": str(n)})) for n in range(20000)]
    (directory / "counter_66.db").write_bytes(content(*many))
    is_told(read(directory, "--multiproc.max-file", "1MiB"), "counter_66.db", "too_large")


def test_endless_series_meet_the_limit_of_series(directory, read):
    sidecar = read(directory, "--limits.max-series", "500")
    honest_is_right(sidecar)
    many = [entry(key("x", labels={"n": str(n)})) for n in range(20000)]
    (directory / "counter_66.db").write_bytes(content(*many))
    assert len(honest_is_right(sidecar).samples()) <= 500
    (directory / "counter_1.db").write_bytes(counters(honest=HONEST + 1))
    honest_is_right(sidecar, HONEST + 1)


# ---- What lies in the place of a file --------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    """A right file of somebody else's, beside the directory."""
    path = tmp_path / "counter_9.db"
    path.write_bytes(counters(outside=9))
    return path


def link(path, outside):
    path.symlink_to(outside)


def link_to_itself(path, outside):
    path.symlink_to(path.name)


def dangling_link(path, outside):
    path.symlink_to("/nowhere/at/all")


def link_to_endless_bytes(path, outside):
    path.symlink_to("/dev/zero")


def fifo(path, outside):
    os.mkfifo(path)


def directory_in_its_place(path, outside):
    path.mkdir()
    shutil.copy(outside, path / "counter_9.db")


def listening_socket(path, outside):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize("place", [link, link_to_itself, dangling_link, link_to_endless_bytes, fifo, directory_in_its_place, listening_socket],
                         ids=lambda place: place.__name__)
def test_what_is_no_regular_file_is_not_opened(directory, read, outside, place):
    place(directory / "counter_66.db", outside)
    sidecar = read(directory)
    began = time.monotonic()
    is_told(sidecar, "counter_66.db", "not_regular")
    assert time.monotonic() - began < 5, "nothing waits for a writer"
    assert sidecar.page().get("outside_total") is None


def test_a_file_without_permission_costs_only_itself(monkeypatch, launch, directory, outside):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "metrics"
        shutil.copytree(directory, folder)
        os.chmod(place, 0o755)
        shutil.copy(outside, folder / "counter_66.db")
        (folder / "counter_66.db").chmod(0)
        if os.geteuid() == 0:
            monkeypatch.setattr(sidecar_module, "BINARY", as_nobody(Path(place)))
        is_told(launch("--multiproc-dir", str(folder)), "counter_66.db", "unreadable")


def as_nobody(place):
    """A program that runs the sidecar without root's rights, to which every file is readable."""
    shutil.copy(sidecar_module.BINARY, place / "binary")
    wrapper = place / "monasca-sidecar"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups "{place}/binary" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


@pytest.mark.parametrize("name", [b"counter.db", b"counter_.db", b"gauge_7.db", b"gauge_nonsense_7.db", b"info_7.db", b"_7.db", b".db", b"counter_7.db.tmp",
                                  b"counter_7", b"counter_\xff\xfe.db", b"counter_\n.db", b"counter_" + b"7" * 240 + b".db", b"counter_..db"])
def test_odd_names_disturb_nobody(directory, read, name):
    (directory / os.fsdecode(name)).write_bytes(content(entry(key("odd"), 3.0)))
    page = honest_is_right(read(directory))
    assert page.get("odd_total") in (None, 3)


def test_ten_thousand_empty_files_are_read_with_the_honest_one(directory, read):
    for number in range(10_000):
        (directory / f"counter_{100_000 + number}.db").touch()
    sidecar = read(directory)
    began = time.monotonic()
    honest_is_right(sidecar)
    assert time.monotonic() - began < 5
    assert sidecar.own_sum(FAULTS) == 0


def test_more_files_than_the_limit_are_told(directory, read):
    for number in range(100, 200):
        (directory / f"counter_{number}.db").write_bytes(counters(many=1))
    sidecar = read(directory, "--multiproc.max-files", "50")
    assert sidecar.get("/metrics").status == 200
    assert sidecar.own_sum(FAULTS, code="too_many_files") > 0
    assert sidecar.own_sum("monasca_sidecar_multiproc_files") == 50


# ---- What happens to a file that was read ----------------------------------------------------------


def test_what_was_read_of_a_file_stays_when_it_becomes_bad(directory, read):
    (directory / "counter_66.db").write_bytes(counters(x=5))
    sidecar = read(directory)
    assert honest_is_right(sidecar).value("x_total") == 5
    for wrong, _ in WRONG.values():
        (directory / "counter_66.db").write_bytes(wrong)
        assert honest_is_right(sidecar).value("x_total") == 5
    (directory / "counter_66.db").write_bytes(counters(x=8))
    assert honest_is_right(sidecar).value("x_total") >= 8


def test_a_file_that_is_gone_has_counted(directory, read):
    (directory / "counter_66.db").write_bytes(counters(x=5))
    sidecar = read(directory)
    honest_is_right(sidecar)
    (directory / "counter_66.db").unlink()
    assert honest_is_right(sidecar).value("x_total") == 5
    (directory / "counter_66.db").write_bytes(counters(x=2))
    assert honest_is_right(sidecar).value("x_total") == 7, "another file of that name is another life"


def test_a_file_that_is_renamed_counts_once(directory, read):
    (directory / "counter_66.db").write_bytes(counters(x=5))
    sidecar = read(directory)
    honest_is_right(sidecar)
    (directory / "counter_66.db").rename(directory / "counter_66.db.old")
    assert honest_is_right(sidecar).value("x_total") == 5


def test_the_directory_may_go_and_come_back(directory, read, tmp_path):
    sidecar = read(directory)
    honest_is_right(sidecar)
    directory.rename(tmp_path / "elsewhere")
    honest_is_right(sidecar)
    directory.write_text("no directory")
    honest_is_right(sidecar)
    directory.unlink()
    directory.mkdir()
    (directory / "counter_1.db").write_bytes(counters(honest=1))
    assert sidecar.page().value("honest_total") == HONEST + 1


def test_a_directory_that_is_not_there_yet_is_waited_for(directory, launch, tmp_path):
    sidecar = launch("--multiproc-dir", str(tmp_path / "later"))
    assert sidecar.get("/metrics").status == 200
    directory.rename(tmp_path / "later")
    honest_is_right(sidecar)


def test_files_that_change_all_the_time_disturb_nobody(directory, read):
    sidecar = read(directory)
    with Turmoil(directory):
        end = time.monotonic() + 3
        scrapes = 0
        while time.monotonic() < end:
            honest_is_right(sidecar)
            scrapes += 1
    assert scrapes > 20
    honest_is_right(sidecar)
    quiet = sidecar.own_sum(FAULTS)
    honest_is_right(sidecar)
    assert sidecar.own_sum(FAULTS) == quiet, "all that was left behind is right"


class Turmoil:
    """Threads that make, cut, grow, rename, replace and delete files while somebody reads."""

    def __init__(self, directory):
        self.directory, self.ending = directory, threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(100, 103)]

    def _run(self, number):
        path, other = self.directory / f"counter_{number}.db", self.directory / f"counter_{number}0.db"
        right = content(*[entry(key("x", labels={"n": str(n)}), float(n)) for n in range(700)])
        while not self.ending.is_set():
            for step in (
                lambda: path.write_bytes(right[:1000]), lambda: path.write_bytes(right), lambda: os.truncate(path, 4),
                lambda: os.truncate(path, 2 ** 20), lambda: path.write_bytes(counters(x=1)), lambda: path.rename(other),
                lambda: other.unlink(), lambda: path.symlink_to("counter_1.db"), lambda: path.unlink(),
                lambda: path.mkdir(), lambda: path.rmdir(), lambda: os.mkfifo(path), lambda: path.unlink(),
            ):
                step()

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()
