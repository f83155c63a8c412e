"""Ways out of a process that do not run atexit handlers.

`multiprocessing` and billiard (celery's) end their children with os._exit after their own finalizers; celery's
pool ends its workers after a signal of its own. All lead to the same goodbye, which happens once.
"""
from __future__ import annotations

import logging
import sys
from typing import Any, Callable

_log = logging.getLogger("monasca_sidecar")

_LAST = -1000
"""Finalizers run by falling priority: after those that still count something, and after children are joined."""

_Stop = Callable[[], None]


def watch(owner: Any, stop: _Stop) -> None:
    """Called at start and in each forked child; `owner` lives as long as the watch."""
    for family in ("multiprocessing", "billiard"):
        try:
            _watch_family(family, owner, stop)
        except Exception:
            _log.debug("no exit hook in %s", family, exc_info=True)
    try:
        _watch_celery(stop)
    except Exception:
        _log.debug("no exit hook in celery", exc_info=True)


def _watch_family(family: str, owner: Any, stop: _Stop) -> None:
    util = sys.modules.get(family + ".util")
    process = sys.modules.get(family + ".process")
    if util is None or process is None:
        return
    # Just forked, a child has yet to clear the finalizers that it inherited: it registers after that.
    util.register_after_fork(owner, lambda _: util.Finalize(None, stop, exitpriority=_LAST))
    if type(process.current_process()).__name__ != "_MainProcess":
        util.Finalize(None, stop, exitpriority=_LAST)


def _watch_celery(stop: _Stop) -> None:
    signals = sys.modules.get("celery.signals")
    if signals is None:
        return

    def on_shutdown(**_: Any) -> None:
        stop()

    signals.worker_process_shutdown.connect(on_shutdown, weak=False, dispatch_uid="monasca_sidecar")
