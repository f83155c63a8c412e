"""Fixtures: sidecars that are started for a test and stopped after it."""

import os
import signal

import pytest

from prometheus_server import Prometheus
from pushgateway_server import Pushgateway
from sidecar import CACHE, Sidecar


@pytest.fixture
def launch(tmp_path):
    """Starts sidecars: launch("--decay", "2s", env={...}, config="yaml text"), with listen=False where the
    configuration has the listeners. After the test each one
    that still runs must stop by itself with exit code 0, and none may have panicked."""
    started = []

    def start(*args, env=None, config=None, **more):
        if config is not None:
            path = tmp_path / f"sidecar-{len(started)}.yaml"
            path.write_text(config)
            args = ("--config", str(path), *args)
        started.append(Sidecar(*args, env=env, **more))
        if config is not None:
            started[-1].config_path = path
        return started[-1]

    yield start
    codes = []
    for sidecar in started:
        if sidecar.process.poll() is None:
            codes.append(sidecar.stop(signal.SIGTERM))
    panics = [line for sidecar in started for line in sidecar.log if "panicked" in line]
    assert not panics, panics
    assert all(code == 0 for code in codes), codes


@pytest.fixture
def sidecar(launch):
    return launch()


@pytest.fixture(scope="session")
def debian_bin():
    """Where scripts/setup-tests.sh unpacked Debian's prometheus and promtool."""
    folder = CACHE / "debian/usr/bin"
    assert os.access(folder / "promtool", os.X_OK), f"{folder}/promtool is missing: run scripts/setup-tests.sh"
    return folder


@pytest.fixture
def scrape_with_prometheus(debian_bin, tmp_path):
    """Starts a Prometheus that scrapes the given sidecar."""
    started = []

    def start(sidecar):
        folder = tmp_path / "prometheus"
        folder.mkdir()
        started.append(Prometheus(debian_bin / "prometheus", folder, sidecar.port))
        return started[-1]

    yield start
    for prometheus in started:
        prometheus.stop()


@pytest.fixture
def pushgateway(debian_bin):
    """Debian's Pushgateway, one for each test: after many refused pushes it keeps its lock, and the next push hangs."""
    server = Pushgateway(debian_bin / "prometheus-pushgateway")
    yield server
    server.stop()
