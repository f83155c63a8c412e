"""Attacks that have a name: requests that could be taken for two, storms of resets and header frames, half-closed sockets,
bodies that cost more than they are long. Each gets one answer or an end, and honest pushes beside it are all answered."""

import asyncio
import gzip
import json
import os
import re
import socket
import time
import zlib

import hpack
import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from sidecar import counter, family, gauge, value
from test_concurrent import Connection
from test_hostile import PATIENCE_SECONDS, SHORT_LIMITS, assert_memory_stays, beside_honest_pushes

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BODY = json.dumps([counter("smuggled_total", 1, "x")]).encode()
STORM_SECONDS = 2
HIDDEN = b"POST /v1/clear HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


def exchange(port, sent, half_close=False):
    """Everything that is answered until the server closes, or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(sent)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := client.recv(65536):
                received += piece
        except ConnectionError:
            pass
        return received


def statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def post(headers, body):
    return b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body


LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
# What a proxy before us may read otherwise than we do. `HIDDEN` behind it must never be a request of its own.
SMUGGLED = {
    "length and chunks": post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "chunks and length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(LENGTH + b"Content-Length: 0\r\n", BODY + HIDDEN),
    "two lengths in one": post(b"Content-Length: %d, 0\r\n" % len(BODY), BODY + HIDDEN),
    "signed length": post(b"Content-Length: +%d\r\n" % len(BODY), BODY + HIDDEN),
    "hexadecimal length": post(b"Content-Length: 0x10\r\n", BODY + HIDDEN),
    "folded header": post(b"X: a\r\n Transfer-Encoding: chunked\r\n" + LENGTH, BODY + HIDDEN),
    "space before the colon": post(b"Transfer-Encoding : chunked\r\n" + LENGTH, BODY + HIDDEN),
    "unknown coding": post(b"Transfer-Encoding: xchunked\r\n", CHUNK + HIDDEN),
    "chunked is not last": post(b"Transfer-Encoding: chunked, identity\r\n", CHUNK + HIDDEN),
    "bad chunk size": post(b"Transfer-Encoding: chunked\r\n", b"5;\n\r\nabcde\r\n0\r\n\r\n" + HIDDEN),
    "negative chunk size": post(b"Transfer-Encoding: chunked\r\n", b"-1\r\n" + CHUNK + HIDDEN),
    "chunk size beyond 64 bits": post(b"Transfer-Encoding: chunked\r\n", b"10000000000000000\r\n" + CHUNK + HIDDEN),
    "chunk longer than said": post(b"Transfer-Encoding: chunked\r\n", b"1\r\n" + BODY + b"\r\n0\r\n\r\n" + HIDDEN),
    "zero byte in a name": post(b"Transfer-\x00Encoding: chunked\r\n" + LENGTH, BODY + HIDDEN),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_could_be_two_requests_is_one_and_the_connection_ends(launch, name):
    sidecar = launch(env=SHORT_LIMITS)
    sidecar.push([gauge("kept", 1)])
    received = exchange(sidecar.port, SMUGGLED[name])
    assert len(statuses(received)) <= 1, received
    assert all(status in (400, 413, 415, 431, 501) for status in statuses(received)), received
    page = sidecar.page()
    assert page.value("kept") == 1, "the hidden request was not done"
    assert page.get("smuggled_total") is None, "nothing of it was applied"


def test_pipelined_requests_are_answered_each_in_order(sidecar):
    requests = [post(b"Content-Length: %d\r\n" % len(body), body)
                for body in (json.dumps([counter("piped_total", n, "x")]).encode() for n in range(1, 201))]
    bad = post(b"Content-Length: 1\r\n", b"x")
    received = exchange(sidecar.port, b"".join(requests) + bad + requests[-1], half_close=True)
    assert statuses(received) == [200] * 200 + [400, 200]
    assert sidecar.page().value("piped_total") == 200


def test_a_half_closed_socket_gets_its_answer_and_an_end(launch):
    sidecar = launch(env=SHORT_LIMITS)
    assert statuses(exchange(sidecar.port, post(LENGTH, BODY), half_close=True)) == [200]
    began = time.monotonic()
    assert statuses(exchange(sidecar.port, post(LENGTH, BODY[:-5]), half_close=True)) in ([], [400])
    assert statuses(exchange(sidecar.port, b"", half_close=True)) == []
    assert time.monotonic() - began < 8


# -- bodies that could cost more than they are long


def chained(count):
    """`count` samples, each of another writer, family and label."""
    return [family(f"family_{n}", "gauge", value(f"family_{n}", 1, {f"l{n}": "x"}, f"id-{n}")) for n in range(count)]


HEAVY = {
    "many writers": [family("heavy", "gauge", *(value("heavy", 1, {}, f"id-{n}") for n in range(30_000)))],
    "many families": [family(f"heavy_{n}", "gauge") for n in range(30_000)],
    "each of its own": chained(10_000),
    "refused families": [family("clash", "counter", value("clash_total", 1)),
                         *(family(f"clash_{n}", "counter", value(f"clash_{n}_total", -1)) for n in range(20_000))],
    "a million labels": [family("wide", "gauge", value("wide", 1, {f"l{n}": "x" for n in range(1_000_000)}))],
    "label names of one hash bucket, if hashes were not seeded": [family("hashed", "gauge", *(
        value("hashed", 1, {"%08x" % (n << 16): "x"}) for n in range(30_000)))],
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_body_holds_nobody_up(sidecar, name):
    body = json.dumps(HEAVY[name]).encode()
    sidecar.push([counter("honest_total", 1, "honest")])

    async def attack():
        return await asyncio.to_thread(sidecar.request, "POST", "/v1/ingest", body, None, 60)

    began = time.monotonic()
    honest, (answer,) = asyncio.run(beside_honest_pushes(sidecar.port, attack()))
    assert answer.status in (200, 202, 400, 429), answer.text[:300]
    assert time.monotonic() - began < 20
    assert honest.slowest < 10, honest.slowest


def new_instances(seed):
    return json.dumps([family("flood", "gauge", *(value("flood", 1, {}, f"{seed}-{n}") for n in range(10_000)))]).encode()


BOMB = gzip.compress(b" " * (64 << 20))
EXPENSIVE = {
    "bombs": lambda _seed: (BOMB, {"Content_Encoding": "gzip"}),
    "new instances": lambda seed: (new_instances(seed), {}),
}
EXPENSIVE_CONNECTIONS = 8
EXPENSIVE_REQUESTS = 6


@pytest.mark.parametrize("name", EXPENSIVE)
def test_pushes_of_known_series_do_not_wait_for_expensive_ones(launch, name):
    """With one processor, where every unfair turn shows: they would get one turn for eight expensive ones."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        sidecar = launch("--limits.max-instances", "1000000")
    finally:
        os.sched_setaffinity(0, processors)

    async def attack(number):
        async with Connection(sidecar.port) as connection:
            for n in range(EXPENSIVE_REQUESTS):
                body, headers = EXPENSIVE[name](f"{number}-{n}")
                status, _ = await connection.request("POST", "/v1/ingest", body, **headers)
                assert status in (200, 413)

    honest, _ = asyncio.run(beside_honest_pushes(sidecar.port, *map(attack, range(EXPENSIVE_CONNECTIONS))))
    assert honest.count > EXPENSIVE_CONNECTIONS * EXPENSIVE_REQUESTS


