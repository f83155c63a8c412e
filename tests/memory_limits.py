"""Real limits of memory for a process under test: a control group of its own, of version 1 or 2, or resource limits.

A group is made below that of the tests (version 2: beside it where groups with processes have no children), and is gone
again with them. Where the kernel lets us make none, the resource limit alone is left.
"""

import contextlib
import os
import re
import uuid
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
GROUPS = Path("/proc/self/cgroup")
JOINS = 'echo $$ > "$0" && exec "$@"'


def mount_of(version):
    """Where the hierarchy that counts memory is mounted."""
    for line in MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")
        if (version == 2 and kind == "cgroup2") or (version == 1 and kind == "cgroup" and "memory" in options.split(",")):
            return Path(before.split(" ")[4])
    return None


def own_path(version):
    for line in GROUPS.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if (version == 2 and not controllers) or (version == 1 and "memory" in controllers.split(",")):
            return path.lstrip("/")
    return None


class Group:
    """One control group; its limit is in bytes, or None."""

    FILES = {1: ("memory.limit_in_bytes", "memory.oom_control"), 2: ("memory.max", "memory.events")}

    def __init__(self, version, folder):
        self.version, self.folder = version, folder
        self.limit_file, self.kills_file = self.FILES[version]

    def limit(self, limit_bytes):
        (self.folder / self.limit_file).write_text(str(limit_bytes))
        swap = self.folder / {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}[self.version]
        if swap.exists():
            swap.write_text(str(limit_bytes if self.version == 1 else 0))

    @property
    def kills(self):
        return int(re.search(r"^oom_kill (\d+)", (self.folder / self.kills_file).read_text(), re.MULTILINE).group(1))

    @property
    def joins(self):
        """A command that runs the command behind it in the group."""
        return "sh", "-c", JOINS, str(self.folder / "cgroup.procs")


def make_below(parent, version):
    """A group with a limit of its own, or None."""
    folder = parent / f"sidecar-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
    except OSError:
        return None
    group = Group(version, folder)
    if not all(os.access(folder / name, os.W_OK) for name in (group.limit_file, "cgroup.procs")):
        folder.rmdir()
        return None
    return group


def make():
    """A group of its own for a process, or None where none can be made."""
    for version in (1, 2):
        mount, path = mount_of(version), own_path(version)
        if mount is None or path is None or not (mount / path).is_dir():
            continue
        below = [mount / path, (mount / path).parent] if version == 2 and path else [mount / path]
        for parent in below:
            group = make_below(parent, version)
            if group is not None:
                return group
    return None


@contextlib.contextmanager
def nested():
    """Two groups, one in the other (of version 2 the inner one is the outer one: controllers are not handed down);
    None where none can be made."""
    outer = make()
    inner = outer and ((make_below(outer.folder, 1) if outer.version == 1 else None) or outer)
    try:
        yield outer and (outer, inner)
    finally:
        for group in dict.fromkeys(filter(None, (inner, outer))):
            group.folder.rmdir()


def resource_limit(data_bytes):
    """A command that runs the command behind it with so much memory for data."""
    return "prlimit", f"--data={data_bytes}", "--"


def can_make_groups():
    with nested() as made:
        return made is not None
