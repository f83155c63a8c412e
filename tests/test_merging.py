"""What the numbers mean, as processes that push over HTTP see it: every aggregation, who counts and for how long."""

import math

import pytest

from sidecar import counter, eventually, family, gauge, histogram, value

VALUES = [4.0, 1.0, 7.0, 2.0]
# The value after four processes pushed VALUES in this order.
AGGREGATED = {
    "sum": 14, "mean": 3.5, "avg": 3.5, "min": 1, "max": 7, "count": 4, "first": 4, "last": 2, "median": 3,
    "stddev": math.sqrt(5.25), "stdvar": 5.25, "p0": 1, "p100": 7, "p50": 3, "p90": 6.1,
}


def push_four(sidecar, name, kind, aggregate=None):
    for index, number in enumerate(VALUES):
        labels = {} if aggregate is None else {"_aggregate": aggregate}
        sidecar.push([family(name, kind, value(name, number, labels, f"w{index}"))])


@pytest.mark.parametrize("function", AGGREGATED)
@pytest.mark.parametrize("kind", ["gauge", "unknown", "counter"])
def test_every_function_over_four_processes(sidecar, kind, function):
    push_four(sidecar, "m", kind, function)
    assert sidecar.page().value("m") == pytest.approx(AGGREGATED[function], rel=1e-12)


@pytest.mark.parametrize("kind, number", [("counter", 14), ("gauge", 2), ("unknown", 2), ("untyped", 2)])
def test_the_default_function_of_each_type(sidecar, kind, number):
    push_four(sidecar, "m", kind)
    assert sidecar.page().value("m") == number


def test_an_unknown_sample_named_total_is_a_counter(sidecar):
    push_four(sidecar, "m_total", "unknown")
    page = sidecar.page()
    assert page.families["m_total"].type == "counter" and page.value("m_total") == 14


@pytest.mark.parametrize("kind, function", [("counter", "all"), ("histogram", "max"), ("summary", "last"), ("info", "sum")])
def test_a_function_that_the_type_does_not_allow_is_refused(sidecar, kind, function):
    samples = {
        "counter": [value("m_total", 1, {"_aggregate": function}, "w")],
        "histogram": [{**one, "labels": {**one["labels"], "_aggregate": function}}
                      for one in histogram("m", {"+Inf": 1}, 1, "w")["values"]],
        "summary": [value("m_count", 1, {"_aggregate": function}, "w")],
        "info": [value("m_info", 1, {"_aggregate": function}, "w")],
    }[kind]
    answer = sidecar.post([family("m", kind, *samples)])
    assert answer.status in (400, 409), (answer.status, answer.text)
    assert sidecar.get("/metrics").body == b""


def test_all_shows_each_process_under_its_slot_and_reuses_the_lowest(sidecar):
    def push(worker, number):
        sidecar.push([gauge("busy", number, worker, aggregate="all", queue="q"), gauge("idle", number, worker, aggregate="all")])

    for worker, number in (("a", 10), ("b", 20), ("c", 30)):
        push(worker, number)
    page = sidecar.page()
    assert [page.value("busy", queue="q", worker=str(slot)) for slot in range(3)] == [10, 20, 30]
    sidecar.goodbye("b")
    assert sidecar.page().get("busy", queue="q", worker="1") is None
    push("d", 40)
    page = sidecar.page()
    assert [page.value("idle", worker=str(slot)) for slot in range(3)] == [10, 40, 30]


def test_a_label_named_worker_becomes_exported_worker(sidecar):
    sidecar.push([gauge("busy", 1, "a", aggregate="all", worker="mine")])
    assert sidecar.page().series() == {("busy", (("exported_worker", "mine"), ("worker", "0"))): 1}


def test_last_is_the_value_that_changed_last(sidecar):
    sidecar.push([gauge("g", 5, "a")])
    sidecar.push([gauge("g", 6, "b")])
    sidecar.push([gauge("g", 5, "a")])
    assert sidecar.page().value("g") == 6, "a repetition is not news"
    sidecar.push([gauge("g", 0, "c")])
    assert sidecar.page().value("g") == 6, "nor is the first 0 of a newcomer"
    sidecar.push([gauge("g", 7, "a")])
    assert sidecar.page().value("g") == 7
    sidecar.push([gauge("g", 0, "b")])
    assert sidecar.page().value("g") == 0


