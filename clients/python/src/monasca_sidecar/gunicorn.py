"""Hooks for a gunicorn configuration file.

    from monasca_sidecar.gunicorn import on_starting, worker_exit

starts pushing in the arbiter, from where every worker has it by fork, with and without `preload_app`.
"""
from __future__ import annotations

from typing import Any

from . import start, stop

__all__ = ["on_starting", "worker_exit"]


def on_starting(server: Any) -> None:
    start()


def worker_exit(server: Any, worker: Any) -> None:
    """Says goodbye at the end of a worker, whatever its class does with exit handlers."""
    stop()
