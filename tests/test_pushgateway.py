"""Judged by the real one: the same requests go to Debian's prometheus-pushgateway and to the sidecar.

After each request the statuses are compared, and with them the series, types and push times on the page and the
JSON of `/api/v1/metrics`. Each difference that is meant is named beside what it allows, and told with its reason
in docs/pushgateway-compatibility.md.
"""

import gzip
import random
import re

import pytest

import exposition
from pushgateway_server import OWN, TIMES, listing, view

SEEDS = range(8)
STEPS = 60


class Pair:
    """Both servers, which get the same."""

    def __init__(self, real, ours):
        self.real, self.ours = real, ours
        assert real.request("PUT", "/api/v1/admin/wipe").status == 202
        assert ours.request("PUT", "/api/v1/admin/wipe").status == 202

    def send(self, method, path, body=None, headers=None):
        """One request to both: the answers."""
        body = body.encode() if isinstance(body, str) else body
        return (self.real.request(method, path, body, headers), self.ours.request(method, path, body, headers))

    def same(self, method, path, body=None, headers=None, status=None):
        """Both answer with the same status, and show the same afterwards."""
        real, ours = self.send(method, path, body, headers)
        assert (real.status, bool(real.body)) == (ours.status, bool(ours.body)), (real.text, ours.text)
        assert status in (None, real.status), (status, real.status, real.text)
        self.compare()
        return ours

    def compare(self, help_texts=False):
        real, ours = view(self.real), view(self.ours)
        assert ours.series == real.series
        assert ours.types == real.types
        assert ours.times == real.times
        if help_texts:
            assert ours.helps == real.helps
        assert listing(self.ours) == listing(self.real)
        exposition.parse(self.ours.request("GET", "/metrics").body, grouped=True)


STRICT = "strict: true\npush: {admin_api: true, timestamps: reject}\n"
DEFAULT = "push: {admin_api: true}\n"


@pytest.fixture
def pair(pushgateway, launch):
    return Pair(pushgateway, launch(config=DEFAULT))


@pytest.fixture
def strict_pair(pushgateway, launch):
    """As near to the Pushgateway as settings bring it: a push is taken whole or refused whole."""
    return Pair(pushgateway, launch(config=STRICT))


EVERY_TYPE = """\
# HELP jobs_total Jobs "done", \\\\ and\\nmore.
# TYPE jobs_total counter
jobs_total{state="ok"} 12
jobs_total{state="a\\\\b\\n\\"c\\" é"} 0.5
# TYPE plain counter
plain 1e+21
# HELP last_success When.
# TYPE last_success gauge
last_success -1.25e-9
inf +Inf
minus -Inf
nan NaN
nobody_knows{a="b",} 3
# TYPE size summary
size{quantile="0.5"} 7
size{quantile="0.9"} NaN
size_sum 10
size_count 3
# TYPE latency histogram
latency_bucket{le="0.1"} 1
latency_bucket{le="1.0"} 2
latency_bucket{le="10"} 2
latency_bucket{le="+Inf"} 4
latency_sum 55.5
latency_count 4
"""


# -- pushes and what they replace


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_every_type_comes_out_as_it_went_in(pair, method):
    answer = pair.same(method, "/metrics/job/a/instance/i", EVERY_TYPE, status=200)
    assert answer.body == b"" and answer.headers["Content-Type"] is None
    pair.compare(help_texts=True)


def test_post_replaces_families_and_put_the_group(pair):
    pair.same("POST", "/metrics/job/a", '# TYPE m gauge\nm{l="1"} 1\nm{l="2"} 2\nn 3\n')
    pair.same("POST", "/metrics/job/a", '# TYPE m gauge\nm{l="3"} 9\n')
    pair.same("POST", "/metrics/job/b", '# TYPE m gauge\nm{l="3"} 8\no 1\n')
    pair.same("PUT", "/metrics/job/a", "p 4\n")
    pair.same("POST", "/metrics/job/a", "")
    pair.same("PUT", "/metrics/job/b", "")
    pair.same("POST", "/metrics/job/new", "")
    pair.same("DELETE", "/metrics/job/a", status=202)
    pair.same("DELETE", "/metrics/job/a", status=202)
    pair.same("DELETE", "/metrics/job/never", status=202)
    pair.same("DELETE", "/metrics/job/b")
    pair.same("PUT", "/api/v1/admin/wipe", status=202)


