"""An unmodified application under gunicorn: its request counter is the number of answered requests."""
from __future__ import annotations

import os
import pathlib
import signal
from typing import Any

import pytest
from conftest import BIN, Programs, Sidecar, eventually
from web import Output, answered, terminate

LISTENING = r"Listening at: http://127\.0\.0\.1:(\d+)"
NEVER = 3600.0


def gunicorn(programs: Programs, sidecar: Sidecar, *arguments: Any, runner: bool = True, **settings: Any) -> Output:
    command = [BIN / "gunicorn", "-b", "127.0.0.1:0", "--graceful-timeout", "10", *arguments, "web:app"]
    if runner:
        command.insert(0, BIN / "monasca-sidecar-run")
    return Output(programs.start(*command, url=sidecar.url, **settings))


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["each", "preload"])
@pytest.mark.parametrize("kind", [["-k", "sync"], ["-k", "gthread", "--threads", "4"]], ids=["sync", "gthread"])
def test_requests_are_counted_exactly_over_terminated_workers(
    sidecar: Sidecar, programs: Programs, kind: Any, preload: Any
) -> None:
    output = gunicorn(programs, sidecar, "-w", "3", *kind, *preload, interval=NEVER)
    port = output.port(LISTENING)
    answered(port, 60)
    terminate(output)
    sidecar.comes_to(60, "app_requests_total", path="/")
    sidecar.comes_to(60, "app_latency_seconds_count")
    if preload:
        sidecar.comes_to(1, "app_imports_total")


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["each", "preload"])
def test_requests_are_counted_exactly_over_recycled_workers(
    sidecar: Sidecar, programs: Programs, preload: Any
) -> None:
    output = gunicorn(programs, sidecar, "-w", "2", "--max-requests", "10", *preload, interval=NEVER)
    workers = answered(output.port(LISTENING), 150)
    assert len(workers) >= 10
    terminate(output)
    sidecar.comes_to(150, "app_requests_total", path="/")


def test_a_killed_worker_loses_nothing_that_it_had_pushed(sidecar: Sidecar, programs: Programs) -> None:
    output = gunicorn(programs, sidecar, "-w", "2")
    port = output.port(LISTENING)
    workers = answered(port, 40)
    sidecar.comes_to(40, "app_requests_total", path="/")
    for pid in workers:
        os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: set(answered(port, 10)) - set(workers))
    terminate(output)
    total = sidecar.value("app_requests_total", path="/")
    assert total is not None and total >= 50


def test_hooks_in_the_configuration_do_the_same(
    sidecar: Sidecar, programs: Programs, tmp_path: pathlib.Path
) -> None:
    config = tmp_path / "gunicorn.conf.py"
    config.write_text("from monasca_sidecar.gunicorn import on_starting, worker_exit\n")
    output = gunicorn(programs, sidecar, "-w", "2", "-c", config, "--preload", runner=False, interval=NEVER)
    answered(output.port(LISTENING), 30)
    terminate(output)
    sidecar.comes_to(30, "app_requests_total", path="/")
    sidecar.comes_to(1, "app_imports_total")


def test_the_server_works_without_a_sidecar(programs: Programs) -> None:
    command = [BIN / "monasca-sidecar-run", BIN / "gunicorn", "-b", "127.0.0.1:0", "-w", "2", "web:app"]
    output = Output(programs.start(*command, url="http://127.0.0.1:1"))
    answered(output.port(LISTENING), 30)
    text = terminate(output)
    assert "Traceback" not in text, text
