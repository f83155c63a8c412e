"""One keep-alive HTTP connection to the sidecar: no proxies, every operation bounded."""
from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import time
from typing import Dict, NamedTuple, Optional, Tuple

from . import _locks
from ._config import Credential, Endpoint

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
        self._trust: Optional[_Trust] = None

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
            connection.request("POST", self._endpoint.path + query, body, _headers(sequence, self._endpoint.credential))
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
            connection = self._connection = self._new_connection(_left(deadline))
            connection.connect()
        self._bound(connection, deadline)
        return connection

    def _new_connection(self, timeout: float) -> http.client.HTTPConnection:
        endpoint = self._endpoint
        if endpoint.socket:
            return _SocketConnection(endpoint.socket, timeout)
        if not endpoint.secure:
            return _Connection(endpoint.host, endpoint.port, timeout)
        # Certificates are replaced while the process runs: what the files say counts for each new connection.
        seen = _seen(endpoint.credential)
        if self._trust is None or self._trust.seen != seen:
            self._trust = _Trust(seen, _context(endpoint.credential))
        return _SecureConnection(endpoint.host, endpoint.port, timeout, self._trust.context)

    def _bound(self, connection: http.client.HTTPConnection, deadline: float) -> None:
        sock = connection.sock
        if sock is not None:
            sock.settimeout(_left(deadline))


def _headers(sequence: str, credential: Credential) -> Dict[str, str]:
    headers = {"Content-Type": "application/json", "Push-Sequence": sequence}
    # Read each time, so that a new token or password counts without a restart.
    if credential.token_file:
        token = _first_line(credential.token_file)
        if not token.isascii():
            raise OSError(f"{credential.token_file} has no token in its first line")
        headers["Authorization"] = "Bearer " + token
    elif credential.username:
        pair = f"{credential.username}:{_first_line(credential.password_file)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
    return headers


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        line = file.readline(64 * 1024).strip()
    if not line or not line.isprintable():
        raise OSError(f"{path} has no secret in its first line")
    return line


class _Trust(NamedTuple):
    seen: Tuple[Tuple[int, int, int], ...]
    context: ssl.SSLContext


def _seen(credential: Credential) -> Tuple[Tuple[int, int, int], ...]:
    paths = [path for path in (credential.ca_file, credential.cert_file, credential.key_file) if path]
    states = [os.stat(path) for path in paths]
    return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)


def _context(credential: Credential) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=credential.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if credential.cert_file:
        # An encrypted key would ask for its password on the application's terminal.
        context.load_cert_chain(credential.cert_file, credential.key_file or None, password=_no_password)
    return context


def _no_password() -> str:
    raise OSError("the key of the client certificate is encrypted")


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
    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._create_connection = _create_connection


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock
