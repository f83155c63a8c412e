"""A worker with the prometheus_client that PYTHONPATH has, in multiprocess mode; any version from 0.0.19 on.

Reads one JSON document per line (a list of commands), carries it out, answers one line, and lives until its input ends.
An argument is the process identifier to use instead of the pid.
"""

import json
import os
import signal
import sys

if len(sys.argv) > 1:
    IDENTIFIER = sys.argv[1]
    from prometheus_client import core

    if hasattr(core, "_MultiProcessValue"):
        core._ValueClass = core._MultiProcessValue(IDENTIFIER)
    else:
        from prometheus_client import values

        values.ValueClass = values.MultiProcessValue(lambda: IDENTIFIER)

from prometheus_client import Counter, Gauge, Histogram, Summary

METRICS = {}
KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram, "summary": Summary}


def make(name, kind, help_text, label_names, **options):
    METRICS[name] = KINDS[kind](name, help_text, tuple(label_names), **options)


def do(name, label_values, method, *arguments):
    metric = METRICS[name]
    if label_values:
        metric = metric.labels(*label_values)
    getattr(metric, method)(*map(float, arguments))


def fork(commands):
    """A child that carries out these commands and then lives on, as long as this process does not end it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        carry_out(commands)
        os.write(writing, b"done")
        while True:
            signal.pause()
    os.close(writing)
    assert os.read(reading, 4) == b"done"
    os.close(reading)
    CHILDREN.append(child)


CHILDREN = []
COMMANDS = {"make": make, "do": do, "fork": fork}


def carry_out(commands):
    for command in commands:
        name, arguments, options = command
        COMMANDS[name](*arguments, **options)


for line in sys.stdin:
    carry_out(json.loads(line))
    print("done", *CHILDREN, flush=True)
for child in CHILDREN:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
os._exit(0)
