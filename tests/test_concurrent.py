"""64 connections push at once while others scrape: nothing ever falls, nothing is seen early or late,
and at the end every total is exact."""

import asyncio
import json
import random
import uuid

import pytest

import exposition
from sidecar import counter, gauge, histogram

CONNECTIONS = 64
PUSHES = 120
# Long enough to be silent beyond the short decay of the second run.
PAUSE_SECONDS = 0.5
SCRAPERS = 3


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, port, tls=None):
        self.port, self.tls = port, tls

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        await self.writer.wait_closed()

    async def request(self, method, path, body=b"", **headers):
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
        return int(head[0].split()[1]), await self.reader.readexactly(length)


class Truth:
    """What was counted: `sent` rises before a push leaves, `answered` after its answer."""

    def __init__(self):
        self.sent = 0
        self.answered = 0
        self.running = CONNECTIONS


class Worker:
    """A process that counts, restarts, says goodbye, and now and then repeats a push."""

    def __init__(self, number, connection, truth):
        self.random = random.Random(number)
        self.connection, self.truth = connection, truth
        self.route = str(number % 5)
        self.born()

    def born(self):
        self.id = uuid.uuid4().hex
        self.restart()

    def restart(self):
        self.epoch, self.n, self.acked, self.count = uuid.uuid4().hex, 0, 0, 0

    def body(self):
        low = self.count // 2
        return json.dumps([
            counter("requests_total", self.count, self.id, route=self.route),
            histogram("latency_seconds", {"0.1": low, "1": self.count, "+Inf": self.count}, self.count, self.id),
            gauge("alive", 1, self.id, aggregate="sum"),
        ]).encode()

    async def push(self, final=False):
        grown = self.random.randrange(10)
        self.count += grown
        self.truth.sent += grown
        self.n += 1
        body, path = self.body(), "/v1/ingest" + ("?final=true" if final else "")
        sequence = f"{self.epoch}.{self.n}.{self.acked}"
        for _ in range(2 if self.random.random() < 0.1 else 1):
            assert await self.connection.request("POST", path, body, Push_Sequence=sequence) == (200, b"true")
        self.acked = self.n
        self.truth.answered += grown

    async def live(self):
        for _ in range(PUSHES):
            await self.push()
            chance = self.random.random()
            if chance < 0.02:
                await self.push(final=True)
                self.born()
            elif chance < 0.04:
                self.restart()
            elif chance < 0.06:
                await asyncio.sleep(PAUSE_SECONDS)
        await self.push(final=True)
        self.truth.running -= 1


async def check_scrapes(connection, truth):
    """The counter lies between what was answered before the scrape and what was sent until its answer."""
    seen, scrapes = {}, 0
    while truth.running:
        least = truth.answered
        status, body = await connection.request("GET", "/metrics")
        most = truth.sent
        assert status == 200
        page = exposition.parse(body)
        now = page.cumulative()
        fallen = {key: (number, now.get(key)) for key, number in seen.items() if now.get(key, -1) < number}
        assert not fallen, fallen
        seen = now
        scrapes += 1
        total = sum(sample.value for sample in page.samples() if sample.name == "requests_total")
        assert least <= total <= most, (least, total, most)
        # Every push raises both families by the same, so a page with half of a push would show.
        assert page.get("latency_seconds_count", 0) == total
    return scrapes


async def run(port):
    truth = Truth()

    async def work(number):
        async with Connection(port) as connection:
            await Worker(number, connection, truth).live()

    async def scrape():
        async with Connection(port) as connection:
            return await check_scrapes(connection, truth)

    results = await asyncio.gather(*(work(number) for number in range(CONNECTIONS)),
                                   *(scrape() for _ in range(SCRAPERS)))
    return truth, sum(results[CONNECTIONS:])


@pytest.mark.parametrize("decay", ["60s", "100ms"])
def test_nothing_falls_and_totals_are_exact_under_64_connections(launch, decay):
    """With the short decay, who pauses departs and returns while all the others push."""
    sidecar = launch("--decay", decay)
    truth, scrapes = asyncio.run(run(sidecar.port))
    assert truth.sent == truth.answered
    assert scrapes >= 30
    page = sidecar.page()
    total = sum(sample.value for sample in page.samples() if sample.name == "requests_total")
    assert total == truth.sent
    assert page.value("latency_seconds_count") == truth.sent
    assert page.value("latency_seconds_bucket", le="1") == truth.sent
    assert page.value("latency_seconds_sum") == truth.sent
    assert page.get("alive") is None, "all said goodbye"
    if decay == "100ms":
        assert sidecar.own_sum("monasca_sidecar_resumes_total") > 20