@pytest.mark.parametrize("before, after", [
    ("# TYPE m gauge\nm 1\n", "# TYPE m counter\nm 2\n"), ("# TYPE m counter\nm 1\n", "m 2\n"),
    ("# TYPE m counter\nm 5\n", "# TYPE m counter\nm 2\n"),
    ("# TYPE m gauge\nm 1\n", "# TYPE m summary\nm_sum 1\nm_count 2\n"),
    ("# TYPE m summary\nm_sum 1\nm_count 2\n", '# TYPE m histogram\nm_bucket{le="+Inf"} 2\nm_sum 1\nm_count 2\n'),
    ('# TYPE m histogram\nm_bucket{le="1"} 1\nm_bucket{le="+Inf"} 2\nm_sum 1\nm_count 2\n',
     '# TYPE m histogram\nm_bucket{le="2"} 1\nm_bucket{le="+Inf"} 1\nm_sum 1\nm_count 1\n'),
])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_group_may_change_its_own_types_and_count_down(pair, before, after, method):
    pair.same("POST", "/metrics/job/a", before, status=200)
    pair.same(method, "/metrics/job/a", after, status=200)


def test_the_labels_of_the_path_go_before_those_of_the_body(pair):
    pair.same("PUT", "/metrics/job/a/l/path", 'm{job="other",l="body",more="x"} 1\n')
    pair.same("PUT", "/metrics/job/b", 'm{instance="i"} 2\n')
    pair.same("PUT", "/metrics/job/c/instance/p", 'm{instance="i"} 2\n')
    pair.same("PUT", "/metrics/job/d", 'm{instance=""} 2\n')
    pair.same("PUT", "/metrics/job/e/instance@base64/=", 'm{instance="i"} 2\n')


def test_pushed_push_times_count_for_nothing(pair):
    pair.same("PUT", "/metrics/job/a", "push_time_seconds 1\npush_failure_time_seconds 7\nm 1\n", status=200)
    pair.same("PUT", "/metrics/job/a", '# TYPE push_time_seconds counter\npush_time_seconds{l="x"} 1\n', status=200)


# -- paths


@pytest.mark.parametrize("path", [
    "job/a", "job/a/", "job/a/x/", "job/a/x/1/y/2", "job/a/y/2/x/1", "job/a%20b", "job/a+b", "job/%C3%A9",
    "job@base64/YS9i", "job@base64/YS9i/", "job@base64/L3Zhci90bXA=", "job@base64/L3Zhci90bXA",
    "job@base64/L3Zhci90bXA%3D", "job/a/x@base64/=", "job/a/x@base64/8J-Riw", "job/a/x@base64/8J-Riw==",
    "job/a/instance/i", "job/a/job/b", "job/a/x/1/x/2", "job/a/_x/1", "job/a/le/1", "job/a/quantile/1",
    "job/a/instance@base64/=", "job/a/x/%22%5C%0A", "job/a/x/..b", "job/job/job/job",
])
def test_paths_that_are_taken(pair, path):
    for method in ("PUT", "POST"):
        pair.same(method, f"/metrics/{path}", "m 1\n", status=200)
    pair.same("DELETE", f"/metrics/{path}", status=202)


@pytest.mark.parametrize("path", [
    "job@base64/=", "job/a/x", "job/a/x/1/y", "job/a/__x/1", "job/a/__name__/1", "job@base64/!!", "job/a/x@base64/!!", "job/a/x@base64/+w", "job/a/@base64/YQ",
])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_paths_that_are_refused(pair, method, path):
    pair.same(method, f"/metrics/{path}", None if method == "DELETE" else "m 1\n", status=400)


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/metrics/job/a", 405), ("PATCH", "/metrics/job/a", 405), ("HEAD", "/metrics/job/a", 405),
    ("DELETE", "/metrics", 405), ("POST", "/api/v1/metrics", 405), ("POST", "/api/v1/admin/wipe", 405),
    ("GET", "/api/v1/admin/wipe", 405), ("POST", "/api/v1/status", 405), ("GET", "/nothing", 404), ("PUT", "/-/quitx", 404),
])
def test_other_methods_and_paths(pair, method, path, status):
    real, ours = pair.send(method, path)
    assert (real.status, ours.status) == (status, status)
    pair.compare()


