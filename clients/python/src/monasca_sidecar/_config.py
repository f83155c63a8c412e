"""Settings of the pusher, checked once."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple
from urllib.parse import urlsplit

DEFAULT_URL = "http://localhost:4888"
DEFAULT_INTERVAL = 5.0
MAX_BACKOFF = 30.0
"""Longest pause between two tries; below the sidecar's usual decay of 60 s."""


@dataclass(frozen=True)
class Endpoint:
    """Where pushes go."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def shown(self) -> str:
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class Config:
    endpoint: Endpoint
    interval: float
    timeout: float
    exit_timeout: float
    registry: Any
    aggregate: Mapping[str, str] = field(default_factory=dict)
    live: Tuple[Any, ...] = ()


def parse_url(url: Optional[str]) -> Endpoint:
    text = url or os.environ.get("MONASCA_SIDECAR_URL") or DEFAULT_URL
    if "://" not in text:
        text = "http://" + text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http or https URL: {text!r}")
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/")
    if not path.endswith("/v1/ingest"):
        path += "/v1/ingest"
    return Endpoint(secure, parts.hostname, parts.port or (443 if secure else 80), path)


def parse_interval(interval: Optional[float]) -> float:
    if interval is None:
        interval = float(os.environ.get("MONASCA_SIDECAR_INTERVAL") or DEFAULT_INTERVAL)
    return positive("interval", interval)


def positive(name: str, seconds: float) -> float:
    seconds = float(seconds)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} must be a positive number of seconds, not {seconds!r}")
    return seconds
