"""Celery's prefork workers."""
from __future__ import annotations

import pathlib
import signal
import sys
from typing import Any

import pytest
from conftest import BIN, Programs, Sidecar, eventually
from web import Output

NEVER = 3600.0
SEND = "import tasks\nfor _ in range(40): tasks.work.delay()"


@pytest.mark.parametrize("recycle", [[], ["--max-tasks-per-child", "5"]], ids=["kept", "recycled"])
@pytest.mark.parametrize("runner", [True, False], ids=["unmodified", "started"])
def test_tasks_are_counted_exactly(
    sidecar: Sidecar, programs: Programs, tmp_path: pathlib.Path, runner: bool, recycle: Any
) -> None:
    for folder in ("queue", "control", "done"):
        (tmp_path / folder).mkdir()
    env = {"CELERY_ROOT": str(tmp_path), "CELERY_START": "" if runner else "1"}
    celery = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "2", "--without-mingle", "-l", "INFO", *recycle]
    if runner:
        celery.insert(0, str(BIN / "monasca-sidecar-run"))
    output = Output(programs.start(*celery, url=sidecar.url, interval=NEVER, **env))
    eventually(lambda: " ready." in output.text)
    sender = programs.start(sys.executable, "-c", SEND, url=sidecar.url, **{**env, "CELERY_START": ""})
    assert sender.wait(30) == 0
    eventually(lambda: len(list((tmp_path / "done").iterdir())) == 40)
    output.process.send_signal(signal.SIGTERM)
    text = output.end()
    sidecar.comes_to(40, "tasks_done_total")
    sidecar.comes_to(1, "tasks_imports_total")
    assert "Traceback" not in text, text
