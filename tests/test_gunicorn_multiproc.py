"""The gunicorn example in multiprocess mode, with a sidecar that reads its directory: recycled and killed workers lose nothing
that was answered, the sidecar says what the application's own page says, and the Python client adds what is in no file."""

import os
import signal

import pytest

from multiproc_compare import differences
from sidecar import ROOT, eventually
from web_load import Gunicorn, Load, Watch, ask

COUNTER = "http_requests_total"
KILLS = 4


@pytest.fixture
def start(launch, tmp_path):
    """The example with its sidecar."""
    started = []
    directory = tmp_path / "metrics"
    directory.mkdir()

    def run(*arguments, **settings):
        sidecar = launch("--multiproc-dir", str(directory))
        started.append(Gunicorn(
            sidecar, 0.2, "-c", "gunicorn.conf.py", *arguments, "app:app", folder=ROOT / "examples/gunicorn-multiproc",
            PROMETHEUS_MULTIPROC_DIR=str(directory), **settings))
        return sidecar, started[-1]

    yield run
    for gunicorn in started:
        gunicorn.kill()


def counted(sidecar):
    return sum(sample.value for sample in sidecar.page().samples() if sample.name == COUNTER)


def test_every_answered_request_is_counted_at_once(start):
    sidecar, gunicorn = start("--max-requests", "100", "--max-requests-jitter", "30", runner=())
    watch = Watch(sidecar)
    watch.start()
    load = Load(gunicorn.port, clients=3, per_second=200)
    load.start()
    eventually(lambda: load.answered > 1500 and gunicorn.recycled() >= 10, "recycled workers", 60)
    load.stop()
    assert not load.unanswered
    assert counted(sidecar) == load.answered, "no interval has to pass: the files are read when they are asked for"
    says_the_same(sidecar, gunicorn)

    load.start()
    for _ in range(KILLS):
        before = load.answered
        eventually(lambda: load.answered > before + 100, "requests between two kills", 30)
        victim = eventually(gunicorn.workers, "a worker to kill")[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in gunicorn.workers(), "the end of the killed worker")
    load.stop()
    # A request is counted before it is answered: what is missing on the way may be counted, and nothing else.
    assert load.answered <= counted(sidecar) - scrapes_of_the_application(sidecar) <= load.answered + len(load.unanswered)
    gunicorn.stop()
    assert load.answered <= counted(sidecar) - scrapes_of_the_application(sidecar) <= load.answered + len(load.unanswered)
    watch.end()
    assert watch.scrapes > 50


def scrapes_of_the_application(sidecar):
    return sidecar.page().get(COUNTER, 0, route="/metrics", method="GET", status="200")


def says_the_same(sidecar, gunicorn):
    """Nobody asks anything else meanwhile; the request that shows the page is in progress and not yet counted."""
    expected = ask(gunicorn.port, "/metrics").replace("http_requests_in_progress 1.0", "http_requests_in_progress 0.0")
    kept = [line for line in sidecar.get("/metrics").text.splitlines(True) if 'route="/metrics"' not in line]
    assert differences(expected, "".join(kept)) == []


def test_the_client_adds_what_is_in_no_file(start):
    sidecar, gunicorn = start()
    for _ in range(40):
        ask(gunicorn.port)
    workers = len(gunicorn.workers())
    eventually(lambda: sidecar.page().get("process_open_fds", 0) > 5 * workers, "the process metrics of all workers")
    page = sidecar.page()
    assert page.get("process_resident_memory_bytes") > workers * 10 ** 7
    assert counted(sidecar) == 40, "what is in files is not pushed too"
    assert page.value("http_requests_in_progress") == 0
