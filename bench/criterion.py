"""What is measured inside the process: Criterion's benchmarks, and two threads against one."""
import json
import pathlib
import re
import subprocess

TEXT_DECODE = "decode_text/w1_parsed"
PURE_CRATES = ("sidecar-model", "sidecar-formats", "sidecar-store")


def run_benches(root):
    """Runs the pure crates' Criterion benchmarks."""
    packages = [x for crate in PURE_CRATES if (root / "crates" / crate).is_dir() for x in ("-p", crate)]
    subprocess.run(["cargo", "bench", "--benches", *packages], cwd=root, check=True)


def table(target):
    """Markdown of Criterion's latest estimates, or None when there are none."""
    rows = []
    for file in sorted(pathlib.Path(target, "criterion").glob("**/new/estimates.json")):
        with open(file) as f:
            nanos = json.load(f)["median"]["point_estimate"]
        with open(file.with_name("benchmark.json")) as f:
            about = json.load(f)
        rows.append(f"| {about['full_id']} | {duration(nanos)} | {rate(about.get('throughput'), nanos)} |")
    if not rows:
        return None
    return "\n".join(["| benchmark, one thread | median | rate |", "|---|---|---|", *rows])


def two_threads(root):
    """The ratio that the example `two_threads` prints; None when there is no such example."""
    example = next(root.glob("crates/*/examples/two_threads.rs"), None)
    if example is None:
        return None
    package = example.parent.parent.name
    command = ["cargo", "run", "--release", "--quiet", "-p", package, "--example", "two_threads"]
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found = re.search(r"two_threads_ratio=([0-9.]+)", done.stdout)
    return float(found.group(1)) if found else None


def text_decode(root, target):
    """Bytes per second of decoding a text push whose shapes nobody remembers; None when there is no such benchmark."""
    if not (root / "crates" / "sidecar-formats" / "benches" / "decode_text.rs").is_file():
        return None
    command = ["cargo", "bench", "--quiet", "-p", "sidecar-formats", "--bench", "decode_text", "--"]
    options = ["--noplot", "--warm-up-time", "1", "--measurement-time", "3", TEXT_DECODE]
    subprocess.run(command + options, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return bytes_per_second(pathlib.Path(target, "criterion", TEXT_DECODE, "new"))


def bytes_per_second(folder):
    with open(folder / "estimates.json") as f:
        nanos = json.load(f)["median"]["point_estimate"]
    with open(folder / "benchmark.json") as f:
        return json.load(f)["throughput"]["Bytes"] / nanos * 1e9


def duration(nanos):
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanos >= scale:
            return f"{nanos / scale:.3g} {unit}"
    return f"{nanos:.3g} ns"


def rate(throughput, nanos):
    """Criterion writes what one iteration handles as {"Elements": n} or {"Bytes": n}."""
    for kind, unit in (("Elements", "/s"), ("Bytes", "B/s")):
        if isinstance(throughput, dict) and throughput.get(kind):
            return f"{throughput[kind] / nanos * 1e3:.4g} M{unit}"
    return "-"
