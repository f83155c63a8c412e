"""How long honest pushes take while others attack: p99 beside floods of labels and instances, bombs, junk and slow heads,
divided by p99 alone. One line of raw figures."""
import gzip
import http.client
import json
import multiprocessing
import random
import socket
import statistics
import time

import phases
import servers

SECONDS = 8
SAMPLES = 500
INTERVAL_SECONDS = 0.005


def attack(bench, name, command):
    phases.wait_for_quiet()
    with servers.Server(command, bench.server_cpu) as server:
        alone = honest(server.addr, SECONDS)
        until = time.time() + SECONDS + 1
        attackers = [multiprocessing.Process(target=run, args=(server.addr, make, until)) for make in (labels, instances, bombs, junk)]
        for attacker in attackers:
            attacker.start()
        beside = honest(server.addr, SECONDS)
        for attacker in attackers:
            attacker.join()
        died = not server.alive()
    return {"kind": "attack", "server": name, "p99_alone_ms": alone, "p99_beside_ms": beside, "ratio": beside / alone, "died": died}


def honest(addr, seconds):
    """p99 in milliseconds of a process that pushes its registry at a steady pace; every push must be taken."""
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
    return statistics.quantiles(took, n=100)[98] * 1e3


def run(addr, make, until):
    rng = random.Random(make.__name__)
    while time.time() < until:
        try:
            make(addr, rng, until)
        except OSError:
            pass


def send(addr, until, body_of, headers=None):
    connection = http.client.HTTPConnection(addr)
    while time.time() < until:
        connection.request("POST", "/v1/ingest", body_of(), headers or {})
        connection.getresponse().read()


def flood(addr, rng, until, sample_labels):
    def body():
        values = [{"name": "flood", "labels": sample_labels(f"{rng.getrandbits(64):x}"), "value": 1} for _ in range(500)]
        return json.dumps([{"name": "flood", "type": "gauge", "help": "", "values": values}])

    send(addr, until, body)


def labels(addr, rng, until):
    flood(addr, rng, until, lambda word: {"_id": "flooder", "n": word})


def instances(addr, rng, until):
    flood(addr, rng, until, lambda word: {"_id": word})


def bombs(addr, _rng, until):
    bomb = gzip.compress(b" " * (64 << 20))
    send(addr, until, lambda: bomb, {"Content-Encoding": "gzip"})


def junk(addr, rng, until):
    """Broken requests, and heads that never end on sockets that stay open."""
    host, port = addr.rsplit(":", 1)
    held = []
    while time.time() < until:
        client = socket.create_connection((host, int(port)), timeout=1)
        client.sendall(rng.choice([b"POST /v1/ingest HTTP/1.1\r\nHost", b"\x00" * 200, b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[[[[[[[[["]))
        held = [*held[-200:], client]
