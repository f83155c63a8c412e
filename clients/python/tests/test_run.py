"""monasca-sidecar-run: a program that does not know it is watched."""
from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

from conftest import APPS, BIN, Programs, Sidecar
from stub import Stub

RUN = BIN / "monasca-sidecar-run"
NEVER = 3600.0
COUNT = "from prometheus_client import Counter; Counter('jobs', 'Jobs').inc(3)"


def run(programs: Programs, *command: Any, url: str, **env: str) -> str:
    process = programs.start(RUN, *command, url=url, interval=NEVER, **env)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def test_a_script_is_started(sidecar: Sidecar, programs: Programs) -> None:
    run(programs, sys.executable, "-c", COUNT, url=sidecar.url)
    sidecar.comes_to(3, "jobs_total")


def test_a_module_is_started(sidecar: Sidecar, programs: Programs, tmp_path: pathlib.Path) -> None:
    (tmp_path / "counts.py").write_text(COUNT)
    run(programs, sys.executable, "-m", "counts", url=sidecar.url, PYTHONPATH=str(tmp_path))
    sidecar.comes_to(3, "jobs_total")


def test_a_program_beside_the_interpreter_is_found(sidecar: Sidecar, programs: Programs) -> None:
    output = run(programs, "gunicorn", "--version", url=sidecar.url, PATH="/usr/bin:/bin")
    assert output.startswith("gunicorn")


def test_interpreters_that_the_program_starts_push_too(sidecar: Sidecar, programs: Programs) -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {COUNT!r}], check=True); {COUNT}"
    run(programs, sys.executable, "-c", script, url=sidecar.url)
    sidecar.comes_to(6, "jobs_total")


def test_an_interpreter_without_metrics_is_no_instance(stub: Stub, programs: Programs) -> None:
    run(programs, sys.executable, "-c", "import json", url=stub.url)
    assert stub.pushes == []


def test_a_program_that_starts_itself_is_one_instance(stub: Stub, programs: Programs) -> None:
    run(programs, sys.executable, APPS / "exits.py", "os_exit", url=stub.url)
    assert len(stub.instances) == 1


def test_another_sitecustomize_still_runs(sidecar: Sidecar, programs: Programs, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('site', __name__)")
    script = COUNT + "; import sitecustomize; print(sitecustomize.__file__)"
    output = run(programs, sys.executable, "-c", script, url=sidecar.url, PYTHONPATH=str(tmp_path))
    # Once in the runner's own interpreter and once in the program's.
    assert output.split("\n") == ["site sitecustomize", "site sitecustomize", str(tmp_path / "sitecustomize.py"), ""]
    sidecar.comes_to(3, "jobs_total")


def test_a_program_that_starts_before_it_imports_anything_else(stub: Stub, programs: Programs) -> None:
    run(programs, sys.executable, "-c", "import monasca_sidecar; monasca_sidecar.start();" + COUNT, url=stub.url)
    assert (len(stub.instances), stub.pushes[-1].value("jobs_total")) == (1, 3)


def test_the_program_sees_an_unwatched_module(programs: Programs, sidecar: Sidecar) -> None:
    script = "import prometheus_client as p, sys; print(type(p.__loader__).__name__, type(p.__spec__.loader).__name__)"
    output = run(programs, sys.executable, "-c", script, url=sidecar.url)
    assert output == "SourceFileLoader SourceFileLoader\n"


def test_an_interpreter_without_the_client_runs_all_the_same(sidecar: Sidecar, programs: Programs) -> None:
    output = run(programs, sys.executable, "-S", "-c", "print('ran')", url=sidecar.url)
    assert "ran" in output


def test_options_win_over_the_environment(stub: Stub, programs: Programs) -> None:
    run(programs, "--url", stub.url, "--interval", "3600", sys.executable, "-c", COUNT, url="http://127.0.0.1:1")
    assert stub.pushes[-1].value("jobs_total") == 3


def test_a_missing_program_is_named() -> None:
    found = subprocess.run([RUN, "no-such-program"], capture_output=True, text=True, env=dict(os.environ), timeout=30)
    assert (found.returncode, found.stderr) == (
        127, "monasca-sidecar-run: cannot run no-such-program: No such file or directory\n",
    )  # fmt: skip


def test_the_exit_status_is_the_programs(sidecar: Sidecar, programs: Programs) -> None:
    process = programs.start(RUN, sys.executable, "-c", COUNT + "; raise SystemExit(7)", url=sidecar.url)
    process.communicate(timeout=30)
    assert process.returncode == 7
