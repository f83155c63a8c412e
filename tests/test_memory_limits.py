"""Under a limit that the kernel enforces nobody is killed: new things are refused well before, updates go on."""

import pytest

import memory_limits
from sidecar import gauge
from test_budgets import MEGABYTE, Flooded, instances, keyed_deltas, labels

LIMIT = 128 * MEGABYTE
FLOOD_SECONDS = 8
# What a resource limit counts and no page stands for: the stacks of all threads.
STACKS = 32 * MEGABYTE
SHARE_OF_GROUP = 0.9


def ceiling(sidecar):
    limits = sidecar.get("/v1/limits").json()
    (shown,) = (limit["limit"] for limit in limits["limits"] if limit["key"] == "limits.max_memory")
    assert shown == limits["memory"]["limit_bytes"]
    return shown


def flood(sidecar):
    """Refused with its reason, alive at the end, and free for updates all the while."""
    flooded = Flooded(sidecar, labels, instances, keyed_deltas)
    flooded.run(FLOOD_SECONDS)
    assert sidecar.process.poll() is None, sidecar.log[-3:]
    assert max(flooded.resident) > LIMIT // 3, ("the flood was no flood", max(flooded.resident) / MEGABYTE)
    answer = sidecar.post([gauge("new", 1, "newcomer")])
    assert (answer.status, answer.json()["refused"][0]["code"]) == (429, "memory_limit")
    assert int(answer.headers["Retry-After"]) > 0
    limits = sidecar.get("/v1/limits").json()
    assert limits["memory"]["short"] and limits["refusals"]["memory_limit"] > 0
    assert sidecar.page().value("honest_total", path="0") == sum(flooded.counts)


@pytest.fixture
def groups():
    with memory_limits.nested() as made:
        yield made


def flood_under_a_group(groups, launch):
    outer, inner = groups
    inner.limit(4 * LIMIT)
    outer.limit(LIMIT)
    sidecar = launch(under=inner.joins)
    assert ceiling(sidecar) == pytest.approx(LIMIT * SHARE_OF_GROUP, abs=100), "the lowest limit of all groups counts"
    flood(sidecar)
    assert (outer.kills, inner.kills) == (0, 0)


def flood_under_a_resource_limit(_, launch):
    """No group says how much: the ceiling is told."""
    ceiling_bytes = int(LIMIT * SHARE_OF_GROUP)
    sidecar = launch("--max-memory", str(ceiling_bytes), under=memory_limits.resource_limit(LIMIT + STACKS))
    assert ceiling(sidecar) == ceiling_bytes
    flood(sidecar)


KINDS = [flood_under_a_resource_limit, *([flood_under_a_group] if memory_limits.can_make_groups() else [])]


@pytest.mark.parametrize("flood_under", KINDS)
def test_nothing_is_killed_for_want_of_memory(groups, launch, flood_under):
    flood_under(groups, launch)
