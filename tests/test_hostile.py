"""100,000 hostile requests: each is answered or its connection closed, memory stays, honest pushes are answered
all the while, and the page is right afterwards. Slow and idle connections are closed by the limits."""

import asyncio
import http.client
import json
import random
import socket
import time

import exposition
from hostile_requests import framed, unframed
from sidecar import counter, eventually
from test_concurrent import Connection

FRAMED_REQUESTS = 88_000
UNFRAMED_REQUESTS = 12_000
FRAMED_CONNECTIONS = 8
UNFRAMED_CONNECTIONS = 24
PIPELINED = 25
MEMORY_BYTES = 64 * 1024 * 1024
SHORT_LIMITS = {
    "MONASCA_SIDECAR_LIMITS_MAX_HEADER_TIME": "1s",
    "MONASCA_SIDECAR_LIMITS_MAX_REQUEST_TIME": "2s",
    "MONASCA_SIDECAR_LIMITS_MAX_IDLE_TIME": "2s",
}
# Far above every limit: only for how long a server that neither answers nor closes may hang the test.
PATIENCE_SECONDS = 30


async def send_framed(port, seed, requests):
    """Pipelines requests over one connection and counts exactly one answer for each."""
    rng = random.Random(seed)
    done = 0
    while done < requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(8):
            batch = [framed(rng) for _ in range(min(PIPELINED, requests - done))]
            writer.write(b"".join(batch))
            for sent in batch:
                await asyncio.wait_for(read_answer(reader, sent), PATIENCE_SECONDS)
            done += len(batch)
        writer.close()
    return done


async def read_answer(reader, sent):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
        status = int(head.split()[1])
        assert status < 500, (sent[:500], head)
        await reader.readexactly(int(fields.get(b"content-length", b"0")))
    except asyncio.IncompleteReadError as problem:
        raise AssertionError(f"closed instead of answered: {sent[:1500]!r} after {problem.partial[:300]!r}") from None


async def send_unframed(port, seed, requests):
    """One connection for each; half of them stay open for writing, so only a limit can end them."""
    rng = random.Random(seed)
    for index in range(requests):
        sent = unframed(rng)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(sent)
            if index % 20:
                writer.write_eof()
            await asyncio.wait_for(reader.read(-1), PATIENCE_SECONDS)
        except asyncio.TimeoutError:
            raise AssertionError(f"neither answered nor closed: {sent[:500]!r}") from None
        except OSError:
            pass  # closed while we wrote: that is an answer too
        finally:
            writer.close()
    return requests


class Honest:
    """A process that pushes as it should, and how long its answers took."""

    def __init__(self):
        self.count, self.stop, self.slowest = 0, False, 0.0

    async def live(self, port, tls=None):
        async with Connection(port, tls) as connection:
            while not self.stop:
                self.count += 1
                body = json.dumps([counter("honest_total", self.count, "honest")]).encode()
                began = time.monotonic()
                answer = await asyncio.wait_for(connection.request("POST", "/v1/ingest", body), PATIENCE_SECONDS)
                self.slowest = max(self.slowest, time.monotonic() - began)
                assert answer == (200, b"true")
                await asyncio.sleep(0.005)


async def beside_honest_pushes(port, *attacks, tls=None):
    honest = Honest()
    pushing = asyncio.create_task(honest.live(port, tls))
    try:
        results = await asyncio.gather(*attacks)
    finally:
        honest.stop = True
        await pushing
    return honest, results


def assert_memory_stays(sidecar, before):
    eventually(lambda: sidecar.resident_bytes() - before <= MEMORY_BYTES,
               f"memory back within 64 MB of {before >> 20} MB (now {sidecar.resident_bytes() >> 20} MB)")


