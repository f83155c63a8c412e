"""Random instrumentations of a worker, as a function of a seed.

They keep to what the client's own collector answers whatever the order of its files. Numbers are multiples of 1/64,
so that sums are exact in any order; what is left out here has a test of its own.
"""

from multiproc_workers import do, make

LABEL_VALUES = (
    "x", "GET", "/a/b?c=d&e", "200", "a b", " ", " at both ends ", '"', "\\", "\\n", "new\nline", "\t", "\r", "\x01", "\x7f", "{}", ',="',
    "null", "[1, 2]", "ünïcödé", "日本", "😀", "\u2028", "\ufeff", "e\u0301", "+Inf", "NaN", "long " * 60, "'", "#", "%s", "\u00a0",
)
LABEL_NAMES = ("a", "method", "path", "le_", "quantile_", "job", "instance", "worker", "class", "A_9", "i")
HELP = ("", "Plain help.", 'With "quotes", a \\ and\na second line.', "Hilfe für ünïcödé 😀", "  at both ends  ", "# TYPE x counter")
BUCKETS = (None, (1,), (0.25, 0.5, 2.5), (-3, 0, 3), (1e-9, 1e9), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (5, 1e7, 1e30), (0.1, 0.2, 0.30000000000000004))
STEMS = ("requests", "app:requests", "jobs_sum", "x_count", "y_bucket", "z_info", "in_total_", "_private", "A", "created_at")


class Definition:
    def __init__(self, rng, index, modes):
        self.kind = rng.choice(("counter", "gauge", "gauge", "histogram", "summary"))
        self.name = f"{rng.choice(STEMS)}_{index}_{self.kind[0]}"
        self.labels = rng.sample(LABEL_NAMES, rng.choice((0, 0, 1, 1, 2, 3)))
        self.options, self.help, self.mode = {}, rng.choice(HELP), None
        if self.kind == "gauge":
            self.mode = self.options["multiprocess_mode"] = rng.choice(modes)
        buckets = rng.choice(BUCKETS)
        if self.kind == "histogram" and buckets:
            self.options["buckets"] = buckets

    def make(self):
        return make(self.name, self.kind, self.help, self.labels, **self.options)

    def operations(self, rng):
        """Some operations on one of the metric's series."""
        values = [rng.choice(LABEL_VALUES) for _ in self.labels]
        return [self._operation(rng, values) for _ in range(rng.choice((1, 1, 2, 5)))]

    def _operation(self, rng, labels):
        if self.kind == "counter":
            return do(self.name, "inc", abs(number(rng)), labels=labels)
        if self.kind != "gauge":
            return do(self.name, "observe", number(rng), labels=labels)
        if "mostrecent" in self.mode:
            return do(self.name, "set", anything(rng), labels=labels)
        if self.mode in ("sum", "livesum"):
            return do(self.name, rng.choice(("set", "inc", "dec")), number(rng), labels=labels)
        extreme = anything(rng) if self.mode in ("all", "liveall") else rng.choice((number(rng), "inf", "-inf"))
        return do(self.name, *rng.choice((("set", extreme), ("inc", number(rng)), ("set", number(rng)))), labels=labels)


def definitions(rng, count, modes):
    return [Definition(rng, index, modes) for index in range(count)]


def instrumentation(rng, known, made, series):
    """Commands for one worker: makes what it has not made yet of a choice of metrics, and works on them."""
    chosen = rng.sample(known, rng.randint(len(known) // 2, len(known)))
    commands = []
    for definition in chosen:
        if definition.name not in made:
            made.add(definition.name)
            commands.append(definition.make())
    for _ in range(series):
        commands += rng.choice(chosen).operations(rng)
    return commands


def number(rng):
    return rng.choice((0, 1, rng.randint(-(2 ** 20), 2 ** 20) / 64, rng.randint(-640, 640) / 64, rng.randint(0, 2 ** 40)))


def anything(rng):
    return rng.choice((number(rng), rng.uniform(-1e300, 1e300), rng.gauss(0, 1e-9), 5e-324, 0.1, "nan", "inf", "-inf", -0.0))
