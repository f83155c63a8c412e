"""An application in multiprocess mode: a process that forks workers, each of which counts what it is told to.

Reads one JSON list per line: a slot, what to do, and with what; answers one line when it is done. A worker that was told
something has it in its files then, so whoever asks knows to the last event what must be on the page.
"""

import json
import os
import signal
import sys

from prometheus_client import values

IDENTIFIER = [None]
values.ValueClass = values.MultiProcessValue(lambda: IDENTIFIER[0] or os.getpid())
if "--lock" in sys.argv:
    from monasca_sidecar import multiprocess as locks

    locks.hold()

from prometheus_client import Counter, Gauge, Histogram, Summary  # noqa: E402
from prometheus_client.multiprocess import mark_process_dead  # noqa: E402

MODES = ("all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent")
WORKERS = {}


def metrics():
    """Made by each worker, so that the master has no files."""
    count = Counter("jobs", "Jobs.", ["queue"])
    took = Histogram("took_seconds", "Took.", buckets=(1, 5))
    size = Summary("size", "Size.")
    gauges = {mode: Gauge(f"g_{mode}", "Gauge.", multiprocess_mode=mode) for mode in MODES}

    def work(n):
        count.labels("a").inc(n)
        took.observe(n)
        size.observe(n)

    def show(n):
        for mode in MODES:
            gauges[mode].set(n)

    return {"work": work, "show": show}


def live(identifier, commands, answers):
    IDENTIFIER[0] = identifier
    deeds = metrics()
    for line in commands:
        name, n = json.loads(line)
        if name == "end":
            break
        deeds[name](n)
        answers.write("done\n")
        answers.flush()
    os._exit(0)


def start(slot, identifier):
    commands, told = os.pipe()
    heard, answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        os.close(heard)
        for _, other, also in WORKERS.values():
            other.close()
            also.close()
        live(identifier, os.fdopen(commands), os.fdopen(answers, "w"))
    os.close(commands)
    os.close(answers)
    WORKERS[slot] = (pid, os.fdopen(told, "w"), os.fdopen(heard))
    return pid


def tell(slot, name, n):
    _, told, heard = WORKERS[slot]
    told.write(json.dumps([name, n]) + "\n")
    told.flush()
    return heard.readline().strip()


def end(slot, how):
    pid, told, heard = WORKERS.pop(slot)
    if how == "kill":
        os.kill(pid, signal.SIGKILL)
    told.close()
    os.waitpid(pid, 0)
    heard.close()
    return pid


def mark(_, identifier):
    mark_process_dead(identifier)


DEEDS = {"start": start, "tell": tell, "end": end, "mark": mark}


def main():
    for line in sys.stdin:
        slot, deed, *arguments = json.loads(line)
        print(json.dumps(DEEDS[deed](slot, *arguments)), flush=True)
    for slot in list(WORKERS):
        end(slot, "kill")


if __name__ == "__main__":
    main()
