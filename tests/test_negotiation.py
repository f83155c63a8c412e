"""GET /metrics in every format, scheme and compression: what a client asks for is what it gets, and whatever
was pushed, the Python client's parsers read the page."""

import gzip
import math
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar import counter, family, gauge, histogram, value

PROMETHEUS_3 = ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
                "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
PROMETHEUS_2 = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
SCHEMES = ["underscores", "dots", "values", "allow-utf-8"]


@pytest.mark.parametrize(("accept", "content_type"), [
    (None, TEXT),
    ("*/*", TEXT),
    (BROWSER, TEXT),
    ("text/*", TEXT),
    ("image/png", TEXT),
    ("\"", TEXT),
    ("application/openmetrics-text;version=9", TEXT),
    (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
    (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
    ("application/openmetrics-text", "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores"),
    ("text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=dots"),
    (PROTOBUF, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; "
               "escaping=underscores"),
])
def test_the_format_is_the_one_that_the_client_likes_best(sidecar, accept, content_type):
    sidecar.push([counter("a_total", 1)])
    headers = {} if accept is None else {"Accept": accept}
    for path in ("/metrics", "/v1/metrics"):
        answer = sidecar.get(path, **headers)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert answer.body
        head = sidecar.request("HEAD", path, headers=headers)
        assert (head.status, head.body) == (200, b"")
        assert (head.headers["Content-Type"], head.headers["Vary"]) == (content_type, answer.headers["Vary"])
    assert sidecar.get("/-/metrics", **headers).headers["Content-Type"] == content_type


def everything():
    """Families of every type under names that not every format can carry."""
    labels = {"plain": "x", "with.dot": "y", "with space": 'quote " back\\slash\nline', "with_dot": "z"}
    families = []
    for prefix in ("plain_", "dotted.", "größe ", "0digit:", 'quote"back\\'):
        families += [
            counter(prefix + "c_total", 17, **labels),
            family(prefix + "bare", "counter", value(prefix + "bare", 3, labels)),
            gauge(prefix + "g", -1.5, **labels),
            family(prefix + "u", "unknown", value(prefix + "u", math.pi, labels), help='say "x"\\\n'),
            family(prefix + "i", "info", value(prefix + "i_info", 1, labels)),
            histogram(prefix + "h", {"0.1": 1, "1": 4, "+Inf": 1_000_000}, 12.25, **labels),
            histogram(prefix + "f", {"1": 0.5, "+Inf": 1.5}, 1, **labels),
            histogram(prefix + "n", {"-1": 1, "+Inf": 2}, -3, **labels),
            family(prefix + "s", "summary", value(prefix + "s", 0.25, {**labels, "quantile": "0.5"}),
                   value(prefix + "s_sum", 3, labels), value(prefix + "s_count", 4, labels)),
        ]
    # A label name that begins with two underscores is none to the Python client, so no `0...` and `g...` here.
    families += [family(name, "stateset", value(name, 1, {**labels, name: "on"}), value(name, 0, {**labels, name: "off"}))
                 for name in ("plain_state", "dotted.state", "state space")]
    return families


def series_of(families):
    found = {}
    for one in families:
        for sample in one.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def text_names(series):
    """The Python text parser calls every counter `_total`."""
    return {(name.removesuffix("_total"), labels): number for (name, labels), number in series.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_pages_that_the_python_client_reads(sidecar, scheme):
    sidecar.push(everything())
    as_openmetrics = sidecar.get("/metrics", Accept=f"application/openmetrics-text;version=1.0.0;escaping={scheme}")
    as_text = sidecar.get("/metrics", Accept=f"text/plain;version=1.0.0;escaping={scheme}")
    openmetrics = series_of(parse_openmetrics(as_openmetrics.text))
    text = text_names(series_of(parse_text(as_text.text)))
    assert len(text) > 100
    # Le and quantile are laid out anew, sums of histograms with negative buckets do not exist in OpenMetrics.
    numbers = {canonical(key): number for key, number in text.items()}
    for key, number in text_names(openmetrics).items():
        assert numbers[canonical(key)] == number, key
    missing = numbers.keys() - {canonical(key) for key in text_names(openmetrics)}
    assert {name.rsplit("_", 1)[1] for name, _ in missing} <= {"sum", "count"}, missing
    assert len(missing) == 10


def canonical(key):
    name, labels = key
    return name, tuple((n, str(float(v)) if n in ("le", "quantile") else v) for n, v in labels)


def test_utf8_names_are_quoted_when_the_client_reads_them(sidecar):
    sidecar.push([gauge("my.metric", 1, **{"my.label": "v", "plain": "w"})])
    assert sidecar.get("/metrics").text.splitlines()[-1] == 'my_metric{my_label="v",plain="w"} 1'
    quoted = sidecar.get("/metrics", Accept="text/plain;version=1.0.0;escaping=allow-utf-8").text
    assert quoted == '# TYPE "my.metric" gauge\n{"my.metric","my.label"="v",plain="w"} 1\n'
    values = sidecar.get("/metrics", Accept=PROTOBUF + ";escaping=values").body
    assert b"U__my_2e_metric" in values
    assert b"my.metric" in sidecar.get("/metrics", Accept=PROTOBUF + ";escaping=allow-utf-8").body


@pytest.mark.parametrize(("accepted", "encoding"), [
    (None, None), ("gzip", "gzip"), ("gzip, zstd", "gzip"), ("gzip;q=0.1, zstd;q=0.2", "zstd"), ("zstd", "zstd"),
    ("identity, gzip;q=0.5", None), ("br", None), ("gzip;q=0", None), ("*", "gzip"),
])
def test_compression_is_the_one_that_the_client_likes_best(sidecar, accepted, encoding):
    sidecar.push([gauge("g", 1, n=str(n)) for n in range(3)])
    for accept in ("*/*", PROMETHEUS_3, PROTOBUF):
        plain = sidecar.get("/metrics", Accept=accept)
        headers = {"Accept": accept} | ({} if accepted is None else {"Accept-Encoding": accepted})
        answer = sidecar.get("/metrics", **headers)
        assert answer.headers["Content-Encoding"] == encoding
        assert answer.headers["Content-Type"] == plain.headers["Content-Type"]
        assert expanded(answer) == plain.body
        assert sidecar.request("HEAD", "/metrics", headers=headers).headers["Content-Encoding"] == encoding


def expanded(answer):
    match answer.headers["Content-Encoding"]:
        case "gzip":
            return gzip.decompress(answer.body)
        case "zstd":
            assert shutil.which("zstd"), "zstd is missing: run scripts/setup-tests.sh"
            return subprocess.run(["zstd", "-dc"], input=answer.body, capture_output=True, timeout=20, check=True).stdout
        case _:
            return answer.body


def test_names_filter_families(sidecar):
    sidecar.push([counter("a_total", 1), gauge("b", 2), histogram("h", {"+Inf": 1}, 1), gauge("x.y", 3)])
    def names(query):
        return [one.name for one in parse_text(sidecar.get("/metrics?" + query).text)]
    assert names("name[]=b") == ["b"]
    assert names("name%5B%5D=a_total&name[]=h_count") == ["a", "h"]
    assert names("name[]=a") == ["a"]
    assert names("name[]=x.y") == names("name[]=x_y") == ["x_y"]
    assert names("name[]=nothing") == names("name[]=") == []
    assert names("other=b") == ["a", "b", "h", "x_y"]
    assert sidecar.get("/metrics?name[]=none", Accept=PROMETHEUS_3).text == "# EOF\n"
    assert sidecar.get("/metrics?name[]=%ff").status == 400


def test_many_formats_in_turn_do_not_disturb_each_other(sidecar):
    sidecar.push(everything())
    accepts = [f"{media};escaping={scheme}" for scheme in SCHEMES for media in (
        "text/plain;version=1.0.0", "application/openmetrics-text;version=1.0.0", PROTOBUF)]
    first = [sidecar.get("/metrics", Accept=accept).body for accept in accepts]
    again = [sidecar.get("/metrics", Accept=accept).body for accept in reversed(accepts)]
    assert first == list(reversed(again))
