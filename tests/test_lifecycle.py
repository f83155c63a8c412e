"""The life of the daemon: start, warm-up, reload, drain and stop, and what each exit code means."""

import json
import signal
import socket

import pytest

from sidecar import counter, eventually, gauge, run_binary

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT]


class HalfPush:
    """A push whose head and half body have been sent, so that it is in flight until `finish`."""

    def __init__(self, sidecar, families):
        self.body = json.dumps(families).encode()
        self.socket = socket.create_connection(("127.0.0.1", sidecar.port), timeout=10)
        # `Expect` makes the server say when it has begun to read the body: no guess about timing is needed.
        self.socket.sendall(b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
                            % len(self.body))
        assert self.socket.recv(4096).startswith(b"HTTP/1.1 100"), "the server asks for the body"
        self.socket.sendall(self.body[:10])

    def finish(self):
        self.socket.sendall(self.body[10:])
        answer = b""
        while b"\r\n\r\ntrue" not in answer:
            part = self.socket.recv(4096)
            assert part, answer
            answer += part
        self.socket.close()
        return int(answer.split()[1])


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_stops_an_idle_daemon_with_exit_code_0(sidecar, number):
    sidecar.push([counter("a_total", 1)])
    assert sidecar.stop(number) == 0


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_request_in_flight_is_answered_before_the_daemon_ends(sidecar, number):
    push = HalfPush(sidecar, [counter("a_total", 1)])
    sidecar.send_signal(number)
    eventually(lambda: refuses_connections(sidecar), "the daemon stops accepting")
    assert push.finish() == 200
    assert sidecar.wait() == 0


def refuses_connections(sidecar):
    try:
        socket.create_connection(("127.0.0.1", sidecar.port), timeout=2).close()
    except OSError:
        return True
    return False


def test_a_connection_that_only_idles_does_not_hold_up_the_stop(sidecar):
    idle = socket.create_connection(("127.0.0.1", sidecar.port))
    used = socket.create_connection(("127.0.0.1", sidecar.port))
    used.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    assert used.recv(4096).startswith(b"HTTP/1.1 200")
    assert sidecar.stop() == 0
    idle.close()
    used.close()


def test_shutdown_delay_ends_with_the_next_scrape(launch):
    sidecar = launch("--shutdown-delay", "60s")
    sidecar.push([counter("a_total", 1, instance="w")])
    sidecar.send_signal(signal.SIGTERM)
    eventually(lambda: sidecar.logged("shut") or sidecar.logged("stop"), "the log says that it stops")
    sidecar.push([counter("a_total", 5, instance="w")])
    assert sidecar.process.poll() is None
    assert sidecar.page().value("a_total") == 5, "the last interval is seen"
    assert sidecar.wait(timeout=20) == 0


def test_shutdown_delay_ends_without_a_scrape_when_its_time_is_over(launch):
    sidecar = launch("--shutdown-delay", "1s")
    assert sidecar.stop() == 0


def test_warmup_hides_the_page_and_nothing_else(launch):
    sidecar = launch("--warmup", "2s")
    answer = sidecar.get("/metrics")
    assert (answer.status, answer.body) == (503, b"")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert sidecar.get("/-/healthy").status == 200
    assert sidecar.get("/-/ready").status == 200
    sidecar.push([counter("a_total", 1)])
    eventually(lambda: sidecar.get("/metrics").status == 200, "the end of the warm-up")
    assert sidecar.page().value("a_total") == 1


def test_probes_answer(sidecar):
    assert sidecar.get("/-/healthy").status == 200
    assert sidecar.get("/-/ready").status == 200


GOOD = "rules:\n  - match: {name: jobs}\n    aggregate: max\n"
OTHER = "rules:\n  - match: {name: jobs}\n    aggregate: min\n"
BAD = "rules:\n  - match: {name: jobs}\n    aggregate: bogus\n"


def push_jobs(sidecar):
    sidecar.push([gauge("jobs", 3, instance="one")])
    sidecar.push([gauge("jobs", 8, instance="two")])


def test_post_reload_applies_a_good_file(launch):
    sidecar = launch(config=GOOD)
    push_jobs(sidecar)
    assert sidecar.page().value("jobs") == 8
    sidecar.config_path.write_text(OTHER)
    answer = sidecar.request("POST", "/-/reload")
    assert answer.status == 200, answer.text
    assert sidecar.page().value("jobs") == 3, "the rules merge anew what was pushed before"


