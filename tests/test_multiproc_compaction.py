"""Files of dead workers become totals and kept gauges: nothing is lost, nothing counts twice, and nobody who may live is touched."""

import fcntl
import subprocess
import sys

import pytest

import multiproc_recycles
from multiproc_fleet import COMPACT, Fleet, names, samples, seen
from sidecar import ROOT, eventually, run_binary

sys.path.insert(0, str(ROOT / "bench"))
import worker_files  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "multiproc"
    path.mkdir()
    return path


@pytest.fixture
def settings(folder, tmp_path):
    return ("--multiproc-dir", str(folder), "--data-dir", str(tmp_path / "data"))


@pytest.fixture
def fleet(folder):
    started = []

    def start(*arguments):
        started.append(Fleet(folder, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


def see(folder, count):
    return eventually(lambda: len(seen(folder)) == count, f"{count} workers are seen")


def empty(folder):
    return eventually(lambda: not names(folder), f"no file is left: {names(folder)}", 120)


def counter(folder, pid, value):
    key = worker_files.key("jobs", "jobs_total", {"queue": "a"}, "Jobs.")
    return worker_files.File(folder / f"counter_{pid}.db", [(key, value)])


def gauge(folder, pid, value, mode):
    key = worker_files.key(f"g_{mode}", f"g_{mode}", {}, "Gauge.")
    return worker_files.File(folder / f"gauge_{mode}_{pid}.db", [(key, value)])


def jobs(sidecar):
    return samples(sidecar).get('jobs_total{queue="a"}')


def without(page, *words):
    return {name: value for name, value in page.items() if not any(word in name for word in words)}


def ticks(sidecar, count):
    """Waits for so many reads that nobody has asked for."""
    name = "monasca_sidecar_multiproc_read_duration_seconds_count"
    end = sidecar.own_sum(name) + count
    eventually(lambda: sidecar.own_sum(name) >= end, f"{count} reads")


# Has the file mapped and nothing open, and writes its last value.
HOLDER = """
import mmap, struct, sys
with open(sys.argv[1], "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0)
used = struct.unpack_from("i", mapped)[0]
print("mapped", flush=True)
for line in sys.stdin:
    mapped[used - 16:used] = struct.pack("dd", float(line), 0)
    print("written", flush=True)
"""

# What goes with a process: its own gauges, and those of live modes.
OF_THE_LIVING = ("_all{", "_live")


def test_dead_workers_files_go_and_their_numbers_stay(launch, settings, folder, fleet):
    sidecar = launch(*settings, *COMPACT)
    workers = fleet()
    for slot, n in enumerate((3, 5, 4)):
        workers.start(slot)
        workers.work(slot, n)
        workers.show(slot, n)
    see(folder, 3)
    before = samples(sidecar)
    assert before['jobs_total{queue="a"}'] == 12
    assert {name: before[f"g_{name}"] for name in ("min", "max", "sum", "mostrecent", "livesum")} == {
        "min": 3, "max": 5, "sum": 12, "mostrecent": 4, "livesum": 12}
    workers.kill(0)
    workers.end(1)
    eventually(lambda: len(names(folder)) == 13, "the files of one worker are left")
    page = samples(sidecar)
    assert without(page, *OF_THE_LIVING) == without(before, *OF_THE_LIVING)
    assert (page["g_livesum"], page["g_livemin"], page["g_livemostrecent"]) == (4, 4, 4)
    assert len([name for name in page if "_all{" in name]) == 1
    workers.kill(2)
    empty(folder)
    assert samples(sidecar) == without(before, "_all{", "_liveall", "_live")
    eventually(lambda: sidecar.own_sum("monasca_sidecar_multiproc_folded_workers_total") == 3, "three were folded")
    # And after a restart, however it comes.
    sidecar.kill()
    sidecar = launch(*settings, *COMPACT)
    assert samples(sidecar) == without(before, "_all{", "_live")
    # What is set later is newer than what is kept.
    workers.start(0)
    workers.work(0, 1)
    workers.show(0, 1)
    page = samples(sidecar)
    assert [page[name] for name in ('jobs_total{queue="a"}', "g_sum", "g_min", "g_max", "g_mostrecent")] == [13, 13, 1, 5, 1]


def test_a_dead_workers_live_gauges_go_without_compaction_too(launch, folder, fleet):
    sidecar = launch("--multiproc-dir", str(folder), "--multiproc.compact-interval", "50ms")
    workers = fleet()
    for slot in (0, 1):
        workers.start(slot)
        workers.work(slot, 1)
        workers.show(slot, slot + 1)
    known = lambda name: sidecar.own_sum(f"monasca_sidecar_multiproc_{name}")  # noqa: E731
    assert samples(sidecar)["g_livesum"] == 3
    ticks(sidecar, 2)
    assert (known("workers"), known("unknown_workers")) == (2, 0)
    before = names(folder)
    workers.kill(0)
    eventually(lambda: samples(sidecar)["g_livesum"] == 2, "the dead one's live gauges are gone")
    page = samples(sidecar)
    assert (page["g_sum"], page["g_livemin"], page["g_mostrecent"], page['jobs_total{queue="a"}']) == (3, 2, 2, 2)
    assert known("dead_workers") == 1
    assert names(folder) == before


def test_compaction_without_a_data_directory_is_refused(folder, tmp_path):
    ended = run_binary("--listen", "127.0.0.1:0", "--multiproc-dir", str(folder), "--multiproc-compact")
    assert ended.returncode == 64
    assert "multiproc.compact needs data_dir" in ended.stderr
    config = tmp_path / "sidecar.yaml"
    config.write_text(f"multiproc: {{dirs: [{folder}], compact: true}}\n")
    checked = run_binary("check", str(config))
    assert (checked.returncode, "multiproc.compact needs data_dir" in checked.stderr) == (64, True)


@pytest.mark.parametrize("lock", [(), ("--lock",)])
def test_a_name_that_is_used_again_is_another_worker_when_the_first_has_been_folded(launch, settings, folder, fleet, lock):
    sidecar = launch(*settings, *COMPACT)
    workers = fleet(*lock)
    total = 0
    for n in (5, 3, 8):
        workers.start(0, "web_1.a")
        workers.work(0, n)
        workers.show(0, n)
        total += n
        see(folder, 1)
        assert (jobs(sidecar), samples(sidecar)["g_sum"]) == (total, total)
        workers.kill(0)
        empty(folder)
        assert (jobs(sidecar), samples(sidecar)["g_sum"]) == (total, total)


def test_a_worker_that_comes_back_goes_on_with_its_files(launch, settings, folder, fleet):
    sidecar = launch(*settings, "--multiproc-compact", "--multiproc.compact-interval", "200ms")
    workers = fleet()
    total = 0
    for n in range(1, 20):
        # Before or after it is found dead, as it comes.
        workers.start(0, "7")
        workers.work(0, n)
        total += n
        assert jobs(sidecar) == total
        workers.kill(0)
    workers.start(0, "7")
    workers.work(0, 1)
    see(folder, 1)
    workers.kill(0)
    empty(folder)
    assert jobs(sidecar) == total + 1


def test_files_that_somebody_still_writes_to_are_read_until_nobody_does(launch, settings, folder, fleet):
    sidecar = launch(*settings, *COMPACT)
    workers = fleet()
    workers.start(0, "7")
    workers.work(0, 2)
    see(folder, 1)
    path = folder / "counter_7.db"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == "mapped\n"
        workers.kill(0)
        for value in (5, 9):
            holder.stdin.write(f"{value}\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "written\n"
            ticks(sidecar, 3)
            assert jobs(sidecar) == value
            assert path.exists()
        holder.stdin.close()
    empty(folder)
    assert jobs(sidecar) == 9


def test_a_lock_tells_of_workers_that_cannot_be_seen(launch, settings, folder):
    sidecar = launch(*settings, *COMPACT)
    lock = open(folder / "monasca_alive_77.lock", "w")  # noqa: SIM115
    fcntl.flock(lock, fcntl.LOCK_EX)
    for made in (counter(folder, 77, 5.0), gauge(folder, 77, 3.0, "sum"), gauge(folder, 77, 4.0, "livesum")):
        made.close()
    page = samples(sidecar)
    assert (page['jobs_total{queue="a"}'], page["g_sum"], page["g_livesum"]) == (5, 3, 4)
    ticks(sidecar, 3)
    assert (folder / "counter_77.db").exists()
    lock.close()
    empty(folder)
    page = samples(sidecar)
    assert (page['jobs_total{queue="a"}'], page["g_sum"], page.get("g_livesum")) == (5, 3, None)


def test_mark_process_dead_proves_a_death_where_processes_are_seen(launch, settings, folder, fleet):
    sidecar = launch(*settings, *COMPACT)
    # Of a process that nobody has ever seen.
    for made in (counter(folder, 9999999, 5.0), gauge(folder, 9999999, 3.0, "livesum")):
        made.close()
    workers = fleet()
    workers.start(0)
    workers.work(0, 1)
    see(folder, 1)
    assert (jobs(sidecar), samples(sidecar)["g_livesum"]) == (6, 3)
    assert (folder / "counter_9999999.db").exists()
    workers.mark_dead("9999999")
    eventually(lambda: not any("9999999" in name for name in names(folder)), "its files are folded")
    assert jobs(sidecar) == 6
    assert samples(sidecar)["g_livesum"] == 0


def test_without_a_shared_namespace_it_explains_and_touches_nothing(launch, settings, folder):
    for made in (counter(folder, 4999999, 5.0), gauge(folder, 4999999, 3.0, "livesum")):
        made.close()
    before = names(folder)
    sidecar = launch(*settings, *COMPACT)
    eventually(lambda: sidecar.logged("shareProcessNamespace"), "the explanation")
    assert jobs(sidecar) == 5
    (folder / "gauge_livesum_4999999.db").unlink()
    ticks(sidecar, 4)
    assert names(folder) == [name for name in before if "gauge" not in name]
    assert (jobs(sidecar), samples(sidecar).get("g_livesum")) == (5, None)
    assert len(sidecar.logged("shareProcessNamespace")) == 1


def test_what_the_store_refuses_is_not_deleted(launch, settings, folder, fleet):
    sidecar = launch(*settings, *COMPACT)
    sidecar.request("PUT", "/metrics/job/other", b"# TYPE jobs gauge\njobs 1\n")
    workers = fleet()
    workers.start(0, "7")
    workers.work(0, 2)
    see(folder, 1)
    workers.kill(0)
    eventually(lambda: "counter_7.db" not in names(folder), "it is renamed")
    ticks(sidecar, 4)
    assert any(name.startswith("counter_7.db.") for name in names(folder))


def test_a_second_daemon_leaves_the_directory_alone(launch, settings, folder, fleet, tmp_path):
    launch(*settings, *COMPACT)
    workers = fleet()
    workers.start(0)
    workers.work(0, 2)
    see(folder, 1)
    other = launch("--multiproc-dir", str(folder), "--data-dir", str(tmp_path / "other"), *COMPACT)
    eventually(lambda: other.logged("another daemon compacts the directory"), "the explanation")
    assert jobs(other) == 2


def test_a_wiped_directory_begins_anew(launch, settings, folder, fleet):
    sidecar = launch(*settings, *COMPACT)
    workers = fleet()
    workers.start(0)
    workers.work(0, 2)
    workers.show(0, 2)
    see(folder, 1)
    workers.kill(0)
    empty(folder)
    assert samples(sidecar)["g_sum"] == 2
    for path in folder.iterdir():
        path.unlink()
    assert (jobs(sidecar), samples(sidecar).get("g_sum")) == (2, None)
    workers.start(0)
    workers.show(0, 1)
    assert samples(sidecar)["g_sum"] == 1


def test_recycled_workers_and_a_killed_daemon_lose_and_double_nothing(folder, tmp_path, launch):
    ran = multiproc_recycles.run(folder, tmp_path / "data", recycles=40, kills=4, seed=4888, launch=launch)
    assert ran.folded > 0
