"""Beside prometheus_client's multiprocess mode: a lock file for each process that writes metrics into the directory.

The kernel frees the lock when the process ends, however it ends, so a sidecar that reads the directory knows for
certain who is dead, also across containers. `monasca_sidecar.start` does this by itself; `hold` is for
applications that push nothing. The lock is taken before the first file is opened: a file must never look
abandoned while somebody is about to write to it.
"""
from __future__ import annotations

import fcntl
import gc
import logging
import os
import threading
import time
from typing import Any, Dict, List, Optional

from . import _uwsgi

__all__ = ["hold"]

_log = logging.getLogger("monasca_sidecar")

LOCK_WAIT = 2.0
"""Seconds that the opening of a file waits for a lock: a sidecar holds a dead process's for a moment."""
_PAUSE = 0.005

# The lock files of this process, by path. A closed file is a freed lock, so nothing but a fork closes them.
_held: Dict[str, int] = {}
_changing = threading.Lock()
_owner = os.getpid()
_hooked = False
_reported = False


def hold() -> None:
    """Locks for this process, and for all that are forked from it, if the multiprocess mode is on.

    Call it before the first metric is made; then no file is ever without its lock. Never raises.
    """
    try:
        if is_on():
            _hook()
            for path in _open_files():
                _hold_for(path)
    except Exception:
        _log.warning("no lock files in the multiprocess directory", exc_info=True)


def is_on() -> bool:
    """Whether metrics made from now on are kept in files."""
    from prometheus_client import values

    return bool(getattr(values.ValueClass, "_multiprocess", False))


def identifier_of(path: str) -> Optional[str]:
    """Which process a file belongs to: `gauge_livesum_7.db` to "7", `counter_web_1.db` to "web_1"."""
    name = os.path.basename(path)
    parts = name[: -len(".db")].split("_", 2 if name.startswith("gauge_") else 1)
    return parts[-1] if name.endswith(".db") and len(parts) > 1 else None


def _hook() -> None:
    """Locks come before files from now on, in this process and its children."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    import prometheus_client.values

    values: Any = prometheus_client.values
    opened = values.MmapedDict

    class LockedMmapedDict(opened):  # type: ignore[misc,valid-type]
        """A file of this process's metrics, locked before it is there."""

        def __init__(self, filename: str, *arguments: Any, **named: Any) -> None:
            _hold_for(filename)
            super().__init__(filename, *arguments, **named)

    values.MmapedDict = LockedMmapedDict
    # A fork in the middle of taking a lock would give the child a copy of it that nobody knows of.
    os.register_at_fork(
        before=lambda: _changing.acquire(), after_in_parent=lambda: _changing.release(), after_in_child=_after_fork_in_child
    )
    _uwsgi.hook(_after_fork_in_child)


def _after_fork_in_child() -> None:
    """The locks are the parent's: while a child had them open, the parent's death could not be seen.

    Closed and not unlocked, which would free them for the parent too. The child's own come with its own files.
    """
    global _changing, _owner
    if _owner == os.getpid():
        return
    _owner = os.getpid()
    _changing = threading.Lock()
    for descriptor in _held.values():
        try:
            os.close(descriptor)
        except OSError:
            pass
    _held.clear()


def _open_files() -> List[str]:
    """The files that this process writes already; nothing of prometheus_client lists them in every version."""
    from prometheus_client.mmap_dict import MmapedDict

    # By `type`, since isinstance would ask the application's own objects, which may do anything.
    files = [found for found in gc.get_objects() if issubclass(type(found), MmapedDict)]
    return [str(found._f.name) for found in files if getattr(found, "_f", None) is not None and found._f.writable()]


def _hold_for(path: str) -> None:
    """Takes the lock that belongs to a file; what is wrong is said once and never raised."""
    global _reported
    identifier = identifier_of(path)
    if identifier is None:
        return
    # Another hook of this fork may count something before ours has run, and a fork in C may run none.
    _after_fork_in_child()
    lock = os.path.join(os.path.dirname(path), f"monasca_alive_{identifier}.lock")
    with _changing:
        if lock in _held:
            return
        try:
            _held[lock] = _take(lock)
        except OSError as error:
            if not _reported:
                _reported = True
                _log.warning("no lock at %s, so a sidecar cannot be certain of this process's end: %s", lock, error)


def _take(lock: str) -> int:
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _lock(descriptor, deadline)
            if _is_at(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # A sidecar removed it with the files of an earlier process: the lock is on nothing that can be seen.
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError("another process has the lock: two with one identifier?") from None
        time.sleep(_PAUSE)


def _is_at(descriptor: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
