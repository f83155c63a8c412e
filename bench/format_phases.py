"""What other formats than JSON cost: pushes as text and protobuf, pages in other formats, groups that are kept.

Each function is one run with a server of its own and gives one line of raw figures, as phases.py does for
the pushes as JSON.
"""
import http.client

import phases
import servers

# The page also has push_time_seconds and push_failure_time_seconds of the one job.
PUSH_TIMES = 2
MAX_SECONDS = 4
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PAGES = {
    "openmetrics": (OPEN_METRICS, "identity"),
    "protobuf": (PROTOBUF, "identity"),
    "openmetrics_gzip": (OPEN_METRICS, "gzip"),
    "protobuf_gzip": (PROTOBUF, "gzip"),
}
GROUPS = 150_000
PUSHED_GROUPS = 64
TURNS = 10
TURN_SECONDS = 0.5


def push(bench, name, command, workload, mode, number):
    """fill and steady as pushes with `_id` in `mode`, and one page to count its series."""
    raw, merged = phases.WORKLOADS[workload]
    line = {"kind": "push", "server": name, "workload": f"{workload} {mode}", "run": number, "raw_series": raw,
            "merged_series": merged + PUSH_TIMES}
    phases.wait_for_quiet()
    with servers.Server(command, bench.server_cpu) as server:
        line["rss_empty"] = server.usage()["rss"]
        args = ["--mode", mode, "--workload", workload, "--max-seconds"]
        line["fill"] = bench.phase(server, args + [phases.FILL_SECONDS, "--fill"])
        line["steady"] = bench.phase(server, args + [min(bench.seconds, MAX_SECONDS)])
        line["rss_steady"] = server.usage()["rss"]
        line["scrape"] = bench.phase(server, ["--mode", "scrape", "--requests", 1])
        line["died"] = not server.alive()
    return line


def pages(bench, name, command, number):
    """W3's page in every format but text."""
    raw, merged = phases.WORKLOADS["W3"]
    line = {"kind": "pages", "server": name, "workload": "W3 pages", "run": number, "raw_series": raw,
            "merged_series": merged}
    phases.wait_for_quiet()
    with servers.Server(command, bench.server_cpu) as server:
        fill = ["--mode", "json", "--workload", "W3", "--fill", "--max-seconds", phases.FILL_SECONDS]
        line["fill"] = bench.phase(server, fill)
        for phase, (accept, encoding) in PAGES.items():
            count = phases.GZIP_SCRAPES if encoding == "gzip" else phases.SCRAPES
            scrape = ["--mode", "scrape", "--max-seconds", phases.SCRAPE_SECONDS, "--requests", count]
            line[phase] = bench.phase(server, scrape + ["--accept", accept, "--accept-encoding", encoding])
            line[phase].update(another_format(server.addr, accept, encoding))
        line["died"] = not server.alive()
    return line


def another_format(addr, accept, encoding):
    """{"failed": why} when the server answers in another format than asked: then that one was measured."""
    connection = http.client.HTTPConnection(addr)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": encoding})
        answer = connection.getresponse()
        kind, coding = answer.headers.get("Content-Type", ""), answer.headers.get("Content-Encoding", "identity")
    except (OSError, http.client.HTTPException) as error:
        return {"failed": f"no page: {error}"}
    finally:
        connection.close()
    same = kind.split(";")[0] == accept.split(";")[0] and coding == encoding
    return {} if same else {"failed": f"answered {kind} with {coding}"}


def groups(bench, name, command):
    """The same pushes to an empty server and to one that keeps very many groups, in turn."""
    line = {"kind": "groups", "server": name, "workload": "groups", "run": 1, "groups": GROUPS, "full": [],
            "empty": []}
    phases.wait_for_quiet()
    with servers.Server(command, bench.server_cpu) as full, servers.Server(command, bench.server_cpu) as empty:
        every = ["--mode", "groups", "--fill", "--max-seconds", phases.FILL_SECONDS, "--groups", GROUPS]
        line["rss_empty"] = full.usage()["rss"]
        line["fill"] = bench.phase(full, every)
        line["rss_fill"] = full.usage()["rss"]
        few = ["--mode", "groups", "--groups", PUSHED_GROUPS, "--connections", 1, "--max-seconds"]
        line["first"] = bench.phase(empty, few + [TURN_SECONDS])
        for _ in range(TURNS):
            line["full"].append(bench.phase(full, few + [TURN_SECONDS]))
            line["empty"].append(bench.phase(empty, few + [TURN_SECONDS]))
        line["died"] = not (full.alive() and empty.alive())
    return line