# Each a deliberate difference: (method, path, status there, status here).
@pytest.mark.parametrize("method, path, real_status, our_status", [
    # Paths are split before they are decoded: an encoded slash is a part of the value, as prom-client means it.
    ("PUT", "/metrics/job/a%2Fb", 400, 200),
    # No redirect: clients that push do not follow it, or turn the push into a GET.
    ("PUT", "/metrics/job/a//b", 301, 400),
    ("PUT", "/metrics/job/", 307, 400),
    ("PUT", "/metrics/job@base64/", 404, 400),
    # Names of labels may be any UTF-8, as there with --push.enable-utf8-names (from version 1.10 on).
    ("PUT", "/metrics/job/a/a-b/1", 400, 200),
    ("PUT", "/metrics/job/a/1a/1", 400, 200),
    # A push without a job is one of deltas, which says so.
    ("POST", "/metrics", 405, 400),
    ("POST", "/metrics/", 404, 400),
    ("PUT", "/metrics/instance/x", 404, 400),
])
def test_paths_that_are_taken_otherwise(pair, method, path, real_status, our_status):
    real, ours = pair.send(method, path, "m 1\n")
    assert (real.status, ours.status) == (real_status, our_status), (real.text, ours.text)


# -- bodies


@pytest.mark.parametrize("body", [
    "m 1\n\n\nn 2\n", "# a comment\nm 1\n", "#\nm 1\n", "# HELP m\n# TYPE m gauge\nm 1\n", "m  1\n", "m\t1\n", " m 1\n",
    "m{ a = \"b\" , c=\"d\" } 1\n", "m{} 1\n", "m Nan\n", "m nan\n", "m inf\n", "m +inf\n", "m 0x1p-2\n", "m 1_0\n", "m Infinity\n",
    "# TYPE m untyped\nm 1\n", "# TYPE m gauge\n", "# HELP m only help\n", "\n", "# TYPE m GAUGE\nm 1\n",
    "# TYPE s summary\ns_sum 1\ns_count 1\n", "a:b 1\n", "_a 1\n", ":a 1\n", "# EOF\n", "m 1\n# EOF\n",
    "m 5e-324\n", "m 1.7976931348623157e308\n", "m -0\n", "m 1e400\n",
    "# TYPE m gauge\nm 1\nn 2\nm{l=\"1\"} 3\n", "m_bucket{le=\"1\"} 1\nm_sum 2\nm_count 4\n",
    "# TYPE m\nm 1\n",
])
def test_bodies_are_read_alike(pair, body):
    pair.same("PUT", "/metrics/job/a", body, status=None)


@pytest.mark.parametrize("body", [
    "m\n", "m 1 2 3\n", "m one\n", "m{a=\"b} 1\n", "m{a=b} 1\n", "m{a=\"b\" 1\n", "m{a=\"b\",,} 1\n", "1m 1\n", "a-b 1\n",
    "m{1a=\"b\"} 1\n", "m{a=\"\\x\"} 1\n", "# TYPE m nonsense\nm 1\n", "# TYPE m gauge\n# TYPE m gauge\nm 1\n",
    "m 1\n# TYPE m gauge\n", "# HELP m a\n# HELP m b\nm 1\n", "m{a=\"1\",a=\"2\"} 1\n", "m{__name__=\"x\"} 1\n", "\x00", "m 1\x00\n",
    "{\"a\":1}\n", "<html>\n", "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", "# TYPE s summary\ns{quantile=\"x\"} 1\n", "m 1 1.5\n",
    "m{\xff=\"1\"} 1\n", "m{a=\"b\"}\n",
])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_what_cannot_be_read_is_refused_and_changes_nothing(pair, method, body):
    pair.same("PUT", "/metrics/job/a", "n 1\n", status=200)
    pair.same(method, "/metrics/job/a", body, status=400)
    pair.same(method, "/metrics/job/new", body, status=400)


