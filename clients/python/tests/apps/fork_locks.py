"""Forks while other threads hold every lock of the metrics, and counts in the child."""
import os
import sys
import threading

import monasca_sidecar
from prometheus_client import REGISTRY, Counter, Histogram, Info

COUNTER = Counter("jobs", "Jobs", ["kind"])
HISTOGRAM = Histogram("took", "Took")
INFO = Info("build", "Build")


def locks():
    yield REGISTRY._lock
    yield COUNTER._lock
    yield COUNTER.labels("a")._value._lock
    yield INFO._lock
    yield HISTOGRAM._sum._lock
    for bucket in HISTOGRAM._buckets:
        yield bucket._lock


def hold(held, release):
    found = list(locks())
    for lock in found:
        lock.acquire()
    held.set()
    release.wait()
    for lock in found:
        lock.release()


COUNTER.labels("a").inc(10)
monasca_sidecar.start()
held, release = threading.Event(), threading.Event()
threading.Thread(target=hold, args=(held, release)).start()
held.wait()
child = os.fork()
if child == 0:
    COUNTER.labels("a").inc(1)
    HISTOGRAM.observe(1)
    INFO.info({"version": "1"})
    Counter("made_in_child", "Made in the child").inc()
    sys.exit(0)
_, status = os.waitpid(child, 0)
release.set()
sys.exit(status and 1)
