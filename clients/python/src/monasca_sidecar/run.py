"""`monasca-sidecar-run PROGRAM ...`: starts an unmodified Python program that pushes its metrics.

A directory with a `sitecustomize` module at the head of PYTHONPATH reaches the program's interpreter and all
those that it starts.
"""
from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import List, NoReturn, Optional

AUTOSTART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_autostart")


def main(arguments: Optional[List[str]] = None) -> NoReturn:
    options = _parser().parse_args(arguments)
    if options.url:
        os.environ["MONASCA_SIDECAR_URL"] = options.url
    if options.interval:
        os.environ["MONASCA_SIDECAR_INTERVAL"] = repr(options.interval)
    os.environ["PYTHONPATH"] = python_path(os.environ.get("PYTHONPATH"))
    command = [options.program, *options.arguments]
    program = _find(options.program)
    try:
        os.execv(program, command)
    except OSError as error:
        sys.exit(_complain(options.program, error))


def python_path(existing: Optional[str]) -> str:
    parts = [part for part in (existing or "").split(os.pathsep) if part and part != AUTOSTART]
    return os.pathsep.join([AUTOSTART, *parts])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="monasca-sidecar-run",
        description="Run a Python program whose prometheus_client metrics are pushed to a monasca-sidecar.",
    )
    parser.add_argument("--url", help="the sidecar (default: $MONASCA_SIDECAR_URL, else http://localhost:4888)")
    parser.add_argument("--interval", type=float, help="seconds between pushes (default: 5)")
    parser.add_argument("program", help="the program, as gunicorn or python")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def _find(program: str) -> str:
    """As the shell does, then beside this interpreter: a virtual environment need not be activated."""
    beside = os.path.dirname(sys.executable)
    return shutil.which(program) or shutil.which(program, path=beside) or program


def _complain(program: str, error: OSError) -> int:
    print(f"monasca-sidecar-run: cannot run {program}: {error.strerror}", file=sys.stderr)
    return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    main()