@pytest.mark.parametrize("body, shown", [
    # Many hand-written clients send no last line feed, or those of DOS.
    ("m 1", {"m": "1.0"}), ("m 1\r\nn 2\r\n", {"m": "1.0", "n": "2.0"}), ("# TYPE m gauge\nm 1\n# EOF", {"m": "1.0"}),
])
def test_line_ends_that_only_we_take(pair, body, shown):
    real, ours = pair.send("PUT", "/metrics/job/a", body)
    assert (real.status, ours.status) == (400, 200), (real.text, ours.text)
    assert {name: value for (name, _), value in view(pair.ours).series.items()} == shown


@pytest.mark.parametrize("kind", ["", "text/plain; version=0.0.4; charset=utf-8", "text/html", "nonsense",
                                  "application/x-www-form-urlencoded", "application/openmetrics",
                                  "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text"])
def test_whatever_is_not_delimited_protobuf_is_text(pair, kind):
    pair.same("PUT", "/metrics/job/a", "m 1\n", {"Content-Type": kind}, status=200)


def test_gzip(pair):
    pair.same("PUT", "/metrics/job/a", gzip.compress(EVERY_TYPE.encode()), {"Content-Encoding": "gzip"}, status=200)
    pair.same("PUT", "/metrics/job/b", b"m 1\n", {"Content-Encoding": "gzip"}, status=400)


def test_an_encoding_that_is_not_known_is_named(pair):
    """There it is ignored, and the body read as if it were text."""
    real, ours = pair.send("PUT", "/metrics/job/a", "m 1\n", {"Content-Encoding": "br"})
    assert (real.status, ours.status, ours.code) == (200, 415, "unsupported_encoding")


# Each a deliberate difference: (body, what we refuse of it or None, the series here, the series there).
@pytest.mark.parametrize("body, code, ours_shown, real_shown", [
    # An empty label is no label, but in a grouping key; there it stays, and Prometheus drops it.
    ('m{l=""} 1\n', None, ['m{instance="",job="a"} 1'], ['m{instance="",job="a",l=""} 1']),
    # What the type of a family does not have is refused by name; there it is dropped in silence.
    ('# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\nh 3\n', "type_conflict",
     ['h_bucket{instance="",job="a",le="+Inf"} 1', 'h_count{instance="",job="a"} 1', 'h_sum{instance="",job="a"} 1'],
     ['h_bucket{instance="",job="a",le="+Inf"} 1', 'h_count{instance="",job="a"} 1', 'h_sum{instance="",job="a"} 1']),
    # A counter owns its name without `_total` too, which it has in OpenMetrics.
    ("# TYPE c_total counter\nc_total 1\n# TYPE c gauge\nc 2\n", "type_conflict",
     ['c_total{instance="",job="a"} 1'], ['c_total{instance="",job="a"} 1', 'c{instance="",job="a"} 2']),
    # Counters, buckets and counts are not negative, infinite or NaN; buckets rise to the count.
    ("# TYPE c counter\nc -1\nok 1\n", "bad_value", ['ok{instance="",job="a"} 1'], ['c{instance="",job="a"} -1', 'ok{instance="",job="a"} 1']),
    ("# TYPE c counter\nc NaN\nok 1\n", "bad_value", ['ok{instance="",job="a"} 1'], ['c{instance="",job="a"} NaN', 'ok{instance="",job="a"} 1']),
    ('# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_count 1\n# TYPE ok gauge\nok 1\n', "falling_buckets",
     ['ok{instance="",job="a"} 1'], None),
    ('# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_count 3\n# TYPE ok gauge\nok 1\n', "count_mismatch",
     ['ok{instance="",job="a"} 1'], None),
    # A histogram without `_sum` has none; there it gets 0.
    ('# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 1\n', None,
     ['h_bucket{instance="",job="a",le="+Inf"} 1', 'h_count{instance="",job="a"} 1'],
     ['h_bucket{instance="",job="a",le="+Inf"} 1', 'h_count{instance="",job="a"} 1', 'h_sum{instance="",job="a"} 0']),
    # Without the `+Inf` bucket or without the count each gives the other; there the count is 0 and the page invalid.
    ('# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\n', None,
     ['h_bucket{instance="",job="a",le="+Inf"} 1', 'h_count{instance="",job="a"} 1', 'h_sum{instance="",job="a"} 1'],
     ['h_bucket{instance="",job="a",le="+Inf"} 1', 'h_count{instance="",job="a"} 0', 'h_sum{instance="",job="a"} 1']),
])
def test_bodies_that_are_read_otherwise(pair, body, code, ours_shown, real_shown):
    real, ours = pair.send("PUT", "/metrics/job/a", body)
    assert (real.status, ours.status) == (200, 202 if code else 200), (real.text, ours.text)
    assert code is None or [refused["code"] for refused in ours.json()["refused"]] == [code]
    assert lines(pair.ours) == ours_shown
    assert real_shown is None or lines(pair.real) == real_shown


