"""In the place of an aggregation gateway: what gravel-gateway and prom-aggregation-gateway say of themselves, asked of
the sidecar as they are asked, and the answers that they get wrong.

That deltas are added up at all, on every path, is in test_push_clients.py.
"""

import pytest

import exposition
from protobuf_body import CONTENT_TYPE as PROTOBUF
from protobuf_body import delimited, double, inner, labels
from protobuf_body import family as protobuf_family
from sidecar import eventually, family, value

GAUGE = 1
AS_GATEWAY = "push: {temporality: delta}\n"


@pytest.fixture
def gateway(launch):
    return launch(config=AS_GATEWAY)


def push(sidecar, text, path="/metrics", method="POST"):
    answer = sidecar.request(method, path, text)
    assert (answer.status, answer.body) == (200, b""), (answer.status, answer.text)


def series(sidecar):
    """The page as {sample as printed: value}."""
    found = {}
    for (name, pairs), number in exposition.parse(sidecar.get("/metrics").body).series().items():
        text = ",".join(f'{label}="{text}"' for label, text in pairs)
        found[f"{name}{{{text}}}" if text else name] = number
    return found


# -- gravel-gateway


def test_the_label_clearmode_says_what_becomes_of_what_is_there(gateway):
    """gravel-gateway's table of modes, one push after the other."""
    steps = [
        ("# TYPE value_total counter\nvalue_total 1\n", {"value_total": 1}),
        ("# TYPE value_total counter\nvalue_total 3\n", {"value_total": 4}),
        ('# TYPE value_total counter\nvalue_total{clearmode="replace"} 2\n', {"value_total": 2}),
        ('# TYPE value_total counter\nvalue_total{clearmode="aggregate"} 2\n', {"value_total": 4}),
        ('# TYPE value_total counter\nvalue_total{clearmode="sum"} 2\n', {"value_total": 6}),
        ("# TYPE depth gauge\ndepth 5\n", {"value_total": 6, "depth": 5}),
        ("# TYPE depth gauge\ndepth 4\n", {"value_total": 6, "depth": 4}),
        ('# TYPE depth gauge\ndepth{clearmode="sum"} 4\n', {"value_total": 6, "depth": 8}),
        ('# TYPE depth gauge\ndepth{clearmode="nonsense"} 1\n', {"value_total": 6, "depth": 1}),
    ]
    for text, shown in steps:
        push(gateway, text)
        assert series(gateway) == shown, text


@pytest.mark.parametrize("mode", ["family", "info"])
def test_a_family_is_replaced_whole(gateway, mode):
    push(gateway, '# TYPE build_info gauge\nbuild_info{version="1"} 1\nbuild_info{version="2"} 1\n# TYPE c counter\nc{a="1"} 5\n')
    push(gateway, f'# TYPE build_info gauge\nbuild_info{{version="3",clearmode="{mode}"}} 1\n# TYPE c counter\nc{{a="2"}} 1\n')
    assert series(gateway) == {'build_info{version="3"}': 1, 'c{a="1"}': 5, 'c{a="2"}': 1}


def test_a_window_shows_the_mean_of_what_was_pushed_lately(gateway):
    for number in (1, 2, 6):
        push(gateway, f'# TYPE took gauge\ntook{{clearmode="mean5m"}} {number}\n')
    assert series(gateway) == {"took": 3}
    [explained] = gateway.get("/v1/series?match[]=took").json()
    assert explained["aggregation"] == "mean5m"
    assert explained["accumulated_observed"] == {"count": 3, "value": 3}


def test_a_window_shows_the_sum_of_what_was_pushed_lately_and_then_nothing(gateway):
    for number in (1, 2, 6):
        push(gateway, f'# TYPE seen gauge\nseen{{clearmode="sum5m"}} {number}\n# TYPE c gauge\nc{{clearmode="sum1s"}} 1\n')
    assert series(gateway)["seen"] == 9
    eventually(lambda: series(gateway) == {"seen": 9}, "the end of the second")


def test_a_window_on_what_was_pushed_without_one_ends_no_connection(gateway):
    """gravel-gateway panics here."""
    push(gateway, "# TYPE took gauge\ntook 100\n")
    push(gateway, '# TYPE took gauge\ntook{clearmode="mean5m"} 4\n')
    assert series(gateway) == {"took": 4}
    push(gateway, "# TYPE took gauge\ntook 6\n")
    assert series(gateway) == {"took": 5}


