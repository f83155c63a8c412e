"""One run: the phases that one server goes through for one workload, as one line of raw figures."""
import json
import resource
import subprocess
import time

import servers

# Raw series, merged series.
WORKLOADS = {
    "W1": (8_000, 500),
    "W2": (200_000, 200),
    "W3": (1_000_000, 250_000),
    "W4": (8_000, 500),
}
FILL_SECONDS = 120
SCRAPE_SECONDS = 60
SCRAPES = 10
GZIP_SCRAPES = 5
QUIET_SHARE = 0.15
MAX_QUIET_WAIT_S = 6


class Bench:
    """What all runs of one session share."""

    def __init__(self, loadgen, seconds, server_cpu, client_cpu):
        self.loadgen = loadgen
        self.seconds = seconds
        self.server_cpu = server_cpu
        self.client_cpu = client_cpu

    def run(self, name, command, workload, number):
        """fill, steady, scrape, gzip scrape, mixed: the order matters for memory."""
        raw, merged = WORKLOADS[workload]
        line = {"kind": "run", "server": name, "workload": workload, "run": number, "raw_series": raw,
                "merged_series": merged, "seconds": self.seconds,
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        wait_for_quiet()
        with servers.Server(command, self.server_cpu) as server:
            line["rss_empty"] = server.usage()["rss"]
            push = ["--mode", "json", "--workload", workload]
            steady = push + ["--max-seconds", self.seconds]
            scrape = ["--mode", "scrape", "--max-seconds", SCRAPE_SECONDS, "--requests"]
            line["fill"] = self.phase(server, push + ["--fill", "--max-seconds", FILL_SECONDS])
            line["rss_fill"] = server.usage()["rss"]
            line["steady"] = self.phase(server, steady)
            used = server.usage()
            line["rss_steady"], line["hwm_steady"] = used["rss"], used["hwm"]
            line["scrape"] = self.phase(server, scrape + [SCRAPES])
            line["scrape_gzip"] = self.phase(server, scrape + [GZIP_SCRAPES, "--accept-encoding", "gzip"])
            used = server.usage()
            line["rss_scrape"], line["hwm_scrape"] = used["rss"], used["hwm"]
            line["mixed"] = self.phase(server, steady + ["--side-scrape", "/metrics"])
            used = server.usage()
            line["rss_end"], line["hwm_end"] = used["rss"], used["hwm"]
            line["died"] = not server.alive()
        return line

    def phase(self, server, args):
        """Runs the load generator once; adds what the server and everybody else used meanwhile."""
        command = [str(x) for x in (self.loadgen, "--addr", server.addr, *args)]
        began, before, all_before = time.monotonic(), server.usage()["cpu"], servers.machine_busy_seconds()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        with servers.on_cpu(self.client_cpu):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        cpu = server.usage()["cpu"] - before
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            return {"failed": done.stderr.strip()[-300:]}
        result = json.loads(done.stdout)
        ours = cpu + now.ru_utime + now.ru_stime - children.ru_utime - children.ru_stime
        others = servers.machine_busy_seconds() - all_before - ours
        result["server_cpu_s"] = round(cpu, 6)
        result["other_cpu_share"] = round(max(0.0, others) / max(0.01, time.monotonic() - began), 3)
        return result


def start_times(name, command, count, cpu):
    """From exec to the first answer, several times."""
    times = []
    for _ in range(count):
        with servers.Server(command, cpu) as server:
            times.append(round(server.first_answer_ms, 3))
    return {"kind": "start", "server": name, "ms": times}


def idle(commands, seconds, cpu):
    """Memory and CPU of servers that nobody talks to; all at once, as they do not disturb each other."""
    running = []
    try:
        for name, command in commands.items():
            running.append((name, servers.Server(command, cpu).__enter__()))
        # What belongs to the start is over after a second.
        time.sleep(1)
        before = [server.usage()["cpu"] for _, server in running]
        time.sleep(seconds)
        lines = []
        for (name, server), cpu_before in zip(running, before):
            used = server.usage()
            lines.append({"kind": "idle", "server": name, "seconds": seconds, "rss": used["rss"],
                          "cpu_s": round(used["cpu"] - cpu_before, 6)})
        return lines
    finally:
        for _, server in running:
            server.stop()


def wait_for_quiet():
    """Waits a few seconds for other work on this machine to end."""
    for _ in range(MAX_QUIET_WAIT_S):
        before = servers.machine_busy_seconds()
        time.sleep(1)
        if servers.machine_busy_seconds() - before < QUIET_SHARE:
            return