@pytest.mark.parametrize("path", ["/v1/ingest", "/metrics/job/x", "/metrics/job/x/_id/y", "/metrics?temporality=delta"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip"])
def test_a_bomb_goes_off_on_no_path(launch, path, encoding):
    sidecar = launch("--limits.max-body", "8MiB", "--limits.max-body-memory", "16MiB")
    before = sidecar.resident_bytes()
    zeros = b" " * (256 << 20)
    packed = gzip.compress(zeros, 6) if "gzip" in encoding else zlib.compress(zeros, 6)
    if "," in encoding:
        packed = gzip.compress(packed)
    answer = sidecar.request("POST", path, packed, {"Content-Encoding": encoding})
    assert answer.status == (415 if "," in encoding else 413), answer.text
    assert_memory_stays(sidecar, before)


# -- h2


def h2_headers(encoder, path, method="POST"):
    return encoder.encode([(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path)])


async def until_closed(port, frames):
    """Sends until the server has had enough, or all is sent; returns how many bytes went out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(reader.read(-1))
    sent = 0
    try:
        writer.write(PREFACE + SettingsFrame(0).serialize())
        for frame in frames:
            if reading.done():
                break
            writer.write(frame)
            sent += len(frame)
            await writer.drain()
            await asyncio.sleep(0)  # the honest one is in this loop, too
        await asyncio.wait([reading], timeout=8)
    except OSError:
        pass
    finally:
        writer.transport.abort()
        reading.cancel()
    return sent


async def storm(port, attack):
    """One connection after the other, however soon each is ended."""
    until = time.monotonic() + STORM_SECONDS
    while time.monotonic() < until:
        await until_closed(port, attack(20_000))


def rapid_resets(count):
    """CVE-2023-44487: streams that are opened and reset at once."""
    encoder = hpack.Encoder()
    for n in range(count):
        stream = 2 * n + 1
        yield (HeadersFrame(stream, h2_headers(encoder, "/metrics", "GET"), flags=["END_HEADERS", "END_STREAM"]).serialize()
               + RstStreamFrame(stream, error_code=8).serialize())


def resets_under_a_body(count):
    encoder = hpack.Encoder()
    for n in range(count):
        stream = 2 * n + 1
        yield (HeadersFrame(stream, h2_headers(encoder, "/v1/ingest"), flags=["END_HEADERS"]).serialize()
               + DataFrame(stream, b"[" * 1_000).serialize() + RstStreamFrame(stream, error_code=8).serialize())


def endless_headers(count):
    """CVE-2024-27316 and its like: a head that never ends."""
    encoder = hpack.Encoder()
    yield HeadersFrame(1, h2_headers(encoder, "/")).serialize()
    block = hpack.Encoder().encode([(f"x-{n}", "y" * 100) for n in range(100)], huffman=False)
    for _ in range(count):
        yield ContinuationFrame(1, block).serialize()


def empty_frames(count):
    encoder = hpack.Encoder()
    yield HeadersFrame(1, h2_headers(encoder, "/v1/ingest"), flags=["END_HEADERS"]).serialize()
    for _ in range(count):
        yield DataFrame(1, b"").serialize()


def settings(count):
    for _ in range(count):
        yield SettingsFrame(0, settings={4: 65535}).serialize()


@pytest.mark.parametrize("attack", [rapid_resets, resets_under_a_body, endless_headers, empty_frames, settings])
def test_h2_floods_are_ended_or_outlived(launch, attack):
    sidecar = launch(env=SHORT_LIMITS)
    before = sidecar.resident_bytes()
    attacks = [storm(sidecar.port, attack) for _ in range(3)]
    honest, _ = asyncio.run(beside_honest_pushes(sidecar.port, *attacks))
    assert honest.count > 10 and honest.slowest < 5, (honest.count, honest.slowest)
    assert_memory_stays(sidecar, before)
    assert sidecar.page().value("honest_total") == honest.count