@pytest.mark.parametrize("body, code", [
    # A name that a histogram of the same body has: that family alone; there the parser gives up.
    ("# TYPE m summary\nm_sum 1\nm_count 2\n# TYPE m_count gauge\nm_count 3\n# TYPE ok gauge\nok 1\n", "name_conflict"),
    # The same series twice in a body, also when the path makes two equal: the last one counts; there all is refused.
    ("ok 2\nok 1\n", None), ('ok{job="x"} 2\nok{job="y"} 1\n', None),
    # A time stamp is dropped; `timestamps: reject` refuses it.
    ("ok 1 1395066363000\n", None),
])
def test_bodies_that_only_we_take(pair, body, code):
    real, ours = pair.send("PUT", "/metrics/job/a", body)
    assert (real.status, ours.status) == (400, 202 if code else 200), (real.text, ours.text)
    assert code is None or [refused["code"] for refused in ours.json()["refused"]] == [code]
    assert 'ok{instance="",job="a"} 1' in lines(pair.ours)


def test_a_group_may_push_a_name_of_its_own_histogram_instead_of_it(pair):
    pair.same("PUT", "/metrics/job/a", "# TYPE m summary\nm_sum 1\nm_count 2\n", status=200)
    real, ours = pair.send("POST", "/metrics/job/a", "# TYPE m_count gauge\nm_count 3\n")
    assert changes_own_names(real, ours)
    assert lines(pair.ours) == ['m_count{instance="",job="a"} 3']


def test_an_escaped_label_name_of_the_path_is_unescaped(pair):
    """There only with --push.enable-utf8-names, which this version does not have."""
    real, ours = pair.send("PUT", "/metrics/job/a/U__a_2e_b/1", "m 1\n")
    assert (real.status, ours.status) == (200, 200)
    assert [dict(group)["a.b"] for group in listing(pair.ours)] == ["1"]
    assert [dict(group)["U__a_2e_b"] for group in listing(pair.real)] == ["1"]


def test_an_untyped_total_is_a_counter(pair):
    real, ours = pair.send("PUT", "/metrics/job/a", "jobs_total 1\n")
    assert (real.status, ours.status) == (200, 200)
    assert (view(pair.real).types, view(pair.ours).types) == ({"jobs_total": "unknown"}, {"jobs": "counter"})


def lines(server):
    text = server.request("GET", "/metrics").text
    return sorted(line for line in text.splitlines() if not line.startswith("#") and not OWN.match(line) and not line.startswith("push_"))


# -- consistency


def refused_families(answer):
    return {refused["family"] for refused in answer.json()["refused"]}


def test_a_conflict_is_refused_and_dated(strict_pair):
    strict_pair.same("PUT", "/metrics/job/a", "# TYPE m gauge\nm 1\n", status=200)
    for body in ("# TYPE m counter\nm 1\n", "n 1\n# TYPE m counter\nm 1\n"):
        for job in ("b", "c"):
            real, ours = strict_pair.send("POST", f"/metrics/job/{job}", body)
            assert (real.status, ours.status) == (400, 409), (real.text, ours.text)  # a conflict has a status of its own
            strict_pair.compare()
    strict_pair.same("POST", "/metrics/job/b", "n 1\n", status=200)
    real, ours = strict_pair.send("PUT", "/metrics/job/b", "# TYPE m counter\nm 1\n")
    assert (real.status, ours.status) == (400, 409)
    strict_pair.compare()


