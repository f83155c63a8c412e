#!/usr/bin/env python3
"""Builds the image of deploy/Dockerfile around a static binary, runs it and walks through the README's quickstart.

    python3 deploy/test_image.py BINARY         as root, on Debian or Ubuntu; installs buildah and curl when missing

No daemon and no registry: buildah puts the folder with BINARY in the place of the build stage, whose base image is then
not fetched. The final stage is the one that users get, instruction for instruction. Everything is kept in a temporary
folder and on loopback, on a port that the kernel chooses.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent
IMAGE = "monasca-sidecar-test"
USER = 65532
START_SECONDS = 20
STOP_SECONDS = 30
SIZE_LIMIT_MB = 40

PUSH = (
    '[{"name": "orders_total", "type": "counter", "help": "Orders taken.", "values":'
    ' [{"name": "orders_total", "labels": {"shop": "a", "_id": "worker-1"}, "value": 3}]}]'
)
SCRAPED_LINE = 'orders_total{shop="a"} 3'


class Failed(Exception):
    """A promise of the image does not hold."""


def expect(holds, promise, seen=""):
    if not holds:
        raise Failed(f"{promise}; seen: {seen}")
    print(f"ok: {promise}", flush=True)


def until(question, seconds, what):
    """Asks until the answer is true, at most for so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if deadline < time.monotonic():
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Buildah:
    """buildah with a store of its own, without a daemon."""

    def __init__(self, folder):
        self.command = ["buildah", "--root", f"{folder}/store", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]

    def __call__(self, *arguments):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"buildah {arguments[0]} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def build(self, binary, folder):
        stage, context = folder / "stage", folder / "context"
        stage.mkdir()
        context.mkdir()
        shutil.copy2(binary, stage / "monasca-sidecar")
        dockerfile = str(DEPLOY / "Dockerfile")
        self("build", "--isolation", "chroot", "--target", "image", "--build-context", f"build={stage}",
             "--file", dockerfile, "--tag", IMAGE, str(context))

    def start(self, container, entrypoint, log):
        # The environment variable that the image sets is set anew, so that what the image relies on is what is tested.
        environment = ["--env", "MONASCA_SIDECAR_LISTEN=127.0.0.1:0"]
        return subprocess.Popen(
            [*self.command, "run", "--isolation", "chroot", *environment, container, "--", *entrypoint],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def install_tools():
    missing = [tool for tool in ("buildah", "curl") if not shutil.which(tool)]
    if not missing:
        return
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def check_static(binary):
    with binary.open("rb") as file:
        expect(file.read(4) == b"\x7fELF", "the given file is a program", binary)
    done = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    expect("statically linked" in said or "not a dynamic executable" in said, "it is linked statically", said)


def check_configuration(config):
    expect(config["User"] == f"{USER}:{USER}", "the image runs as a numeric user that is not root", config["User"])
    expect(list(config["ExposedPorts"]) == ["4888/tcp"], "it exposes port 4888", config["ExposedPorts"])
    expect("MONASCA_SIDECAR_LISTEN=0.0.0.0:4888" in config["Env"], "it listens on all addresses", config["Env"])
    expect(config["Entrypoint"] == ["/monasca-sidecar"] and not config.get("Cmd"),
           "arguments go straight to the daemon", config)
    labels = config["Labels"]
    wanted = ["title", "description", "licenses", "source", "version"]
    expect(all(labels.get(f"org.opencontainers.image.{key}") for key in wanted), "it carries the OCI labels", labels)


def image_files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def descendants(pid):
    """The processes below pid: buildah puts two of its own between itself and the daemon."""
    found = []
    # A child is listed under the thread that started it, and buildah has many.
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in children.read_text().split()]
        except FileNotFoundError:
            continue
        for child in direct:
            found += [child, *descendants(child)]
    return found


def named(pids, name):
    """The one among pids that runs the program of that name, or None."""
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == name[:15]:
                return pid
        except FileNotFoundError:
            continue
    return None


def check_process(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    uids = re.search(r"^Uid:\s+(.*)$", status, re.M).group(1).split()
    expect(set(uids) == {str(USER)}, "the daemon runs as that user", uids)
    capabilities = re.search(r"^CapEff:\s+(\w+)$", status, re.M).group(1)
    expect(int(capabilities, 16) == 0, "and without capabilities", capabilities)


def curl(*arguments):
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "5", *arguments], capture_output=True,
                          text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def check_quickstart(base):
    until(lambda: curl("--fail", f"{base}/-/healthy") is not None, START_SECONDS, "GET /-/healthy answers 200")
    print("ok: /-/healthy answers", flush=True)
    expect(curl("--fail", f"{base}/-/ready") is not None, "/-/ready answers")
    answer = curl(f"{base}/v1/ingest", "--data", PUSH)
    expect(answer is not None and answer.strip() == "true", "a push with curl is answered true", answer)
    page = curl("--fail", f"{base}/metrics") or ""
    expect(SCRAPED_LINE in page.splitlines(), "the scrape shows the pushed value", page)


def listening_address(process, log):
    def address():
        if process.poll() is not None:
            raise Failed(f"the container ended with {process.returncode}: {log.read_text()}")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text())
        found = re.search(r"listening .*?addr=\"?(127\.0\.0\.1:\d+)", plain)
        return found and found.group(1)

    return until(address, START_SECONDS, "the daemon logs the address that it listens on")


def check_container(buildah, entrypoint, folder):
    container = buildah("from", IMAGE)
    # buildah itself adds mount points for the run; the image's own content is looked at before.
    files = image_files(Path(buildah("mount", container)))
    expect(files == ["monasca-sidecar"], "the image holds nothing but the binary", files)
    log = folder / "log"
    with log.open("w") as sink:
        process = buildah.start(container, entrypoint, sink)
    try:
        address = listening_address(process, log)
        daemon = named(descendants(process.pid), "monasca-sidecar")
        expect(daemon is not None, "the daemon is the container's process")
        check_process(daemon)
        check_quickstart(f"http://{address}")
        os.kill(daemon, signal.SIGTERM)
        until(lambda: process.poll() is not None, STOP_SECONDS, "SIGTERM ends it")
        code = process.returncode
        expect(code == 0, "SIGTERM ends it with exit code 0", f"{code}: {log.read_text()}")
    finally:
        if process.poll() is None:
            for pid in [*descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def test(binary):
    install_tools()
    check_static(Path(binary))
    with tempfile.TemporaryDirectory(prefix="monasca-sidecar-image-") as name:
        folder = Path(name)
        buildah = Buildah(folder)
        try:
            buildah.build(binary, folder)
            image = json.loads(buildah("inspect", "--type", "image", IMAGE))
            config = image["OCIv1"]["config"]
            check_configuration(config)
            check_container(buildah, config["Entrypoint"], folder)
            # The image is this one file, so its size is the file's.
            size = os.stat(binary).st_size / 1e6
            expect(size <= SIZE_LIMIT_MB, f"the image has {size:.1f} MB, at most {SIZE_LIMIT_MB}", size)
        finally:
            buildah("rm", "--all")
            buildah("rmi", "--all", "--force")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    try:
        test(sys.argv[1])
    except Failed as failure:
        print(f"FAILED: {failure}\n\n0 passed, 1 failed")
        return 1
    print("\n1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
