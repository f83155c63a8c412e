"""Writes metrics into a multiprocess directory, in the way that the first argument names, and says what it has done.

After each line of output it waits for a line of input, so that a test can look.
"""
import os
import subprocess
import sys

import monasca_sidecar
from monasca_sidecar import multiprocess
from prometheus_client import REGISTRY, Counter, Enum, Gauge, Histogram, Info, Summary, values
from prometheus_client.core import CounterMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector


def step(*words):
    # In one piece, since parent and child speak at once.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())
    sys.stdin.readline()


def counts():
    multiprocess.hold()
    Counter("jobs", "Jobs").inc()
    step("counted")


def late():
    Counter("jobs", "Jobs").inc()
    Gauge("running", "Running", multiprocess_mode="livesum").set(1)
    multiprocess.hold()
    step("counted")


def forks():
    multiprocess.hold()
    counter = Counter("jobs", "Jobs")
    counter.inc()
    child = os.fork()
    if child == 0:
        step("child", os.getpid())
        counter.inc()
    step("counted", os.getpid())


def hook_counts():
    """Another hook of the fork counts before the client's own hook has run."""
    counter = Counter("jobs", "Jobs")
    os.register_at_fork(after_in_child=counter.inc)
    multiprocess.hold()
    counter.inc()
    if os.fork() == 0:
        step("child", os.getpid())
    else:
        os.wait()


def starts():
    """A program that it starts lives longer than itself."""
    multiprocess.hold()
    Counter("jobs", "Jobs").inc()
    other = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, close_fds=False)
    step("started", other.pid)


def named():
    """Under an identifier of its own, and more patient than usual."""
    multiprocess.LOCK_WAIT = float(sys.argv[2])
    multiprocess.hold()
    values.ValueClass = values.MultiProcessValue(lambda: "web_1")
    step("ready")
    Counter("jobs", "Jobs").inc()
    step("counted")


class Custom:
    def collect(self):
        yield CounterMetricFamily("custom", "Custom", value=5)


def everything():
    """All that there is to push, and all that is in files."""
    earlier, values.ValueClass = values.ValueClass, values.MutexValue
    Counter("in_memory", "In memory").inc(2)
    values.ValueClass = earlier
    REGISTRY.register(Custom())
    MultiProcessCollector(REGISTRY)
    Info("build", "Build").info({"version": "1"})
    Enum("state", "State", states=["on", "off"])
    Counter("jobs", "Jobs").inc()
    Counter("kinds", "Kinds", ["kind"]).labels("a").inc()
    Counter("without_series", "Without series", ["kind"])
    Gauge("running", "Running", multiprocess_mode="livesum").set(1)
    Gauge("size", "Size").set_function(lambda: 3)
    Histogram("took", "Took").observe(1)
    Summary("weight", "Weight").observe(1)
    monasca_sidecar.start()
    if os.fork() == 0:
        Counter("in_child", "In the child").inc()
        sys.exit(0)
    os.wait()


{"counts": counts, "late": late, "forks": forks, "hook_counts": hook_counts, "starts": starts, "named": named,
 "everything": everything}[sys.argv[1]]()
