"""The surface as a stranger meets it: paths, methods, headers, statuses and error bodies."""

import gzip
import json
import socket
import subprocess

import pytest

import exposition
from sidecar import counter, eventually, family, gauge, histogram, value

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def test_the_first_push_and_the_first_scrape(sidecar):
    answer = sidecar.post([family("temperature", "gauge", value("temperature", 12.34, {"room": "a"}), help="How warm")])
    assert (answer.status, answer.body) == (200, b"true")
    assert answer.headers["Content-Type"].startswith("application/json")
    scrape = sidecar.get("/metrics")
    assert scrape.headers["Content-Type"] == TEXT
    assert scrape.text == '# HELP temperature How warm\n# TYPE temperature gauge\ntemperature{room="a"} 12.34\n'


def test_two_processes_make_one_application(sidecar):
    sidecar.push([counter("requests_total", 3, instance="one", path="/")])
    sidecar.push([counter("requests_total", 4, instance="two", path="/")])
    assert sidecar.page().series() == {("requests_total", (("path", "/"),)): 7}


@pytest.mark.parametrize("path", ["/v1/ingest", "/ingest", "/v1/ingest/", "/ingest/"])
def test_every_spelling_of_the_push_path_works(sidecar, path):
    sidecar.push([gauge("g", 1)], path=path)
    assert sidecar.page().value("g") == 1


@pytest.mark.parametrize("path", ["/metrics", "/v1/metrics", "/metrics/", "/v1/metrics/"])
def test_every_spelling_of_the_scrape_path_works(sidecar, path):
    sidecar.push([gauge("g", 1)])
    answer = sidecar.get(path)
    assert answer.status == 200 and exposition.parse(answer.body).value("g") == 1


@pytest.mark.parametrize("path", ["/v1/clear", "/clear", "/v1/clear/"])
def test_every_spelling_of_the_clear_path_works(sidecar, path):
    sidecar.push([gauge("g", 1)])
    answer = sidecar.request("POST", path)
    assert (answer.status, answer.body) == (200, b"true")
    assert sidecar.get("/metrics").body == b""


@pytest.mark.parametrize("kind", [None, "application/json", "application/x-www-form-urlencoded", "text/plain",
                                  "application/json; charset=utf-8", "nonsense", ""])
