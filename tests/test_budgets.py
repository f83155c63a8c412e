"""Budgets: a job, or everybody together, gets so many series, instances and samples a second, and the process so
much memory. What is over is refused with its code; updates of what is known go on."""

import asyncio
import json
import random
import time

from sidecar import counter, eventually, family, gauge, value
from test_concurrent import Connection

MEGABYTE = 1024 * 1024

JOBS = """
jobs:
  - match: web
    max_series: 16
    max_instances: 3
    max_samples_per_second: 100
"""


def put(sidecar, path, lines):
    return sidecar.request("PUT", "/metrics/" + path, "".join(line + "\n" for line in lines).encode())


def gauges(count, name="g"):
    return [f"# TYPE {name} gauge", *(f'{name}{{n="{n}"}} {n}' for n in range(count))]


# -- by job


def test_a_job_over_its_budget_is_refused_and_another_is_not(launch):
    sidecar = launch(config=JOBS)
    for pod in "abc":
        assert put(sidecar, f"job/web/_id/{pod}", gauges(3)).status == 200
    answer = put(sidecar, "job/web/_id/d", gauges(1))
    assert (answer.status, answer.code) == (429, "job_instance_limit")
    assert int(answer.headers["Retry-After"]) > 0
    answer = put(sidecar, "job/web/_id/a", gauges(5))
    assert answer.status == 202
    assert [refused["code"] for refused in answer.json()["refused"]] == ["job_series_limit"]
    assert put(sidecar, "job/web/_id/b", gauges(3)).status == 200, "updates go on"
    assert put(sidecar, "job/other/_id/d", gauges(50)).status == 200

    limits = sidecar.get("/v1/limits").json()
    web = next(job for job in limits["jobs"] if job["job"] == "web")
    assert (web["series"], web["max_series"], web["instances"], web["max_instances"]) == (16, 16, 3, 3)
    assert web["samples_per_second"]["limit"] == 100
    assert limits["refusals"]["job_instance_limit"] == 1
    assert sidecar.own_sum("monasca_sidecar_refusals_total", code="job_series_limit") == 1


def test_a_job_sends_so_many_samples_a_second(launch):
    sidecar = launch(config=JOBS)
    assert put(sidecar, "job/web/_id/a", gauges(8)).status == 200
    statuses = []
    while 429 not in statuses and len(statuses) < 1_000:
        answer = put(sidecar, "job/web/_id/a", gauges(8))
        statuses.append(answer.status)
    assert len(statuses) >= 10, "a second's worth at once"
    assert answer.code == "job_rate_limit" and 1 <= int(answer.headers["Retry-After"]) <= 2
    assert put(sidecar, "job/other/_id/a", gauges(8)).status == 200
    page = sidecar.page()
    eventually(lambda: put(sidecar, "job/web/_id/a", gauges(8)).status == 200, "tokens again")
    assert page.value("g", job="web", n="7") == 7, "what was refused changed nothing"


def test_new_things_cannot_use_up_the_rate_of_updates(launch):
    sidecar = launch("--limits.max-samples-per-second", "300")
    known = [counter("known_total", 1, "honest")]
    assert sidecar.post(known).status == 200
    refused = 0
    for n in range(100):
        flood = [family("flood", "gauge", *(value("flood", 1, {"n": str(m)}, f"id{n}") for m in range(20)))]
        answer = sidecar.post(flood)
        refused += answer.status == 429
        if answer.status == 429:
            assert answer.code == "rate_limit"
        if n % 10 == 0:
            assert sidecar.post(known).status == 200
    assert refused > 50


def test_limits_change_at_a_reload(launch):
    sidecar = launch(config=JOBS)
    sidecar.config_path.write_text(JOBS.replace("max_series: 16", "max_series: 30") + "limits:\n  max_memory: 100MiB\n")
    assert sidecar.request("POST", "/-/reload").status == 200
    assert put(sidecar, "job/web/_id/a", gauges(20)).status == 200
    limits = {limit["key"]: limit for limit in sidecar.get("/v1/limits").json()["limits"]}
    assert limits["limits.max_memory"]["limit"] == 100 * MEGABYTE
    assert limits["limits.max_series"]["used"] == 22
    assert limits["limits.max_samples_per_second"]["limit"] is None


# -- memory

CEILING = 96 * MEGABYTE
FLOOD_SECONDS = 12
# On a busy machine a flood needs longer until it is refused.
FLOOD_PATIENCE_SECONDS = 120
HONEST_PUSHES = 200


class Flood:
    """What one attacker sends again and again, and how it was answered."""

    def __init__(self, make):
        self.make, self.statuses, self.codes = make, {}, set()

    async def run(self, port, goes_on):
        rng = random.Random(self.make.__name__)
        async with Connection(port) as connection:
            while goes_on():
                path, body, headers = self.make(rng)
                status, answer = await connection.request("POST", path, body, **headers)
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status in (202, 429):
                    said = json.loads(answer)
                    self.codes.update(refused["code"] for refused in said.get("refused", [said]))


def word(rng, length=40):
    return "%0*x" % (length, rng.getrandbits(4 * length))


