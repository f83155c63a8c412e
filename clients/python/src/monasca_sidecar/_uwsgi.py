"""uWSGI, which forks and runs threads in its own way."""
from __future__ import annotations

import logging
import signal
import sys
from typing import Any, Callable, Optional

_log = logging.getLogger("monasca_sidecar")


def hook(after_fork: Callable[[], None]) -> None:
    """Has uWSGI call `after_fork` in its workers: it forks in C, without Python's own fork hooks."""
    uwsgi = _uwsgi()
    if uwsgi is None:
        return
    try:
        # Knows of all that want to be called, but exists only with a master process.
        import uwsgidecorators

        uwsgidecorators.postfork(after_fork)
    except Exception:
        _chain(uwsgi, after_fork)


def check_threads() -> None:
    uwsgi = _uwsgi()
    if uwsgi is not None and not ("enable-threads" in uwsgi.opt or "threads" in uwsgi.opt):
        _log.warning(
            "uWSGI runs without --enable-threads: the thread that pushes metrics runs only while requests do; "
            "metrics will be late or missing until the option is set"
        )


def keep_signals_away() -> None:
    """Called in the pusher's thread: uWSGI ends a worker from whichever thread took the signal.

    Elsewhere signals are Python's to deliver, and a collector's subprocess would inherit the mask.
    """
    if _uwsgi() is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _chain(uwsgi: Any, after_fork: Callable[[], None]) -> None:
    earlier = getattr(uwsgi, "post_fork_hook", None)

    def both() -> None:
        if earlier is not None:
            earlier()
        after_fork()

    uwsgi.post_fork_hook = both


def _uwsgi() -> Optional[Any]:
    # Built into uWSGI's own interpreter, which has it loaded from the start.
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi if isinstance(getattr(uwsgi, "opt", None), dict) else None
