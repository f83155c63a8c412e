"""The one pusher of this process: made at start, made anew in every forked child, ended at exit."""
from __future__ import annotations

import logging
import os
import threading
from typing import Any, Dict, Optional

from . import _exit, _locks, _uwsgi, multiprocess
from ._config import Config, parse_interval, parse_url, positive
from ._pusher import Pusher

_log = logging.getLogger("monasca_sidecar")

_current: Optional[Pusher] = None
_ended: Optional[Pusher] = None
_starting = threading.Lock()
_hooked = False


def start(**settings: Any) -> None:
    try:
        with _starting:
            _start(settings)
    except Exception:
        _log.error("metrics are not pushed to a sidecar", exc_info=True)


def stop(timeout: Optional[float] = None) -> None:
    global _current, _ended
    pusher = _current
    if pusher is None:
        return
    try:
        pusher.say_goodbye(timeout)
    except Exception:
        _log.warning("the last push failed", exc_info=True)
    _current, _ended = None, pusher


def status() -> Dict[str, Any]:
    return _current.status() if _current is not None else {}


def after_fork_in_child() -> None:
    """Gives a forked process its own pusher. Never raises, never waits for a lock."""
    global _current, _starting
    _locks.after_fork_in_child()
    _starting = threading.Lock()
    parent = _current
    # The hooks of os.fork and of a server may both come here.
    if parent is None or parent.pid == os.getpid():
        return
    _current = None
    try:
        pusher = parent.child()
        pusher.start_thread()
        _current = pusher
        _exit.watch(pusher, stop)
    except Exception:
        _log.error("metrics of this forked process are not pushed", exc_info=True)


def _start(settings: Dict[str, Any]) -> None:
    global _current
    if _current is not None:
        _log.debug("already started; this start() changes nothing")
        return
    config = _config(settings)
    _hook_forks()
    # What is kept in files is the sidecar's to read there.
    multiprocess.hold()
    pusher = _ended.successor(config) if _ended is not None else Pusher(config)
    pusher.start_thread()
    _current = pusher
    _exit.watch(pusher, stop)


def _config(settings: Dict[str, Any]) -> Config:
    registry = settings["registry"]
    if registry is None:
        from prometheus_client import REGISTRY as registry
    return Config(
        endpoint=parse_url(settings["url"]),
        interval=parse_interval(settings["interval"]),
        timeout=positive("timeout", settings["timeout"]),
        exit_timeout=positive("exit_timeout", settings["exit_timeout"]),
        registry=registry,
        aggregate=dict(settings["aggregate"] or {}),
        live=tuple(settings["live"]),
    )


def _hook_forks() -> None:
    global _hooked
    if _hooked:
        return
    _hooked = True
    os.register_at_fork(
        before=_locks.before_fork,
        after_in_parent=_locks.after_fork_in_parent,
        after_in_child=after_fork_in_child,
    )
    _uwsgi.hook(after_fork_in_child)
    _uwsgi.check_threads()