def test_a_window_of_a_histogram_is_refused_with_a_code(gateway):
    text = '# TYPE h histogram\nh_bucket{le="+Inf",clearmode="mean5m"} 1\nh_sum 1\nh_count 1\n'
    answer = gateway.request("POST", "/metrics", text)
    assert (answer.status, answer.code) == (400, "bad_aggregation")
    assert answer.json()["at"] == "line 2"
    assert series(gateway) == {}


def test_every_format_of_deltas_knows_it(sidecar):
    delta = "/metrics?temporality=delta"
    def json(number, **more):
        return [family("depth", "gauge", value("depth", number, more), temporality="delta")]
    def protobuf(number, **more):
        return delimited(protobuf_family("depth", GAUGE, labels(**more) + inner(2, double(1, number))))
    sidecar.push(json(5))
    sidecar.push(json(2, clearmode="sum"))
    assert series(sidecar) == {"depth": 7}
    answer = sidecar.request("POST", delta, protobuf(3, clearmode="sum"), {"Content-Type": PROTOBUF})
    assert answer.status == 200 and series(sidecar) == {"depth": 10}
    text = '# TYPE depth gauge\ndepth{clearmode="sum"} -1\n# EOF\n'
    answer = sidecar.request("POST", delta, text, {"Content-Type": "application/openmetrics-text; version=1.0.0"})
    assert answer.status == 200 and series(sidecar) == {"depth": 9}
    sidecar.push(json(1, clearmode="family"))
    assert series(sidecar) == {"depth": 1}


def test_what_is_no_delta_keeps_it_as_a_label(sidecar):
    push(sidecar, '# TYPE depth gauge\ndepth{clearmode="replace"} 1\n', "/metrics/job/x")
    assert sidecar.get("/metrics").text.splitlines()[1] == 'depth{clearmode="replace",instance="",job="x"} 1'


def test_pushes_with_and_without_labels_mix(gateway):
    """gravel-gateway refuses other label names than those of the first push."""
    push(gateway, "# TYPE c counter\nc 1\n")
    push(gateway, "# TYPE c counter\nc 1\n", "/metrics/job/x")
    push(gateway, '# TYPE c counter\nc{a="1"} 1\n')
    assert series(gateway) == {"c": 1, 'c{job="x"}': 1, 'c{a="1"}': 1}


# -- prom-aggregation-gateway


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path, shown", [
    ("/metrics", "c"),
    ("/metrics/job/someJob", 'c{job="someJob"}'),
    ("/metrics/label/value", 'c{label="value"}'),
    ("/metrics/label1/value1/label2/value2", 'c{label1="value1",label2="value2"}'),
    ("/metrics/job/a%2Fb", 'c{job="a/b"}'),
    ("/metrics/label@base64/YS9i", 'c{label="a/b"}'),
])
def test_any_pairs_of_the_path_are_labels(gateway, method, path, shown):
    for _ in range(2):
        push(gateway, "# TYPE c counter\nc 2\n", path, method)
    assert series(gateway) == {shown: 4}


def test_a_label_is_never_there_twice(gateway):
    """There a label of both path and body is refused, and one that the path repeats makes the page invalid."""
    push(gateway, '# TYPE c counter\nc{testing="body"} 1\n', "/metrics/testing/path")
    push(gateway, "# TYPE c counter\nc 1\n", "/metrics/testing/other/testing/path")
    assert series(gateway) == {'c{testing="path"}': 2}


@pytest.mark.parametrize("path", ["/metrics/job", "/metrics/label/value/more"])
def test_labels_come_in_pairs(gateway, path):
    answer = gateway.request("POST", path, "# TYPE c counter\nc 1\n")
    assert 400 <= answer.status < 500 and answer.code
    assert series(gateway) == {}


def test_clients_that_insist_on_202_get_it(launch):
    gateway = launch(config="push: {temporality: delta, status: 202}\n")
    answer = gateway.request("POST", "/metrics/job/x", "# TYPE c counter\nc 1\n")
    assert (answer.status, answer.body) == (202, b"")
    assert series(gateway) == {'c{job="x"}': 1}


def test_buckets_of_different_bounds_are_added_right(gateway):
    """There {1: 5, +Inf: 5} and {2: 3, +Inf: 3} come to a bucket 2 of 3, below the bucket 1 of 5."""
    for bound, count in (("1", 5), ("2", 3)):
        push(gateway, f'# TYPE h histogram\nh_bucket{{le="{bound}"}} {count}\nh_bucket{{le="+Inf"}} {count}\nh_sum 1\nh_count {count}\n')
    assert series(gateway) == {
        'h_bucket{le="1"}': 5, 'h_bucket{le="2"}': 8, 'h_bucket{le="+Inf"}': 8, "h_sum": 2, "h_count": 8}
