"""A child that removes, resets and sets what it inherited; the parent has 5 of everything."""
import os
import sys

import monasca_sidecar
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily

REMOVED = Counter("removed", "Removed", ["a"])
RESET = Counter("reset", "Reset")
HISTOGRAM = Histogram("emptied", "Emptied", ["a"], buckets=[1])
SET = Gauge("set", "Set", multiprocess_mode="sum")
RISEN = Gauge("risen", "Risen", multiprocess_mode="sum")
COMPUTED = Gauge("computed", "Computed", multiprocess_mode="sum")
HIGHEST = Gauge("highest", "Highest", multiprocess_mode="max")
STATE = {"custom": 5, "fails": False}


class Custom:
    def collect(self):
        if STATE["fails"]:
            raise RuntimeError("not now")
        yield CounterMetricFamily("custom", "Custom", value=STATE["custom"])


REGISTRY.register(Custom())
REMOVED.labels("x").inc(5)
RESET.inc(5)
for _ in range(5):
    HISTOGRAM.labels("x").observe(0.5)
SET.set(5)
RISEN.set(5)
COMPUTED.set_function(lambda: 5)
HIGHEST.set(5)
STATE["fails"] = len(sys.argv) > 1
monasca_sidecar.start()
sys.stdout.flush()
child = os.fork()
if child == 0:
    STATE["fails"] = False
    REMOVED.remove("x")
    REMOVED.labels("x").inc(6)
    RESET.reset()
    RESET.inc(7)
    HISTOGRAM.clear()
    HISTOGRAM.labels("x").observe(0.5)
    SET.set(3)
    RISEN.inc(2)
    sys.exit(0)
os.waitpid(child, 0)
STATE["fails"] = False
