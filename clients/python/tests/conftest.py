"""The sidecar that the tests talk to, and how they run programs."""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from stub import Series, Stub

HERE = pathlib.Path(__file__).parent
APPS = HERE / "apps"
BIN = pathlib.Path(sys.executable).parent
DEADLINE = 30.0


def eventually(check: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Waits until `check` gives something true; an assertion in it may fail until then."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = check()
            if found:
                return found
            failure: Optional[AssertionError] = None
        except AssertionError as error:
            failure = error
        if time.monotonic() > end:
            raise failure or AssertionError(f"not within {seconds} s: {check}")
        time.sleep(0.02)


class RealSidecar:
    """The binary of MONASCA_SIDECAR_BIN, read through its exposition."""

    def __init__(self, binary: str) -> None:
        self._process = subprocess.Popen([binary, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        self.url = "http://" + self._address()

    def _address(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = re.search(r"listening addr=(\S+:\d+)", line)
            if found:
                return found.group(1)
        raise AssertionError("the sidecar did not say where it listens")

    def samples(self) -> Dict[Series, float]:
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as answer:
            text = answer.read().decode("utf-8")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Sidecar:
    """What a test wants to know of a sidecar, stub or real."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.url: str = backend.url

    def value(self, name: str, **labels: str) -> Optional[float]:
        return self.backend.samples().get((name, frozenset(labels.items())))

    def values(self, name: str) -> List[float]:
        return [value for (found, _), value in self.backend.samples().items() if found == name]

    def comes_to(self, expected: float, name: str, **labels: str) -> None:
        def check() -> bool:
            value = self.value(name, **labels)
            assert value == expected, f"{name} is {value}, not {expected}"
            return True

        eventually(check)


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.close()
    assert stub.problems == []


@pytest.fixture
def sidecar() -> Iterator[Sidecar]:
    binary = os.environ.get("MONASCA_SIDECAR_BIN")
    backend: Any = RealSidecar(binary) if binary else Stub()
    yield Sidecar(backend)
    backend.close()
    assert getattr(backend, "problems", []) == []


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


Finished = Tuple[int, str]


class Programs:
    """Runs Python programs against a sidecar; none outlives its test."""

    def __init__(self) -> None:
        self._running: List[subprocess.Popen[str]] = []

    def start(self, *command: Any, url: str, interval: float = 0.2, **env: str) -> subprocess.Popen[str]:
        unwanted = ("PROMETHEUS_MULTIPROC_DIR", "PYTHONSTARTUP")
        full = {name: value for name, value in os.environ.items() if name not in unwanted}
        full.update({"MONASCA_SIDECAR_URL": url, "MONASCA_SIDECAR_INTERVAL": str(interval), **env})
        process = subprocess.Popen(
            [str(part) for part in command],
            env=full,
            cwd=APPS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def python(self, app: str, *arguments: Any, url: str, **settings: Any) -> str:
        """Runs apps/`app` to its end, which must be a good one, and gives its output."""
        process = self.start(sys.executable, APPS / app, *arguments, url=url, **settings)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, 9)
            process.communicate()


@pytest.fixture
def programs() -> Iterator[Programs]:
    programs = Programs()
    yield programs
    programs.close()
