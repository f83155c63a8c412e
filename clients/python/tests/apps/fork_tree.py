"""Forks of forks while threads count: arguments are the shape and the increments of each process.

Every process counts `n` in a counter, a histogram and a summed gauge, from two threads, and forks meanwhile.
"""
import os
import sys
import threading

import monasca_sidecar
from prometheus_client import Counter, Gauge, Histogram, Summary

COUNTER = Counter("jobs", "Jobs", ["kind"])
HISTOGRAM = Histogram("took", "Took", buckets=[1, 2])
SUMMARY = Summary("size", "Size")
GAUGE = Gauge("running", "Running", multiprocess_mode="livesum")
THREADS = 2


def count(increments):
    for _ in range(increments // THREADS):
        COUNTER.labels("a").inc()
        HISTOGRAM.observe(1.5)
        SUMMARY.observe(2)
        GAUGE.inc()


def at_work(increments):
    threads = [threading.Thread(target=count, args=(increments,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


def finish(threads, children):
    for thread in threads:
        thread.join()
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"child {child} ended with {status}")


def chain(length, increments):
    """Each process forks the next one."""
    threads = at_work(increments)
    child = os.fork() if length else None
    if child == 0:
        chain(length - 1, increments)
    else:
        finish(threads, [child] if child else [])


def fan(width, increments):
    """One process forks all the others, counting all the time."""
    threads = at_work(increments)
    children = []
    for _ in range(width):
        child = os.fork()
        if child == 0:
            finish(at_work(increments), [])
            return
        children.append(child)
    finish(threads, children)


monasca_sidecar.start()
{"chain": chain, "fan": fan}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
