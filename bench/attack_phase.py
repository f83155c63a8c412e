"""How long honest pushes take while others attack: their p99 beside all attacks at once, divided by their p99 alone.

The server has one CPU, the honest process and the attackers share another, on which the attackers get what the honest one
leaves: the figure is to say how long the server takes, not how long the honest process waits for its own CPU. The attackers
are SCHED_IDLE, and the honest process is SCHED_FIFO where that is allowed (the line says whether it was): beside a normal process an
idle one still gets a tick of 4 ms now and then. What the attackers got and what the server used is in the line."""
import gzip
import http.client
import io
import json
import multiprocessing
import os
import random
import socket
import statistics
import struct
import time

import phases
import servers

ROUNDS = 5
SAMPLES = 500
INTERVAL_SECONDS = 0.005
# The attackers are at it before anything is measured.
BEGUN_SECONDS = 0.5
PIECE_BYTES = 16 * 1024


def attack(bench, name, command):
    """Several rounds, each with a fresh server: limits that an attack has reached would make the next one cheap."""
    rounds = [one_round(bench, command) for _ in range(ROUNDS)]
    return {"kind": "attack", "server": name, "rounds": rounds, "died": any(r["died"] for r in rounds)}


def one_round(bench, command):
    phases.wait_for_quiet()
    with servers.Server(command, bench.server_cpu) as server, servers.on_cpu(bench.client_cpu):
        is_first = go_first()
        alone = honest(server.addr, bench.seconds / 2)
        with Attackers(server.addr) as attackers:
            time.sleep(BEGUN_SECONDS)
            before, began = spent(server, attackers), time.monotonic()
            beside = honest(server.addr, bench.seconds / 2)
            took = time.monotonic() - began
            shares = [round((after - first) / took, 3) for first, after in zip(before, spent(server, attackers))]
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return {"alone": alone, "beside": beside, "real_time": is_first, "server_cpu_share": shares[0], "attackers_cpu_share": shares[1],
                "all_cpu_share": shares[2], "died": not server.alive()}


def go_first():
    """Whether this process may go before all others."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        return False
    return True


def spent(server, attackers):
    """CPU seconds of the server, of the attackers, of everybody on the machine."""
    return server.usage()["cpu"], attackers.cpu_seconds(), servers.machine_busy_seconds()


def honest(addr, seconds):
    """Of a process that pushes its registry at a steady pace; every push must be taken. Milliseconds."""
    connection = http.client.HTTPConnection(addr)
    took, end, count = [], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        count += 1
        values = [{"name": "honest_total", "labels": {"_id": "honest", "n": str(n)}, "value": count} for n in range(SAMPLES)]
        body = json.dumps([{"name": "honest_total", "type": "counter", "help": "", "values": values}])
        began = time.monotonic()
        connection.request("POST", "/v1/ingest", body)
        answer = connection.getresponse()
        answer.read()
        took.append(time.monotonic() - began)
        if answer.status != 200:
            raise servers.ServerError(f"an honest push was answered {answer.status}")
        time.sleep(INTERVAL_SECONDS)
    connection.close()
    cuts = statistics.quantiles(took, n=100)
    return {"pushes": count, "p50_ms": cuts[49] * 1e3, "p99_ms": cuts[98] * 1e3, "max_ms": max(took) * 1e3}


class Attackers:
    """One process for each attack, until the end of the block."""

    def __init__(self, addr):
        self.processes = [multiprocessing.Process(target=run, args=(addr, make), daemon=True) for make in ATTACKS]

    def __enter__(self):
        for process in self.processes:
            process.start()
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join()

    def cpu_seconds(self):
        return sum(servers.cpu_seconds(process.pid) for process in self.processes)


def run(addr, make):
    rng = random.Random(make.__name__)
    while True:
        try:
            make(addr, rng)
        except (OSError, http.client.HTTPException):
            pass


def connect(addr):
    host, port = addr.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=5)


# -- bodies


def send(addr, body_of, headers=None):
    """In pieces: a long send is one stay in the kernel, which the honest process would have to wait for."""
    connection = http.client.HTTPConnection(addr, blocksize=PIECE_BYTES)
    while True:
        body = body_of()
        connection.request("POST", "/v1/ingest", io.BytesIO(body), {"Content-Length": str(len(body)), **(headers or {})})
        connection.getresponse().read()


def flood(addr, rng, sample_labels):
    def body():
        values = [{"name": "flood", "labels": sample_labels(f"{rng.getrandbits(64):x}"), "value": 1} for _ in range(500)]
        return json.dumps([{"name": "flood", "type": "gauge", "help": "", "values": values}]).encode()

    send(addr, body)


def labels(addr, rng):
    flood(addr, rng, lambda word: {"_id": "flooder", "n": word})


def label_names(addr, rng):
    """Names that would share a hash bucket if hashes were not seeded."""
    flood(addr, rng, lambda word: {"_id": "namer", f"n{word[:4]}0000": "x"})


def instances(addr, rng):
    flood(addr, rng, lambda word: {"_id": word})


def bombs(addr, _rng):
    bomb = gzip.compress(b" " * (64 << 20))
    send(addr, lambda: bomb, {"Content-Encoding": "gzip"})


def deep(addr, _rng):
    body = b"[" * (1 << 20)
    send(addr, lambda: body)


def wide(addr, _rng):
    """One sample with a million labels."""
    names = {f"l{n}": "x" for n in range(1_000_000)}
    body = json.dumps([{"name": "wide", "type": "gauge", "help": "", "values": [{"name": "wide", "labels": names, "value": 1}]}])
    body = body.encode()
    send(addr, lambda: body)


# -- connections

HEAD = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\n"
BROKEN = (
    b"POST /v1/ingest HTTP/1.1\r\nHost",
    b"\x00" * 200,
    HEAD + b"Content-Length: 9\r\n\r\n[[[[[[[[[",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /v1/clear HTTP/1.1\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[] ",
)


def junk(addr, rng):
    """Broken requests, what could be two of them, heads that never end on sockets that stay open, sockets half closed."""
    held = []
    while True:
        client = connect(addr)
        client.sendall(rng.choice(BROKEN))
        if rng.random() < 0.3:
            client.shutdown(socket.SHUT_WR)
        held = [*held[-200:], client]


def pipelines(addr, _rng):
    """Requests that do not wait for answers."""
    body = json.dumps([{"name": "piped", "type": "gauge", "help": "", "values": []}]).encode()
    requests = (HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body) * 500
    with connect(addr) as client:
        while True:
            client.sendall(requests)
            answered = 0
            while answered < 500:
                piece = client.recv(1 << 16)
                if not piece:
                    return
                answered += piece.count(b"HTTP/1.1 ")


def resets(addr, _rng):
    """HTTP/2 streams that are opened and reset at once."""
    path, authority = b"/metrics", b"x"
    block = b"\x82\x86\x04" + bytes([len(path)]) + path + b"\x01" + bytes([len(authority)]) + authority
    with connect(addr) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        for first in range(1, 1 << 30, 2_000):
            client.sendall(b"".join(
                frame(1, 5, stream, block) + frame(3, 0, stream, struct.pack(">I", 8)) for stream in range(first, first + 2_000, 2)))


def frame(kind, flags, stream, payload):
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


ATTACKS = (labels, label_names, instances, bombs, deep, wide, junk, pipelines, resets)
