"""From raw lines to the published table: which run counts, how a figure is computed, what is required."""
import statistics

# A run is noisy when its client used so much more CPU per sample than beside the null server: then the
# machine was slower, not the server.
NOISE_LIMIT = 1.20
PHASES = ("fill", "steady", "scrape", "scrape_gzip", "mixed")
PHASES_OF = {
    "run": PHASES,
    "push": ("fill", "steady", "scrape"),
    "pages": ("fill", "openmetrics", "protobuf", "openmetrics_gzip", "protobuf_gzip"),
    "groups": ("fill", "first", "full", "empty"),
    "journal": ("fill", "fill_free", "kept", "not_kept"),
    "snapshots": ("fill", "fill_quiet", "writing", "quiet"),
    "restarts": ("fill", "from_records", "from_snapshot"),
    "commits": ("fill", "steady"),
}


class Row:
    """One figure. `value` takes what a server's lines are and gives a number or None."""

    def __init__(self, figure, unit, required, aim, value, higher=False, null=True):
        self.figure, self.unit, self.required, self.aim = figure, unit, required, aim
        self.value, self.higher, self.null = value, higher, null

    def mark(self, measured):
        if measured is None:
            return "not measured"
        good = (lambda limit: measured >= limit) if self.higher else (lambda limit: measured <= limit)
        if not good(self.required):
            return "**MISS**"
        return "PASS, aim reached" if self.aim is not None and good(self.aim) else "PASS"


class Lines:
    """The usable raw lines of one server."""

    def __init__(self, lines, name, problems, noisy):
        unusable = set(problems) | noisy
        self.all = [l for l in lines if l["server"] == name]
        self.runs = [l for l in self.all if l["kind"] in PHASES_OF and key(l) not in unusable]

    def of(self, workload):
        return [l for l in self.runs if l["workload"] == workload]

    def best(self, workload, figure, choose=max):
        values = [v for v in (figure(l) for l in self.of(workload)) if v is not None]
        return choose(values) if values else None

    def kind(self, kind):
        return next((l for l in self.all if l["kind"] == kind), None)


def key(line):
    return (line["server"], line["workload"], line["run"])


def per_cpu_second(phase, what="samples"):
    return lambda l: l[phase][what] / l[phase]["server_cpu_s"] if l[phase]["server_cpu_s"] else None


def cpu_ms_per_request(l, phase="scrape"):
    return l[phase]["server_cpu_s"] / l[phase]["requests"] * 1e3 if l[phase]["requests"] else None


def page_ms(phase):
    return lambda s: s.best("W3 pages", lambda l: cpu_ms_per_request(l, phase), min)


def bytes_per_series(l):
    return (l["rss_steady"] - l["rss_empty"]) / l["raw_series"]


def full_against_empty(l):
    """Of the turns' medians the median, each server's own."""
    def p50(server):
        return statistics.median(turn["latency_ms"]["p50"] for turn in l[server])

    return p50("full") / p50("empty")


def commits_against_loop(l):
    """The median turn, each beside the loop that followed it."""
    return statistics.median(turn["commits_per_s"] / loop for turn, loop in zip(l["steady"], l["loop"]))


def writing_against_quiet(l):
    """The median turn, each beside the one without; only turns in which a snapshot was written."""
    turns = [(writing, quiet) for writing, quiet in zip(l["writing"], l["quiet"]) if writing["snapshots"] and not quiet["snapshots"]]
    ratios = [writing["latency_ms"]["p99"] / quiet["latency_ms"]["p99"] for writing, quiet in turns]
    return statistics.median(ratios) if ratios else None


def tail_ratio(percentile):
    return lambda l: l["mixed"]["latency_ms"][percentile] / l["steady"]["latency_ms"][percentile]


def idle_share(s):
    line = s.kind("idle")
    return line and line["cpu_s"] / line["seconds"]