def test_100000_hostile_requests_do_no_harm(launch):
    sidecar = launch(env=SHORT_LIMITS)
    before = sidecar.resident_bytes()
    attacks = [send_framed(sidecar.port, seed, FRAMED_REQUESTS // FRAMED_CONNECTIONS) for seed in range(FRAMED_CONNECTIONS)]
    attacks += [send_unframed(sidecar.port, 1000 + seed, UNFRAMED_REQUESTS // UNFRAMED_CONNECTIONS)
                for seed in range(UNFRAMED_CONNECTIONS)]
    honest, results = asyncio.run(beside_honest_pushes(sidecar.port, *attacks))
    assert sum(results) == 100_000
    assert honest.count > 500 and honest.slowest < 5, (honest.count, honest.slowest)
    assert_memory_stays(sidecar, before)
    page = exposition.parse(sidecar.get("/metrics").body, ordered=False)
    assert page.value("honest_total") == honest.count


# -- slow clients


async def drip(port, first, part, interval=0.1):
    """Sends `first` and then `part` again and again; returns after how long the server ended it."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    ended = asyncio.create_task(reader.read(-1))
    try:
        while not ended.done():
            assert time.monotonic() - began < PATIENCE_SECONDS, f"still open: {first[:60]!r}"
            writer.write(part)
            await asyncio.wait([ended], timeout=interval)
        await ended
    except OSError:
        pass
    finally:
        writer.close()
    return time.monotonic() - began


def test_slow_clients_are_ended_by_the_limits_and_hold_nobody_up(launch):
    sidecar = launch(env=SHORT_LIMITS)
    before = sidecar.resident_bytes()
    head = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\n"
    kinds = {
        "says nothing": (b"", b""), "drips its head": (head, b"X"), "drips headers": (head, b"A: b\r\n"),
        "stops in its head": (head, b""), "drips its body": (head + b"Content-Length: 1000000\r\n\r\n[", b" "),
        "stops in its body": (head + b"Content-Length: 1000000\r\n\r\n[", b""),
        "drips chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        "idles after a request": (b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        "drips a preface": (b"P", b""), "opens h2 and idles": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b""),
    }
    attacks = [drip(sidecar.port, *kind) for kind in kinds.values() for _ in range(20)]
    honest, ends = asyncio.run(beside_honest_pushes(sidecar.port, *attacks))
    slowest = {name: max(ends[20 * index:20 * index + 20]) for index, name in enumerate(kinds)}
    assert all(seconds < 8 for seconds in slowest.values()), slowest
    assert honest.slowest < 1, honest.slowest
    assert_memory_stays(sidecar, before)


def test_connections_over_the_limit_are_closed_and_those_below_it_work(launch):
    sidecar = launch(env={**SHORT_LIMITS, "MONASCA_SIDECAR_LIMITS_MAX_CONNECTIONS": "8"})
    held = [socket.create_connection(("127.0.0.1", sidecar.port), timeout=10) for _ in range(8)]
    for one in held:
        one.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.recv(4096).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", sidecar.port), timeout=10) as over:
        assert is_closed(over)
    for one in held:
        assert is_closed(one), "idle connections make room"
        one.close()
    eventually(lambda: accepts(sidecar), "room for an honest client")


def is_closed(client):
    try:
        return client.recv(4096) == b""
    except ConnectionError:
        return True


def accepts(sidecar):
    try:
        return sidecar.get("/-/healthy").status == 200
    except (OSError, http.client.HTTPException):
        return False


async def read_nothing(port, requests, until):
    """Asks for many pages and never reads one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
        await until
    except OSError:
        pass
    finally:
        writer.transport.abort()
    del reader


def test_clients_that_never_read_cannot_pin_memory(launch):
    sidecar = launch(env=SHORT_LIMITS)
    labels = {f"label_{index}": "x" * 50 for index in range(10)}
    sidecar.push([{"name": "wide", "type": "gauge", "values": [
        {"name": "wide", "labels": {**labels, "n": str(index)}, "value": index} for index in range(2000)]}])
    size = len(sidecar.get("/metrics").body)
    assert size > 1_000_000
    before = sidecar.resident_bytes()

    async def attack():
        readers = asyncio.Event()
        waiting = [asyncio.create_task(read_nothing(sidecar.port, 50, readers.wait())) for _ in range(100)]
        honest = Honest()
        pushing = asyncio.create_task(honest.live(sidecar.port))
        while honest.count < 300:
            await asyncio.sleep(0.05)
        grown = sidecar.resident_bytes() - before
        honest.stop = True
        await pushing
        readers.set()
        await asyncio.gather(*waiting)
        return honest, grown

    honest, grown = asyncio.run(attack())
    assert honest.slowest < 5
    # 100 connections that asked for 50 pages each: without a bound this would be 6 GB, with one page each 120 MB.
    assert grown < 4 * 100 * size, f"{grown >> 20} MB"
    assert_memory_stays(sidecar, before)
