"""The gunicorn example in one command, thousands of real requests, workers recycled and killed, a Prometheus beside:
the merged request counter is the number of answered requests, and never falls."""

import os
import signal
import time

import pytest

from sidecar import eventually
from web_load import Gunicorn, Load, Watch

COUNTER = "http_requests_total"
WINDOW = 60
INTERVAL = 0.5
KILLS = 6
# Beyond the interval: collecting and sending a push, on a busy machine.
PUSH_SECONDS = 1.0


def counted(sidecar):
    """The merged counter, over whatever labels the application gives it."""
    return sum(sample.value for sample in sidecar.page().samples() if sample.name == COUNTER)


@pytest.fixture
def start_gunicorn():
    started = []

    def start(*args):
        started.append(Gunicorn(*args))
        return started[-1]

    yield start
    for gunicorn in started:
        gunicorn.kill()


def test_the_merged_counter_is_the_number_of_answered_requests(launch, start_gunicorn, scrape_with_prometheus):
    sidecar = launch("--decay", "10s")
    gunicorn = start_gunicorn(sidecar, INTERVAL, "-c", "gunicorn.conf.py", "--max-requests", "300",
                              "--max-requests-jitter", "100", "app:app")
    load = Load(gunicorn.port, clients=3, per_second=150)
    prometheus = scrape_with_prometheus(sidecar)
    watch = Watch(sidecar)
    watch.start()
    base = warm_up(sidecar, load, prometheus)

    load.start()
    began = time.time()
    eventually(lambda: time.time() - began > WINDOW + 3, "the end of the steady minute", WINDOW + 30)
    steady_until = time.time() - 2
    increase_is_right(prometheus, load, steady_until)
    load.stop()
    every_request_is_counted(sidecar, gunicorn, load, prometheus, base)

    load.start()
    lost_at_most = kill_workers(gunicorn, load)
    load.stop()
    only_what_was_not_pushed_is_lost(sidecar, load, lost_at_most)

    gunicorn.stop()
    only_what_was_not_pushed_is_lost(sidecar, load, lost_at_most)
    assert prometheus.number(f"resets({COUNTER}[10m])") == 0
    assert not prometheus.scrape_errors()
    watch.end()
    assert watch.scrapes > 300


def warm_up(sidecar, load, prometheus):
    """Prometheus sees the counter before the minute begins; returns what it then is."""
    for _ in range(20):
        load.ask()
    assert load.answered == 20 and not load.unanswered
    eventually(lambda: counted(sidecar) == 20, "the first requests on the page", 20)
    eventually(lambda: (prometheus.raw(COUNTER) or [(0, 0)])[-1][1] == 20, "the first requests in Prometheus", 20)
    return 20


def increase_is_right(prometheus, load, until):
    true = load.answered_between(until - WINDOW, until)
    increase = prometheus.number(f"increase({COUNTER}[{WINDOW}s])", until)
    assert abs(increase - true) <= 0.05 * true, (increase, true)


def every_request_is_counted(sidecar, gunicorn, load, prometheus, base):
    """Workers were recycled but none was killed: not one request may be missing."""
    assert gunicorn.recycled() >= 10, gunicorn.log[-20:]
    assert load.answered > 5000
    assert not load.unanswered
    eventually(lambda: counted(sidecar) >= load.answered, f"{load.answered} requests on the page", 20)
    assert counted(sidecar) == load.answered
    eventually(lambda: prometheus.raw(COUNTER)[-1][1] == load.answered, "the last request in Prometheus", 20)
    from_base = [number for _, number in prometheus.raw(COUNTER) if number >= base]
    assert from_base[-1] - from_base[0] == load.answered - base


def kill_workers(gunicorn, load):
    """Kills workers while they work; returns how many answered requests may be lost with them: those that the
    killed process had answered since its last push."""
    lost_at_most = 0
    for _ in range(KILLS):
        before = load.answered
        eventually(lambda: load.answered > before + 300, "requests between two kills", 30)
        victim = eventually(gunicorn.workers, "a worker to kill")[0]
        os.kill(victim, signal.SIGKILL)
        now = time.time()
        eventually(lambda: victim not in gunicorn.workers(), "the end of the killed worker")
        lost_at_most += load.answered_between(now - INTERVAL - PUSH_SECONDS, time.time(), victim)
    return lost_at_most


def only_what_was_not_pushed_is_lost(sidecar, load, lost_at_most):
    """All that live workers counted is pushed within an interval: the counter then stands still within the bounds."""
    eventually(lambda: counted(sidecar) >= load.answered - lost_at_most,
               f"{load.answered} requests less at most {lost_at_most}", 20)
    assert counted(sidecar) <= load.answered + len(load.unanswered)
