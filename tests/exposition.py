"""A strict reader of the Prometheus text format 0.0.4, and the judge of a whole page.

Owns what "valid" means for the tests: one HELP and one TYPE ahead of a family's samples, no sample under
the wrong header, no series twice, histograms that rise to `+Inf` = `_count`, numbers laid out as Prometheus
lays them out, order that depends on the state alone. The public parsers are lenient (a repeated series or
a falling bucket passes `promtool`), so a page that only they accept proves little.
"""

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
RESERVED_LABELS = ("_id", "_aggregate", "__name__")
ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}


class InvalidPage(AssertionError):
    """The page breaks a rule; the message names the line."""


@dataclass(frozen=True)
class Sample:
    name: str
    labels: tuple  # (name, value) pairs in the order of the page
    value: float
    text: str

    @property
    def key(self):
        return (self.name, tuple(sorted(self.labels)))

    def without(self, label):
        return tuple(sorted(pair for pair in self.labels if pair[0] != label))


@dataclass
class Family:
    name: str
    type: str = ""
    help: str = ""
    samples: list = field(default_factory=list)


@dataclass
class Page:
    families: dict

    def samples(self):
        return [sample for family in self.families.values() for sample in family.samples]

    def series(self):
        """Every series of the page: {(name, ((label, value), ...)): value}."""
        return {sample.key: sample.value for sample in self.samples()}

    def value(self, name, **labels):
        """The one series of this name and exactly these labels."""
        return self.series()[(name, tuple(sorted(labels.items())))]

    def get(self, name, default=None, **labels):
        return self.series().get((name, tuple(sorted(labels.items()))), default)

    def cumulative(self):
        """The series that must never fall: counters, buckets, counts."""
        found = {}
        for family in self.families.values():
            for sample in family.samples:
                if is_cumulative(family, sample):
                    found[sample.key] = sample.value
        return found


def is_cumulative(family, sample):
    if family.type == "counter":
        return True
    if family.type in ("histogram", "summary"):
        return sample.name in (family.name + "_bucket", family.name + "_count")
    return False


def parse(text, ordered=True, grouped=False):
    """Reads a page and holds every line and every family to the rules.

    `grouped` is for pages with groups of pushes, whose labels may be empty: of an empty `instance` a scraper
    learns that it must not attach its own.
    `ordered=False` is for pages with names that had to be escaped: they stand in the order of the names as
    they were pushed, which the page does not show.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text and not text.endswith("\n"):
        raise InvalidPage("the last line has no line feed")
    families = {}
    current = None
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            current = read_line(line, current, families)
        except InvalidPage as problem:
            raise InvalidPage(f"line {number}: {problem}: {line[:300]!r}") from None
    for family in families.values():
        check_family(family)
    if ordered:
        check_order(families)
    check_repeats(families)
    if not grouped:
        check_no_label_is_empty(families)
    return Page(families)


def read_line(line, current, families):
    if line.startswith("# HELP "):
        name, _, text = line[len("# HELP "):].partition(" ")
        if name in families:
            raise InvalidPage("HELP of a family that the page has had")
        check_name(name)
        families[name] = Family(name, help=unescape(text, quotes=False))
        return families[name]
    if line.startswith("# TYPE "):
        return read_type(line[len("# TYPE "):], current, families)
    sample = read_sample(line)
    if current is None or not current.type:
        raise InvalidPage("a sample without a TYPE line ahead of it")
    if not belongs(current, sample.name):
        raise InvalidPage(f"a sample under the header of {current.name}")
    current.samples.append(sample)
    return current


def read_type(rest, current, families):
    name, _, kind = rest.partition(" ")
    check_name(name)
    if kind not in TYPES:
        raise InvalidPage(f"unknown type {kind!r}")
    if current is None or current.name != name:
        if name in families:
            raise InvalidPage("TYPE of a family that the page has had")
        current = families[name] = Family(name)
    if current.type or current.samples:
        raise InvalidPage("TYPE is not the first of its family")
    current.type = kind
    return current


def belongs(family, name):
    if family.type == "histogram":
        return name in (family.name + "_bucket", family.name + "_sum", family.name + "_count")
    if family.type == "summary":
        return name in (family.name, family.name + "_sum", family.name + "_count")
    return name == family.name


def read_sample(line):
    match = METRIC_NAME.match(line)
    if not match:
        raise InvalidPage("neither a comment nor a sample")
    name, position = match.group(), match.end()
    labels = ()
    if line[position:position + 1] == "{":
        labels, position = read_labels(line, position + 1)
    if line[position:position + 1] != " ":
        raise InvalidPage("no blank before the value")
    text = line[position + 1:]
    return Sample(name, labels, read_number(text), text)


def read_labels(line, position):
    pairs = []
    while True:
        match = LABEL_NAME.match(line, position)
        if not match:
            raise InvalidPage(f"no label name at column {position + 1}")
        position = match.end()
        if line[position:position + 2] != '="':
            raise InvalidPage(f"no quoted label value at column {position + 1}")
        value, position = read_quoted(line, position + 2)
        pairs.append((match.group(), value))
        mark = line[position:position + 1]
        position += 1
        if mark == "}":
            check_labels(pairs)
            return tuple(pairs), position
        if mark != ",":
            raise InvalidPage(f"neither comma nor brace at column {position}")


def read_quoted(line, position):
    out = []
    while True:
        mark = line[position:position + 1]
        if mark == "":
            raise InvalidPage("a label value without an end")
        if mark == '"':
            return "".join(out), position + 1
        if mark == "\\":
            escaped = line[position + 1:position + 2]
            if escaped not in ESCAPES:
                raise InvalidPage(f"unknown escape \\{escaped}")
            out.append(ESCAPES[escaped])
            position += 2
        else:
            out.append(mark)
            position += 1


def unescape(text, quotes):
    out, position = [], 0
    while position < len(text):
        if text[position] != "\\":
            out.append(text[position])
            position += 1
            continue
        escaped = text[position + 1:position + 2]
        if escaped not in ESCAPES or (escaped == '"' and not quotes):
            raise InvalidPage(f"unknown escape \\{escaped} in HELP")
        out.append(ESCAPES[escaped])
        position += 2
    return "".join(out)


def check_name(name):
    if not METRIC_NAME.fullmatch(name):
        raise InvalidPage(f"{name!r} is no metric name")


def check_labels(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise InvalidPage("a label name twice")
    for name in names:
        if name in RESERVED_LABELS:
            raise InvalidPage(f"the reserved label {name}")


def read_number(text):
    special = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}
    if text in special:
        return special[text]
    if not re.fullmatch(r"-?[0-9.]+(e[+-][0-9]+)?", text):
        raise InvalidPage(f"{text!r} is no number of this format")
    value = float(text)
    if number_text(value) != text:
        raise InvalidPage(f"{text!r} is laid out unlike Prometheus ({number_text(value)!r})")
    return value


def number_text(value):
    """Prometheus's own layout: Go's shortest 'g', an exponent below 1e-4 and from 1e+06 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, digits)).lstrip("0")
    power = len(digits) + exponent - 1
    digits = digits.rstrip("0")
    minus = "-" if sign else ""
    if power < -4 or power >= 6:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{minus}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{digits}"
    whole, part = digits[:power + 1].ljust(power + 1, "0"), digits[power + 1:]
    return f"{minus}{whole}" + (f".{part}" if part else "")


