"""Locks across fork.

While a process forks, no collect of ours may hold a metric's lock: `held` is taken by every collect and by
the fork itself. Locks that the application's own other threads held at the fork have no owner in the child;
those of the metrics are replaced there, which is safe because the child has one thread, and every metric's
critical section is one assignment: done or not done, never half.
"""
from __future__ import annotations

import threading
from typing import Any, Iterable, Iterator, List

from prometheus_client.metrics import MetricWrapperBase

FORK_WAIT = 1.0
"""Seconds that a fork waits for a running collect; a collector that hangs must not hang the fork."""

_mine = threading.local()
# Re-entrant: a collector may itself fork.
_held = threading.RLock()


class Held:
    """The context in which a collect, or anything else that must not be copied midway, runs."""

    def __enter__(self) -> None:
        self._lock = _held
        self._lock.acquire()

    def __exit__(self, *_: Any) -> None:
        self._lock.release()


def before_fork() -> None:
    lock = _held
    _mine.lock = lock if lock.acquire(timeout=FORK_WAIT) else None


def after_fork_in_parent() -> None:
    lock = getattr(_mine, "lock", None)
    _mine.lock = None
    if lock is not None:
        lock.release()


def after_fork_in_child() -> None:
    global _held
    _mine.lock = None
    _held = threading.RLock()


def free_orphans(registry: Any, collectors: Iterable[Any]) -> None:
    """Replaces every lock that a thread held which the child does not have."""
    _free(registry)
    for collector in collectors:
        if isinstance(collector, MetricWrapperBase):
            _free_metric(collector)


def _free_metric(metric: Any) -> None:
    _free(metric)
    for child in _children(metric):
        _free(child)
        for value in _values(child):
            _free(value)


def values_of(metric: Any) -> Iterator[Any]:
    """What holds the numbers of a metric, over all its label sets."""
    for child in _children(metric):
        yield from _values(child)


def _children(metric: Any) -> List[Any]:
    # A metric without labels is its own child.
    return list(metric._metrics.values()) if getattr(metric, "_metrics", None) else [metric]


def _values(child: Any) -> List[Any]:
    fields = vars(child)
    single = [fields[name] for name in ("_value", "_sum", "_count") if name in fields]
    return single + list(fields.get("_buckets", ()))


_LOCK_TYPE = type(threading.Lock())


def _free(owner: Any) -> None:
    lock = getattr(owner, "_lock", None)
    if lock is None or not hasattr(lock, "acquire"):
        return
    if lock.acquire(blocking=False):
        lock.release()
        return
    owner._lock = threading.Lock() if isinstance(lock, _LOCK_TYPE) else threading.RLock()