def test_a_conflict_is_refused_alone(pair):
    pair.same("PUT", "/metrics/job/a", "# TYPE m gauge\nm 1\n", status=200)
    real, ours = pair.send("POST", "/metrics/job/b", "n 1\n# TYPE m counter\nm 1\n")
    assert (real.status, ours.status, refused_families(ours)) == (400, 202, {"m"})
    real, ours = pair.send("POST", "/metrics/job/b", "# TYPE m counter\nm 1\n")
    assert (real.status, ours.status, refused_families(ours)) == (400, 409, {"m"})
    names = {name for name, _ in view(pair.ours).series}
    assert names == {"m", "n"}


@pytest.mark.parametrize("first, second", [
    # The same series in two groups.
    (("job/a", 'm{x="1"} 1\n'), ("job/a/x/1", "m 2\n")),
    # The names of a histogram or summary, as another family.
    (("job/a", '# TYPE m histogram\nm_bucket{le="+Inf"} 1\nm_sum 1\nm_count 1\n'), ("job/b", "m_count 1\n")),
    (("job/a", "# TYPE m summary\nm_sum 1\nm_count 1\n"), ("job/b", "m_sum 1\n")),
    (("job/a", "m_count 1\n"), ("job/b", "# TYPE m summary\nm_sum 1\nm_count 1\n")),
])
def test_what_another_group_has_is_refused(strict_pair, first, second):
    strict_pair.same("PUT", f"/metrics/{first[0]}", first[1], status=200)
    real, ours = strict_pair.send("PUT", f"/metrics/{second[0]}", second[1])
    assert (real.status, ours.status) == (400, 409), (real.text, ours.text)
    strict_pair.compare()


def test_two_groups_with_the_labels_of_one_do_not_break_the_page(pair):
    """There the push times of both are the same series, and every scrape is a 500 until one is deleted."""
    pair.same("PUT", "/metrics/job/a", "m 1\n", status=200)
    real, ours = pair.send("PUT", "/metrics/job/a/instance@base64/=", "m 2\n")
    assert (real.status, ours.status) == (400, 409)
    assert pair.real.request("GET", "/metrics").status == 500
    page = exposition.parse(pair.ours.request("GET", "/metrics").body, grouped=True)
    assert page.value("m", job="a", instance="") == 1


def test_a_time_stamp_is_refused_where_that_is_set_and_dropped_otherwise(strict_pair, launch):
    real, ours = strict_pair.send("PUT", "/metrics/job/a", "m 1 1395066363000\n")
    assert (real.status, ours.status, ours.code) == (400, 400, "timestamp_not_allowed")
    lenient = launch(config=DEFAULT)
    assert lenient.request("PUT", "/metrics/job/a", "m 1 1395066363000\n").status == 200
    assert lenient.get("/metrics").text.split("\n")[1] == 'm{instance="",job="a"} 1'


# -- random requests

JOBS = ["job/a", "job/b", "job/a/x/1", "job/a/x/2", "job/a/instance/i", "job@base64/YS9i", "job/b/x@base64/="]
NAMES = ["m", "n", "jobs_total", "m_count", "h"]
TYPES = ["gauge", "counter", "untyped", "summary", "histogram"]
# Sets that stay apart whatever the path says, and those that the path may make equal to others.
APART = [{}, {"l": "1"}, {"l": "2"}]
LABELS = [*APART, {"x": "1"}, {"instance": "j"}, {"job": "z"}]
MALFORMED = ["m", "m 1 x\n", "# TYPE m gauge gauge\nm 1\n", "m{l=\"1} 1\n", "m{l=\"1\"} 1\nm{\n", "{}", "m 1\nn one\n"]


def text_of(name, labels, value):
    inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value}\n" if inner else f"{name} {value}\n"


