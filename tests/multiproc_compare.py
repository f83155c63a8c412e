"""Two pages as sets: families with type and help, samples with name, labels and value, whatever their order."""

import math

from prometheus_client.parser import text_string_to_metric_families


def read(text):
    """{(sample name, labels): value} and {family name: (type, help)}; families without samples say nothing."""
    samples, families = {}, {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, f"{key} twice"
            samples[key] = sample.value
            families[family.name] = (family.type, family.documentation)
    return samples, families


def differences(expected, found):
    """What is missing, too much, or another, in words; empty where the pages say the same."""
    return _differences("sample", *[read(page)[0] for page in (expected, found)], _same_number) \
        + _differences("family", *[read(page)[1] for page in (expected, found)], lambda a, b: a == b)


def _differences(what, expected, found, same):
    lines = [f"{what} {key} is missing ({expected[key]})" for key in expected.keys() - found.keys()]
    lines += [f"{what} {key} is too much ({found[key]})" for key in found.keys() - expected.keys()]
    lines += [f"{what} {key} is {found[key]}, not {expected[key]}"
              for key in expected.keys() & found.keys() if not same(expected[key], found[key])]
    return sorted(lines)


def _same_number(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))
