"""Ways out of a process, by the first argument; the counter has 3 at the end."""
import atexit
import os
import sys

import monasca_sidecar
from prometheus_client import Counter

COUNTER = Counter("jobs", "Jobs")
how = sys.argv[1]


def exit_handler():
    COUNTER.inc(1)


if how == "early":
    monasca_sidecar.start()
atexit.register(exit_handler)
monasca_sidecar.start()
COUNTER.inc(2)
if how == "os_exit":
    COUNTER.inc(1)
    monasca_sidecar.stop()
    os._exit(0)
if how == "raises":
    sys.excepthook = lambda *_: None
    raise ValueError
if how == "sys_exit":
    sys.exit(1)