def test_nan_takes_no_part_and_alone_is_shown(sidecar):
    sidecar.push([gauge("g", "NaN", "a", aggregate="max")])
    assert math.isnan(sidecar.page().value("g"))
    sidecar.push([gauge("g", 3, "b", aggregate="max")])
    assert sidecar.page().value("g") == 3


def test_the_first_aggregate_wins_while_its_process_lives(sidecar):
    sidecar.push([gauge("g", 5, "a", aggregate="max")])
    sidecar.push([gauge("g", 3, "b", aggregate="min")])
    assert sidecar.page().value("g") == 5
    assert sidecar.own_sum("monasca_sidecar_aggregation_conflicts_total") >= 1
    sidecar.goodbye("a")
    sidecar.push([gauge("g", 9, "c", aggregate="min")])
    assert sidecar.page().value("g") == 3


# -- counters: never down, never twice


def test_a_histogram_restarts_whole(sidecar):
    sidecar.push([histogram("h", {"1": 5, "+Inf": 10}, 50, "a")])
    sidecar.push([histogram("h", {"1": 6, "+Inf": 7}, 60, "a")])
    page = sidecar.page()
    assert (page.value("h_bucket", le="1"), page.value("h_bucket", le="+Inf"), page.value("h_sum")) == (11, 17, 110)


def test_a_partial_pushers_quiet_series_stay(launch):
    sidecar = launch("--decay", "1s")
    sidecar.push([counter("quiet_total", 5, "a"), gauge("fades", 1, "a")])

    def faded():
        sidecar.push([counter("busy_total", 1, "a")])
        return sidecar.page().get("fades") is None

    eventually(faded, "the gauge that is not written any more")
    assert sidecar.page().value("quiet_total") == 5


def test_back_with_less_it_has_restarted(launch):
    sidecar = launch("--decay", "1s")
    sidecar.push([counter("a_total", 10, "w"), gauge("g", 1, "w")])
    eventually(lambda: sidecar.page().get("g") is None, "the departure")
    sidecar.push([counter("a_total", 4, "w")])
    assert sidecar.page().value("a_total") == 14


def test_after_its_goodbye_the_same_epoch_does_not_come_back(sidecar):
    sidecar.push([counter("a_total", 10, "w")], path="/v1/ingest?final=true", Push_Sequence="e.1.0")
    sidecar.push([counter("a_total", 99, "w")], Push_Sequence="e.2.1")
    assert sidecar.page().value("a_total") == 10
    sidecar.push([counter("a_total", 3, "w")], Push_Sequence="f.1.0")
    assert sidecar.page().value("a_total") == 13


def test_a_daemon_without_state_takes_an_old_process_as_a_baseline(sidecar):
    sidecar.push([counter("a_total", 1000, "w")], Push_Sequence="e.8.7")
    assert sidecar.page().get("a_total", 0) == 0
    sidecar.push([counter("a_total", 1003, "w")], Push_Sequence="e.9.8")
    assert sidecar.page().value("a_total") == 3
    sidecar.push([counter("a_total", 50, "x")])
    assert sidecar.page().value("a_total") == 53, "without a sequence a value is taken in full"


def test_unknown_past_can_be_a_baseline_for_all(launch):
    sidecar = launch("--unknown-past", "baseline")
    sidecar.push([counter("a_total", 50, "x")])
    sidecar.push([counter("a_total", 52, "x")])
    assert sidecar.page().value("a_total") == 2


def test_two_processes_under_one_id_are_found_and_held(sidecar):
    for step in range(6):
        sidecar.push([counter("a_total", 1000 + step, "shared")])
        sidecar.push([counter("a_total", 10 + step, "shared")])
    first = sidecar.page().value("a_total")
    for step in range(6, 20):
        sidecar.push([counter("a_total", 1000 + step, "shared")])
        sidecar.push([counter("a_total", 10 + step, "shared")])
    assert sidecar.page().value("a_total") <= first + 20, "it no longer counts every change of speaker as a restart"
    assert '"shared' in sidecar.get("/v1/instances").text


