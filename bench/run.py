#!/usr/bin/env python3
"""Measures monasca-sidecar and prints one table.

  bench/run.py                                  best of 5 runs of 8 s for each workload, about 20 minutes
  bench/run.py --quick                          the same once and short: does it work, not how fast is it
  bench/run.py --write docs/performance.md      puts the table between that file's markers
  bench/run.py --server-cmd "other --port {port}" --workloads W1,W4      another server

The server runs on CPU 0, the load generator on CPU 1. A null server takes the same workload in the same
minutes, so that the machine's mood of the day can be told from the server's speed.
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import attack_phase
import criterion
import figures
import format_phases
import journal_phases
import multiproc_phases
import phases
import servers

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
BEGIN = "<!-- bench/run.py writes from here -->"
END = "<!-- to here -->"


def main():
    o = options()
    if o.table:
        with open(o.table) as f:
            lines = [json.loads(line) for line in f]
        return report(o, lines)
    own, null, loadgen = build(o)
    prefer_us(o.nice)
    pin = o.pin and len(os.sched_getaffinity(0)) > 1
    cpus = (0, 1) if pin else (None, None)
    bench = phases.Bench(loadgen, o.seconds, *cpus)
    lines = []

    def keep(line):
        lines.append(line)
        if o.json:
            with open(o.json, "a") as f:
                f.write(json.dumps(line) + "\n")

    keep(about(o))
    try:
        for number in range(1, o.runs + 1):
            for workload in o.workloads:
                measure_pair(bench, own, null, workload, number, keep)
        for name, command in (("null", null), ("sidecar", own)):
            keep(phases.start_times(name, command, o.starts, cpus[0]))
        say(f"idle for {o.idle_seconds:g} s")
        for line in phases.idle({"sidecar": own, "null": null}, o.idle_seconds, cpus[0]):
            keep(line)
        if not o.server_cmd:
            measure_formats(o, bench, own, null, keep)
            measure_journal(o, bench, own, keep)
            measure_multiproc(o, bench, own, keep)
        in_process(o, keep)
    except servers.ServerError as error:
        sys.exit(f"run.py: {error}")
    return report(o, lines)


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--quick", action="store_true", help="1 run of 2 s, 5 s idle, 5 starts")
    ap.add_argument("--runs", type=int)
    ap.add_argument("--seconds", type=float, help="length of the steady and of the mixed phase")
    ap.add_argument("--idle-seconds", type=float)
    ap.add_argument("--starts", type=int)
    ap.add_argument("--workloads", default="W1,W2,W3,W4")
    ap.add_argument("--server-cmd", help="measure this command instead; {port} is replaced")
    ap.add_argument("--with-criterion", action="store_true", help="also run the pure crates' benchmarks")
    ap.add_argument("--json", metavar="FILE", help="append the raw lines to this file")
    ap.add_argument("--table", metavar="FILE", help="only print the table of such a file")
    ap.add_argument("--write", metavar="FILE", help="put the table between the markers of this file")
    ap.add_argument("--check", action="store_true", help="exit 1 when a requirement is missed")
    ap.add_argument("--no-build", dest="build", action="store_false")
    ap.add_argument("--no-pin", dest="pin", action="store_false", help="both may use every CPU")
    ap.add_argument("--nice", type=int, default=-5, help="niceness of all that is measured, where allowed")
    o = ap.parse_args()
    usual = dict(runs=1, seconds=2.0, idle_seconds=5.0, starts=5) if o.quick else dict(
        runs=5, seconds=8.0, idle_seconds=60.0, starts=20)
    for name, value in usual.items():
        if getattr(o, name) is None:
            setattr(o, name, value)
    o.workloads = o.workloads.split(",")
    if not set(o.workloads) <= set(phases.WORKLOADS):
        ap.error(f"workloads are {', '.join(phases.WORKLOADS)}")
    if o.write and not o.table and not publishable(o):
        ap.error("only full runs of the sidecar itself are written down")
    return o


def publishable(o):
    """Whether these figures are what docs/performance.md defines."""
    whole = set(o.workloads) == set(phases.WORKLOADS)
    return whole and o.pin and not o.server_cmd and o.runs >= 5 and o.seconds >= 8 and o.idle_seconds >= 60


def build(o):
    """Release binaries; (own command, null server's command, load generator)."""
    tools = target_dir(BENCH)
    if o.build:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=BENCH, check=True)
        if not o.server_cmd:
            subprocess.run(["cargo", "build", "--release", "-p", "monasca-sidecar"], cwd=ROOT, check=True)
    own = o.server_cmd or f"'{target_dir(ROOT)}/release/monasca-sidecar' --listen 127.0.0.1:{{port}}"
    return own, f"'{tools}/release/nullserver' 127.0.0.1:{{port}}", f"{tools}/release/loadgen"


