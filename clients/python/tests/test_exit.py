"""The end of a process: its last values arrive, in whatever way it ends by itself."""
from __future__ import annotations

import sys

import pytest
from conftest import APPS, Programs, Sidecar
from stub import Stub

# Longer than any test: nothing but the goodbye can carry the last values.
NEVER = 3600.0


@pytest.mark.parametrize("how", ["end", "early", "sys_exit", "raises", "os_exit"])
def test_the_goodbye_carries_what_exit_handlers_counted(sidecar: Sidecar, programs: Programs, how: str) -> None:
    process = programs.start(sys.executable, APPS / "exits.py", how, url=sidecar.url, interval=NEVER)
    process.communicate(timeout=30)
    sidecar.comes_to(3, "jobs_total")


def test_a_process_that_lives_shorter_than_an_interval_pushes_once(stub: Stub, programs: Programs) -> None:
    programs.python("exits.py", "os_exit", url=stub.url, interval=NEVER)
    assert [(p.number, p.acked, p.final) for p in stub.pushes] == [(1, 0, True)]


@pytest.mark.parametrize("kind", ["processes", "pool", "executor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_say_goodbye(
    sidecar: Sidecar, programs: Programs, method: str, kind: str
) -> None:
    programs.python("children.py", method, kind, url=sidecar.url, interval=NEVER)
    sidecar.comes_to(42, "jobs_total")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_leave_no_instance_behind(stub: Stub, programs: Programs, method: str) -> None:
    programs.python("children.py", method, "processes", url=stub.url, interval=NEVER)
    assert (len(stub.instances), stub.live()) == (9, 0)
