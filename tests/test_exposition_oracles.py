"""Whatever is pushed, the page is valid: for the strict reader here, for the Python client's parser and
for `promtool check metrics`; and the values come back as they went in."""

import json
import math
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

import exposition
from sidecar import counter, family, gauge, histogram, value

HOSTILE_TEXTS = [
    'quote " inside', '"', "back\\slash", "\\", "\\\\", '\\"', "ends with \\", "line\nfeed", "\n", "\r\n",
    "\\n as two characters", "tab\there", "nul\x00inside", "\x00", "\x01\x1f\x7f", "héllo wörld", "世界 🚀",
    "e\u0301 combining", "\u200b\u2028\u2029\ufeff", "\U0010ffff", " leading and trailing ", "}", "{", ",", "a=\"b\"",
    "# HELP x", "# EOF", "NaN", "1", "<script>&amp;", "=", ";", "x" * 8000,
]
NUMBERS = [
    0, -0.0, 1, -1, 1.5, 0.1, 1e-7, 1e-5, 0.0001, 0.00012345, 123456, 999999, 1000000, 1234567, 1e6, 1e16, 1e21,
    1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 9007199254740991, 9007199254740992, -123456.789e-12,
    0.30000000000000004, 100000.5, 1e100, -1e-100,
]
SPELLINGS = {
    "NaN": math.nan, '"NaN"': math.nan, "Infinity": math.inf, "-Infinity": -math.inf, '"+Inf"': math.inf,
    '"-Inf"': -math.inf, '"Inf"': math.inf, '"12.5"': 12.5, '"1e3"': 1000.0, "1E+2": 100.0, "-0": 0.0,
    '"-7"': -7.0, "null": math.nan,
}


@pytest.fixture
def checked_page(sidecar, debian_bin):
    """Scrapes, and holds the page to all three readers."""

    def scrape():
        answer = sidecar.get("/metrics")
        assert answer.status == 200
        page = exposition.parse(answer.body)
        assert_python_client_agrees(page, answer.text)
        assert_promtool_accepts(debian_bin, answer.body)
        return page

    return scrape


def assert_python_client_agrees(page, text):
    parsed = {}
    for found in text_string_to_metric_families(text):
        for sample in found.samples:
            parsed[(sample.name, tuple(sorted(sample.labels.items())))] = sample.value
    ours = {(client_name(one, sample), tuple(sorted(sample.labels))): sample.value
            for one in page.families.values() for sample in one.samples}
    assert parsed.keys() == ours.keys()
    for key, number in ours.items():
        assert same_number(parsed[key], number), (key, parsed[key], number)


def client_name(one, sample):
    """The Python parser renames a counter without `_total`."""
    if one.type == "counter" and not sample.name.endswith("_total"):
        return sample.name + "_total"
    return sample.name


def assert_promtool_accepts(debian_bin, body):
    answer = subprocess.run([str(debian_bin / "promtool"), "check", "metrics"], input=body,
                            capture_output=True, timeout=60, check=False)
    # 3 means remarks about style, 1 that the page cannot be read.
    assert answer.returncode in (0, 3), answer.stderr.decode()[:2000]