def target_dir(folder):
    return os.environ.get("CARGO_TARGET_DIR", folder / "target")


def prefer_us(nice):
    try:
        os.nice(nice)
    except PermissionError:
        pass


def measure_pair(bench, own, null, workload, number, keep):
    """The server, then the null server with a page of the same length."""
    say(f"run {number} {workload}: sidecar")
    line = bench.run("sidecar", own, workload, number)
    keep(line)
    say(f"run {number} {workload}: null server")
    page = line["scrape"].get("scrape_bytes", 0)
    keep(bench.run("null", f"{null} --get-bytes {page}", workload, number))


def measure_formats(o, bench, own, null, keep):
    """What other formats than JSON cost, of the chosen workloads."""
    for number in range(1, o.runs + 1):
        for mode in ("text", "protobuf") if "W1" in o.workloads else ():
            say(f"run {number} W1 as {mode}")
            keep(format_phases.push(bench, "sidecar", own, "W1", mode, number))
            keep(format_phases.push(bench, "null", null, "W1", mode, number))
    for number in range(1, min(o.runs, 3) + 1):
        if "W2" in o.workloads:
            say(f"run {number} W2 as text")
            keep(format_phases.push(bench, "sidecar", own, "W2", "text", number))
        if "W3" in o.workloads:
            say(f"run {number} W3, pages in other formats")
            keep(format_phases.pages(bench, "sidecar", own, number))
    say("many plain groups")
    keep(format_phases.groups(bench, "sidecar", own))
    say("under attack")
    keep(attack_phase.attack(bench, "sidecar", own))


def measure_journal(o, bench, own, keep):
    """What it costs to keep the state, of the chosen workloads."""
    for workload, what, measure in (
            ("W1", "beside a journal", journal_phases.beside),
            ("W2", "while snapshots are written", journal_phases.snapshots),
            ("W3", "found again", journal_phases.restarts),
            ("W4", "synced before the answer", journal_phases.commits)):
        if workload in o.workloads:
            say(f"{workload} {what}")
            keep(measure(bench, "sidecar", own))


def measure_multiproc(o, bench, own, keep):
    """What reading multiprocess directories costs."""
    for number in range(1, min(o.runs, 3) + 1):
        for series in (1_000, 10_000):
            say(f"run {number} multiprocess files, {series} values for each worker")
            keep(multiproc_phases.scrapes(bench, "sidecar", own, series, number))
        say(f"run {number} multiprocess files, compaction")
        keep(multiproc_phases.compacted(bench, "sidecar", own, number))


def in_process(o, keep):
    if o.server_cmd:
        return
    say("two threads against one")
    keep({"kind": "two_threads", "server": "sidecar", "ratio": criterion.two_threads(ROOT)})
    say("decoding text")
    keep({"kind": "decode", "server": "sidecar", "bytes_per_s": criterion.text_decode(ROOT, target_dir(ROOT))})
    if o.with_criterion:
        criterion.run_benches(ROOT)
        keep({"kind": "criterion", "server": "sidecar", "table": criterion.table(target_dir(ROOT))})


def about(o):
    """Under what circumstances the figures were measured."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout.strip()
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    date = time.strftime("%Y-%m-%d", time.gmtime())
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.release()}"
    return {"kind": "about", "server": "", "date": date, "commit": commit, "cpu": cpu, "cores": cores, "system": system,
            "command": o.server_cmd, "runs": o.runs, "seconds": o.seconds, "publishable": publishable(o)}


def report(o, lines):
    def first(kind):
        return next((line for line in lines if line["kind"] == kind), {})

    table, misses, notes = figures.table(lines, two_threads=first("two_threads").get("ratio"))
    a = first("about")
    if o.write and not a.get("publishable"):
        sys.exit("run.py: only full runs of the sidecar itself are written down")
    text = table + "\n"
    if a:
        text = (f"{a['date']}, commit {a['commit'] or 'none'}; {a['cores']} cores of an {a['cpu']}, {a['system']}; "
                f"best of {a['runs']} runs of {a['seconds']:g} s.\n\n{text}")
        if a["command"]:
            text = f"Server: `{a['command']}`\n\n{text}"
    if first("criterion").get("table"):
        text += "\n" + first("criterion")["table"] + "\n"
    dropped = [f"- {note}" for note in notes]
    if dropped:
        text += "\nRuns left out:\n\n" + "\n".join(dropped) + "\n"
    print(text)
    if o.write:
        write_between_markers(o.write, text)
    unusable = any("not counted" in note for note in notes)
    return 1 if unusable or (o.check and misses) else 0


def write_between_markers(path, text):
    with open(path) as f:
        page = f.read()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"run.py: {path} does not have the markers {BEGIN} and {END} once each")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as f:
        f.write(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def say(message):
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
