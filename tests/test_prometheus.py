"""A real Prometheus scrapes the sidecar once a second while workers count, restart, fall silent, return, die and
say goodbye: what it stores is the true count, and it never sees a reset."""

import random
import threading
import time
import uuid

from sidecar import counter, eventually, histogram

SLOTS = 4
SECONDS = 66
PUSH_EVERY = 0.25
WINDOW = 60


class Truth:
    """What was counted, with the time at which it had been answered."""

    def __init__(self):
        self.lock = threading.Lock()
        self.total = 0
        self.history = []

    def add(self, number):
        with self.lock:
            self.total += number
            self.history.append((time.time(), self.total))

    def at(self, seconds):
        """The total at a moment."""
        before = [total for moment, total in self.history if moment <= seconds]
        return before[-1] if before else 0


class Slot(threading.Thread):
    """One place of a pool: workers come and go in it."""

    def __init__(self, number, sidecar, truth, end):
        super().__init__(daemon=True)
        self.random = random.Random(number)
        self.sidecar, self.truth, self.end = sidecar, truth, end
        self.failure = None

    def run(self):
        try:
            self.born()
            while time.monotonic() < self.end:
                self.work(self.random.uniform(2, 6))
                self.turn()
        except BaseException as problem:  # the test's thread tells about it
            self.failure = problem

    def born(self):
        self.id = uuid.uuid4().hex
        self.restart()

    def restart(self):
        self.epoch, self.n, self.count = uuid.uuid4().hex, 0, 0

    def work(self, seconds):
        """Counts and pushes at a steady pace."""
        end = min(time.monotonic() + seconds, self.end)
        due = time.monotonic()
        while time.monotonic() < end:
            self.push(25)
            due += PUSH_EVERY
            time.sleep(max(0.0, due - time.monotonic()))

    def push(self, grown, path="/v1/ingest"):
        self.count += grown
        self.n += 1
        self.sidecar.push([
            counter("requests_total", self.count, self.id),
            histogram("latency_seconds", {"0.1": self.count // 5 * 2, "+Inf": self.count}, self.count / 4, self.id),
        ], path=path, Push_Sequence=f"{self.epoch}.{self.n}.{self.n - 1}")
        self.truth.add(grown)

    def turn(self):
        """What happens to a worker: killed, recycled with a goodbye, restarted under its id, or silent beyond decay."""
        fate = self.random.randrange(4)
        if fate == 0:
            self.born()
        elif fate == 1:
            self.push(25, path="/v1/ingest?final=true")
            self.born()
        elif fate == 2:
            self.restart()
        else:
            time.sleep(min(2.5, max(0.0, self.end - time.monotonic())))


def test_prometheus_stores_the_true_count_and_sees_no_reset(launch, scrape_with_prometheus):
    sidecar = launch("--decay", "1500ms")
    sidecar.push([counter("requests_total", 0, "first"), histogram("latency_seconds", {"0.1": 0, "+Inf": 0}, 0, "first")])
    prometheus = scrape_with_prometheus(sidecar)
    eventually(lambda: prometheus.raw("requests_total"), "the first sample", 20)
    truth = Truth()
    slots = [Slot(number, sidecar, truth, time.monotonic() + SECONDS) for number in range(SLOTS)]
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join(SECONDS + 30)
        assert slot.failure is None, slot.failure
    steady_until = truth.history[-1][0] - 2
    assert sidecar.page().value("requests_total") == truth.total
    eventually(lambda: prometheus.raw("requests_total")[-1][1] == truth.total, "the last sample", 20)

    assert not prometheus.scrape_errors()
    for name, total in (("requests_total", truth.total), ("latency_seconds_count", truth.total),
                        ('latency_seconds_bucket{le="+Inf"}', truth.total), ("latency_seconds_sum", truth.total / 4)):
        samples = prometheus.raw(name)
        assert len(samples) >= WINDOW
        assert samples[-1][1] - samples[0][1] == total, name
        assert prometheus.number(f"resets({name}[10m])") == 0, name
    counted = truth.at(steady_until) - truth.at(steady_until - WINDOW)
    increase = prometheus.number(f"increase(requests_total[{WINDOW}s])", steady_until)
    assert abs(increase - counted) <= 0.05 * counted, (increase, counted)
