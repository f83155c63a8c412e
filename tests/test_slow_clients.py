"""Clients that are slow at each step of a connection, over TLS and without: each is closed at its deadline, and honest
pushes are answered all the while. (Slow heads and bodies without TLS are in test_hostile.py.)"""

import asyncio
import json
import socket
import ssl
import time

import pytest
from hpack import Encoder
from hyperframe.frame import HeadersFrame, SettingsFrame, WindowUpdateFrame

from authority import Authority
from sidecar import family, value
from test_attacks import PREFACE, h2_headers
from test_concurrent import Connection
from test_hostile import PATIENCE_SECONDS, SHORT_LIMITS, assert_memory_stays, beside_honest_pushes

DRIP_SECONDS = 0.05
AT_ONCE = 10
# The longest of the short limits is 2 s, looked at four times as often.
DEADLINE_SECONDS = 5
HEAD = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\n"
READ_SECONDS = 3.5
SERIES, LABELS, LABEL_BYTES = 3_000, 10, 300
PAGE_BYTES = SERIES * LABELS * LABEL_BYTES
LARGE = HEAD + b"Content-Length: 1000000\r\n\r\n["
GET_PAGE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def served(launch, tmp_path):
    """A sidecar with a large page, plain or with TLS, and what its clients trust."""

    def start(with_tls):
        context, args = None, ()
        if with_tls:
            authority = Authority(tmp_path)
            authority.issue("server", "IP:127.0.0.1")
            (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
            context, args = ssl.create_default_context(cafile=authority.certificate), ("--web.config.file", str(tmp_path / "web.yml"))
        sidecar = launch(*args, env=SHORT_LIMITS)
        return sidecar, context

    return start


async def fill(port, context):
    """A page that is more than kernels take from us while nobody reads."""
    labels = {f"label_{index}": "x" * LABEL_BYTES for index in range(LABELS)}
    body = json.dumps([family("wide", "gauge", *(value("wide", 1, {**labels, "n": str(n)}) for n in range(SERIES)))])
    async with Connection(port, context) as connection:
        assert await connection.request("POST", "/v1/ingest", body.encode()) == (200, b"true")


async def drip(reader, writer, part):
    """Sends `part` again and again until the server closes."""
    while not reader.at_eof():
        await drip_once(reader, writer, part)


async def drip_once(reader, writer, part):
    writer.write(part)
    try:
        await asyncio.wait_for(reader.read(65536), DRIP_SECONDS)
    except asyncio.TimeoutError:
        pass


def client_hello(context):
    said = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return said.read()


async def plain(port, first, part=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(first)
        await drip(reader, writer, part)
    finally:
        writer.transport.abort()


async def drip_hello(port, context):
    """The first bytes of a handshake, one at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for byte in client_hello(context):
            await drip_once(reader, writer, bytes([byte]))
            if reader.at_eof():
                return
        raise AssertionError("the whole of it was waited for")
    finally:
        writer.transport.abort()


async def within_tls(port, context, first, part=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(first)
        await drip(reader, writer, part)
    finally:
        writer.transport.abort()


async def half_a_record(port, context):
    """Hands are shaken, then bytes come of a record that does not end."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        session.write(LARGE)
        record = outgoing.read()
        writer.write(record[:-len(LARGE)])
        await drip(reader, writer, b"")
    finally:
        writer.transport.abort()


def narrow(port):
    """A connection whose kernel takes little ahead of its reader."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


async def read_slowly(port, context):
    """Asks for a page and takes a little of it at a time, then what the kernels still have: not the whole of it."""
    until = time.monotonic() + READ_SECONDS
    reader, writer = await asyncio.open_connection(
        sock=narrow(port), ssl=context, server_hostname="127.0.0.1" if context else None, limit=512)
    try:
        writer.write(GET_PAGE)
        taken = 0
        while time.monotonic() < until:
            taken += len(await reader.read(256))
            await asyncio.sleep(DRIP_SECONDS)
        while piece := await reader.read(1 << 20):
            taken += len(piece)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    assert taken < PAGE_BYTES, "the answer was waited for"


async def open_windows_slowly(port, context):
    """The same by what h2 has for it: leave for a few bytes at a time."""
    if context is not None:
        context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(context.get_ca_certs(True)[0]))
        context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(PREFACE + SettingsFrame(0).serialize() + HeadersFrame(
            1, h2_headers(Encoder(), "/metrics", "GET"), flags=["END_HEADERS", "END_STREAM"]).serialize())
        leave = b"".join(WindowUpdateFrame(stream, window_increment=64).serialize() for stream in (0, 1))
        await drip(reader, writer, leave)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


async def timed(attack):
    began = time.monotonic()
    try:
        await asyncio.wait_for(attack, PATIENCE_SECONDS)
    except (ConnectionError, asyncio.TimeoutError):
        pass
    return time.monotonic() - began


def attacks_on(port, context):
    kinds = {"reads slowly": lambda: read_slowly(port, context), "opens windows slowly": lambda: open_windows_slowly(port, context)}
    if context is None:
        return kinds
    return {
        **kinds,
        "says nothing": lambda: plain(port, b""), "half a hello": lambda: plain(port, client_hello(context)[:50]),
        "drips its hello": lambda: drip_hello(port, context),
        "drips a record that does not end": lambda: plain(port, b"\x16\x03\x01\x40\x00", b"\x01"),
        "says nothing after the handshake": lambda: within_tls(port, context, b""),
        "drips its head": lambda: within_tls(port, context, HEAD, b"A: b\r\n"),
        "drips its body": lambda: within_tls(port, context, LARGE, b" "),
        "stops in its body": lambda: within_tls(port, context, LARGE),
        "half a record": lambda: half_a_record(port, context),
    }


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_each_slow_client_is_closed_at_its_deadline_while_honest_pushes_are_answered(served, with_tls):
    sidecar, context = served(with_tls)
    kinds = attacks_on(sidecar.port, context)

    async def all_of_it():
        await fill(sidecar.port, context)
        before = sidecar.resident_bytes()
        attacks = [timed(attack()) for attack in kinds.values() for _ in range(AT_ONCE)]
        return before, await beside_honest_pushes(sidecar.port, *attacks, tls=context)

    before, (honest, ends) = asyncio.run(all_of_it())
    slowest = {name: max(ends[AT_ONCE * at:AT_ONCE * (at + 1)]) for at, name in enumerate(kinds)}
    slowest.pop("reads slowly")  # by what it got: kernels still give what they had
    assert all(seconds < DEADLINE_SECONDS for seconds in slowest.values()), slowest
    assert min(ends) > 0.5, ("nobody is closed before its deadline", slowest)
    assert honest.count > 50 and honest.slowest < 1, (honest.count, honest.slowest)
    assert_memory_stays(sidecar, before)