def rows(two_threads):
    """The table, top to bottom. `two_threads` is that figure, measured elsewhere, or None."""
    tail = "push {} in W3 while scraped every 200 ms, against without"
    return [
        Row("W1 samples per CPU second, steady", "count", 6e6, 10e6,
            lambda s: s.best("W1", per_cpu_second("steady")), higher=True),
        Row("W2 samples per CPU second, steady", "count", 4e6, 7e6,
            lambda s: s.best("W2", per_cpu_second("steady")), higher=True),
        Row("W3 samples per CPU second, steady", "count", 6e6, 10e6,
            lambda s: s.best("W3", per_cpu_second("steady")), higher=True),
        Row("W4 pushes per CPU second, steady", "count", 70e3, 100e3,
            lambda s: s.best("W4", per_cpu_second("steady", "requests")), higher=True),
        Row("series creation, W3 samples per CPU second", "count", 1e6, 3e6,
            lambda s: s.best("W3", per_cpu_second("fill")), higher=True),
        Row("two threads against one, decode and apply of W1", "ratio", 1.7, 1.9,
            lambda s: two_threads, higher=True, null=False),
        Row("scrape of W3's 250,000 merged series, identity, server CPU", "ms", 40, 16,
            lambda s: s.best("W3", cpu_ms_per_request, min)),
        Row("scrape of W1's 500 series, p50", "ms", 0.3, 0.1,
            lambda s: s.best("W1", lambda l: l["scrape"]["latency_ms"]["p50"], min)),
        Row(tail.format("p99.9"), "ratio", 2, 1.2,
            lambda s: s.best("W3", tail_ratio("p999"), statistics.median)),
        Row(tail.format("maximum"), "ratio", 2, 1.2,
            lambda s: s.best("W3", tail_ratio("max"), statistics.median)),
        Row("memory per contribution, W2 after steady", "bytes", 120, 56,
            lambda s: s.best("W2", bytes_per_series), null=False),
        Row("memory at most, W3 after scrapes", "MB", 300e6, 160e6,
            lambda s: s.best("W3", lambda l: l["hwm_scrape"])),
        Row("idle: resident memory", "MB", 12e6, 6e6, lambda s: (s.kind("idle") or {}).get("rss")),
        Row("idle: CPU", "share", 0.001, None, idle_share),
        Row("start (exec) to first answer", "ms", 50, 10,
            lambda s: s.kind("start") and statistics.median(s.kind("start")["ms"])),
        *format_rows(),
        *journal_rows(),
        *multiproc_rows(),
    ]


def format_rows():
    """What other formats than JSON cost."""
    page = "scrape of W3's series as {}, server CPU"
    return [
        Row("W1 as text pushes with _id, samples per CPU second", "count", 5e6, 9e6,
            lambda s: s.best("W1 text", per_cpu_second("steady")), higher=True),
        Row("W1 as protobuf pushes with _id, samples per CPU second", "count", 4e6, 8e6,
            lambda s: s.best("W1 protobuf", per_cpu_second("steady")), higher=True),
        Row("decode of W1's text body with unknown shapes", "MB/s", 300e6, 1000e6,
            lambda s: (s.kind("decode") or {}).get("bytes_per_s"), higher=True, null=False),
        Row(page.format("OpenMetrics"), "ms", 60, 20, page_ms("openmetrics"), null=False),
        Row(page.format("protobuf"), "ms", 60, 20, page_ms("protobuf"), null=False),
        Row(page.format("OpenMetrics, gzip"), "ms", 120, 70, page_ms("openmetrics_gzip"), null=False),
        Row(page.format("protobuf, gzip"), "ms", 120, 70, page_ms("protobuf_gzip"), null=False),
        Row("memory per grouped series, W2 as text pushes with _id", "bytes", 120, 50,
            lambda s: s.best("W2 text", bytes_per_series), null=False),
        Row("push p50 with 150,000 plain groups stored, against an empty server", "ratio", 1.3, 1.05,
            lambda s: s.best("groups", full_against_empty), null=False),
        Row("honest pushes' p99 under attack, against without", "ratio", 3, None,
            lambda s: s.kind("attack") and beside_against_alone(s.kind("attack")), null=False),
    ]


def journal_rows():
    """What it costs to keep the state."""
    start = "start with W3's 1,000,000 contributions, from {}"
    return [
        Row("W1 with a journal (sync 1s), against without", "ratio", 0.7, 0.9,
            lambda s: s.best("W1 journal", kept_against_not), higher=True, null=False),
        Row("push p99 in W2 while snapshots are written, against without", "ratio", 2, None,
            lambda s: s.best("W2 snapshots", writing_against_quiet, min), null=False),
        Row("commits per second of W4 (sync always), against a bare loop", "ratio", 0.5, None,
            lambda s: s.best("W4 always", commits_against_loop), higher=True, null=False),
        Row(start.format("a snapshot"), "ms", 2000, 500,
            lambda s: s.best("W3 restarts", lambda l: l["from_snapshot_ms"], min), null=False),
        Row(start.format("records only"), "ms", 2000, 500,
            lambda s: s.best("W3 restarts", lambda l: l["from_records_ms"], min), null=False),
    ]


def multiproc_rows():
    """What it costs to read the files of Python's multiprocess mode."""
    scrape = "scrape of 64 workers' files of {} values, {}"
    return [
        Row(scrape.format("1,000", "first"), "ms", 20, 10, multiproc(1_000, first_ms), null=False),
        Row(scrape.format("1,000", "steady"), "ms", 6, 2, multiproc(1_000, steady_ms), null=False),
        Row(scrape.format("10,000", "first"), "ms", 250, 120, multiproc(10_000, first_ms), null=False),
        Row(scrape.format("10,000", "steady"), "ms", 50, 20, multiproc(10_000, steady_ms), null=False),
        Row("resident memory with 64 workers' files of 10,000 values", "MB", 60e6, 30e6,
            multiproc(10_000, lambda l: l["rss"]), null=False),
        Row("scrape when the files of 5,000 dead workers of 200 series have been folded", "ms", 5, 1,
            multiproc(200, steady_ms, "multiproc_compacted"), null=False),
    ]