def same_number(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


def test_hostile_label_values_come_back_as_they_went_in(sidecar, checked_page):
    sidecar.push([family("hostile", "gauge", *(
        value("hostile", index, {"text": text, "n": str(index)}) for index, text in enumerate(HOSTILE_TEXTS)))])
    page = checked_page()
    for index, text in enumerate(HOSTILE_TEXTS):
        assert page.value("hostile", text=text, n=str(index)) == index, text


def test_hostile_texts_in_the_names_of_instances_stay_hidden(sidecar, checked_page):
    for index, text in enumerate(HOSTILE_TEXTS):
        sidecar.push([counter("seen_total", index, instance=f"{index} {text[:200]}")])
    assert checked_page().series() == {("seen_total", ()): sum(range(len(HOSTILE_TEXTS)))}


def test_hostile_help_texts_come_back_as_they_went_in(sidecar, checked_page):
    sidecar.push([family(f"h_{index}", "gauge", value(f"h_{index}", 1), help=text)
                  for index, text in enumerate(HOSTILE_TEXTS)])
    page = checked_page()
    for index, text in enumerate(HOSTILE_TEXTS):
        assert page.families[f"h_{index}"].help == text, text


def test_every_number_comes_back_as_it_went_in(sidecar, checked_page):
    sidecar.push([family("number", "gauge", *(
        value("number", number, {"n": str(index)}) for index, number in enumerate(NUMBERS)))])
    page = checked_page()
    for index, number in enumerate(NUMBERS):
        assert page.value("number", n=str(index)) == number, number


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_number_is_read(sidecar, checked_page, spelling):
    sidecar.push('[{"name":"g","type":"gauge","help":"","values":[{"name":"g","labels":{},"value":%s}]}]' % spelling)
    assert same_number(checked_page().value("g"), SPELLINGS[spelling])


@pytest.mark.parametrize("spelling", ["true", "false", "{}", "[]", '""', '"x"', '"0x10"', '"1_000"', '" 1"', '"1 "'])
def test_what_is_no_number_is_refused_with_its_place(sidecar, spelling):
    answer = sidecar.post(
        '[{"name":"ok","type":"gauge","values":[{"name":"ok","value":1}]},'
        '{"name":"g","type":"gauge","values":[{"name":"g","value":0},{"name":"g","labels":{"a":"b"},"value":%s}]}]'
        % spelling)
    assert answer.status == 400, answer.text
    assert answer.json()["at"] == "[1].values[1].value", answer.json()
    assert answer.code == "bad_value"
    assert sidecar.page().series() == {}


@pytest.mark.parametrize("name, printed", [
    ("http.server.duration", "http_server_duration"), ("größe", "gr__e"), ("a b", "a_b"), ("1st", "_st"),
    ("a\nb", "a_b"), ('q"uote', "q_uote"), ("世界", "__"), ("with-dash", "with_dash"), ("colon:ok", "colon:ok"),
])
def test_utf8_names_are_printed_with_underscores(sidecar, checked_page, name, printed):
    sidecar.push([gauge(name, 4)])
    assert checked_page().series() == {(printed, ()): 4}


def test_utf8_label_names_are_printed_with_underscores(sidecar, checked_page):
    sidecar.push([gauge("g", 1, **{"service.name": "a", "größe": "b", "c:d": "c", "plain": "d"})])
    labels = {"service_name": "a", "gr__e": "b", "c_d": "c", "plain": "d"}
    assert checked_page().value("g", **labels) == 1


def test_names_that_become_one_when_escaped_are_never_printed_twice(sidecar, checked_page):
    sidecar.post([gauge("a.b", 1, instance="one"), gauge("a_b", 2, instance="one"), gauge("a-b", 3, instance="one")])
    sidecar.post([gauge("g", 1, **{"x.y": "v"}), gauge("g", 2, **{"x_y": "v"}), gauge("g", 3, **{"x.y": "1", "x_y": "2"})])
    checked_page()


def test_every_type_is_printed_under_a_type_of_the_text_format(sidecar, checked_page):
    sidecar.push([
        counter("c_total", 3), gauge("g", 2), histogram("h", {"0.1": 1, "+Inf": 4}, 9.5),
        family("s", "summary", value("s", 0.25, {"quantile": "0.5"}), value("s_sum", 8), value("s_count", 4)),
        family("u", "untyped", value("u", 1)), family("k", "unknown", value("k", 2)), {"name": "m", "values": [value("m", 3)]},
        family("build", "info", value("build_info", 1, {"version": "1.2"})),
        family("mood", "stateset", value("mood", 1, {"mood": "good"}), value("mood", 0, {"mood": "bad"})),
        family("gh", "gaugehistogram", value("gh_bucket", 2, {"le": "1"}), value("gh_bucket", 3, {"le": "+Inf"}),
               value("gh_gsum", 7), value("gh_gcount", 3)),
    ])
    page = checked_page()
    assert page.value("c_total") == 3 and page.value("g") == 2
    assert page.value("h_bucket", le="0.1") == 1 and page.value("h_sum") == 9.5 and page.value("h_count") == 4
    assert page.value("s", quantile="0.5") == 0.25 and page.value("s_count") == 4
    assert (page.value("u"), page.value("k"), page.value("m")) == (1, 2, 3)
    assert page.value("build_info", version="1.2") == 1
    assert page.value("mood", mood="good") == 1 and page.value("mood", mood="bad") == 0
    types = {name: one.type for name, one in page.families.items()}
    expected = {"c_total": "counter", "g": "gauge", "h": "histogram", "s": "summary", "u": "untyped", "k": "untyped",
                "m": "untyped", "build_info": "gauge", "mood": "gauge"}
    assert expected.items() <= types.items()


def test_created_times_are_left_out_of_the_text_format(sidecar, checked_page):
    sidecar.push([
        family("c", "counter", value("c_total", 3), value("c_created", 1.7e9)),
        family("d_created", "gauge", value("d_created", 1.7e9)), counter("d_total", 1),
        family("h", "histogram", value("h_bucket", 1, {"le": "+Inf"}), value("h_sum", 1), value("h_count", 1),
               value("h_created", 1.7e9)),
    ])
    assert not [key for key in checked_page().series() if key[0] in ("c_created", "h_created")]


def test_odd_bounds_of_histograms_are_ordered_and_completed(sidecar, checked_page):
    sidecar.push([
        histogram("shuffled", {"+Inf": 9, "10": 8, "2": 5, "-1": 1, "1e-3": 2, "100": 8}, 1),
        histogram("python", {"1.0": 1, "2.5": 2, "+Inf": 3}, 4),
        family("no_inf", "histogram", value("no_inf_bucket", 2, {"le": "1"}), value("no_inf_count", 5), value("no_inf_sum", 3)),
        family("no_count", "histogram", value("no_count_bucket", 2, {"le": "1"}), value("no_count_bucket", 6, {"le": "+Inf"}),
               value("no_count_sum", 3)),
        family("numbers", "histogram", value("numbers_bucket", 2, {"le": 0.1}), value("numbers_bucket", 3, {"le": "+Inf"}),
               value("numbers_sum", 3), value("numbers_count", 3)),
    ])
    page = checked_page()
    bounds = [dict(sample.labels)["le"] for sample in page.families["shuffled"].samples if sample.name.endswith("_bucket")]
    assert [float(bound) for bound in bounds] == [-1, 0.001, 2, 10, 100, math.inf]
    assert page.value("python_bucket", le="1.0") == 1, "le keeps the text it first came with"
    assert page.value("no_inf_bucket", le="+Inf") == 5
    assert page.value("no_count_count") == 6
    assert page.value("numbers_bucket", le="0.1") == 2


def test_histograms_with_different_bounds_merge_over_the_union(sidecar, checked_page):
    sidecar.push([histogram("h", {"1": 1, "5": 3, "+Inf": 4}, 10, instance="a")])
    sidecar.push([histogram("h", {"1.0": 10, "2": 20, "+Inf": 40}, 100, instance="b")])
    page = checked_page()
    found = {float(dict(sample.labels)["le"]): sample.value
             for sample in page.families["h"].samples if sample.name == "h_bucket"}
    assert found == {1.0: 11, 2.0: 21, 5.0: 23, math.inf: 44}
    assert page.value("h_sum") == 110 and page.value("h_count") == 44


@pytest.mark.parametrize("broken", [
    histogram("bad", {"1": 5, "2": 3, "+Inf": 6}, 1),
    histogram("bad", {"1": -1, "+Inf": 6}, 1),
    histogram("bad", {"x": 1, "+Inf": 6}, 1),
    family("bad", "histogram", value("bad_bucket", 1, {"le": "1"}), value("bad_sum", 1)),
    family("bad", "histogram", value("bad_bucket", 1), value("bad_count", 1)),
    counter("bad_total", -1), counter("bad_total", "NaN"), counter("bad_total", "+Inf"),
])
def test_a_family_that_cannot_be_right_never_reaches_the_page(sidecar, checked_page, broken):
    answer = sidecar.post([gauge("good", 1), broken])
    assert answer.status in (202, 400), (answer.status, answer.text)
    page = checked_page()
    assert not [name for name in page.families if name.startswith("bad")]
    assert page.get("good") == (1 if answer.status == 202 else None)


def test_samples_that_do_not_belong_become_families_of_their_own(sidecar, checked_page):
    sidecar.push([family("mine", "counter", value("mine_total", 1), value("stray", 2)),
                  family("h", "histogram", *histogram("h", {"+Inf": 1}, 1)["values"], value("h_other", 3))])
    page = checked_page()
    assert (page.value("mine_total"), page.value("stray"), page.value("h_other")) == (1, 2, 3)
    assert page.families["stray"].type == "untyped"


def test_families_whose_sample_names_overlap_never_share_the_page(sidecar, checked_page):
    sidecar.push([histogram("x", {"+Inf": 4}, 1, instance="a")])
    for overlap in (counter("x_count", 7, instance="b"), gauge("x_bucket", 7, instance="b"), gauge("x", 7, instance="b")):
        sidecar.post([overlap, gauge("beside", 1, instance="b")])
        page = checked_page()
        assert page.value("x_count") == 4 and page.value("beside") == 1


def test_the_same_state_gives_the_same_bytes_whatever_came_first(launch):
    families = [gauge("b", 1, z="1", a="2"), gauge("b", 2, a="1"), counter("a_total", 5), counter("a_b_total", 6),
                histogram("h", {"1": 1, "+Inf": 2}, 1, k="v"), histogram("h", {"1": 3, "+Inf": 4}, 1)]
    pages = []
    for order in (families, families[::-1]):
        one = launch()
        for single in order:
            one.push([single])
        pages.append(one.get("/metrics").body)
        assert one.get("/metrics").body == pages[-1]
    assert pages[0] == pages[1]


def test_a_large_page_of_hostile_families_is_valid(sidecar, checked_page):
    batch = []
    for index in range(2000):
        text = HOSTILE_TEXTS[index % len(HOSTILE_TEXTS)][:100]
        batch.append(family(f"f_{index}", ("gauge", "counter", "untyped")[index % 3],
                            value(f"f_{index}", NUMBERS[index % len(NUMBERS)] if index % 3 != 1 else index, {"t": text}),
                            help=text))
    sidecar.push(json.dumps(batch, ensure_ascii=False))
    page = checked_page()
    assert len(page.families) == 2000
