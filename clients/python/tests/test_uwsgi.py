"""uWSGI: it forks in C, and threads must be asked for."""
from __future__ import annotations

import json
import pathlib
import signal
import socket
from typing import Any

import pytest
from conftest import BIN, Programs, Sidecar, eventually
from web import Output, answered

LISTENING = r"bound to TCP address 127\.0\.0\.1:(\d+)"
NEVER = 3600.0


def uwsgi(programs: Programs, url: str, *arguments: Any, **settings: Any) -> Output:
    command = [
        BIN / "monasca-sidecar-run", BIN / "uwsgi", "--http-socket", "127.0.0.1:0", "--module", "web:app",
        "--processes", "2", "--die-on-term", "--need-app", *arguments,
    ]  # fmt: skip
    return Output(programs.start(*command, url=url, **settings))


@pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["preload", "lazy"])
@pytest.mark.parametrize("master", [["--master"], []], ids=["master", "alone"])
def test_requests_are_counted_exactly(sidecar: Sidecar, programs: Programs, master: Any, lazy: Any) -> None:
    output = uwsgi(programs, sidecar.url, "--enable-threads", *master, *lazy)
    answered(output.port(LISTENING), 60)
    sidecar.comes_to(60, "app_requests_total", path="/")
    if not lazy:
        sidecar.comes_to(1, "app_imports_total")
    assert "--enable-threads:" not in output.text


def all_idle(stats: pathlib.Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(stats))
        text = b"".join(iter(lambda: connection.recv(65536), b""))
    return all(worker["status"] == "idle" for worker in json.loads(text)["workers"])


def test_terminated_workers_say_goodbye(sidecar: Sidecar, programs: Programs, tmp_path: pathlib.Path) -> None:
    stats = tmp_path / "stats"
    output = uwsgi(programs, sidecar.url, "--enable-threads", "--master", "--stats", stats, interval=NEVER)
    answered(output.port(LISTENING), 30)
    # uWSGI runs no exit handlers in a worker that is busy, be it with the end of a request already answered.
    eventually(lambda: all_idle(stats))
    output.process.send_signal(signal.SIGTERM)
    output.end()
    sidecar.comes_to(30, "app_requests_total", path="/")


def test_threads_that_cannot_run_are_reported(programs: Programs, sidecar: Sidecar) -> None:
    output = uwsgi(programs, sidecar.url, "--master")
    output.port(LISTENING)
    answered(output.port(LISTENING), 5)
    assert output.text.count("uWSGI runs without --enable-threads") == 1
