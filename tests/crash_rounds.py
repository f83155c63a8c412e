"""Kill -9 at a random moment, start again, compare with what was answered: nothing lost, nothing twice.

Owns the writers (each knows what it was answered and what it only sent) and the comparison. Run as a
program it does many rounds (`make crash`); tests/test_durability.py does a few.
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

from exposition import parse
from sidecar import Sidecar

SETTINGS = ("--decay", "2s", "--resume-window", "3s", "--journal-size", "256KiB")


class Link:
    """One connection at a time to whatever server is there now."""

    def __init__(self):
        self.port = None
        self.connection = None

    def aim(self, port):
        self.port, self.connection = port, None

    def send(self, method, path, body=b"", headers=None):
        """The status; `None`: nobody knows whether it was applied."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            self.connection = None
            return None


class Writer:
    """Pushes until told to stop. Between `begin` and `settle` its last request is in doubt."""

    def __init__(self, rng):
        self.rng = random.Random(rng.random())
        self.link = Link()
        self.failures = []

    def push_until(self, stop):
        while not stop.is_set():
            if not self.push_once():
                return

    def expect(self, status, wanted):
        if status is not None and status not in wanted:
            self.failures.append(f"{type(self).__name__}: answered {status}")
        return status is not None


class Cumulative(Writer):
    """A process that counts: a counter and a histogram of the same events. Now and then it is replaced by another."""

    def __init__(self, rng):
        super().__init__(rng)
        self.left_answered = self.left_sent = 0
        self.be_born()

    def be_born(self):
        self.id, self.epoch, self.n, self.acked = str(uuid.uuid4()), uuid.uuid4().hex[:8], 0, 0
        self.sent = self.answered = 0

    def push_once(self):
        if self.sent == self.answered and self.rng.random() < 0.02:
            self.left_answered += self.answered
            self.left_sent += self.sent
            self.be_born()
        self.sent += self.rng.randrange(50)
        return self.send()

    def send(self):
        self.n += 1
        labels = {"_id": self.id}
        small = self.sent // 3
        body = json.dumps([
            {"name": "events", "type": "counter", "values": [{"name": "events_total", "labels": labels, "value": self.sent}]},
            {"name": "size", "type": "histogram", "values": [
                {"name": "size_bucket", "labels": {**labels, "le": "1"}, "value": small},
                {"name": "size_bucket", "labels": {**labels, "le": "+Inf"}, "value": self.sent},
                {"name": "size_sum", "labels": labels, "value": 2 * self.sent},
                {"name": "size_count", "labels": labels, "value": self.sent}]},
        ]).encode()
        status = self.link.send("POST", "/v1/ingest", body, {"Push-Sequence": f"{self.epoch}.{self.n}.{self.acked}"})
        if self.expect(status, (200,)):
            self.answered, self.acked = self.sent, self.n
            return True
        return False

    def settle(self):
        return self.sent == self.answered or self.send()

    def bounds(self):
        return self.left_answered + self.answered, self.left_sent + self.sent


class Delta(Writer):
    """Work without a state: each push is added once, however often it has to be sent."""

    def __init__(self, rng):
        super().__init__(rng)
        self.answered = 0
        self.doubt = None

    def push_once(self):
        self.doubt = (str(uuid.uuid4()), self.rng.randrange(1, 9))
        return self.settle()

    def settle(self):
        if self.doubt is None:
            return True
        key, value = self.doubt
        path = "/metrics?temporality=delta"
        body = f"# TYPE runs_total counter\nruns_total {value}\n".encode()
        if self.expect(self.link.send("POST", path, body, {"Idempotency-Key": key}), (200,)):
            self.answered += value
            self.doubt = None
            return True
        return False

    def bounds(self):
        return self.answered, self.answered + (self.doubt[1] if self.doubt else 0)