def check_family(family):
    if not family.type:
        raise InvalidPage(f"{family.name} has HELP but no TYPE")
    if not family.samples:
        raise InvalidPage(f"{family.name} has headers but no sample")
    if family.type == "histogram":
        check_histogram(family)
    for sample in family.samples:
        if is_cumulative(family, sample) and not 0 <= sample.value < math.inf:
            raise InvalidPage(f"{sample.key} is cumulative and {sample.text}")


def check_histogram(family):
    groups = {}
    for sample in family.samples:
        groups.setdefault(sample.without("le"), []).append(sample)
    for labels, samples in groups.items():
        try:
            check_one_histogram(family.name, samples)
        except InvalidPage as problem:
            raise InvalidPage(f"histogram {family.name}{labels}: {problem}") from None


def check_one_histogram(name, samples):
    buckets = [sample for sample in samples if sample.name == name + "_bucket"]
    counts = [sample for sample in samples if sample.name == name + "_count"]
    sums = [sample for sample in samples if sample.name == name + "_sum"]
    if len(counts) != 1 or len(sums) > 1:
        raise InvalidPage(f"{len(counts)} counts, {len(sums)} sums")
    bounds = [bound_of(bucket) for bucket in buckets]
    if any(later <= earlier for earlier, later in zip(bounds, bounds[1:])):
        raise InvalidPage(f"bounds out of order or repeated: {bounds}")
    if not bounds or bounds[-1] != math.inf:
        raise InvalidPage("no +Inf bucket")
    values = [bucket.value for bucket in buckets]
    if any(later < earlier for earlier, later in zip(values, values[1:])):
        raise InvalidPage(f"buckets fall: {values}")
    if values[-1] != counts[0].value:
        raise InvalidPage(f"+Inf is {values[-1]}, the count {counts[0].value}")


def bound_of(bucket):
    text = dict(bucket.labels).get("le")
    if text is None:
        raise InvalidPage("a bucket without le")
    if not re.fullmatch(r"[+-]Inf|-?[0-9.]+([eE][+-]?[0-9]+)?", text):
        raise InvalidPage(f"le={text!r}")
    return float(text)


def check_order(families):
    previous = ""
    for family in families.values():
        # A counter stands where its name without `_total` belongs, an info family likewise.
        places = sorted(name for name in possible_names(family) if name >= previous)
        if not places:
            raise InvalidPage(f"family {family.name} is out of name order")
        previous = places[0]
    for family in families.values():
        order = [family_order(sample) for sample in family.samples]
        groups = [labels for at, labels in enumerate(order) if at == 0 or order[at - 1] != labels]
        if groups != sorted(groups):
            raise InvalidPage(f"{family.name}: samples out of label order")
        if len(set(groups)) != len(groups):
            raise InvalidPage(f"{family.name}: a label set in two places")


def possible_names(family):
    suffix = {"counter": "_total", "gauge": "_info"}.get(family.type, "")
    return {family.name, family.name.removesuffix(suffix)}


def family_order(sample):
    return tuple(pair for pair in sample.labels if pair[0] not in ("le", "quantile"))


def check_no_label_is_empty(families):
    """Only a plain group has one, so that a scraper does not attach its own."""
    for family in families.values():
        for sample in family.samples:
            for name, value in sample.labels:
                if value == "" and name != "instance":
                    raise InvalidPage(f"{sample.key}: label {name} is empty")


def check_repeats(families):
    seen = set()
    for family in families.values():
        for sample in family.samples:
            if sample.key in seen:
                raise InvalidPage(f"{sample.key} twice")
            seen.add(sample.key)
