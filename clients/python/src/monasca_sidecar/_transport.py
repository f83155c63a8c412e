"""One keep-alive HTTP connection to the sidecar: no proxies, every operation bounded."""
from __future__ import annotations

import http.client
import os
import socket
import time
from typing import Dict, NamedTuple, Optional

from . import _locks
from ._config import Endpoint

_MAX_ANSWER = 64 * 1024
# What a kept connection says that the server closed meanwhile; nothing of the request was answered.
_STALE = (http.client.BadStatusLine, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


class Answer(NamedTuple):
    status: int
    body: bytes


class Transport:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: Optional[http.client.HTTPConnection] = None

    def post(self, body: bytes, sequence: str, query: str, timeout: float) -> Answer:
        """Sends one push. Raises OSError or http.client.HTTPException."""
        deadline = time.monotonic() + timeout
        if self._connection is not None:
            try:
                return self._exchange(body, sequence, query, deadline)
            except _STALE:
                self.close()
        # The same body under the same sequence: had the first been applied, this one is not again.
        return self._exchange(body, sequence, query, deadline)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Called from another thread: makes a running exchange fail now."""
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forget(self) -> None:
        """In a forked child: gives up this process's copy of the parent's connection, saying nothing on it."""
        connection, self._connection = self._connection, None
        sock = getattr(connection, "sock", None)
        if sock is not None:
            try:
                os.close(sock.detach())
            except OSError:
                pass

    def _exchange(self, body: bytes, sequence: str, query: str, deadline: float) -> Answer:
        try:
            connection = self._connected(deadline)
            connection.request("POST", self._endpoint.path + query, body, _headers(sequence))
            self._bound(connection, deadline)
            response = connection.getresponse()
            answer = Answer(response.status, response.read(_MAX_ANSWER))
            if response.will_close or not response.isclosed():
                self.close()
            return answer
        except BaseException:
            self.close()
            raise

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            kind = _SecureConnection if self._endpoint.secure else _Connection
            connection = self._connection = kind(self._endpoint.host, self._endpoint.port, timeout=_left(deadline))
            connection.connect()
        self._bound(connection, deadline)
        return connection

    def _bound(self, connection: http.client.HTTPConnection, deadline: float) -> None:
        sock = connection.sock
        if sock is not None:
            sock.settimeout(_left(deadline))


def _headers(sequence: str) -> Dict[str, str]:
    return {"Content-Type": "application/json", "Push-Sequence": sequence}


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


def _create_connection(address, timeout, source_address=None):  # type: ignore[no-untyped-def]
    """As socket.create_connection, but a fork waits while names are resolved.

    The C library's resolver has locks that a fork would copy locked into the child.
    """
    with _locks.Held():
        found = socket.getaddrinfo(address[0], address[1], 0, socket.SOCK_STREAM)
    failure: OSError = OSError(f"no address for {address[0]}")
    for family, kind, protocol, _, target in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout)
            sock.connect(target)
            return sock
        except OSError as error:
            failure = error
            sock.close()
    raise failure


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._create_connection = _create_connection


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._create_connection = _create_connection
