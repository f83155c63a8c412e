"""What it costs to keep the state on disk: pushes beside a journal, syncs, and the start with a large state.

Each function is one run with servers of its own and gives one line of raw figures, as phases.py does. The directories
are where temporary files are: on a file system in memory a sync costs nothing and says nothing.
"""
import http.client
import os
import pathlib
import tempfile
import time

import phases
import servers

# Of the merged series of W3.
COUNTERS = 62_500
TURNS = 5
TURN_SECONDS = 2
COMMIT_SECONDS = 2
LOOP_SECONDS = 1
LOOP_BYTES = 64 << 20
PREFIX = "monasca_sidecar_"
SNAPSHOTS = "snapshot_duration_seconds_count"


def beside(bench, name, command):
    """W1 to a server with a journal and to one without, in turn."""
    line = {"kind": "journal", "server": name, "workload": "W1 journal", "run": 1, "kept": [], "not_kept": []}
    phases.wait_for_quiet()
    with tempfile.TemporaryDirectory() as folder:
        keeping = f"{command} --data-dir '{folder}/data' --sync 1s"
        with servers.Server(keeping, bench.server_cpu) as kept, servers.Server(command, bench.server_cpu) as free:
            push = ["--mode", "json", "--workload", "W1", "--max-seconds"]
            line["fill"] = bench.phase(kept, push + [phases.FILL_SECONDS, "--fill"])
            line["fill_free"] = bench.phase(free, push + [phases.FILL_SECONDS, "--fill"])
            for _ in range(TURNS):
                line["kept"].append(bench.phase(kept, push + [TURN_SECONDS]))
                line["not_kept"].append(bench.phase(free, push + [TURN_SECONDS]))
            line["died"] = not (kept.alive() and free.alive())
    return line


def snapshots(bench, name, command):
    """W2 to a server that writes one snapshot after the other and to one that writes none, in turn."""
    line = {"kind": "snapshots", "server": name, "workload": "W2 snapshots", "run": 1, "writing": [], "quiet": []}
    phases.wait_for_quiet()
    with tempfile.TemporaryDirectory() as folder:
        def keeping(where, size):
            return f"{command} --data-dir '{folder}/{where}' --journal-size {size}"

        with servers.Server(keeping("often", "1MiB"), bench.server_cpu) as writing, \
                servers.Server(keeping("never", "8GiB"), bench.server_cpu) as quiet:
            push = ["--mode", "json", "--workload", "W2", "--max-seconds"]
            line["fill"] = bench.phase(writing, push + [phases.FILL_SECONDS, "--fill"])
            line["fill_quiet"] = bench.phase(quiet, push + [phases.FILL_SECONDS, "--fill"])
            for _ in range(TURNS):
                for server, turns in ((writing, line["writing"]), (quiet, line["quiet"])):
                    before = own_metrics(server.addr)[SNAPSHOTS]
                    turns.append(bench.phase(server, push + [TURN_SECONDS]))
                    turns[-1]["snapshots"] = own_metrics(server.addr)[SNAPSHOTS] - before
            line["died"] = not (writing.alive() and quiet.alive())
    return line


def restarts(bench, name, command):
    """W3's million contributions, found again from the journal after a kill and from a snapshot after a stop."""
    line = {"kind": "restarts", "server": name, "workload": "W3 restarts", "run": 1}
    phases.wait_for_quiet()
    with tempfile.TemporaryDirectory() as folder:
        # As large as it gets, so that the first start has records only.
        keeping = f"{command} --data-dir '{folder}/data' --journal-size 400MiB"
        with servers.Server(keeping, bench.server_cpu) as server:
            line["fill"] = bench.phase(
                server, ["--mode", "json", "--workload", "W3", "--fill", "--max-seconds", phases.FILL_SECONDS])
            server.child.kill()
            server.child.wait()
        for what in ("from_records", "from_snapshot"):
            with servers.Server(keeping, bench.server_cpu) as server:
                line[f"{what}_ms"] = round(server.first_answer_ms, 3)
                line[what] = bench.phase(server, ["--mode", "scrape", "--requests", 1])
        line["died"] = False
        # Gauges are hidden until their instance is heard again.
        line["merged_series"] = COUNTERS
    return line


def commits(bench, name, command):
    """Syncs per second that pushes with `sync: always` share, and of a bare loop that writes as much each time.

    In turn, on the server's CPU: both depend on the disk's mood, which changes within seconds, and a loop that may
    choose its CPU is not what the server was given."""
    line = {"kind": "commits", "server": name, "workload": "W4 always", "run": 1, "steady": [], "loop": []}
    phases.wait_for_quiet()
    with tempfile.TemporaryDirectory() as folder:
        keeping = f"{command} --data-dir '{folder}/data' --sync always"
        with servers.Server(keeping, bench.server_cpu) as server:
            push = ["--mode", "json", "--workload", "W4", "--max-seconds"]
            line["fill"] = bench.phase(server, push + [phases.FILL_SECONDS, "--fill"])
            for _ in range(TURNS):
                line["steady"].append(synced(bench, server, push))
                length = line["steady"][-1].get("bytes_per_commit", 1)
                with servers.on_cpu(bench.server_cpu):
                    line["loop"].append(bare_loop(pathlib.Path(folder, "loop"), length))
            line["died"] = not server.alive()
    return line


def synced(bench, server, push):
    """One turn; the commits are counted by the server, the seconds are those in which it was pushed to."""
    before = own_metrics(server.addr)
    turn = bench.phase(server, push + [COMMIT_SECONDS])
    after = own_metrics(server.addr)
    commits, written = (after[what] - before[what] for what in ("journal_syncs_total", "journal_written_bytes_total"))
    if "seconds" in turn:
        turn["commits_per_s"] = commits / turn["seconds"]
        turn["bytes_per_commit"] = max(1, round(written / max(1, commits)))
    return turn


def bare_loop(path, length):
    """Appends and fdatasyncs per second, into space that is set aside: each sync of a file that grows costs more."""
    block = b"x" * length
    with open(path, "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, LOOP_BYTES)
        os.fsync(file.fileno())
        count, end = 0, time.monotonic() + LOOP_SECONDS
        while time.monotonic() < end:
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            count += 1
    os.unlink(path)
    return count / LOOP_SECONDS


def own_metrics(addr):
    """The own metrics without labels."""
    connection = http.client.HTTPConnection(addr)
    try:
        connection.request("GET", "/-/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    pairs = (line.split() for line in lines if line.startswith(PREFIX) and "{" not in line)
    return {name.removeprefix(PREFIX): float(value) for name, value in pairs}
