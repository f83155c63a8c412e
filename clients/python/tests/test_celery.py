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


def all_done(output: Output, done: pathlib.Path, tasks: int) -> None:
    def check() -> bool:
        found = len(list(done.iterdir()))
        assert found == tasks, f"{found} of {tasks} tasks done; the worker said:\n{output.text}"
        return True

    eventually(check)


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
    # Before the worker: the file system transport may read a message that is only half written.
    sender = programs.start(sys.executable, "-c", SEND, url=sidecar.url, **{**env, "CELERY_START": ""})
    assert sender.wait(30) == 0
    output = Output(programs.start(*celery, url=sidecar.url, interval=NEVER, **env))
    all_done(output, tmp_path / "done", 40)
    output.process.send_signal(signal.SIGTERM)
    text = output.end()
    sidecar.comes_to(40, "tasks_done_total")
    sidecar.comes_to(1, "tasks_imports_total")
    assert "Traceback" not in text, text
