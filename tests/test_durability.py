"""What was answered is there again after a kill, and what cannot be kept is not answered with 200.

Random crashes are in crash_rounds.py; here are those that are aimed at something.
"""

import json
import re
import subprocess
import time

import pytest

import crash_rounds
from exposition import parse
from sidecar import eventually, run_binary


def family(name, kind, value, **labels):
    return {"name": name, "type": kind, "values": [{"name": name, "labels": labels, "value": value}]}


def push(sidecar, *families, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return sidecar.request("POST", "/v1/ingest", json.dumps(families).encode(), names)


def page(sidecar):
    return parse(sidecar.get("/metrics").text, grouped=True)


def own(sidecar, name):
    found = re.search(rf"^monasca_sidecar_{re.escape(name)} (\S+)$", sidecar.get("/-/metrics").text, re.MULTILINE)
    return float(found.group(1))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.mark.parametrize("sync", ["1s", "always"])
def test_random_kills_lose_nothing_and_count_nothing_twice(data, launch, sync):
    assert crash_rounds.rounds(data, 12, 4888, "--sync", sync, launch=launch) > 0


def test_counters_go_on_gauges_wait_for_their_process_and_groups_stay(data, launch):
    first = launch("--data-dir", str(data))
    for process, count in (("a", 5), ("b", 7)):
        assert push(first, family("jobs_total", "counter", count, _id=process), family("queue", "gauge", count, _id=process)).status == 200
    first.request("PUT", "/metrics/job/night", b"# TYPE done gauge\ndone 1\n")
    first.kill()
    second = launch("--data-dir", str(data))
    found = page(second)
    assert found.value("jobs_total") == 12
    assert found.get("queue") is None
    assert found.value("done", instance="", job="night") == 1
    # A live process goes on where it was.
    push(second, family("jobs_total", "counter", 6, _id="a"), family("queue", "gauge", 2, _id="a"))
    assert page(second).value("jobs_total") == 13
    assert page(second).value("queue") == 2
    # One that begins anew is seen as such.
    push(second, family("jobs_total", "counter", 1, _id="b"))
    assert page(second).value("jobs_total") == 14


def test_the_second_restart_finds_what_the_first_one_had(data, launch):
    total = 0
    for round_number in range(4):
        sidecar = launch("--data-dir", str(data))
        total += round_number
        assert push(sidecar, family("n_total", "counter", round_number, _id=f"p{round_number}")).status == 200
        assert page(sidecar).value("n_total") == total
        # Killed and stopped in turn: a snapshot is written at an ordered end.
        sidecar.kill() if round_number % 2 else sidecar.stop()
    assert page(launch("--data-dir", str(data))).value("n_total") == total


def test_a_retry_after_a_crash_is_not_added(data, launch):
    def add(sidecar, value):
        return sidecar.request("POST", "/metrics?temporality=delta", f"# TYPE a_total counter\na_total {value}\n".encode(),
                               {"Idempotency-Key": "once"})

    first = launch("--data-dir", str(data))
    assert add(first, 3).status == 200
    first.kill()
    second = launch("--data-dir", str(data))
    assert add(second, 3).status == 200
    assert page(second).value("a_total") == 3
    assert add(second, 4).code == "key_reused"


def test_a_deleted_or_erased_writer_stays_away(data, launch):
    first = launch("--data-dir", str(data))
    for process in "abc":
        push(first, family("n_total", "counter", 10, _id=process))
    first.request("PUT", "/metrics/job/x", b"m 1\n")
    assert first.request("DELETE", "/v1/instances/a").status == 202
    assert first.request("DELETE", "/v1/instances/b?erase=true").status == 202
    assert first.request("DELETE", "/metrics/job/x").status == 202
    push(first, family("m_total", "counter", 1, _id="c"))
    assert first.request("DELETE", "/v1/series?match%5B%5D=m_total").json() == {"deleted": 1}
    shown = first.get("/metrics").text
    first.kill()
    second = launch("--data-dir", str(data))
    assert second.get("/metrics").text == shown
    push(second, family("n_total", "counter", 1, _id="d"))
    assert second.request("POST", "/v1/clear").status == 200
    second.kill()
    assert launch("--data-dir", str(data)).get("/metrics").body == b""


def test_two_daemons_never_share_a_directory(data, launch):
    first = launch("--data-dir", str(data))
    other = run_binary("--listen", "127.0.0.1:0", "--data-dir", str(data))
    assert other.returncode == 65
    assert "in use by another daemon" in other.stderr
    push(first, family("n_total", "counter", 1, _id="a"))
    first.kill()
    assert page(launch("--data-dir", str(data))).value("n_total") == 1


def files(data, kind):
    return sorted(path for path in data.iterdir() if re.fullmatch(rf"{kind}-\d+", path.name))


def test_a_torn_end_is_cut_and_told(data, launch):
    first = launch("--data-dir", str(data))
    for value in (1, 2, 3):
        push(first, family("n_total", "counter", value, _id="a"))
    first.kill()
    segment = files(data, "segment")[-1]
    raw = bytearray(segment.read_bytes())
    end = len(raw.rstrip(b"\0"))
    raw[end:end + 3] = b"\x07\x07\x07"
    segment.write_bytes(raw)
    second = launch("--data-dir", str(data))
    # What looks like the begin of a record may touch the last whole one.
    assert page(second).value("n_total") in (2, 3)
    assert "left out of the state" in second.get("/-/ready").text
    assert second.logged("left out of the state")
    assert own(second, "restore_left_out") == 1
    push(second, family("n_total", "counter", 4, _id="a"))
    second.kill()
    third = launch("--data-dir", str(data))
    assert page(third).value("n_total") == 4
    assert third.get("/-/ready").text == "ready\n"


def test_a_damaged_snapshot_is_moved_aside_and_never_overwritten(data, launch):
    first = launch("--data-dir", str(data))
    push(first, family("n_total", "counter", 5, _id="a"))
    first.stop()
    snapshot = files(data, "snapshot")[-1]
    raw = bytearray(snapshot.read_bytes())
    raw[len(raw) // 2] ^= 1
    snapshot.write_bytes(raw)
    second = launch("--data-dir", str(data))
    assert snapshot.name in second.get("/-/ready").text
    aside = [path for path in data.iterdir() if path.name.startswith(snapshot.name + ".corrupt")]
    assert [path.read_bytes() for path in aside] == [bytes(raw)]
    push(second, family("n_total", "counter", 6, _id="a"))
    assert page(second).value("n_total") == 6
    second.kill()
    assert page(launch("--data-dir", str(data))).value("n_total") == 6


def test_a_directory_of_another_version_is_refused_and_left_alone(data, launch):
    launch("--data-dir", str(data)).stop()
    (data / "format").write_text("monasca-sidecar 999\n")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    refused = run_binary("--listen", "127.0.0.1:0", "--data-dir", str(data))
    assert refused.returncode == 65
    assert "999" in refused.stderr
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MiB. To mount one the tests run as root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4 * 1024))
    return ballast


