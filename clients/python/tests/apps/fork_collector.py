"""Collectors that make a fork hard. Argument: what the collector does."""
import os
import sys
import threading
import time

import monasca_sidecar
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily

COUNTER = Counter("jobs", "Jobs")
LOCK = threading.Lock()
PARENT = os.getpid()
collecting = threading.Event()


def blocks():
    """Waits in the child for a lock whose owner is a thread of the parent."""
    with LOCK:
        pass


def slow():
    collecting.set()
    if os.getpid() == PARENT:
        time.sleep(0.3)


def forks():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    collecting.set()


class Custom:
    def collect(self):
        {"blocks": blocks, "slow": slow, "forks": forks}[sys.argv[1]]()
        yield GaugeMetricFamily("custom", "Custom", value=1)

    def describe(self):
        return []


REGISTRY.register(Custom())
COUNTER.inc(10)
monasca_sidecar.start()
if sys.argv[1] == "blocks":
    LOCK.acquire()
else:
    collecting.wait()
child = os.fork()
if child == 0:
    COUNTER.inc(1)
    sys.exit(0)
_, status = os.waitpid(child, 0)
if sys.argv[1] == "blocks":
    LOCK.release()
sys.exit(status and 1)
