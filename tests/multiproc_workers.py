"""A multiprocess directory with real workers in it: starts, instruments and kills them, and says what the
client's own collector reads there. Owns no comparison."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sidecar import CACHE

HERE = Path(__file__).resolve().parent
# One for each way to write files: with arrays of label names (all of 0.0.19 works with today's Python but `import *`), with
# an object, with the help, with a timestamp; and the newest.
VERSIONS = ("0.0.19", "0.14.1", "0.17.1", "0.18.0", "0.20.0", "0.26.0")
LATEST = VERSIONS[-1]
OLD_MODES = ("all", "liveall", "min", "max", "livesum")
MODES = ("all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent")


def modes_of(version):
    """The gauge modes that a version knows."""
    return {"0.0.19": OLD_MODES, "0.14.1": OLD_MODES, "0.17.1": MODES[:-2]}.get(version, MODES)


def client_environment(version, directory):
    folder = CACHE / "parsers" / version
    assert folder.is_dir(), f"{folder} is missing: run scripts/setup-tests.sh"
    env = {name: text for name, text in os.environ.items() if not name.lower().startswith("prometheus_")}
    return {**env, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1",
            "prometheus_multiproc_dir": str(directory), "PROMETHEUS_MULTIPROC_DIR": str(directory)}


def make(name, kind, help_text="", labels=(), **options):
    return ["make", [name, kind, help_text, list(labels)], options]


def do(name, method, *arguments, labels=()):
    return ["do", [name, list(labels), method, *arguments], {}]


def fork(commands):
    return ["fork", [commands], {}]


class Worker:
    def __init__(self, version, directory, identifier=None):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "multiproc_worker.py"), *([identifier] if identifier else [])],
            env=client_environment(version, directory), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.identifier = identifier or str(self.process.pid)
        self.children = []

    def begin(self, commands):
        """Sends commands without waiting, so that several workers are at it at once."""
        # Numbers as text: JSON knows neither NaN nor infinity.
        self.process.stdin.write(json.dumps(commands, default=str) + "\n")
        self.process.stdin.flush()
        return self

    def finish(self):
        answer = self.process.stdout.readline().split()
        assert answer and answer[0] == "done", f"worker {self.identifier} failed: {answer}"
        self.children = answer[1:]
        return self

    def run(self, *commands):
        return self.begin(list(commands)).finish()

    def end(self):
        """The orderly end, without exit handlers, as most servers end their workers."""
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()


class Directory:
    """One application's directory, all of whose workers have one version of the client."""

    def __init__(self, path, version=LATEST):
        path.mkdir(exist_ok=True)
        self.path, self.version = path, version
        self.workers = []

    def __str__(self):
        return str(self.path)

    def start(self, *commands, identifier=None):
        self.workers.append(Worker(self.version, self.path, identifier))
        return self.workers[-1].run(*commands) if commands else self.workers[-1]

    def mark_dead(self, *identifiers):
        self._reference("dead", *identifiers)

    def page(self):
        """What the client's own collector gives."""
        return self._reference("page").decode("utf-8")

    def files(self):
        return sorted(path.name for path in self.path.glob("*.db"))

    def close(self):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.end()

    def _reference(self, what, *more):
        answer = subprocess.run(
            [sys.executable, str(HERE / "multiproc_reference.py"), what, str(self.path), *more],
            env=client_environment(self.version, self.path), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        assert answer.returncode == 0, answer.stderr.decode()
        return answer.stdout
