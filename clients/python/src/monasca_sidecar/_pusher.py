"""The pusher of one process: its identity, its thread, its sequence of pushes and its goodbye."""
from __future__ import annotations

import http.client
import json
import logging
import os
import random
import threading
import time
import uuid
from typing import Any, Dict, Optional

from . import _uwsgi
from ._collect import Source
from ._config import MAX_BACKOFF, Config
from ._encode import Encoder
from ._transport import Answer, Transport

_log = logging.getLogger("monasca_sidecar")


class Pusher:
    """Belongs to the process that made it; a forked child makes its own with `child`."""

    def __init__(self, config: Config, source: Optional[Source] = None) -> None:
        self.config = config
        self.pid = os.getpid()
        self.id = str(uuid.uuid4())
        self._source = source or Source(config)
        self._encoder = Encoder(self.id)
        self._transport = Transport(config.endpoint)
        self._epoch = uuid.uuid4().hex
        self._number = 0
        self._acked = 0
        self._pushes = 0
        self._failures = 0
        self._streak = 0
        self._last_error: Optional[str] = None
        self._refused = ""
        self._thread: Optional[threading.Thread] = None
        self._stopping = threading.Event()
        self._said_goodbye = threading.Event()
        self._goodbye_claim = threading.Lock()
        self._goodbye_deadline = 0.0

    def start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="monasca-sidecar", daemon=True)
        thread.start()
        self._thread = thread

    def child(self) -> Pusher:
        """The pusher of a process just forked from this one's; called in the child, before its application runs."""
        self._transport.forget()
        source = Source(self.config, self._source)
        source.inherit_from_parent()
        return Pusher(self.config, source)

    def successor(self, config: Config) -> Pusher:
        """The pusher that comes after this one's goodbye in the same process."""
        source = Source(config)
        source.inherit_from_earlier()
        return Pusher(config, source)

    def say_goodbye(self, timeout: Optional[float] = None) -> None:
        """The last push; returns when it is answered or the time is over. Once per process."""
        if os.getpid() != self.pid or not self._goodbye_claim.acquire(blocking=False):
            return
        wait = self.config.exit_timeout if timeout is None else timeout
        self._goodbye_deadline = time.monotonic() + wait
        self._stopping.set()
        if self._thread is threading.current_thread():
            return  # called by a collector: the thread's own loop ends with the last push
        if self._thread is None or not self._thread.is_alive():
            self._last_push()
            return
        # A push that hangs at a silent server may use half of the time, then it makes room for the last one.
        if not self._said_goodbye.wait(wait / 2):
            self._transport.abort()
            self._said_goodbye.wait(wait / 2)

    def status(self) -> Dict[str, Any]:
        return {
            "id": self.id,
            "pid": self.pid,
            "url": self.config.endpoint.shown,
            "pushes": self._pushes,
            "failures": self._failures,
            "failures_in_a_row": self._streak,
            "last_error": self._last_error,
        }

    def _run(self) -> None:
        _uwsgi.keep_signals_away()
        # Soon, so that the process is known, but not all workers of a server at once.
        delay = min(self.config.interval, 1.0) * random.uniform(0.1, 1.0)
        while not self._stopping.wait(delay):
            if os.getpid() != self.pid:
                return
            self._push("", self.config.timeout)
            delay = self._pause()
        self._last_push()

    def _last_push(self) -> None:
        try:
            left = self._goodbye_deadline - time.monotonic()
            if left > 0:
                self._push("?final=true", left)
        finally:
            self._transport.close()
            self._said_goodbye.set()

    def _pause(self) -> float:
        interval = self.config.interval
        if not self._streak:
            return interval
        longest = max(interval, MAX_BACKOFF)
        return min(longest, interval * 2.0 ** min(self._streak - 1, 16)) * random.uniform(0.5, 1.0)

    def _push(self, query: str, timeout: float) -> None:
        try:
            body = self._encoder.body(self._source.collect())
            self._number += 1
            sequence = f"{self._epoch}.{self._number}.{self._acked}"
            answer = self._transport.post(body, sequence, query, timeout)
        except (OSError, http.client.HTTPException) as error:
            self._failed(f"{type(error).__name__}: {error}")
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}", exc_info=True)
        else:
            self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        if not 200 <= answer.status < 300:
            self._failed(f"status {answer.status}: {answer.body[:300].decode('utf-8', 'replace')}")
            return
        self._acked = self._number
        self._pushes += 1
        if self._streak:
            _log.info("pushing to %s works again after %d failures", self.config.endpoint.shown, self._streak)
            self._streak = 0
        if answer.status == 202:
            self._report_refused(answer.body)

    def _report_refused(self, body: bytes) -> None:
        """Says which families the sidecar left out; again only when they are others."""
        try:
            refused = {entry["family"]: entry for entry in json.loads(body)["refused"]}
            names, shown = ",".join(sorted(refused)), json.dumps(list(refused.values()))
        except (ValueError, KeyError, TypeError):
            names = shown = body[:300].decode("utf-8", "replace")
        if names != self._refused:
            self._refused = names
            _log.warning("the sidecar refused some families: %s", shown)

    def _failed(self, reason: str, exc_info: bool = False) -> None:
        self._failures += 1
        self._streak += 1
        self._last_error = reason
        if self._streak == 1:
            _log.warning("cannot push metrics to %s: %s; trying on", self.config.endpoint.shown, reason, exc_info=exc_info)
