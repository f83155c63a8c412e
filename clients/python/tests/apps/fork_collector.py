"""Collectors that make a fork hard. Argument: what the collector does."""
import os
import sys
import threading

import monasca_sidecar
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily

COUNTER = Counter("jobs", "Jobs")
LOCK = threading.Lock()
PARENT = os.getpid()
collecting = threading.Event()
forked = threading.Event()
overlap = threading.Event()
in_collect = False


def blocks():
    """Waits in the child for a lock whose owner is a thread of the parent."""
    with LOCK:
        pass


def slow():
    """Is still at it when the fork comes, which has to wait until it gives up."""
    global in_collect
    in_collect = True
    collecting.set()
    if os.getpid() == PARENT:
        forked.wait(0.3)
    in_collect = False


def note_fork():
    if in_collect:
        overlap.set()
    forked.set()


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
if sys.argv[1] == "slow":
    os.register_at_fork(after_in_parent=note_fork)
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
sys.exit(1 if status or overlap.is_set() else 0)
