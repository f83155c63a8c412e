"""How long things are remembered: silence, return, the end of a family, forgotten values, forgotten ids."""

import signal
import time

from sidecar import counter, eventually, gauge


def gone(sidecar, name, **labels):
    return lambda: sidecar.page().get(name, **labels) is None


def departed(sidecar, instance):
    def probe():
        live = [one for one in sidecar.instances() if one["id"] == instance and one["live"]]
        return not live
    return probe


def test_a_family_stays_visible_for_the_resume_window_after_its_last_process(launch):
    sidecar = launch("--decay", "1s", "--resume-window", "2s", "--retain", "60s")
    sidecar.push([counter("job_total", 10, "w")])
    began = time.monotonic()
    eventually(departed(sidecar, "w"), "the departure")
    assert sidecar.page().value("job_total") == 10
    eventually(gone(sidecar, "job_total"), "the end of the resume window")
    assert time.monotonic() - began >= 2


def test_a_departed_total_is_remembered_until_retain(launch):
    sidecar = launch("--decay", "1s", "--resume-window", "1s", "--retain", "60s")
    sidecar.push([counter("job_total", 10, "w")], path="/v1/ingest?final=true")
    eventually(gone(sidecar, "job_total"), "the end of the resume window")
    sidecar.push([counter("job_total", 3, "x")])
    assert sidecar.page().value("job_total") == 13


def test_after_retain_a_total_restarts_at_zero_never_at_a_part(launch):
    sidecar = launch("--decay", "1s", "--resume-window", "1s", "--retain", "2s")
    sidecar.push([counter("job_total", 10, "w")], path="/v1/ingest?final=true")
    eventually(lambda: sidecar.own_sum("monasca_sidecar_departed_totals") == 0 and sidecar.page().get("job_total") is None,
               "nothing is remembered")
    end = time.monotonic() + 2.5
    eventually(lambda: time.monotonic() > end, "the end of retain")
    sidecar.push([counter("job_total", 3, "x")])
    assert sidecar.page().value("job_total") == 3


def test_who_returns_after_its_values_were_forgotten_counts_only_its_growth(launch):
    sidecar = launch("--decay", "1s", "--resume-window", "1s", "--retain", "60s")
    keep = lambda: sidecar.push([counter("a_total", 1, "other")])
    sidecar.push([counter("a_total", 10, "w")])
    keep()

    def forgotten():
        keep()
        return not [one for one in sidecar.instances() if one["id"] == "w"]

    eventually(forgotten, "the end of the resume window")
    assert sidecar.page().value("a_total") == 11
    sidecar.push([counter("a_total", 12, "w")])
    assert sidecar.page().value("a_total") == 11, "what it has is a baseline"
    sidecar.push([counter("a_total", 15, "w")])
    assert sidecar.page().value("a_total") == 14


def test_a_series_that_no_live_process_writes_is_forgotten_so_that_labels_may_churn(launch):
    sidecar = launch("--decay", "1s", "--resume-window", "1s", "--retain", "2s")
    sidecar.push([counter("a_total", 10, "w", user="old")], path="/v1/ingest?final=true")

    def forgotten():
        sidecar.push([counter("a_total", 1, "x", user="new")])
        return sidecar.page().get("a_total", user="old") is None

    eventually(forgotten, "the old label set's end")
    assert sidecar.page().value("a_total", user="new") == 1


def test_anonymous_values_decay_one_by_one(launch):
    sidecar = launch("--decay", "1s")
    sidecar.push([counter("old_total", 1), gauge("fading", 1)])

    def decayed():
        sidecar.push([counter("new_total", 1)])
        series = sidecar.page().series()
        return ("fading", ()) not in series and ("old_total", ()) not in series

    eventually(decayed, "what is not written any more")
    assert sidecar.page().value("new_total") == 1


def test_silence_of_the_daemon_makes_nobody_old(launch):
    """A stopped daemon does not hear anybody; when it goes on, nobody has been silent for that time."""
    sidecar = launch("--decay", "4s")
    sidecar.push([gauge("g", 1, "w")])
    sidecar.send_signal(signal.SIGSTOP)
    end = time.monotonic() + 6
    eventually(lambda: time.monotonic() > end, "a time longer than decay")
    sidecar.send_signal(signal.SIGCONT)
    assert sidecar.page().value("g") == 1
    end = time.monotonic() + 1
    eventually(lambda: time.monotonic() > end, "a second of running")
    assert sidecar.page().value("g") == 1
    eventually(gone(sidecar, "g"), "the decay, when the daemon runs")