def test_integers_are_exact_to_2_53(sidecar):
    sidecar.push([counter("a_total", 9007199254740990, "a")])
    sidecar.push([counter("a_total", 1, "b")])
    assert sidecar.page().value("a_total") == 9007199254740991


def test_a_departure_moves_the_sum_by_no_ulp(sidecar):
    for index in range(50):
        sidecar.push([counter("a_total", 0.1 + index * 1e-7, f"w{index}")])
    before = sidecar.page().value("a_total")
    for index in range(50):
        sidecar.goodbye(f"w{index}")
        assert sidecar.page().value("a_total") == before


def test_an_anonymous_writer_is_shown_as_it_comes_but_cannot_lower_a_total(sidecar):
    sidecar.push([counter("a_total", 10)])
    sidecar.push([counter("a_total", 4)])
    assert sidecar.page().value("a_total") == 4
    sidecar.push([counter("a_total", 100, "w")])
    sidecar.push([counter("a_total", 7)])
    high = sidecar.page().value("a_total")
    sidecar.push([counter("a_total", 1)])
    assert sidecar.page().value("a_total") == high == 107


def test_a_final_job_stays_visible_after_its_end(sidecar):
    sidecar.push([counter("job_total", 3, "j"), histogram("d", {"+Inf": 1}, 2, "j")], path="/v1/ingest?final=true")
    page = sidecar.page()
    assert page.value("job_total") == 3 and page.value("d_count") == 1


# -- deltas


def delta(name, kind, number, instance=None, **labels):
    return family(name, kind, value(name, number, labels, instance), temporality="delta")


def test_deltas_are_added_up_and_stay(sidecar):
    for _ in range(3):
        sidecar.push([delta("d_total", "counter", 5)])
    sidecar.push([delta("d_total", "counter", 1, "somebody")])
    assert sidecar.page().value("d_total") == 16


def test_deltas_and_totals_of_one_family_add_up(sidecar):
    sidecar.push([counter("d_total", 10, "w")])
    sidecar.push([delta("d_total", "counter", 5)])
    assert sidecar.page().value("d_total") == 15
    sidecar.goodbye("w")
    assert sidecar.page().value("d_total") == 15


def test_a_delta_histogram_is_added_bucket_by_bucket(sidecar):
    for _ in range(2):
        sidecar.push([{**histogram("h", {"1": 1, "+Inf": 3}, 4), "temporality": "delta"}])
    page = sidecar.page()
    assert (page.value("h_bucket", le="1"), page.value("h_count"), page.value("h_sum")) == (2, 6, 8)


def test_a_delta_gauge_moves_the_current_value(sidecar):
    for number in (5, -2):
        sidecar.push([family("g", "gauge", value("g", number, {"_aggregate": "sum"}), temporality="delta")])
    assert sidecar.page().value("g") == 3


def test_a_repeated_push_of_deltas_alone_is_not_added_again(sidecar):
    for number, acked in ((1, 0), (1, 0), (2, 1), (2, 1), (1, 0)):
        sidecar.push([delta("d_total", "counter", 5, "w")], Push_Sequence=f"e.{number}.{acked}")
    assert sidecar.page().value("d_total") == 10


# -- info and stateset


def test_equal_label_sets_of_info_are_shown_once(sidecar):
    for worker, version in (("a", "1"), ("b", "1"), ("c", "2")):
        sidecar.push([family("build", "info", value("build_info", 1, {"version": version}, worker))])
    assert sidecar.page().series() == {("build_info", (("version", "1"),)): 1, ("build_info", (("version", "2"),)): 1}


# -- one bad writer


def test_the_only_holder_may_change_its_type(sidecar):
    sidecar.push([gauge("m", 5, "a")])
    sidecar.push([family("m", "summary", value("m_sum", 1, {}, "a"), value("m_count", 2, {}, "a"))])
    assert sidecar.page().families["m"].type == "summary"