def samples_of(chance, name, kind, labels):
    if kind == "summary":
        parts = [(name, {**labels, "quantile": quantile}, chance.randrange(9)) for quantile in chance.sample(["0.5", "0.9"], 1)]
        return parts + [(name + "_sum", labels, chance.randrange(9)), (name + "_count", labels, chance.randrange(9))]
    if kind == "histogram":
        bounds = sorted(chance.sample([0.5, 1, 2.5, 10], 2))
        counts = sorted(chance.randrange(9) for _ in range(3))
        buckets = zip([*map(str, bounds), "+Inf"], counts)
        parts = [(name + "_bucket", {**labels, "le": le}, count) for le, count in buckets]
        return parts + [(name + "_sum", labels, chance.randrange(9)), (name + "_count", labels, counts[-1])]
    return [(name, labels, chance.choice([0, 1, 2.5, 1e9, "NaN"] if kind != "counter" else [0, 1, 2.5]))]


def random_body(chance, families):
    body = ""
    names = chance.sample(NAMES, families)
    if "m" in names and "m_count" in names:
        names.remove("m_count")  # in one body that is the parser's business there: see the recorded cases
    for name in names:
        usual = {"h": "histogram", "jobs_total": "counter"}.get(name, "gauge")
        kind = chance.choice(TYPES) if chance.random() < 0.3 and name != "jobs_total" else usual
        body += f"# TYPE {name} {kind}\n"
        for labels in chance.choice([chance.sample(APART, 2), chance.sample(LABELS, 1)]):
            body += "".join(text_of(*sample) for sample in samples_of(chance, name, kind, labels))
    return body


def random_request(chance, most_families):
    path = f"/metrics/{chance.choice(JOBS)}"
    if chance.random() < 0.15:
        return "DELETE", path, None
    body = chance.choice(MALFORMED) if chance.random() < 0.1 else random_body(chance, chance.randint(0, most_families))
    return chance.choice(["PUT", "POST"]), path, body


def expected_status(real):
    """A conflict is 409 here, which says that it may be gone later; what cannot be read is 400 in both."""
    return 409 if "invalid or inconsistent" in real.text else real.status


def changes_own_names(real, ours):
    """A group that has the only summary `m` may push `m_count` instead: the summary makes way. There it is refused."""
    return ours.status == 200 and real.status == 400 and "collides with previously collected" in real.text


@pytest.mark.parametrize("seed", SEEDS)
def test_random_requests_leave_the_same_behind(strict_pair, seed):
    chance = random.Random(seed)
    seen = set()
    for step in range(STEPS):
        method, path, body = random_request(chance, 3)
        real, ours = strict_pair.send(method, path, body)
        where = (seed, step, method, path, body, real.text, ours.text)
        if changes_own_names(real, ours):
            strict_pair.send("DELETE", path)
        else:
            assert ours.status == expected_status(real), where
        seen.add(ours.status)
        try:
            strict_pair.compare()
        except AssertionError as problem:
            raise AssertionError(where) from problem
    assert seen >= {200, 202, 400, 409}


@pytest.mark.parametrize("seed", SEEDS)
def test_without_the_refused_families_the_pushgateway_takes_the_rest(pair, seed):
    """Where a family is refused alone, the other one takes the body without those that the answer lists."""
    chance = random.Random(1000 + seed)
    partly = 0
    for step in range(STEPS):
        method, path, body = random_request(chance, 4)
        real, ours = pair.send(method, path, body)
        where = (seed, step, method, path, body, real.text, ours.text)
        if ours.status == 202 and method != "DELETE":
            assert real.status == 400 and "invalid or inconsistent" in real.text, where
            partly += 1
            rest = without(body, refused_families(ours))
            assert pair.real.request(method, path, rest).status == 200, (where, rest)
        elif changes_own_names(real, ours):
            pair.send("DELETE", path)
        else:
            assert ours.status == expected_status(real), where
        compare_but_failures(pair, where)
    assert partly > 3


def without(body, families):
    parts = re.split(r"^(?=# TYPE )", body, flags=re.M)
    # A counter's family is told without the `_total` of its samples.
    return "".join(part for part in parts if not part or part.split()[2].removesuffix("_total") not in families)


def compare_but_failures(pair, where):
    """What was partly taken counts as a success here; there a refusal went before it."""
    real, ours = view(pair.real), view(pair.ours)
    assert (ours.series, ours.types) == (real.series, real.types), where
    assert ours.times.keys() == real.times.keys(), where
    for key, happened in ours.times.items():
        assert happened == real.times[key] or key[0] == TIMES[1], (where, key)
