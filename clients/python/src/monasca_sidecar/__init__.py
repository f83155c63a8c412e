"""Push this process's Prometheus metrics to a monasca-sidecar.

The public door: `start`, `stop`, `status`. It imports nothing of prometheus_client, so that
importing it early (an autostart, a gunicorn configuration) decides nothing for the application.
"""
from __future__ import annotations

import atexit
import logging
import sys
from typing import Any, Collection, Dict, Mapping, Optional

__all__ = ["start", "status", "stop", "__version__"]
__version__ = "0.1.0"


def start(
    url: Optional[str] = None,
    interval: Optional[float] = None,
    registry: Optional[Any] = None,
    *,
    timeout: float = 5.0,
    exit_timeout: float = 2.0,
    aggregate: Optional[Mapping[str, str]] = None,
    live: Collection[Any] = (),
) -> None:
    """Push `registry` (default: prometheus_client.REGISTRY) to `url` every `interval` seconds.

    Called once per application; every process forked later pushes by itself. A second call in the same
    process changes nothing. Never raises: what is wrong is logged under the logger "monasca_sidecar".

    url: default $MONASCA_SIDECAR_URL, else http://localhost:4888.
    interval: default $MONASCA_SIDECAR_INTERVAL, else 5 seconds.
    timeout: bound of one push; it never holds up the application.
    exit_timeout: how long the exit of the process may wait for the last push.
    aggregate: family name -> aggregation function, for families that no multiprocess_mode speaks for.
    live: custom collectors whose counters a forked child must not subtract, because they do not come
        from the memory that it shared with its parent (a file, another program).
    """
    try:
        # First and by itself: where its import is watched (monasca-sidecar-run), it comes back to this function.
        import prometheus_client  # noqa: F401

        from . import _runtime
    except Exception:
        logging.getLogger(__name__).error("metrics are not pushed to a sidecar", exc_info=True)
        return
    _runtime.start(
        url=url,
        interval=interval,
        registry=registry,
        timeout=timeout,
        exit_timeout=exit_timeout,
        aggregate=aggregate,
        live=live,
    )


def stop(timeout: Optional[float] = None) -> None:
    """Push the last values as this instance's goodbye and push no more.

    At exit this happens by itself; call it before `os._exit`, which runs no exit handlers.
    """
    runtime = _loaded_runtime()
    if runtime is not None:
        runtime.stop(timeout)


def status() -> Dict[str, Any]:
    """What this process's pusher has done: id, pushes, failures in all and in a row, last error."""
    runtime = _loaded_runtime()
    found: Dict[str, Any] = runtime.status() if runtime is not None else {}
    return found


def _loaded_runtime() -> Optional[Any]:
    """What `start` loaded; a process that never started must not import anything at its exit."""
    return sys.modules.get(__name__ + "._runtime")


# Handlers run last in, first out: being early makes ours late, after handlers that still count something.
atexit.register(stop)