def test_the_content_type_of_a_push_does_not_matter(sidecar, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    answer = sidecar.request("POST", "/v1/ingest", json.dumps([gauge("g", 1)]), headers)
    assert (answer.status, answer.body) == (200, b"true")


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/*", "image/png", "application/json", "nonsense"])
def test_the_page_is_text_0_0_4_for_whoever_asks(sidecar, accept):
    sidecar.push([gauge("g", 1)])
    answer = sidecar.get("/metrics", **({} if accept is None else {"Accept": accept}))
    assert (answer.status, answer.headers["Content-Type"]) == (200, TEXT)


def test_head_is_get_without_the_body(sidecar):
    sidecar.push([gauge("g", 1)])
    got, head = sidecar.get("/metrics"), sidecar.request("HEAD", "/metrics")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == TEXT
    assert head.headers["Content-Length"] in (None, str(len(got.body)))


def test_the_page_is_compressed_when_asked(sidecar):
    sidecar.push([gauge(f"g_{index}", index) for index in range(500)])
    plain, packed = sidecar.get("/metrics"), sidecar.get("/metrics", **{"Accept-Encoding": "gzip, deflate"})
    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    refused = sidecar.get("/metrics", **{"Accept-Encoding": "gzip;q=0, identity"})
    assert refused.headers["Content-Encoding"] is None and refused.body == plain.body


def test_an_empty_sidecar_serves_an_empty_page(sidecar):
    answer = sidecar.get("/metrics")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"", TEXT)


def test_a_connection_serves_many_requests(sidecar):
    body = json.dumps([gauge("g", 1)]).encode()
    with socket.create_connection(("127.0.0.1", sidecar.port), timeout=10) as client:
        request = b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        client.sendall(request * 50)
        received = b""
        while received.count(b"HTTP/1.1 200") < 50 or not received.endswith(b"true"):
            part = client.recv(65536)
            assert part, received[-300:]
            received += part


def curl(*arguments):
    answer = subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", *arguments],
                            capture_output=True, text=True, timeout=30, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("flag, version", [("--http1.0", "1"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")])
def test_curl_pushes_and_scrapes_over_every_version_of_http(sidecar, flag, version):
    body = json.dumps([gauge("g", 1)])
    end = ["--write-out", " %{http_code} %{http_version}", flag]
    assert curl("--data", body, f"{sidecar.url}/v1/ingest", *end).split() == ["true", "200", version]
    assert curl(f"{sidecar.url}/metrics", *end).split("\n")[-2:] == ["g 1", f" 200 {version}"]


# -- refusals


def assert_problem(answer, status, code=None):
    assert answer.status == status, (answer.status, answer.text)
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert isinstance(body["code"], str) and body["code"] and isinstance(body["message"], str) and body["message"]
    assert isinstance(body.get("at", ""), str)
    if code is not None:
        assert body["code"] == code, body


@pytest.mark.parametrize("path", ["/v2/ingest", "/metric", "/v1", "/-/nothing", "/ingest/x", "/metricsx/job/a"])
def test_an_unknown_path_is_404(sidecar, path):
    assert_problem(sidecar.get(path), 404)


@pytest.mark.parametrize("method, path, allow", [
    ("GET", "/v1/ingest", {"POST"}), ("PUT", "/ingest", {"POST"}), ("GET", "/v1/clear", {"POST"}),
    ("DELETE", "/metrics", {"GET", "HEAD", "POST", "PUT"}), ("GET", "/metrics/job/a", {"PUT", "POST", "DELETE"}),
    ("POST", "/v1/families", {"GET", "HEAD"}),
    ("GET", "/v1/instances/x", {"DELETE"}), ("GET", "/-/reload", {"POST"}), ("POST", "/-/healthy", {"GET", "HEAD"}),
])
def test_a_wrong_method_is_405_with_the_right_ones(sidecar, method, path, allow):
    answer = sidecar.request(method, path)
    assert_problem(answer, 405)
    assert {one.strip() for one in answer.headers["Allow"].split(",")} >= allow - {"HEAD"}


@pytest.mark.parametrize("body", ["", "{", "[", "nonsense", "[1]", "{}", "null", '"x"', "[[]]", '[{"name":"g"}',
                                  '[{"name":"g","values":[{"value":1}]}]extra', '[{"name":1,"values":[]}]',
                                  '[{"name":"","values":[{"value":1}]}]', '[{"values":[{"value":1}]}]',
                                  '[{"name":"g","type":"bogus","values":[{"name":"g","value":1}]}]',
                                  '[{"name":"g","values":{}}]', '[{"name":"g","values":[{"name":"g"}]}]',
                                  '[{"name":"g","values":[{"name":"g","value":1,"labels":{"a":{}}}]}]',
                                  '[{"name":"g","values":[{"name":"g","value":1,"labels":[]}]}]',
                                  '[{"name":"g","values":[{"name":"g","value":01}]}]',
                                  '[{"name":"g","temporality":"sideways","values":[{"name":"g","value":1}]}]'])
def test_what_cannot_be_read_is_400_and_changes_nothing(sidecar, body):
    assert_problem(sidecar.post(body), 400)
    assert sidecar.get("/metrics").body == b""


@pytest.mark.parametrize("body", [b"\xff\xfe", b'[{"name":"g\xff","values":[{"value":1}]}]',
                                  b'[{"name":"g","values":[{"name":"g","value":1,"labels":{"a":"\xc3("}}]}]',
                                  '[{"name":"g","type":"gauge"}]'.encode("utf-16")])
def test_what_is_not_utf8_is_400(sidecar, body):
    assert_problem(sidecar.post(body), 400)


def test_an_error_names_its_place(sidecar):
    families = [gauge("a", 1), gauge("b", 2), gauge("c", 3), gauge("d", True)]
    answer = sidecar.post(families)
    assert_problem(answer, 400, "bad_value")
    assert answer.json()["at"] == "[3].values[0].value"
    answer = sidecar.post([family("g", "gauge", {"name": "g", "value": 1, "labels": {"c": None}})])
    assert_problem(answer, 400)
    assert answer.json()["at"] == "[0].values[0].labels.c"


def test_nothing_of_a_refused_push_is_kept(sidecar):
    assert sidecar.post([gauge("a", 1), gauge("b", False)]).status == 400
    assert sidecar.get("/metrics").body == b""


def test_a_wrong_aggregate_is_400_and_lists_the_right_ones(sidecar):
    answer = sidecar.post([gauge("g", 1, aggregate="bogus")])
    assert_problem(answer, 400)
    assert all(name in answer.json()["message"] for name in ("sum", "mean", "last", "median", "stddev", "all"))


@pytest.mark.parametrize("sequence", ["", "x", "a.b", "a.b.c", "e.1", "e.-1.0", "e.1.x", ".1.0", "e.99999999999999999999999.0"])
def test_a_malformed_push_sequence_is_400(sidecar, sequence):
    assert_problem(sidecar.post([counter("a_total", 1, instance="w")], Push_Sequence=sequence), 400, "bad_sequence")


def test_a_push_sequence_over_several_instances_is_400(sidecar):
    families = [counter("a_total", 1, instance="one"), counter("a_total", 1, instance="two")]
    assert_problem(sidecar.post(families, Push_Sequence="e.1.0"), 400, "bad_sequence")


def test_a_type_conflict_beside_good_families_is_202_and_listed(sidecar):
    sidecar.push([gauge("m", 1, instance="one"), counter("c_total", 1, instance="one")])
    answer = sidecar.post([histogram("m", {"+Inf": 1}, 1, instance="two"), gauge("c_total", 9, instance="two"),
                           gauge("ok", 1, instance="two")])
    assert answer.status == 202, answer.text
    refused = answer.json()["refused"]
    # The gauge has another family name than the counter, `c`, but would print the same series.
    assert {one["family"]: one["code"] for one in refused} == {"m": "type_conflict", "c_total": "name_conflict"}
    assert all(one["message"] for one in refused)
    assert sidecar.page().series() == {("m", ()): 1, ("c_total", ()): 1, ("ok", ()): 1}


def test_a_type_conflict_alone_is_409(sidecar):
    sidecar.push([counter("c_total", 1, instance="one")])
    assert sidecar.post([gauge("c_total", 9, instance="two")]).status == 409
    assert sidecar.page().value("c_total") == 1


def test_strict_refuses_the_whole_push(sidecar):
    sidecar.push([counter("c_total", 1, instance="one")])
    families = [gauge("c_total", 9, instance="two"), gauge("ok", 1, instance="two")]
    assert sidecar.post(families, path="/v1/ingest?strict=true").status == 409
    assert sidecar.page().get("ok") is None


def test_a_body_over_the_limit_is_413(launch):
    sidecar = launch(env={"MONASCA_SIDECAR_LIMITS_MAX_BODY": "1000"})
    assert_problem(sidecar.post("[" + " " * 2000 + "]"), 413)
    sidecar.push([gauge("g", 1)])


def test_a_body_over_the_limit_is_413_when_its_length_is_not_announced(launch):
    sidecar = launch(env={"MONASCA_SIDECAR_LIMITS_MAX_BODY": "1000"})
    answer = sidecar.request("POST", "/v1/ingest", iter([b"[" + b" " * 500] * 10))
    assert answer.status == 413


def test_a_key_used_again_with_another_body_is_422_and_with_the_same_body_a_retry(sidecar):
    delta = [family("jobs_total", "counter", value("jobs_total", 5), temporality="delta")]
    sidecar.push(delta, Idempotency_Key="k1")
    sidecar.push(delta, Idempotency_Key="k1")
    assert sidecar.page().value("jobs_total") == 5
    other = [family("jobs_total", "counter", value("jobs_total", 6), temporality="delta")]
    assert_problem(sidecar.post(other, Idempotency_Key="k1"), 422)
    sidecar.push(other, Idempotency_Key="k2")
    assert sidecar.page().value("jobs_total") == 11


def test_series_over_the_limit_are_left_out_and_known_ones_go_on(launch):
    sidecar = launch(env={"MONASCA_SIDECAR_LIMITS_MAX_SERIES": "10"})
    many = family("g", "gauge", *(value("g", index, {"n": str(index)}, "w") for index in range(10)))
    sidecar.push([many])
    answer = sidecar.post([gauge("more", 1, instance="w")])
    assert answer.status == 429, answer.text
    both = family("g", "gauge", value("g", 99, {"n": "0"}, "w"), value("g", 1, {"n": "new"}, "w"))
    answer = sidecar.post([both])
    assert answer.status == 202, answer.text
    assert [one["family"] for one in answer.json()["refused"]] == ["g"]
    page = sidecar.page()
    assert page.value("g", n="0") == 99 and page.get("g", n="new") is None and page.get("more") is None


@pytest.mark.parametrize("sample", [
    {"name": "x" * 1025, "value": 1}, {"name": "g", "value": 1, "labels": {"l" * 1025: "v"}},
    {"name": "g", "value": 1, "labels": {"l": "v" * 8193}},
    {"name": "g", "value": 1, "labels": {f"l{index}": "v" for index in range(65)}},
])
def test_names_and_labels_over_the_limits_are_refused(sidecar, sample):
    answer = sidecar.post([{"name": sample["name"], "type": "gauge", "values": [sample]}])
    assert_problem(answer, 400)
    assert sidecar.get("/metrics").body == b""


def test_depth_over_the_limit_is_refused(sidecar):
    answer = sidecar.post('[{"name":"g","extra":' + "[" * 10000 + "]" * 10000 + ',"values":[]}]')
    assert_problem(answer, 400)


# -- the state as JSON


def test_the_state_tells_why_a_value_is_what_it_is(sidecar):
    sidecar.push([counter("c_total", 10, instance="one"), gauge("g", 1, instance="one", aggregate="max")])
    sidecar.push([counter("c_total", 3, instance="one")])
    sidecar.push([counter("c_total", 7, instance="two")])
    assert sidecar.get("/v1/families").status == 200
    assert all(name in sidecar.get("/v1/families").text for name in ("c_total", "counter", "max"))
    assert all(name in sidecar.get("/v1/instances").text for name in ("one", "two"))
    series = sidecar.get("/v1/series?match[]=c_total")
    assert series.status == 200 and all(text in series.text for text in ("one", "two", "sum", "10", "3", "7"))
    assert sidecar.get("/v1/series?match[]=nothing").status == 200
    assert_problem(sidecar.get("/v1/series?match[]=%7B"), 400)


@pytest.mark.parametrize("ttl", ["1s", "1"])
def test_ttl_is_the_decay_of_what_the_push_writes(sidecar, ttl):
    sidecar.push([gauge("short", 1)], path=f"/v1/ingest?ttl={ttl}")
    sidecar.push([gauge("long", 1)])
    eventually(lambda: sidecar.page().get("short") is None, "the short one's decay")
    assert sidecar.page().value("long") == 1


def test_a_ttl_that_is_no_duration_is_400(sidecar):
    assert_problem(sidecar.post([gauge("g", 1)], path="/v1/ingest?ttl=soon"), 400)


def test_own_metrics_are_valid_and_apart_from_the_applications(sidecar):
    sidecar.push([counter("c_total", 1, instance="w"), histogram("h", {"+Inf": 1}, 1, instance="w")])
    sidecar.post("nonsense")
    assert sidecar.page().families.keys() == {"c_total", "h"}
    own = sidecar.own()
    assert own.families and all(name.startswith("monasca_sidecar_") for name in own.families)
    assert sidecar.get("/-/metrics").headers["Content-Type"] == TEXT
