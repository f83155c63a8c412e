"""Makes the files of one version of prometheus_client: what a small application leaves in its directory.

    pip install --no-deps --target /tmp/lib prometheus_client==0.18.0
    PYTHONPATH=/tmp/lib python3 testdata/mmap_file/make.py testdata/mmap_file/0_18_0

Each file is cut to what is used of it; behind that a client's file has zeros only. Versions 0.18.0 to 0.26.0
write the same bytes; before there are no times, before 0.15 no help, and before 0.1 labels are two lists.
"""

import glob
import os
import re
import struct
import sys
import time

OUT = sys.argv[1]
os.makedirs(OUT, exist_ok=True)
for old in glob.glob(os.path.join(OUT, "*.db")):
    os.remove(old)
for name in ("prometheus_multiproc_dir", "PROMETHEUS_MULTIPROC_DIR"):
    os.environ[name] = OUT
time.time = lambda: 1700000000.25

from prometheus_client import Counter, Gauge, Histogram, Summary  # noqa: E402

MODES = ("all liveall min livemin max livemax sum livesum mostrecent livemostrecent").split()


def gauge(mode):
    try:
        made = Gauge("g_" + mode, "A gauge of mode %s." % mode, ["queue"], multiprocess_mode=mode)
        bare = Gauge("g_bare_" + mode, "", multiprocess_mode=mode)
    except ValueError:
        return  # This version does not have it.
    made.labels("a").set(4.5)
    made.labels("b")
    made.labels("c").set(float("nan"))
    bare.set(-1)


def counters():
    requests = Counter("requests", "Requests.", ["method", "code"])
    bytes_sent = Counter("bytes_sent", 'Bytes, "sent"\\ \n to h\u00e9 \U0001f600.')
    requests.labels("GET", "200").inc(3)
    bytes_sent.inc(2.5)
    requests.labels("POST", "500").inc()
    for odd in ('quote "', "back\\slash", "line\nfeed", "h\u00e9 \U0001f600", "\udcff", "", " ", "\x7f\x01"):
        requests.labels(odd, "200").inc()
    Counter("own", "Labels that mean something elsewhere.", ["pid", "instance"]).labels("9", "i").inc()


def histograms():
    latency = Histogram("latency", "Seconds.", ["a", "z"], buckets=(0.5, 1, 2.5, 1e7))
    latency.labels("1", "x").observe(0.25)
    latency.labels("2", "x").observe(2)
    Histogram("plain", "Without labels.").observe(3)
    latency.labels("1", "x").observe(1e9)
    latency.labels("3", "x")


def summaries():
    size = Summary("size", "Sizes.", ["a"])
    size.labels("1").observe(5)
    Summary("alone", "Without labels.").observe(1)
    size.labels("2").observe(7)
    size.labels("1").observe(0.5)


counters()
histograms()
summaries()
for mode in MODES:
    gauge(mode)
for path in glob.glob(os.path.join(OUT, "*.db")):
    with open(path, "rb") as file:
        whole = file.read()
    os.remove(path)
    with open(re.sub(r"\d+\.db$", "7.db", path), "wb") as file:
        file.write(whole[: struct.unpack_from("i", whole)[0]])
