"""Workers of an application in multiprocess mode, and what of them must be on the page."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sidecar import ROOT

MASTER = Path(__file__).with_name("multiproc_master.py")
CLIENT = ROOT / "clients/python/src"
KEPT = "monasca_sidecar_kept.json"
OWN_FILES = {KEPT, "monasca_sidecar_compaction.lock"}
COMPACT = ("--multiproc-compact", "--multiproc.compact-interval", "50ms")


class Fleet:
    """One master with its workers, by slot."""

    def __init__(self, folder, *arguments):
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(CLIENT)}
        self.master = subprocess.Popen([sys.executable, str(MASTER), *arguments], env=env, text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, slot, deed, *arguments):
        self.master.stdin.write(json.dumps([slot, deed, *arguments]) + "\n")
        self.master.stdin.flush()
        answer = self.master.stdout.readline()
        assert answer, "the master has ended"
        return json.loads(answer)

    def start(self, slot, identifier=None):
        """Its pid."""
        return self.ask(slot, "start", identifier)

    def work(self, slot, n):
        assert self.ask(slot, "tell", "work", n) == "done"

    def show(self, slot, n):
        assert self.ask(slot, "tell", "show", n) == "done"

    def kill(self, slot):
        return self.ask(slot, "end", "kill")

    def end(self, slot):
        return self.ask(slot, "end", "quietly")

    def mark_dead(self, identifier):
        self.ask(None, "mark", identifier)

    def close(self):
        self.master.stdin.close()
        self.master.wait(20)
        self.master.stdout.close()


def names(folder):
    """Files of workers, and their locks."""
    return sorted(path.name for path in Path(folder).iterdir() if path.name not in OWN_FILES)


def seen(folder):
    """Workers that compaction has seen alive: pid and begin."""
    try:
        kept = json.loads((Path(folder) / KEPT).read_text())
    except FileNotFoundError:
        return {}
    return {name for name, worker in kept["seen"]["workers"].items() if worker["processes"]}


def samples(sidecar):
    """The page's lines by what stands before their value."""
    lines = sidecar.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if not x.startswith("#"))}
