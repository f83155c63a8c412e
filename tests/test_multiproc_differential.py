"""The sidecar and the client's own collector read one directory and say the same: over random instrumentations of
real workers, for each way in which versions of prometheus_client write their files. Where the sidecar differs on purpose, a test
names the difference."""

import math
import random

import pytest

from mmap_files import content, entry
from multiproc_compare import differences, read
from multiproc_plans import definitions, instrumentation
from multiproc_workers import LATEST, VERSIONS, Directory, do, fork, make, modes_of

SEEDS = (1, 2)
OLD_HELP = "Multiprocess metric"


@pytest.fixture
def directory(tmp_path):
    """Makes the application's directory, for a version of the client; at the end its workers end."""
    made = []

    def make_directory(version=LATEST):
        made.append(Directory(tmp_path / f"metrics-{len(made)}", version))
        return made[-1]

    yield make_directory
    for one in made:
        one.close()


def says_the_same(sidecar, directory):
    """Compares the two pages and returns how many samples they have."""
    expected, found = directory.page(), sidecar.get("/metrics").text
    if OLD_HELP in expected:
        # Versions that keep no help in their files show this in its place, and the sidecar none.
        expected = expected.replace(OLD_HELP, "")
    assert differences(expected, found) == []
    return len(read(found)[0])


def page_of(launch, directory):
    return read(launch("--multiproc-dir", str(directory)).get("/metrics").text)


# ---- Random instrumentations -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_random_instrumentations_come_out_as_the_client_itself_shows_them(launch, directory, version, seed):
    application = Application(random.Random(f"{version} {seed}"), directory(version))
    application.start_workers(4)
    application.bury_some()
    sidecar = launch("--multiproc-dir", str(application.directory))
    samples = says_the_same(sidecar, application.directory)
    application.go_on()
    samples += says_the_same(sidecar, application.directory)
    application.bury_some()
    application.start_workers(2)
    application.go_on()
    samples += says_the_same(sidecar, application.directory)
    samples += says_the_same(launch("--multiproc-dir", str(application.directory)), application.directory)
    assert samples > 500, "a comparison of little says little"