def test_post_reload_of_a_bad_file_keeps_the_old_one_and_says_why(launch):
    sidecar = launch(config=GOOD)
    push_jobs(sidecar)
    sidecar.config_path.write_text(BAD)
    answer = sidecar.request("POST", "/-/reload")
    assert answer.status == 400
    assert "bogus" in answer.text, answer.text
    assert sidecar.page().value("jobs") == 8


def test_sighup_reloads(launch):
    sidecar = launch(config=GOOD)
    push_jobs(sidecar)
    sidecar.config_path.write_text(OTHER)
    sidecar.send_signal(signal.SIGHUP)
    eventually(lambda: sidecar.page().value("jobs") == 3, "the new rule")


def test_sighup_with_a_bad_file_keeps_the_old_one_and_logs_why(launch):
    sidecar = launch(config=GOOD)
    push_jobs(sidecar)
    sidecar.config_path.write_text(BAD)
    sidecar.send_signal(signal.SIGHUP)
    eventually(lambda: sidecar.logged("bogus"), "the reason in the log")
    assert sidecar.page().value("jobs") == 8


def test_sighup_without_a_file_does_not_kill(sidecar):
    sidecar.send_signal(signal.SIGHUP)
    assert sidecar.get("/-/healthy").status == 200


def test_check_of_a_good_file_exits_0(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text("decay: 90s\n" + GOOD)
    answer = run_binary("check", str(path))
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("text, line, word", [
    ("decay: 90s\nrules:\n  - match: {name: jobs}\n    aggregate: bogus\n", 4, "bogus"),
    ("decay: 90s\nno_such_key: 1\n", 2, "no_such_key"),
    ("\n\ndecay: soon\n", 3, "decay"),
    ("\ndecay: [\n", 2, ""),
])
def test_check_of_a_bad_file_exits_64_and_names_line_and_column(tmp_path, text, line, word):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    answer = run_binary("check", str(path))
    said = answer.stdout + answer.stderr
    assert answer.returncode == 64, said
    assert word in said, said
    assert any(f"{mark}{line}{end}" in said for mark in ("line ", ":") for end in (" ", ":", ",")), said


def test_check_explains_every_error_of_a_file(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("decay: soon\nretain: later\nrules:\n  - match: {name: a}\n    aggregate: bogus\n")
    answer = run_binary("check", str(path))
    said = answer.stdout + answer.stderr
    assert answer.returncode == 64
    assert all(word in said for word in ("soon", "later", "bogus")), said


def test_a_missing_file_exits_64(tmp_path):
    assert run_binary("check", str(tmp_path / "none.yaml")).returncode == 64
    assert run_binary("--listen", "127.0.0.1:0", "--config", str(tmp_path / "none.yaml")).returncode == 64


@pytest.mark.parametrize("args", [["--no-such-flag"], ["--decay", "soon"], ["--listen", "nowhere"], ["--log-format", "xml"]])
def test_a_usage_error_exits_64(args):
    answer = run_binary(*args)
    assert answer.returncode == 64, answer
    assert answer.stderr


@pytest.mark.parametrize("name", ["MONASCA_SIDECAR_DECAY", "DECAY_SECONDS", "MONASCA_SIDECAR_LISTEN",
                                  "MONASCA_SIDECAR_LIMITS_MAX_SERIES"])
def test_a_bad_environment_value_exits_64_and_is_named(name):
    answer = run_binary(env={name: "nonsense"})
    assert answer.returncode == 64, answer
    assert name in answer.stderr


def test_a_second_daemon_on_the_same_port_exits_69(sidecar):
    answer = run_binary("--listen", f"127.0.0.1:{sidecar.port}")
    assert answer.returncode == 69, answer
    assert str(sidecar.port) in answer.stderr
    assert sidecar.get("/-/healthy").status == 200


def test_help_and_version_exit_0():
    for flag in ("--help", "--version"):
        answer = run_binary(flag)
        assert answer.returncode == 0 and answer.stdout


def test_several_listen_addresses_serve_the_same_application(launch):
    sidecar = launch("--listen", "127.0.0.1:0")
    eventually(lambda: len(sidecar.logged("listening")) == 2, "both addresses")
    sidecar.push([counter("a_total", 3)])
    ports = {int(line.split("addr=127.0.0.1:")[1].split()[0]) for line in sidecar.logged("addr=127.0.0.1:")}
    other = (ports - {sidecar.port}).pop()
    sidecar.port = other
    assert sidecar.page().value("a_total") == 3


def test_decay_precedence_is_flag_environment_decay_seconds(launch):
    ports = [launch("--decay", "300s", env={"MONASCA_SIDECAR_DECAY": "1s", "DECAY_SECONDS": "1"}),
             launch(env={"MONASCA_SIDECAR_DECAY": "300s", "DECAY_SECONDS": "1"}),
             launch(env={"DECAY_SECONDS": "1"}, config="decay: 300s\n")]
    for sidecar in ports:
        sidecar.push([gauge("g", 1, instance="w")])
    eventually(lambda: ports[2].page().get("g") is None, "the gauge decays after a second")
    assert [sidecar.page().get("g") for sidecar in ports[:2]] == [1, 1]


def test_logs_as_json_are_json_line_by_line(launch):
    sidecar = launch("--log-format", "json")
    assert sidecar.stop() == 0
    assert len(sidecar.log) >= 2
    for line in sidecar.log:
        assert isinstance(json.loads(line), dict), line


# -- restart counters and decay, as an application sees them


def test_a_restarted_process_does_not_lower_the_total(sidecar):
    sidecar.push([counter("a_total", 100, instance="w")])
    sidecar.push([counter("a_total", 3, instance="w")])
    assert sidecar.page().value("a_total") == 103


def test_a_new_epoch_is_a_restart_even_when_the_value_is_higher(sidecar):
    sidecar.push([counter("a_total", 10, instance="w")], Push_Sequence="first.1.0")
    sidecar.push([counter("a_total", 25, instance="w")], Push_Sequence="second.1.0")
    assert sidecar.page().value("a_total") == 35


def test_a_late_or_repeated_push_is_answered_and_not_applied(sidecar):
    sidecar.push([counter("a_total", 10, instance="w")], Push_Sequence="e.2.0")
    sidecar.push([counter("a_total", 4, instance="w")], Push_Sequence="e.1.0")
    sidecar.push([counter("a_total", 99, instance="w")], Push_Sequence="e.2.0")
    assert sidecar.page().value("a_total") == 10


def test_a_departed_process_keeps_its_counts_and_takes_its_gauges_along(launch):
    sidecar = launch("--decay", "1s")
    sidecar.push([counter("a_total", 10, instance="gone"), gauge("g", 5, instance="gone", aggregate="sum")])
    stayed = lambda: sidecar.push([counter("a_total", 1, instance="stays"), gauge("g", 2, instance="stays", aggregate="sum")])
    stayed()
    assert (sidecar.page().value("a_total"), sidecar.page().value("g")) == (11, 7)

    def only_one_is_left():
        stayed()
        return sidecar.page().value("g") == 2

    eventually(only_one_is_left, "the decay of the silent process")
    assert sidecar.page().value("a_total") == 11


def test_a_process_that_was_only_silent_counts_once_when_it_returns(launch):
    sidecar = launch("--decay", "1s")
    sidecar.push([counter("a_total", 10, instance="w"), gauge("g", 1, instance="w")])
    eventually(lambda: sidecar.page().get("g") is None, "its departure")
    assert sidecar.page().value("a_total") == 10
    sidecar.push([counter("a_total", 12, instance="w")])
    assert sidecar.page().value("a_total") == 12


def test_a_final_push_says_goodbye_with_the_last_values(sidecar):
    sidecar.push([counter("a_total", 10, instance="w"), gauge("g", 5, instance="w")], path="/v1/ingest?final=true")
    page = sidecar.page()
    assert (page.value("a_total"), page.get("g")) == (10, None)
    sidecar.push([counter("a_total", 2, instance="x")])
    assert sidecar.page().value("a_total") == 12


def test_a_deleted_instance_keeps_its_counts_and_an_erased_one_restarts_the_series_at_zero(sidecar):
    for worker in ("one", "two"):
        sidecar.push([counter("a_total", 10, instance=worker)])
    assert sidecar.goodbye("one").status == 202
    assert sidecar.page().value("a_total") == 20
    assert sidecar.goodbye("two", erase=True).status == 202
    assert sidecar.page().get("a_total", 0) < 20
    assert sidecar.goodbye("nobody").status == 202


def test_clear_forgets_everything(sidecar):
    sidecar.push([counter("a_total", 10, instance="w")])
    answer = sidecar.request("POST", "/v1/clear")
    assert (answer.status, answer.body) == (200, b"true")
    assert sidecar.get("/metrics").body == b""
