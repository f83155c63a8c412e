"""Beside prometheus_client's multiprocess mode: lock files that say who is alive, and no series twice."""
from __future__ import annotations

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest
from conftest import APPS, BIN, Programs, eventually
from monasca_sidecar import multiprocess
from stub import Stub
from web import Output, answered, terminate

URL = "http://127.0.0.1:1"
NEVER = 3600.0


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "metrics"
    folder.mkdir()
    return folder


class Steps:
    """A run of apps/multiproc.py, which goes on when it is told to."""

    def __init__(self, command: List[Any], directory: pathlib.Path) -> None:
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory), "MONASCA_SIDECAR_URL": URL}
        self.process = subprocess.Popen(
            command, env=env, cwd=APPS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def says(self) -> List[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def steps(directory: pathlib.Path) -> Iterator[Callable[..., Steps]]:
    running: List[Steps] = []

    def start(*arguments: Any) -> Steps:
        running.append(Steps([sys.executable, APPS / "multiproc.py", *map(str, arguments)], directory))
        return running[-1]

    yield start
    for run in running:
        try:
            os.killpg(run.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        run.process.communicate()


def lock_of(directory: pathlib.Path, identifier: Any) -> pathlib.Path:
    return directory / f"monasca_alive_{identifier}.lock"


def is_held(lock: pathlib.Path) -> bool:
    with open(lock, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True


def held(directory: pathlib.Path) -> Dict[str, bool]:
    """The identifiers that have files, and whether their lock is held."""
    found = {multiprocess.identifier_of(str(path)) for path in directory.glob("*.db")}
    return {str(identifier): is_held(lock_of(directory, identifier)) for identifier in found}


# ---- The life of a lock ----------------------------------------------------------------------------


def test_a_process_that_writes_metrics_holds_its_lock_until_it_dies(directory: pathlib.Path, steps: Any) -> None:
    run = steps("counts")
    assert run.says() == ["counted"]
    assert held(directory) == {str(run.process.pid): True}
    run.kill()
    assert held(directory) == {str(run.process.pid): False}


def test_an_orderly_end_frees_the_lock_and_leaves_the_file(directory: pathlib.Path, steps: Any) -> None:
    run = steps("counts")
    run.says()
    run.go_on()
    assert run.process.wait(30) == 0
    assert held(directory) == {str(run.process.pid): False}


def test_files_that_were_open_already_get_their_lock(directory: pathlib.Path, steps: Any) -> None:
    run = steps("late")
    run.says()
    assert len(list(directory.glob("*.db"))) == 2
    assert held(directory) == {str(run.process.pid): True}


def test_a_forked_child_has_a_lock_of_its_own_and_not_its_parents(directory: pathlib.Path, steps: Any) -> None:
    run = steps("forks")
    said = [run.says(), run.says()]
    parent = str(run.process.pid)
    (child,) = [pid for word, pid in said if word == "child"]
    assert held(directory) == {parent: True}, "the child has no files yet"
    run.kill()
    assert held(directory) == {parent: False}, "the child lives and has the parent's lock no more"
    run.go_on()
    assert run.says() == ["counted", child]
    assert held(directory) == {parent: False, child: True}
    os.kill(int(child), signal.SIGKILL)
    eventually(lambda: held(directory) == {parent: False, child: False})


def test_a_child_that_counts_in_a_hook_of_the_fork_has_its_lock(directory: pathlib.Path, steps: Any) -> None:
    run = steps("hook_counts")
    word, child = run.says()
    assert (word, held(directory)) == ("child", {str(run.process.pid): True, child: True})


def test_a_program_that_was_started_does_not_keep_the_lock(directory: pathlib.Path, steps: Any) -> None:
    run = steps("starts")
    _, other = run.says()
    run.kill()
    os.kill(int(other), 0)
    assert held(directory) == {str(run.process.pid): False}


# ---- Before the files ------------------------------------------------------------------------------


def test_the_first_file_waits_for_the_lock(directory: pathlib.Path, steps: Any) -> None:
    lock = lock_of(directory, "web_1")
    with open(lock, "wb") as sidecar:
        fcntl.flock(sidecar, fcntl.LOCK_EX)
        run = steps("named", 60)
        assert run.says() == ["ready"]
        run.go_on()
        eventually(lambda: opens(run.process.pid, lock))
        assert list(directory.glob("*.db")) == []
    assert run.says() == ["counted"]
    assert held(directory) == {"web_1": True}


def opens(pid: int, path: pathlib.Path) -> bool:
    return any(os.path.realpath(entry.path) == str(path) for entry in os.scandir(f"/proc/{pid}/fd"))


def test_a_lock_that_is_removed_meanwhile_is_made_again(directory: pathlib.Path, steps: Any) -> None:
    lock = lock_of(directory, "web_1")
    with open(lock, "wb") as sidecar:
        fcntl.flock(sidecar, fcntl.LOCK_EX)
        run = steps("named", 60)
        run.says()
        run.go_on()
        eventually(lambda: opens(run.process.pid, lock))
        lock.unlink()
    assert run.says() == ["counted"]
    assert held(directory) == {"web_1": True}


def test_a_lock_that_never_comes_stops_nobody(directory: pathlib.Path, steps: Any) -> None:
    with open(lock_of(directory, "web_1"), "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        run = steps("named", 0.05)
        run.says()
        run.go_on()
        assert run.says() == ["counted"]
    assert (directory / "counter_web_1.db").exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(directory: pathlib.Path, tmp_path: pathlib.Path, steps: Any) -> None:
    lock_of(directory, "web_1").symlink_to(tmp_path / "elsewhere")
    run = steps("named", 60)
    run.says()
    run.go_on()
    assert run.says() == ["counted"]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name, identifier", [
    ("counter_7.db", "7"), ("histogram_7.db", "7"), ("gauge_livesum_7.db", "7"), ("gauge_all_web-1.db", "web-1"),
    ("counter_web_1.db", "web_1"), ("gauge_min_a_b_c.db", "a_b_c"), ("counter.db", None), ("counter_7.txt", None),
])  # fmt: skip
def test_the_identifier_is_all_that_follows_the_kind(name: str, identifier: Any) -> None:
    assert multiprocess.identifier_of("/metrics/" + name) == identifier


# ---- Servers ---------------------------------------------------------------------------------------

GUNICORN = r"Listening at: http://127\.0\.0\.1:(\d+)"
UWSGI = r"bound to TCP address 127\.0\.0\.1:(\d+)"


def workers_hold_locks(directory: pathlib.Path, output: Output, pattern: str) -> None:
    """Each worker that answered holds a lock, and one that is killed loses it while the others go on."""
    workers: Set[str] = set()
    port = output.port(pattern)
    eventually(lambda: workers.update(answered(port, 5)) or len(workers) >= 2)
    now = held(directory)
    assert all(now[pid] for pid in workers), (workers, now)
    victim = sorted(workers)[0]
    os.kill(int(victim), signal.SIGKILL)
    eventually(lambda: not held(directory)[victim])
    eventually(lambda: set(answered(port, 5)) - workers)
    now = held(directory)
    assert not now[victim] and all(now[pid] for pid in answered(port, 5)), now


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["each", "preload"])
def test_workers_of_gunicorn(programs: Programs, directory: pathlib.Path, preload: List[str]) -> None:
    command = [BIN / "monasca-sidecar-run", BIN / "gunicorn", "-b", "127.0.0.1:0", "-w", "2", *preload, "web:app"]
    output = Output(programs.start(*command, url=URL, interval=NEVER, PROMETHEUS_MULTIPROC_DIR=str(directory)))
    workers_hold_locks(directory, output, GUNICORN)
    if preload:
        assert held(directory)[str(output.process.pid)], "the arbiter imported the application"
    terminate(output)
    assert set(held(directory).values()) == {False}


@pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["preload", "lazy"])
def test_workers_of_uwsgi(programs: Programs, directory: pathlib.Path, lazy: List[str]) -> None:
    command = [
        BIN / "monasca-sidecar-run", BIN / "uwsgi", "--http-socket", "127.0.0.1:0", "--module", "web:app", "--master",
        "--processes", "2", "--enable-threads", "--die-on-term", "--need-app", *lazy,
    ]  # fmt: skip
    output = Output(programs.start(*command, url=URL, interval=NEVER, PROMETHEUS_MULTIPROC_DIR=str(directory)))
    workers_hold_locks(directory, output, UWSGI)
    output.process.send_signal(signal.SIGTERM)
    output.end()
    assert set(held(directory).values()) == {False}


def test_workers_of_celery(programs: Programs, directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for folder in ("queue", "control", "done"):
        (tmp_path / folder).mkdir()
    env = {"CELERY_ROOT": str(tmp_path), "CELERY_START": ""}
    send = "import tasks\nfor _ in range(40): tasks.work.delay()"
    assert programs.start(sys.executable, "-c", send, url=URL, **env).wait(30) == 0
    env["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    celery = [BIN / "monasca-sidecar-run", sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "2", "--without-mingle"]
    output = Output(programs.start(*celery, url=URL, interval=NEVER, **env))
    eventually(lambda: len(list((tmp_path / "done").iterdir())) == 40)
    now = held(directory)
    assert len(now) >= 2 and all(now.values()), now
    output.process.send_signal(signal.SIGTERM)
    output.end()
    assert set(held(directory).values()) == {False}


# ---- No series twice -------------------------------------------------------------------------------


def test_only_what_is_in_no_file_is_pushed(stub: Stub, programs: Programs, directory: pathlib.Path) -> None:
    programs.python("multiproc.py", "everything", url=stub.url, interval=NEVER, PROMETHEUS_MULTIPROC_DIR=str(directory))
    assert len(stub.instances) == 2
    pushed = {family["name"] for push in stub.pushes for family in push.families}
    assert {"in_memory", "custom", "build", "state", "process_cpu_seconds", "python_gc_collections"} <= pushed
    in_files = {"jobs", "kinds", "without_series", "running", "size", "took", "weight", "in_child"}
    assert in_files & pushed == set()
    assert stub.samples()[("in_memory_total", frozenset())] == 2
    assert stub.samples()[("custom_total", frozenset())] == 5
    assert all(push.value("build_info", version="1") == 1 for push in stub.pushes)