def large(number):
    return family(f"n{number}_total", "counter", 1, _id="a", text="x" * 4000)


def push_until_refused(sidecar):
    """How many pushes were taken, and the answer to the one that was not."""
    for number in range(5000):
        answer = push(sidecar, large(number))
        if answer.status != 200:
            return number, answer
    raise AssertionError("the disk never was full")


def test_a_full_disk_refuses_pushes_whole_and_serves_scrapes_until_there_is_space(small_disk, launch):
    data = small_disk / "data"
    sidecar = launch("--data-dir", str(data), "--journal-size", "1MiB")
    ballast = fill(small_disk)
    counted, answer = push_until_refused(sidecar)
    assert (answer.status, answer.code) == (503, "journal_full")
    assert answer.headers["Retry-After"]
    shown = page(sidecar)
    assert len(shown.series()) == counted
    assert "no pushes" in sidecar.get("/-/ready").text
    assert own(sidecar, "journal_takes_records") == 0
    # A delta that was refused is not half there.
    delta = f'# TYPE d_total counter\nd_total{{text="{"x" * 5000}"}} 1\n'.encode()
    refused = sidecar.request("POST", "/metrics?temporality=delta", delta)
    assert refused.code == "journal_full"
    assert len(page(sidecar).series()) == counted
    ballast.unlink()
    eventually(lambda: sidecar.get("/-/ready").text == "ready\n", "space for the journal")
    assert push(sidecar, large(counted)).status == 200
    sidecar.kill()
    again = launch("--data-dir", str(data), "--journal-size", "1MiB")
    assert len(page(again).series()) == counted + 1