def test_when_nobody_live_holds_the_old_type_the_new_one_starts_at_zero(sidecar):
    sidecar.push([counter("m", 5, "a")])
    sidecar.goodbye("a")
    sidecar.push([gauge("m", 2, "b")])
    page = sidecar.page()
    assert page.families["m"].type == "gauge" and page.value("m") == 2


def test_the_newest_help_that_is_not_empty_is_shown(sidecar):
    for text in ("old", "new", ""):
        sidecar.push([family("g", "gauge", value("g", 1), help=text)])
    assert sidecar.page().families["g"].help == "new"


def test_conveniences_of_the_json_body(sidecar):
    sidecar.push('[{"name":"g","type":"gauge","unknown":{"deep":[1,2]},"values":[{"name":"g","value":1,"value":2,"more":null}]},'
                 '{"name":"h","type":"gauge","values":[{"name":"h","value":1},{"name":"h","value":5}]},'
                 '{"name":"l","type":"gauge","values":[{"name":"l","value":1,"labels":{"n":1.50,"b":true,"e":"","i":7}}]},'
                 '{"name":"bare","values":[{"value":3}]},{"name":"none","type":"gauge","values":[]}]')
    assert sidecar.page().series() == {
        ("g", ()): 2, ("h", ()): 5, ("bare", ()): 3,
        ("l", (("b", "true"), ("i", "7"), ("n", "1.50"))): 1,
    }


@pytest.mark.parametrize("names", [("a.b", "a_b"), ("a_b", "a.b")])
def test_label_names_that_become_one_when_escaped_cannot_lower_a_counter(sidecar, names):
    sidecar.push([counter("c_total", 10, "one", **{names[0]: "v"})])
    sidecar.post([counter("c_total", 2, "two", **{names[1]: "v"})])
    assert sidecar.page().value("c_total", a_b="v") >= 10


def test_a_stray_sample_cannot_push_out_the_family_that_it_came_with(sidecar):
    sidecar.post([family("h", "histogram", value("h", 7), *histogram("h", {"+Inf": 1}, 1)["values"])])
    assert sidecar.page().get("h_count") == 1


# -- rules


def test_rules_apply_when_merging(launch):
    sidecar = launch(config="""
instance_labels: [pod]
rules:
  - match: {name: "queue_*"}
    aggregate: sum
  - match: {name: "by_path_total"}
    drop_labels: [path]
  - match: {name: "secret_*"}
    drop: true
  - match: {labels: {env: "test"}}
    drop: true
  - match: {name: "plain_total"}
    departed: drop
  - match: {name: "typed"}
    type: counter
""")
    for pod, number in (("a", 3), ("b", 4)):
        labels = {"pod": pod}
        sidecar.push([
            family("queue_length", "gauge", value("queue_length", number, labels)),
            family("by_path_total", "counter", value("by_path_total", number, {**labels, "path": pod})),
            family("secret_key", "gauge", value("secret_key", number, labels)),
            family("e", "gauge", value("e", number, {**labels, "env": "test"}), value("e", number, {**labels, "env": "live"})),
            family("plain_total", "counter", value("plain_total", number, labels)),
            family("typed", "unknown", value("typed", number, labels)),
        ])
    assert sidecar.page().series() == {
        ("queue_length", ()): 7, ("by_path_total", ()): 7, ("e", (("env", "live"),)): 4, ("plain_total", ()): 7, ("typed", ()): 7,
    }
    sidecar.goodbye("pod=a")
    assert sidecar.page().value("plain_total") == 4
    assert sidecar.page().value("by_path_total") == 7


def test_a_type_rule_that_is_taken_back_locks_nobody_out(launch):
    sidecar = launch(config="decay: 60s\n")

    def push():
        for worker, number in (("a", 3), ("b", 4)):
            sidecar.push([family("u", "unknown", value("u", number, {}, worker))])

    def reload(text):
        sidecar.config_path.write_text(text)
        assert sidecar.request("POST", "/-/reload").status == 200

    push()
    reload("rules:\n  - match: {name: u}\n    type: counter\n")
    push()
    assert sidecar.page().value("u") == 7
    reload("decay: 60s\n")
    push()
    assert sidecar.page().families["u"].type == "untyped"
