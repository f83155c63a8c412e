"""What it costs to read a directory of Python's multiprocess mode at each scrape.

The directory is written as 64 workers of an application would, and a tenth of every worker's values changes between
two scrapes. Each function is one run with a server of its own and gives one line of raw figures, as phases.py does.
"""
import http.client
import os
import pathlib
import tempfile
import time

import worker_files
import phases
import servers

WORKERS = 64
STEADY_SCRAPES = 30
# Files of so many dead workers, and what each has counted.
DEAD = 5_000
DEAD_SERIES = 200
LIVING = 8
FOLDED_WITHIN = 120
BOUNDS = ("0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf")
# Of ten values four are counters, five parts of histograms, one is a gauge.
TENTH = 10
PARTS = len(BOUNDS) + 1


class Worker:
    """The files of one pid."""

    def __init__(self, folder, pid, series):
        tenth = series // 10
        self.files = [worker_files.File(folder / f"{name}_{pid}.db", entries) for name, entries in (
            ("counter", counters(4 * tenth)),
            ("histogram", histograms(5 * tenth)),
            ("gauge_livesum", gauges(tenth)),
        )]

    def work(self, turn):
        """A tenth of the values rise: each second histogram sees one observation, which is two of its ten values."""
        counter, histogram, gauge = self.files
        for file in (counter, gauge):
            for index in range(turn % TENTH, len(file.values), TENTH):
                file.add(index, 1.0)
        for first in range(turn % 2 * PARTS, len(histogram.values), 2 * PARTS):
            histogram.add(first, 0.25)
            histogram.add(first + 1 + turn % len(BOUNDS), 1.0)

    def close(self):
        for file in self.files:
            file.close()


def counters(count):
    for n in range(count):
        metric = f"app_requests_{n % 20}"
        labels = {"method": "GET", "path": f"/v1/items/{n // 20}"}
        yield worker_files.key(metric, f"{metric}_total", labels, "Requests that were answered."), float(n)


def histograms(count):
    for n in range(count // PARTS):
        metric, labels = f"app_latency_seconds_{n % 10}", {"path": f"/v1/items/{n // 10}"}
        text = "How long requests take."
        yield worker_files.key(metric, f"{metric}_sum", labels, text), 0.5 * n
        for bound in BOUNDS:
            yield worker_files.key(metric, f"{metric}_bucket", {**labels, "le": bound}, text), float(n)


def gauges(count):
    for n in range(count):
        labels = {"queue": f"q{n}"}
        yield worker_files.key("app_queue_length", "app_queue_length", labels, "Jobs that wait."), float(n)


def scrapes(bench, name, command, series, number):
    """The first scrape after the workers came, and those after it."""
    line = {"kind": "multiproc", "server": name, "per_worker": series, "run": number}
    phases.wait_for_quiet()
    with tempfile.TemporaryDirectory() as folder:
        made, read = pathlib.Path(folder, "made"), pathlib.Path(folder, "read")
        made.mkdir()
        read.mkdir()
        # Nobody but the scrapes reads meanwhile.
        reading = f"{command} --multiproc-dir '{read}' --multiproc.compact-interval 1h"
        with servers.Server(reading, bench.server_cpu) as server:
            with servers.on_cpu(bench.client_cpu):
                workers = [Worker(made, pid, series) for pid in range(1000, 1000 + WORKERS)]
            scrape(server)
            for file in made.iterdir():
                file.rename(read / file.name)
            line["first"] = scrape(server)
            line["steady"] = list(steady(server, workers))
            line["rss"] = server.usage()["rss"]
            line["series"] = line["steady"][-1].pop("series")
            line["died"] = not server.alive()
            for worker in workers:
                worker.close()
    line["expected"] = page_series(series)
    return line


def compacted(bench, name, command, number):
    """Workers that have died long ago, whose files are folded; then scrapes beside a few that live."""
    line = {"kind": "multiproc_compacted", "server": name, "run": number, "dead": DEAD, "per_worker": DEAD_SERIES}
    phases.wait_for_quiet()
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root, "files")
        folder.mkdir()
        for pid in range(1, DEAD + 1):
            worker_files.File(folder / f"counter_{pid}.db", counters(DEAD_SERIES)).close()
            # Nobody holds the lock: dead for certain.
            (folder / f"monasca_alive_{pid}.lock").touch()
        keeping = f"{command} --multiproc-dir '{folder}' --data-dir '{root}/data' --multiproc-compact " \
            "--multiproc.compact-interval 1s"
        with servers.Server(keeping, bench.server_cpu) as server:
            line["with_files"] = scrape(server)
            began = time.perf_counter()
            while any(entry.name.startswith(("counter_", "monasca_alive_")) for entry in os.scandir(folder)):
                if time.perf_counter() - began > FOLDED_WITHIN or not server.alive():
                    raise servers.ServerError("the dead workers' files are not folded")
                time.sleep(0.1)
            line["folded_s"] = time.perf_counter() - began
            with servers.on_cpu(bench.client_cpu):
                workers = [Worker(folder, pid, DEAD_SERIES) for pid in range(10_000, 10_000 + LIVING)]
            scrape(server)
            line["steady"] = list(steady(server, workers))
            line["rss"] = server.usage()["rss"]
            line["series"] = line["steady"][-1]["series"]
            line["died"] = not server.alive()
            for worker in workers:
                worker.close()
    # The living have fewer counters than the dead had, of the same names.
    line["expected"] = page_series(DEAD_SERIES) + DEAD_SERIES - 4 * (DEAD_SERIES // 10)
    return line


def steady(server, workers):
    """A scrape behind each turn of work."""
    for turn in range(STEADY_SCRAPES):
        for worker in workers:
            worker.work(turn)
        yield scrape(server)


def page_series(series):
    """Lines of the merged page: each histogram has a count, too."""
    tenth = series // 10
    return 5 * tenth + 5 * tenth // PARTS * (PARTS + 1)


def scrape(server):
    """One page, in the usual text format."""
    connection = http.client.HTTPConnection(server.addr)
    try:
        connection.connect()
        before = server.usage()["cpu"]
        began = time.perf_counter()
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read()
        ms = (time.perf_counter() - began) * 1e3
        cpu_ms = (server.usage()["cpu"] - before) * 1e3
    finally:
        connection.close()
    if answer.status != 200:
        raise servers.ServerError(f"a scrape was answered {answer.status}")
    series = sum(1 for text in body.splitlines() if not text.startswith(b"#"))
    return {"ms": ms, "cpu_ms": cpu_ms, "series": series}