class Groups(Writer):
    """A batch job's groups: put and deleted. What was answered last is what is there."""

    def __init__(self, rng, name):
        super().__init__(rng)
        self.name = name
        self.now = {}
        self.doubt = None

    def push_once(self):
        run = str(self.rng.randrange(4))
        wanted = self.rng.randrange(1, 1000) if self.rng.random() < 0.7 else None
        self.doubt = (run, wanted)
        return self.settle()

    def settle(self):
        if self.doubt is None:
            return True
        run, wanted = self.doubt
        path = f"/metrics/job/{self.name}/run/{run}"
        if wanted is None:
            status = self.link.send("DELETE", path)
        else:
            status = self.link.send("PUT", path, f"# TYPE result gauge\nresult {wanted}\n".encode())
        if self.expect(status, (200, 202)):
            self.now[run] = wanted
            self.doubt = None
            return True
        return False

    def allowed(self, run):
        allowed = {self.now.get(run)}
        if self.doubt and self.doubt[0] == run:
            allowed.add(self.doubt[1])
        return allowed


class Application:
    """All writers, and what the page has to show for them."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.rng = rng
        self.cumulative = [Cumulative(rng) for _ in range(4)]
        self.deltas = [Delta(rng) for _ in range(2)]
        self.groups = [Groups(rng, f"job{n}") for n in range(2)]
        self.writers = [*self.cumulative, *self.deltas, *self.groups]
        self.seen = {}
        self.failures = []

    def run_for(self, port, seconds, end):
        """Lets everybody push, and scrapes beside; `end` kills the server."""
        stop = threading.Event()
        for writer in self.writers:
            writer.link.aim(port)
        threads = [threading.Thread(target=writer.push_until, args=(stop,)) for writer in self.writers]
        threads.append(threading.Thread(target=self.scrape_until, args=(port, stop)))
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        end()
        stop.set()
        for thread in threads:
            thread.join()

    def scrape_until(self, port, stop):
        while not stop.is_set():
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
            except (OSError, http.client.HTTPException):
                return
            try:
                self.note(text)
            except AssertionError as error:
                self.failures.append(str(error))

    def note(self, text):
        """Totals on a page never go down, over crashes too."""
        page = parse(text, grouped=True)
        for name in ("events_total", "runs_total", "size_count"):
            value = page.get(name)
            if value is not None:
                assert value >= self.seen.get(name, 0), f"{name} fell from {self.seen[name]} to {value}"
                self.seen[name] = value
        return page

    def check(self, text, exact):
        page = self.note(text)
        for name, writers in (("events_total", self.cumulative), ("size_count", self.cumulative), ("runs_total", self.deltas)):
            low = sum(writer.bounds()[0] for writer in writers)
            high = low if exact else sum(writer.bounds()[1] for writer in writers)
            value = page.get(name) or 0
            assert low <= value <= high, f"{name} is {value}, answered {low}, sent {high}"
        for writer in self.groups:
            for run in "0123":
                value = page.get("result", instance="", job=writer.name, run=run)
                assert value in writer.allowed(run), f"{writer.name}/{run} is {value}, may be {writer.allowed(run)}"
        failures = self.failures + [failure for writer in self.writers for failure in writer.failures]
        assert not failures, failures

    def settle(self, port):
        for writer in self.writers:
            writer.link.aim(port)
            assert writer.settle(), "a push to the restarted server was not answered"


def rounds(directory, count, seed, *arguments, launch=Sidecar):
    """Raises AssertionError with what is wrong."""
    application = Application(seed)
    settings = (*SETTINGS, "--data-dir", str(directory), *arguments)
    sidecar = launch(*settings)
    try:
        for number in range(count):
            try:
                application.run_for(sidecar.port, application.rng.uniform(0.01, 0.25), sidecar.kill)
                sidecar = launch(*settings)
                application.check(sidecar.get("/metrics").text, exact=False)
                application.settle(sidecar.port)
                application.check(sidecar.get("/metrics").text, exact=True)
            except AssertionError as error:
                raise AssertionError(f"round {number} of seed {seed}: {error}") from error
    finally:
        sidecar.kill()
    return sum(writer.bounds()[0] for writer in application.cumulative)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=500)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--sync", default="1s")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        counted = rounds(directory, chosen.rounds, chosen.seed, "--sync", chosen.sync)
    print(f"{chosen.rounds} rounds, seed {chosen.seed}: {counted} events counted once each", file=sys.stderr)


if __name__ == "__main__":
    main()