def test_on_a_disk_that_stays_full_nobody_ages_and_no_gauge_blinks(small_disk, launch):
    data, decay = small_disk / "data", 4
    sidecar = launch("--data-dir", str(data), "--journal-size", "1MiB", "--decay", f"{decay}s")
    beat = family("beat", "gauge", 1, _id="live"), family("beats_total", "counter", 1, _id="live")
    assert push(sidecar, *beat).status == 200
    ballast = fill(small_disk)
    counted, _ = push_until_refused(sidecar)
    # What is small may still go in.
    eventually(lambda: push(sidecar, *beat, family("filler", "gauge", 1, _id="live", text="x" * 500)).status == 503,
               "nothing goes in")
    until = time.monotonic() + 2 * decay
    while time.monotonic() < until:
        assert push(sidecar, *beat).code == "journal_full"
        shown = page(sidecar)
        assert shown.value("beat") == 1 and len(shown.series()) >= counted
    ballast.unlink()
    eventually(lambda: sidecar.get("/-/ready").text == "ready\n", "space for the journal")
    # Upkeep comes before the next push does.
    until = time.monotonic() + decay / 2
    while time.monotonic() < until:
        assert page(sidecar).value("beat") == 1
    assert push(sidecar, *beat).status == 200
    assert own(sidecar, "resumes_total") == 0, "nobody had to come back"
    # Then time goes on: who says nothing departs.
    eventually(lambda: page(sidecar).get("beat") is None, "a silent instance departs")


def test_the_time_of_a_failed_push_is_kept_before_it_is_answered(data, launch):
    first = launch("--data-dir", str(data), "--sync", "always")
    assert first.request("PUT", "/metrics/job/x", b"# TYPE g gauge\ng 1\n").status == 200
    assert first.request("PUT", "/metrics/job/y", b"# TYPE g counter\ng 1\n").status == 409
    failed = page(first).value("push_failure_time_seconds", instance="", job="y")
    assert failed > 0
    first.kill()
    assert page(launch("--data-dir", str(data))).value("push_failure_time_seconds", instance="", job="y") == failed


def test_the_journal_stays_short(data, launch):
    sidecar = launch("--data-dir", str(data), "--journal-size", "256KiB")

    def bytes_of(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0  # it went while we looked

    def bytes_on_disk():
        return sum(bytes_of(path) for path in data.iterdir())

    for number in range(600):
        push(sidecar, family("n_total", "counter", number, _id="a"))
        body = f'# TYPE text gauge\ntext{{text="{number}{"x" * 4000}"}} 1\n'.encode()
        assert sidecar.request("PUT", "/metrics/job/one", body).status == 200
    eventually(lambda: bytes_on_disk() < 300 * 1024, "a snapshot that makes the journal short")
    assert own(sidecar, 'snapshots_total{code="ok"}') >= 1
    sidecar.kill()
    assert page(launch("--data-dir", str(data))).value("n_total") == 599


def test_without_a_data_directory_nothing_touches_the_disk(launch, tmp_path):
    sidecar = launch()
    push(sidecar, family("n_total", "counter", 1, _id="a"))
    opened = subprocess.run(["ls", "-l", f"/proc/{sidecar.pid}/fd"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in opened.splitlines() if re.search(r"-> /(?!dev/|proc/)", line)], opened
    assert "journal" not in sidecar.get("/-/metrics").text


def test_clock_steps_change_no_numbers(data, launch):
    """Time goes on where the process before was, whatever the wall says: an hour of downtime makes nobody old."""
    first = launch("--data-dir", str(data), "--decay", "60s")
    push(first, family("n_total", "counter", 5, _id="a"))
    first.kill()
    second = launch("--data-dir", str(data), "--decay", "60s")
    (instance,) = second.get("/v1/instances").json()
    assert instance["id"] == "a" and instance["live"]


def test_a_start_on_a_full_disk_serves_what_is_there(small_disk, launch):
    data = small_disk / "data"
    first = launch("--data-dir", str(data), "--journal-size", "1MiB")
    ballast = fill(small_disk)
    counted, _ = push_until_refused(first)
    first.kill()
    second = launch("--data-dir", str(data), "--journal-size", "1MiB")
    assert len(page(second).series()) == counted
    assert push(second, large(counted)).status == 503
    ballast.unlink()
    eventually(lambda: second.get("/-/ready").text == "ready\n", "space for the journal")
    assert push(second, large(counted)).status == 200
    second.kill()
    assert len(page(launch("--data-dir", str(data))).series()) == counted + 1