class Application:
    """Workers that come, count and go, at random."""

    def __init__(self, rng, directory):
        self.rng, self.directory = rng, directory
        self.known = definitions(rng, 14, modes_of(directory.version))
        self.live = []

    def start_workers(self, count):
        came = [(self.directory.start(identifier=self._identifier()), set()) for _ in range(count)]
        self._instrument(came, 70)
        self.live += came

    def go_on(self):
        self._instrument(self.live, 40)

    def bury_some(self):
        """Workers that die and are reported; one that nobody has seen alive need not be reported."""
        for worker, made in self.rng.sample(self.live, len(self.live) // 3):
            self.live.remove((worker, made))
            self.rng.choice((worker.end, worker.kill))()
            self.directory.mark_dead(worker.identifier, *worker.children)

    def _instrument(self, workers, series):
        for worker, made in workers:
            worker.begin(instrumentation(self.rng, self.known, made, series))
        for worker, _ in workers:
            worker.finish()

    def _identifier(self):
        """Some name themselves."""
        return f"web-{self.rng.randrange(10 ** 9)}" if self.rng.random() < 0.25 else None


def test_a_file_that_outgrows_its_first_size(launch, directory):
    application = directory()
    worker = application.start(make("c", "counter", "A counter.", ["path"]), do("c", "inc", labels=["first"]))
    sidecar = launch("--multiproc-dir", str(application))
    says_the_same(sidecar, application)
    worker.run(*[do("c", "inc", n, labels=[f"/{n}/{'x' * 40}"]) for n in range(2000)])
    assert (application.path / application.files()[0]).stat().st_size > 2 * 65536
    assert says_the_same(sidecar, application) == 2001


def test_workers_that_were_forked_after_the_metrics_were_made(launch, directory):
    application = directory()
    count = [do("c", "inc", 2), do("h", "observe", 0.5), do("g", "set", 3)]
    worker = application.start(
        make("c", "counter"), make("h", "histogram"), make("g", "gauge", multiprocess_mode="livesum"), *count,
        fork(count), fork(count))
    sidecar = launch("--multiproc-dir", str(application))
    assert len(application.files()) == 9
    says_the_same(sidecar, application)
    assert read(sidecar.get("/metrics").text)[0][("c_total", frozenset())] == 6
    worker.end()
    application.mark_dead(worker.identifier, *worker.children)
    says_the_same(sidecar, application)


def test_workers_of_several_versions_in_one_directory(launch, directory):
    application = directory()
    for version in VERSIONS[2:]:
        application.version = version
        application.start(make("c", "counter", "Help.", ["v"]), do("c", "inc", labels=[version]), do("c", "inc", labels=["all"]),
                          make("h", "histogram", "Help."), do("h", "observe", 1))
    assert page_of(launch, application)[0][("c_total", frozenset({("v", "all")}))] == 4


def test_names_that_the_old_format_cannot_have(launch, directory):
    application = directory()
    application.start(make("http.requests", "counter", "Help.", ["a.b", "größe"]), do("http.requests", "inc", labels=["x", "y"]),
                      make("größe", "gauge", "Hilfe.", multiprocess_mode="max"), do("größe", "set", 3))
    assert says_the_same(launch("--multiproc-dir", str(application)), application) == 2


def test_two_applications_are_told_apart_by_the_labels_of_their_directories(launch, directory):
    for_files = []
    for job in ("web", "mail"):
        for_files.append(directory())
        for_files[-1].start(make("c", "counter", "Help.", ["job"]), do("c", "inc", 2, labels=["own"]),
                            make("g", "gauge", "Help.", multiprocess_mode="all"), do("g", "set", 1))
    sidecar = launch(config="multiproc:\n  dirs:\n" + "".join(
        f"    - {{path: {one}, job: {job}, labels: {{tier: back}}}}\n" for job, one in zip(("web", "mail"), for_files)))
    ours = samples_of(sidecar.get("/metrics").text)
    for job, one in zip(("web", "mail"), for_files):
        for (name, labels), number in samples_of(one.page()).items():
            kept = {f"exported_{label}" if label == "job" else label: text for label, text in labels}
            key = (name, tuple(sorted({**kept, "job": job, "tier": "back"}.items())))
            assert ours.pop(key) == number
    assert ours == {}


# ---- What differs on purpose -----------------------------------------------------------------------


def samples_of(page):
    return {(name, tuple(sorted(labels))): number for (name, labels), number in read(page)[0].items()}


def both(launch, application):
    """The samples of the client's page and of the sidecar's."""
    sidecar = launch("--multiproc-dir", str(application))
    return samples_of(application.page()), samples_of(sidecar.get("/metrics").text)


@pytest.mark.parametrize("version", ["0.0.19", "0.14.1"])
def test_versions_that_keep_no_help_show_none(launch, directory, version):
    application = directory(version)
    application.start(make("c", "counter", "Help that is nowhere."), do("c", "inc"))
    assert f" {OLD_HELP}" in application.page()
    text = launch("--multiproc-dir", str(application)).get("/metrics").text
    assert "# HELP" not in text and "# TYPE" in text


def test_a_label_with_an_empty_value_is_no_label(launch, directory):
    application = directory()
    application.start(make("c", "counter", "", ["a", "b"]), do("c", "inc", labels=["", "x"]))
    client, ours = both(launch, application)
    assert (list(client), list(ours)) == ([("c_total", (("a", ""), ("b", "x")))], [("c_total", (("b", "x"),))])


@pytest.mark.parametrize("mode", ["all", "liveall"])
def test_a_gauges_own_label_pid_stands_beside_the_workers(launch, directory, mode):
    application = directory()
    pid = application.start(make("g", "gauge", "", ["pid"], multiprocess_mode=mode), do("g", "set", 1, labels=["own"])).identifier
    client, ours = both(launch, application)
    assert client == {("g", (("pid", pid),)): 1}
    assert ours == {("g", (("exported_pid", "own"), ("pid", pid))): 1}


@pytest.mark.parametrize("mode", ["min", "max", "sum", "mostrecent"])
def test_a_gauges_own_label_pid_stays_where_workers_are_merged(launch, directory, mode):
    application = directory()
    for _ in range(2):
        application.start(make("g", "gauge", "", ["pid"], multiprocess_mode=mode), do("g", "set", 3, labels=["own"]))
    client, ours = both(launch, application)
    assert [key for key in client] == [("g", ())]
    assert ours == {("g", (("pid", "own"),)): 6 if mode == "sum" else 3}


def test_a_process_identifier_is_shown_whole(launch, directory):
    application = directory()
    for identifier in ("web_1", "web_2"):
        application.start(make("g", "gauge"), do("g", "set", 1), identifier=identifier)
    client, ours = both(launch, application)
    assert client == {("g", (("pid", ""),)): 1}, "one of the two, under no name"
    assert ours == {("g", (("pid", "web_1"),)): 1, ("g", (("pid", "web_2"),)): 1}


def test_a_family_without_samples_is_not_shown(launch, directory):
    application = directory()
    application.start(make("unset", "gauge", "Nobody set it.", multiprocess_mode="mostrecent"), make("c", "counter"), do("c", "inc"))
    assert "# TYPE unset gauge" in application.page()
    assert "unset" not in launch("--multiproc-dir", str(application)).get("/metrics").text


def test_a_family_of_two_types_is_of_one_worker_and_told(launch, directory):
    application = directory()
    application.start(make("m", "gauge", multiprocess_mode="max"), do("m", "set", 5), make("c", "counter"), do("c", "inc"))
    application.start(make("m", "summary"), do("m", "observe", 7), make("c", "counter"), do("c", "inc"))
    assert {"m", "m_sum", "m_count"} <= {name for name, _ in samples_of(application.page())}, "one family of both"
    sidecar = launch("--multiproc-dir", str(application))
    ours = samples_of(sidecar.get("/metrics").text)
    assert ours.pop(("c_total", ())) == 2
    assert ours in ({("m", ()): 5}, {("m_sum", ()): 7, ("m_count", ()): 1})
    assert sidecar.own_sum("monasca_sidecar_refusals_total", code="type_conflict") >= 1


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_histograms_sum_that_is_no_number_is_not_shown(launch, directory, number):
    application = directory()
    application.start(make("h", "histogram", buckets=[1]), do("h", "observe", number), do("h", "observe", 0.5))
    client, ours = both(launch, application)
    assert not math.isfinite(client.pop(("h_sum", ())))
    assert ours == client


def test_sums_do_not_depend_on_the_order_of_the_workers(launch, directory):
    application = directory()
    numbers = [0.1, 0.2, 0.3, 0.7, 1e-9]
    for number in numbers:
        application.start(make("g", "gauge", multiprocess_mode="sum"), do("g", "set", number))
    assert both(launch, application)[1] == {("g", ()): math.fsum(numbers)}


def test_half_a_surrogate_pair_is_shown_as_replaced(launch, directory):
    application = directory()
    application.path.joinpath("counter_1.db").write_bytes(content(entry(b'["x", "x_total", {"a": "\\ud83d"}, ""]')))
    with pytest.raises(AssertionError, match="surrogates not allowed"):
        application.page()
    assert samples_of(launch("--multiproc-dir", str(application)).get("/metrics").text) == {("x_total", (("a", "\ufffd"),)): 1}


def test_a_total_never_falls(launch, directory):
    application = directory()
    gone = application.start(make("c", "counter"), do("c", "inc", 5))
    application.start(make("c", "counter"), do("c", "inc", 2))
    sidecar = launch("--multiproc-dir", str(application))
    assert sidecar.page().value("c_total") == 7
    gone.end()
    (application.path / f"counter_{gone.identifier}.db").unlink()
    assert samples_of(application.page()) == {("c_total", ()): 2}
    assert sidecar.page().value("c_total") == 7


def test_a_counter_that_is_reset_in_its_process_has_counted(launch, directory):
    application = directory()
    worker = application.start(make("c", "counter"), do("c", "inc", 5))
    sidecar = launch("--multiproc-dir", str(application))
    assert sidecar.page().value("c_total") == 5
    worker.run(do("c", "reset"), do("c", "inc", 2))
    assert samples_of(application.page()) == {("c_total", ()): 2}
    assert sidecar.page().value("c_total") == 7
