"""Workers are recycled and the daemon is killed while dead workers' files are folded: no count lost, none twice.

Every event is known: a worker answers when it has counted it. So between two events the page must show exactly what was
counted, whoever has died meanwhile and wherever the daemon was stopped. Run as a program it does the long run
(`make recycles`); tests/test_multiproc_compaction.py does a short one.
"""

import argparse
import http.client
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from multiproc_fleet import COMPACT, Fleet, names, samples, seen
from sidecar import Sidecar, eventually

SLOTS = 6
COUNTS = ('jobs_total{queue="a"}', "took_seconds_sum", "size_sum")
NUMBERS = ("took_seconds_count", "size_count")


@dataclass
class Ran:
    recycles: int
    kills: int
    events: int
    folded: int
    scrapes: int
    left: int


class Run:
    def __init__(self, folder, data, seed, launch):
        self.folder, self.rng, self.launch = folder, random.Random(seed), launch
        self.settings = ("--multiproc-dir", str(folder), "--data-dir", str(data), *COMPACT, "--journal-size", "256KiB")
        # Workers that are known by their locks, and such that are only seen.
        self.fleets = [Fleet(folder), Fleet(folder, "--lock")]
        self.counted = self.events = self.sum = self.scrapes = self.folded = 0
        self.least, self.most, self.latest = None, None, None
        self.gauges = {}
        self.identifiers = {}
        self.sidecar = launch(*self.settings)

    # -- workers: slot n is of fleet n % 2

    def fleet(self, slot):
        return self.fleets[slot % 2]

    def start(self, slot):
        # Some have a name that comes again, others their pid.
        name = f"w{slot}" if slot >= SLOTS // 2 else None
        pid = self.fleet(slot).start(slot, name)
        self.identifiers[slot] = name or str(pid)
        self.work(slot)

    def work(self, slot):
        n = self.rng.randrange(1, 9)
        self.fleet(slot).work(slot, n)
        self.counted += n
        self.events += 1

    def recycle(self, slot):
        how = self.rng.choice(["kill", "end", "mark"])
        if how == "kill":
            self.fleet(slot).kill(slot)
        else:
            self.fleet(slot).end(slot)
        if how == "mark":
            self.fleet(slot).mark_dead(self.identifiers[slot])
        self.start(slot)

    # -- the daemon

    def restart(self):
        """Killed at any moment; the next one begins before or after more has happened."""
        # To let it get into the middle of something.
        end = time.monotonic() + self.rng.uniform(0, 0.12)
        while time.monotonic() < end:
            self.work(self.rng.randrange(SLOTS))
        self.note_folded()
        self.sidecar.kill()
        for _ in range(self.rng.randrange(3)):
            self.recycle(self.rng.randrange(SLOTS))
        self.sidecar = self.launch(*self.settings)

    def note_folded(self):
        try:
            self.folded += self.sidecar.own_sum("monasca_sidecar_multiproc_folded_workers_total")
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"the daemon does not answer: {error}") from error

    def check(self):
        page = samples(self.sidecar)
        self.scrapes += 1
        shown = {name: page.get(name) for name in (*COUNTS, *NUMBERS)}
        wanted = {**dict.fromkeys(COUNTS, self.counted), **dict.fromkeys(NUMBERS, self.events)}
        assert shown == wanted, f"shown {shown}, counted {wanted}, {names(self.folder)}"

    def finish(self):
        """All die; what was proved is folded, and what nobody has seen stays counted as it is."""
        for slot in range(SLOTS):
            self.fleet(slot).kill(slot)
        self.check()
        alive = {f"counter_{name.split('/')[0]}.db" for name in seen(self.folder)}
        eventually(lambda: not [n for n in names(self.folder) if n in alive or "folding" in n],
                   "the dead who were seen are folded", 120)
        self.check()
        self.note_folded()
        self.sidecar.kill()
        self.sidecar = self.launch(*self.settings)
        self.check()

    def close(self):
        for fleet in self.fleets:
            fleet.close()


def run(folder, data, recycles, kills, seed, launch=Sidecar):
    """Raises AssertionError with what is wrong."""
    going = Run(Path(folder), data, seed, launch)
    try:
        for slot in range(SLOTS):
            going.start(slot)
        kill_at = set(going.rng.sample(range(recycles), kills))
        for number in range(recycles):
            try:
                going.recycle(going.rng.randrange(SLOTS))
                if number in kill_at:
                    going.restart()
                going.check()
            except AssertionError as error:
                raise AssertionError(f"recycle {number} of seed {seed}: {error}") from error
        going.finish()
        left = len([name for name in names(folder) if name.startswith("counter_")])
        return Ran(recycles, kills, going.events, int(going.folded), going.scrapes, left)
    finally:
        going.sidecar.kill()
        going.close()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recycles", type=int, default=1000)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=int(time.time()))
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "multiproc")
        folder.mkdir()
        ran = run(folder, Path(root, "data"), chosen.recycles, chosen.kills, chosen.seed)
    print(f"{ran.recycles} recycles, {ran.kills} kills, seed {chosen.seed}: {ran.events} events counted once each in "
          f"{ran.scrapes} scrapes; {ran.folded} workers folded, {ran.left} left of whom nobody can tell", file=sys.stderr)


if __name__ == "__main__":
    main()
