"""Settings of the pusher, checked once."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple
from urllib.parse import unquote, urlsplit

DEFAULT_URL = "http://localhost:4888"
DEFAULT_INTERVAL = 5.0
MAX_BACKOFF = 30.0
"""Longest pause between two tries; below the sidecar's usual decay of 60 s."""


@dataclass(frozen=True)
class Credential:
    """How the pusher says who it is, and whom it trusts: names of files, whose content is read when it is needed."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token_file: str = ""
    username: str = ""
    password_file: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Where pushes go."""

    secure: bool
    host: str
    port: int
    path: str
    socket: str = ""
    """Path of a unix socket; then host and port are not used."""
    credential: Credential = Credential()

    @property
    def shown(self) -> str:
        if self.socket:
            return f"unix:{self.socket}"
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
    credential = _credential()
    if text.startswith("unix:"):
        path = unquote(text[len("unix:"):])
        path = "/" + path.lstrip("/") if path.startswith("//") else path
        if not path:
            raise ValueError(f"not the path of a socket: {text!r}")
        return Endpoint(False, "localhost", 80, "/v1/ingest", path, credential)
    if "://" not in text:
        text = "http://" + text
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        # It would be seen in the list of processes and in logs.
        raise ValueError("no user or password in the URL: use MONASCA_SIDECAR_USERNAME and _PASSWORD_FILE")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http, https or unix URL: {text!r}")
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/")
    if not path.endswith("/v1/ingest"):
        path += "/v1/ingest"
    return Endpoint(secure, parts.hostname, parts.port or (443 if secure else 80), path, "", credential)


def _credential() -> Credential:
    def of(name: str) -> str:
        return os.environ.get("MONASCA_SIDECAR_" + name) or ""

    found = Credential(of("CA_FILE"), of("CERT_FILE"), of("KEY_FILE"), of("TOKEN_FILE"), of("USERNAME"), of("PASSWORD_FILE"))
    if bool(found.username) != bool(found.password_file):
        raise ValueError("MONASCA_SIDECAR_USERNAME and MONASCA_SIDECAR_PASSWORD_FILE belong together")
    if found.username and found.token_file:
        raise ValueError("either a user or a token, not both")
    if found.key_file and not found.cert_file:
        raise ValueError("MONASCA_SIDECAR_KEY_FILE without MONASCA_SIDECAR_CERT_FILE")
    if ":" in found.username:
        raise ValueError("MONASCA_SIDECAR_USERNAME has a colon")
    return found


def parse_interval(interval: Optional[float]) -> float:
    if interval is None:
        interval = float(os.environ.get("MONASCA_SIDECAR_INTERVAL") or DEFAULT_INTERVAL)
    return positive("interval", interval)


def positive(name: str, seconds: float) -> float:
    seconds = float(seconds)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} must be a positive number of seconds, not {seconds!r}")
    return seconds