def multiproc(series, figure, kind="multiproc"):
    """The best of the runs whose page was whole."""
    def best(s):
        mine = [l for l in s.all if l["kind"] == kind and l["per_worker"] == series]
        usable = [l for l in mine if not l["died"] and l["series"] == l["expected"]]
        return min(map(figure, usable), default=None)

    return best


def first_ms(l):
    return l["first"]["ms"]


def steady_ms(l):
    return statistics.median(turn["ms"] for turn in l["steady"])


def beside_against_alone(l):
    """Of the rounds' p99 the best, each for itself: what disturbs a round makes either slower. None: the server ended."""
    def best(which):
        return min(r[which]["p99_ms"] for r in l["rounds"])

    return None if l["died"] else best("beside") / best("alone")


def kept_against_not(l):
    """Of the turns' samples per CPU second the best, each server's own."""
    def best(server):
        return max(turn["samples"] / turn["server_cpu_s"] for turn in l[server])

    return best("kept") / best("not_kept")


def problems(lines, own):
    """Why a run of `own` or of the null server cannot count: {key: reason}."""
    found = {}
    for line in lines:
        if line["kind"] not in PHASES_OF:
            continue
        reason = problem(line, line["server"] == own)
        if reason:
            found[key(line)] = reason
    return found


def problem(line, merges):
    if line["died"]:
        return "the server ended during the run"
    for phase in PHASES_OF[line["kind"]]:
        for result in line[phase] if isinstance(line[phase], list) else [line[phase]]:
            reason = phase_problem(result)
            if reason:
                return f"{phase}: {reason}"
    for phase in ("scrape", "openmetrics", "from_records", "from_snapshot"):
        series = line.get(phase, {}).get("scrape_series")
        if merges and phase in line and series != line["merged_series"]:
            return f"the page has {series} series, expected {line['merged_series']}"
    return None


def phase_problem(result):
    if "failed" in result:
        return result["failed"]
    bad = {k: v for k, v in result["statuses"].items() if k != "200"}
    if bad or result["errors"] or result.get("side_errors"):
        error = result.get("first_error") or result.get("bad_body", "")
        return f"{result['errors']} errors, other answers than 200: {bad} {error}"
    if not result["complete"]:
        return "not finished in time"
    return None


def noisy(lines, own, null):
    """Keys of own runs whose client was slowed down against the null server's run of the same minutes."""
    cost = {}
    for line in lines:
        if line["kind"] in ("run", "push") and line["steady"].get("samples"):
            cost[key(line)] = line["steady"]["client_cpu_s"] / line["steady"]["samples"]
    found = {}
    for (server, workload, run), mine in cost.items():
        base = cost.get((null, workload, run))
        if server == own and base and mine > base * NOISE_LIMIT:
            found[(server, workload, run)] = mine / base
    return found


def table(lines, own="sidecar", null="null", two_threads=None):
    """(Markdown, number of misses, notes)."""
    wrong, noise = problems(lines, own), noisy(lines, own, null)
    notes = [f"{' '.join(map(str, k))}: not counted: {reason}" for k, reason in wrong.items()]
    notes += [f"{' '.join(map(str, k))}: dropped: client CPU per sample is {x:.2f} x that beside the null server"
              for k, x in noise.items()]
    mine, empty = Lines(lines, own, wrong, set(noise)), Lines(lines, null, wrong, set())
    out = ["| figure | required | aim | measured | null server, same minutes | ratio | |", "|" + "---|" * 7]
    misses = 0
    for row in rows(two_threads):
        measured = row.value(mine)
        ceiling = row.value(empty) if row.null else None
        mark = row.mark(measured)
        misses += "MISS" in mark
        ratio = f"{measured / ceiling:.2f}" if measured is not None and ceiling else "-"
        cells = [text(x, row.unit) for x in (row.required, row.aim, measured, ceiling)]
        out.append("| " + " | ".join([row.figure, *cells, ratio, mark]) + " |")
    return "\n".join(out), misses, notes


def text(value, unit):
    if value is None:
        return "-"
    if unit == "count":
        return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.0f} k"
    if unit == "ms":
        return f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
    if unit == "MB":
        return f"{value / 1e6:.1f} MB"
    if unit == "MB/s":
        return f"{value / 1e6:.0f} MB/s"
    if unit == "bytes":
        return f"{value:.0f} B"
    if unit == "share":
        return f"{value * 100:.3g} %"
    return f"{value:.2f} x"
