"""Forked processes: totals are exact, whatever was going on at the fork, and nobody hangs."""
from __future__ import annotations

import time

import pytest
from conftest import Programs, Sidecar, eventually
from stub import Stub


def check_fork_tree(sidecar: Sidecar, processes: int, increments: int) -> None:
    total = processes * increments
    sidecar.comes_to(total, "jobs_total", kind="a")
    sidecar.comes_to(total, "took_count")
    sidecar.comes_to(total * 1.5, "took_sum")
    sidecar.comes_to(0, "took_bucket", le="1.0")
    sidecar.comes_to(total, "took_bucket", le="2.0")
    sidecar.comes_to(total, "size_count")
    sidecar.comes_to(total * 2, "size_sum")


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_the_total_of_fifty_forks_under_load_is_exact(sidecar: Sidecar, programs: Programs, shape: str) -> None:
    programs.python("fork_tree.py", shape, 50, 2000, url=sidecar.url)
    check_fork_tree(sidecar, 51, 2000)


def test_a_child_works_when_its_parent_held_every_lock_of_the_metrics(sidecar: Sidecar, programs: Programs) -> None:
    # The exit of the parent waits for its collect, which waits for the locks: they are released before.
    programs.python("fork_locks.py", url=sidecar.url)
    sidecar.comes_to(11, "jobs_total", kind="a")
    sidecar.comes_to(1, "took_count")
    sidecar.comes_to(1, "made_in_child_total")


def test_what_a_child_resets_is_its_own_again(sidecar: Sidecar, programs: Programs) -> None:
    programs.python("fork_reset.py", url=sidecar.url)
    sidecar.comes_to(11, "removed_total", a="x")
    sidecar.comes_to(12, "reset_total")
    sidecar.comes_to(6, "emptied_count", a="x")
    sidecar.comes_to(5, "custom_total")


def test_a_fall_shows_a_reset_where_no_created_time_does(sidecar: Sidecar, programs: Programs) -> None:
    programs.python("fork_reset.py", url=sidecar.url, PROMETHEUS_DISABLE_CREATED_SERIES="True")
    sidecar.comes_to(6, "emptied_count", a="x")
    sidecar.comes_to(6, "emptied_bucket", a="x", le="1.0")


def test_a_collector_that_failed_at_the_fork_counts_from_its_first_answer(
    sidecar: Sidecar, programs: Programs
) -> None:
    programs.python("fork_reset.py", "fails", url=sidecar.url)
    sidecar.comes_to(5, "custom_total")


def test_summed_gauges_are_inherited_only_until_they_are_set(stub: Stub, programs: Programs) -> None:
    programs.python("fork_reset.py", url=stub.url)
    parent, child = final_pushes(stub)
    names = ("set", "risen", "computed", "highest")
    assert [parent.value(name) for name in names] == [5, 5, 5, 5]
    assert [child.value(name) for name in names] == [3, 2, 5, 5]


def test_created_times_of_what_was_inherited_are_the_fork(stub: Stub, programs: Programs) -> None:
    programs.python("fork_locks.py", url=stub.url)
    parent, child = final_pushes(stub)
    assert child.value("jobs_created", kind="a") > parent.value("jobs_created", kind="a")


def test_a_child_has_its_own_id_and_epoch(stub: Stub, programs: Programs) -> None:
    programs.python("fork_tree.py", "chain", 5, 10, url=stub.url)
    assert len({p.id for p in stub.pushes}) == len({p.epoch for p in stub.pushes}) == 6


def test_process_metrics_are_not_subtracted_and_gc_counts_are(stub: Stub, programs: Programs) -> None:
    programs.python("fork_gc.py", url=stub.url)
    parent, child = final_pushes(stub)
    assert parent.value("python_gc_collections_total", generation="2") >= 50
    assert child.value("python_gc_collections_total", generation="2") == 3
    # The parent burnt 0.3 s before the fork; the kernel counts a child from zero, and it burnt 0.1 s.
    assert parent.value("process_cpu_seconds_total") >= 0.3
    assert 0.1 <= child.value("process_cpu_seconds_total") < 0.3
    assert child.value("process_resident_memory_bytes") > 1_000_000


@pytest.mark.parametrize("habit", ["blocks", "slow", "forks"])
def test_a_collector_cannot_hang_a_child(sidecar: Sidecar, programs: Programs, habit: str) -> None:
    began = time.monotonic()
    programs.python("fork_collector.py", habit, url=sidecar.url)
    assert time.monotonic() - began < 15
    sidecar.comes_to(11, "jobs_total")


def final_pushes(stub: Stub):
    """The last pushes of a parent and of its child, which starts later."""
    first = eventually(lambda: stub.pushes and [p for p in stub.pushes if p.final])
    assert len(first) == 2
    # A child ends before its parent, which waits for it.
    child, parent = first
    return parent, child
