"""Instances that come and go for a long time: memory and files stay as they are, counters exact.

Each of some threads is a line of processes, one after the other: a process pushes its registry of two hundred
series every few milliseconds, lives a second or two, and is followed by another. Run as a program it goes on
for twenty minutes (`make soak`); tests/test_soak.py does one.
"""

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from exposition import parse
from sidecar import Sidecar, eventually

SETTINGS = ("--decay", "2s", "--resume-window", "4s", "--retain", "8s", "--journal-size", "1MiB")
LINES = 6
SERIES = 200
# Of the state as it was when every part of it had been there once.
GROWTH = 1.25


class Line(threading.Thread):
    """Processes one after the other. `counted` is what all of them have been answered for."""

    def __init__(self, port, seed, end):
        super().__init__()
        self.random = random.Random(seed)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.end = end
        self.counted = 0
        self.pushes = 0
        self.failure = None

    def run(self):
        try:
            while time.monotonic() < self.end:
                self.live()
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failure = repr(error)

    def live(self):
        end = min(self.end, time.monotonic() + self.random.uniform(0.5, 2.0))
        process, epoch, n, count = str(uuid.uuid4()), uuid.uuid4().hex[:8], 0, 0
        while time.monotonic() < end:
            n += 1
            count += self.random.randrange(10)
            body = self.body(process, count)
            self.connection.request("POST", "/v1/ingest", body, {"Push-Sequence": f"{epoch}.{n}.{n - 1}"})
            answer = self.connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            self.pushes += 1
            time.sleep(0.01)
        self.counted += count

    def body(self, process, count):
        labels = [{"_id": process, "part": str(part)} for part in range(SERIES // 2)]
        return json.dumps([
            {"name": "events_total", "type": "counter", "values": [{"name": "events_total", "labels": own, "value": count} for own in labels]},
            {"name": "level", "type": "gauge", "values": [{"name": "level", "labels": own, "value": count % 7} for own in labels]},
        ]).encode()


def bytes_on_disk(directory):
    return sum(map(length, Path(directory).iterdir()))


def length(path):
    """Meanwhile a finished file may have got its name, or an old one may have gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def soak(directory, seconds, seed, launch=Sidecar):
    """Raises AssertionError with what is wrong; returns a line of what was done."""
    sidecar = launch(*SETTINGS, "--data-dir", str(directory))
    begun = time.monotonic()
    lines = [Line(sidecar.port, f"{seed}-{number}", begun + seconds) for number in range(LINES)]
    for line in lines:
        line.start()
    memory, files = [], []
    while any(line.is_alive() for line in lines):
        lines[0].join(1)
        memory.append(sidecar.resident_bytes())
        files.append(bytes_on_disk(directory))
        parse(sidecar.get("/metrics").text)
    failures = [line.failure for line in lines if line.failure]
    assert not failures, failures
    # After a third of the time everything has come, gone and been forgotten once.
    early, late = memory[len(memory) // 3:len(memory) * 2 // 3], memory[len(memory) * 2 // 3:]
    assert max(late) <= max(early) * GROWTH, f"memory grew from {max(early)} to {max(late)}"
    assert max(files) < 8 << 20, f"{max(files)} bytes in the directory"
    counted = sum(line.counted for line in lines)
    check(sidecar, counted)
    eventually(lambda: all(not instance["live"] for instance in sidecar.get("/v1/instances").json()), "the departure of all", 20)
    check(sidecar, counted)
    sidecar.kill()
    again = launch(*SETTINGS, "--data-dir", str(directory))
    check(again, counted)
    again.stop()
    pushes = sum(line.pushes for line in lines)
    return f"{seconds} s, seed {seed}: {pushes} pushes, {counted} events counted once each, memory {max(late)} bytes, directory {max(files)} bytes"


def check(sidecar, counted):
    page = parse(sidecar.get("/metrics").text)
    values = {page.value("events_total", part=str(part)) for part in range(SERIES // 2)}
    assert values == {counted}, f"{values} instead of {counted}"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=20 * 60)
    options.add_argument("--seed", type=int, default=int(time.time()))
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(soak(directory, chosen.seconds, chosen.seed), file=sys.stderr)


if __name__ == "__main__":
    main()
