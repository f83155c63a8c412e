"""Drives a web server under test."""
from __future__ import annotations

import http.client
import re
import signal
import subprocess
import threading
from collections import Counter
from typing import List

from conftest import eventually


class Output:
    """What a program has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: List[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def port(self, pattern: str) -> int:
        def find() -> int:
            found = re.search(pattern, self.text)
            assert found, self.text
            return int(found.group(1))

        return eventually(find)

    def end(self) -> str:
        self.process.wait(60)
        self._thread.join(10)
        return self.text

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)


def answered(port: int, requests: int) -> Counter:
    """Sends requests until so many were answered; gives how many each worker answered."""
    by_worker: Counter = Counter()
    attempts = 0
    while sum(by_worker.values()) < requests:
        attempts += 1
        assert attempts < requests * 10, "the server does not answer"
        body = get(port)
        if body:
            by_worker[body] += 1
    return by_worker


def get(port: int) -> str:
    """The answer, or nothing when the worker went away before it had read the request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read().decode()
        return body if response.status == 200 else ""
    except (ConnectionError, http.client.BadStatusLine):
        return ""
    finally:
        connection.close()


def terminate(output: Output) -> str:
    output.process.send_signal(signal.SIGTERM)
    return output.end()