def labels(rng):
    """One instance, new series without end."""
    values = [value("flood_total", 1, {"n": word(rng)}, "flooder") for _ in range(2_000)]
    return "/v1/ingest", json.dumps([family("flood_total", "counter", *values)]).encode(), {}


def instances(rng):
    values = [value("flooded", 1, {"path": "/"}, word(rng)) for _ in range(200)]
    return "/v1/ingest", json.dumps([family("flooded", "gauge", *values)]).encode(), {}


def keyed_deltas(rng):
    body = json.dumps([family("delta_total", "counter", value("delta_total", 1, {"n": word(rng)}), temporality="delta")])
    return "/v1/ingest", body.encode(), {"Idempotency-Key": word(rng)}


def families(rng):
    """Without samples but for one, so that somebody holds them."""
    empty = [family("f" + word(rng), "gauge", help=word(rng, 500)) for _ in range(200)]
    return "/v1/ingest", json.dumps([gauge("holder", 1, "holder"), *empty]).encode(), {}


def long_labels(rng):
    values = [value("long", 1, {"n": word(rng, 4_000)}, "long") for _ in range(500)]
    return "/v1/ingest", json.dumps([family("long", "gauge", *values)]).encode(), {}


async def honest(port, number, goes_on, counts):
    """Pushes its whole registry each time, as clients do; every push must be taken whole."""
    async with Connection(port) as connection:
        while goes_on():
            counts[number] += 1
            body = [family("honest_total", "counter", *(
                value("honest_total", counts[number], {"path": str(path)}, f"honest-{number}") for path in range(20)))]
            answer = await connection.request("POST", "/v1/ingest", json.dumps(body).encode())
            assert answer == (200, b"true"), answer
            await asyncio.sleep(0.02)


async def scrapes(sidecar, goes_on, seen):
    while goes_on():
        for accept in ("text/plain", "application/openmetrics-text"):
            answer = await asyncio.to_thread(sidecar.get, "/metrics", Accept=accept)
            assert answer.status == 200
            seen.append(sum(float(line.rsplit(b" ", 1)[1]) for line in answer.body.splitlines()
                            if line.startswith(b"honest_total{")))
        await asyncio.sleep(0.3)


async def watch(sidecar, goes_on, highest):
    while goes_on():
        highest.append(sidecar.resident_bytes())
        await asyncio.sleep(0.02)


class Flooded:
    """A sidecar whose known series are updated and scraped while others flood it."""

    def __init__(self, sidecar, *makes):
        self.sidecar, self.floods = sidecar, [Flood(make) for make in makes]
        self.counts, self.seen, self.resident = [0] * 4, [], []

    def run(self, seconds):
        asyncio.run(self._run(seconds))
        assert all("memory_limit" in flood.codes for flood in self.floods), self.told()
        assert all(status in (200, 202, 429) for flood in self.floods for status in flood.statuses), self.told()
        assert self.seen == sorted(self.seen), "no total falls"
        assert sum(self.counts) > HONEST_PUSHES, self.counts

    async def _run(self, seconds):
        port = self.sidecar.port
        for number in range(len(self.counts)):  # known before the flood
            await honest(port, number, lambda number=number: self.counts[number] == 0, self.counts)
        begun = time.monotonic()

        def goes_on():
            spent = time.monotonic() - begun
            refused = all("memory_limit" in flood.codes for flood in self.floods)
            is_enough = refused and sum(self.counts) > HONEST_PUSHES
            return spent < seconds or (not is_enough and spent < FLOOD_PATIENCE_SECONDS)

        await asyncio.gather(*(flood.run(port, goes_on) for flood in self.floods),
                             scrapes(self.sidecar, goes_on, self.seen), watch(self.sidecar, goes_on, self.resident),
                             *(honest(port, number, goes_on, self.counts) for number in range(len(self.counts))))

    def told(self):
        return {flood.make.__name__: (flood.statuses, sorted(flood.codes)) for flood in self.floods}


def test_a_flood_stays_below_the_memory_ceiling_and_hurts_no_known_series(launch):
    sidecar = launch("--max-memory", "96MiB", "--decay", "3s", "--resume-window", "5s")
    flooded = Flooded(sidecar, labels, instances, keyed_deltas, families, long_labels)
    flooded.run(FLOOD_SECONDS)
    resident, counts = flooded.resident, flooded.counts
    assert max(resident) < CEILING, (max(resident) / MEGABYTE, flooded.told())
    assert max(resident) > CEILING // 2, ("the flood was no flood", max(resident) / MEGABYTE, flooded.told())

    def takes_new_things():
        sidecar.post([family("honest_total", "counter", *(
            value("honest_total", counts[number], {"path": str(path)}, f"honest-{number}") for path in range(20)))
            for number in range(len(counts))])
        return sidecar.post([gauge("new", 1, "newcomer")]).status == 200

    eventually(takes_new_things, "memory is free again once the flood's series are gone", deadline=60)
    page = sidecar.page()
    assert page.value("honest_total", path="0") == sum(counts)
    assert not sidecar.get("/v1/limits").json()["memory"]["short"]
