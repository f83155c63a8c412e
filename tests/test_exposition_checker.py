"""The judge is judged: the strict reader takes what is right and refuses each single wrong."""

import math

import pytest

from exposition import InvalidPage, number_text, parse

RIGHT = """\
# HELP a_total Counts \\\\ and \\n
# TYPE a_total counter
a_total{path="/"} 1
a_total{path="/x \\"y\\" \\\\ \\n é"} 2.5
# TYPE g gauge
g NaN
# HELP h
# TYPE h histogram
h_bucket{a="1",le="0.1"} 1
h_bucket{a="1",le="+Inf"} 3
h_sum{a="1"} 1e+06
h_count{a="1"} 3
# HELP s x
# TYPE s summary
s{quantile="0.5"} 0.25
s_sum 1
s_count 4
"""


def histogram(*lines):
    return "# TYPE h histogram\n" + "".join(line + "\n" for line in lines)


WRONG = {
    "no final line feed": "# TYPE g gauge\ng 1",
    "a blank line": "# TYPE g gauge\n\ng 1\n",
    "no type": "g 1\n",
    "help alone": "# HELP g x\n",
    "header without a sample": "# TYPE g gauge\n",
    "type twice": "# TYPE g gauge\n# TYPE g gauge\ng 1\n",
    "a family in two places": "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{x=\"1\"} 1\n",
    "an unknown type": "# TYPE g stateset\ng 1\n",
    "another comment": "# EOF\n",
    "a foreign sample": "# TYPE g gauge\nx 1\n",
    "a series twice": "# TYPE g gauge\ng{a=\"1\"} 1\ng{a=\"1\"} 2\n",
    "a label twice": "# TYPE g gauge\ng{a=\"1\",a=\"2\"} 1\n",
    "an empty label": "# TYPE g gauge\ng{a=\"\"} 1\n",
    "the label _id": "# TYPE g gauge\ng{_id=\"w\"} 1\n",
    "an unknown escape": "# TYPE g gauge\ng{a=\"\\t\"} 1\n",
    "no end of the label value": "# TYPE g gauge\ng{a=\"1} 1\n",
    "a bad name": "# TYPE a.b gauge\na.b 1\n",
    "a time": "# TYPE g gauge\ng 1 1700000000000\n",
    "another layout of a number": "# TYPE g gauge\ng 1.0\n",
    "no number": "# TYPE g gauge\ng x\n",
    "families out of order": "# TYPE b gauge\nb 1\n# TYPE a gauge\na 1\n",
    "samples out of order": "# TYPE g gauge\ng{a=\"2\"} 1\ng{a=\"1\"} 1\n",
    "a negative counter": "# TYPE c counter\nc -1\n",
    "a counter that is not a number": "# TYPE c counter\nc NaN\n",
    "no +Inf": histogram('h_bucket{le="1"} 1', "h_sum 1", "h_count 1"),
    "no count": histogram('h_bucket{le="+Inf"} 1', "h_sum 1"),
    "+Inf is not the count": histogram('h_bucket{le="+Inf"} 1', "h_sum 1", "h_count 2"),
    "falling buckets": histogram('h_bucket{le="1"} 2', 'h_bucket{le="+Inf"} 1', "h_sum 1", "h_count 1"),
    "bounds out of order": histogram('h_bucket{le="2"} 1', 'h_bucket{le="1"} 1', 'h_bucket{le="+Inf"} 1', "h_sum 1", "h_count 1"),
    "the same bound in two spellings": histogram('h_bucket{le="1"} 1', 'h_bucket{le="1.0"} 1', 'h_bucket{le="+Inf"} 1', "h_sum 1",
                                                 "h_count 1"),
    "a bucket without le": histogram("h_bucket 1", "h_sum 1", "h_count 1"),
}


def test_a_right_page_is_read():
    page = parse(RIGHT)
    assert page.value("a_total", path='/x "y" \\ \n é') == 2.5
    assert page.families["a_total"].help == "Counts \\ and \n"
    assert math.isnan(page.value("g")) and page.value("h_sum", a="1") == 1e6
    assert parse("").families == {}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_wrong_is_refused(wrong):
    with pytest.raises(InvalidPage):
        parse(WRONG[wrong])


@pytest.mark.parametrize("number, text", [
    (0.0, "0"), (-0.0, "0"), (999999.0, "999999"), (1e6, "1e+06"), (1234567.0, "1.234567e+06"), (100000.5, "100000.5"),
    (0.0001, "0.0001"), (1e-5, "1e-05"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    (0.1 + 0.2, "0.30000000000000004"), (-12.5, "-12.5"), (120000.0, "120000"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
])
def test_numbers_are_laid_out_as_go_does(number, text):
    assert number_text(number) == text
