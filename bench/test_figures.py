"""From raw lines to the table: python3 -m unittest discover bench"""
import pathlib
import tempfile
import unittest

import attack_phase
import criterion
import figures
import run


def phase(samples, cpu, client_cpu=1.0, **more):
    latency = {"p50": 0.2, "p999": 1.0, "max": 2.0}
    return {"samples": samples, "requests": samples // 500, "server_cpu_s": cpu, "client_cpu_s": client_cpu,
            "errors": 0, "statuses": {"200": 1}, "complete": True, "latency_ms": latency, **more}


def run_line(server, number, cpu=1.0, client_cpu=1.0):
    line = {"kind": "run", "server": server, "workload": "W1", "run": number, "raw_series": 8000, "merged_series": 500,
            "died": False, "rss_empty": 0, "rss_steady": 0, "hwm_scrape": 0}
    for name in figures.PHASES:
        line[name] = phase(8_000_000, cpu, client_cpu, scrape_series=500)
    return line


def push_line(server, number, cpu=1.0, client_cpu=1.0, workload="W1 text"):
    line = {"kind": "push", "server": server, "workload": workload, "run": number, "raw_series": 200_000,
            "merged_series": 502, "died": False, "rss_empty": 5_000_000, "rss_steady": 15_000_000}
    for name in figures.PHASES_OF["push"]:
        line[name] = phase(4_000_000, cpu, client_cpu, scrape_series=502)
    return line


def pages_line(**spoilt):
    line = {"kind": "pages", "server": "sidecar", "workload": "W3 pages", "run": 1, "merged_series": 250_000,
            "died": False}
    for name in figures.PHASES_OF["pages"]:
        line[name] = phase(0, 0.1, scrape_series=250_000) | {"requests": 5}
    line["protobuf_gzip"].update(spoilt)
    return line


def groups_line(full, empty):
    line = {"kind": "groups", "server": "sidecar", "workload": "groups", "run": 1, "died": False,
            "fill": phase(150_000, 1.0), "first": phase(500, 0.1)}
    for name, medians in (("full", full), ("empty", empty)):
        line[name] = [phase(500, 0.1) | {"latency_ms": {"p50": p50}} for p50 in medians]
    return line


def figure(lines, begins):
    table, _, notes = figures.table(lines)
    row = next(row for row in table.splitlines() if row.startswith(f"| {begins}"))
    return [cell.strip() for cell in row.strip("|").split("|")], notes


class Table(unittest.TestCase):
    def test_the_best_run_counts_and_stands_beside_the_null_server(self):
        lines = [run_line("sidecar", 1, cpu=1.0), run_line("sidecar", 2, cpu=0.5),
                 run_line("null", 1, cpu=0.25), run_line("null", 2, cpu=0.4)]
        cells, notes = figure(lines, "W1 samples")
        self.assertEqual(cells[1:], ["6.00 M", "10.00 M", "16.00 M", "32.00 M", "0.50", "PASS, aim reached"])
        self.assertEqual(notes, [])

    def test_between_requirement_and_aim_is_a_pass_and_below_is_a_miss(self):
        self.assertEqual(figure([run_line("sidecar", 1, cpu=1.0)], "W1 samples")[0][-1], "PASS")
        self.assertEqual(figure([run_line("sidecar", 1, cpu=2.0)], "W1 samples")[0][-1], "**MISS**")

    def test_a_run_with_a_slowed_client_is_dropped_even_if_it_is_the_best(self):
        lines = [run_line("sidecar", 1, cpu=1.0), run_line("null", 1),
                 run_line("sidecar", 2, cpu=0.5, client_cpu=1.21), run_line("null", 2)]
        cells, notes = figure(lines, "W1 samples")
        self.assertEqual(cells[3], "8.00 M")
        self.assertIn("sidecar W1 2: dropped", notes[0])

    def test_a_run_that_was_not_answered_200_throughout_does_not_count(self):
        for spoil in ({"statuses": {"200": 9, "202": 1}}, {"errors": 1}, {"complete": False}, {"failed": "gone"}):
            line = run_line("sidecar", 1)
            line["mixed"].update(spoil)
            cells, notes = figure([line], "W1 samples")
            self.assertEqual(cells[3], "-", spoil)
            self.assertIn("not counted: mixed", notes[0])

    def test_a_page_with_another_number_of_series_does_not_count(self):
        line = run_line("sidecar", 1)
        line["scrape"]["scrape_series"] = 499
        self.assertEqual(figure([line], "W1 samples")[0][-1], "not measured")

    def test_the_null_server_need_not_merge(self):
        line = run_line("null", 1)
        line["scrape"]["scrape_series"] = 1
        self.assertEqual(figures.problems([line], "sidecar"), {})

    def test_lower_is_better_where_time_and_memory_are_measured(self):
        idle = {"kind": "idle", "server": "sidecar", "rss": 12_100_000, "seconds": 60, "cpu_s": 0.03}
        self.assertEqual(figure([idle], "idle: resident")[0][-1], "**MISS**")
        self.assertEqual(figure([idle], "idle: CPU")[0][3:], ["0.05 %", "-", "-", "PASS"])

    def test_all_rows_can_be_printed_without_any_measurement(self):
        table, misses, _ = figures.table([])
        self.assertEqual((table.count("not measured"), misses), (36, 0))


class Multiproc(unittest.TestCase):
    def line(self, **more):
        turns = [{"ms": ms} for ms in (1.5, 9.0, 1.0)]
        return {"kind": "multiproc", "server": "sidecar", "per_worker": 1_000, "run": 1, "died": False, "series": 50,
                "expected": 50, "first": {"ms": 30.0}, "steady": turns, "rss": 1} | more

    def test_the_median_scrape_of_the_best_run_counts(self):
        lines = [self.line(), self.line(first={"ms": 15.0}, run=2)]
        self.assertEqual(figure(lines, "scrape of 64 workers' files of 1,000 values, first")[0][3:], ["15 ms", "-", "-", "PASS"])
        self.assertEqual(figure(lines, "scrape of 64 workers' files of 1,000 values, steady")[0][3], "1.5 ms")

    def test_a_page_that_is_not_whole_does_not_count(self):
        self.assertEqual(figure([self.line(series=49)], "scrape of 64 workers' files of 1,000")[0][-1], "not measured")


class Formats(unittest.TestCase):
    def test_pushes_in_other_formats_have_rows_of_their_own(self):
        lines = [run_line("sidecar", 1), push_line("sidecar", 1, cpu=0.5), push_line("null", 1, cpu=0.25)]
        self.assertEqual(figure(lines, "W1 samples")[0][3], "8.00 M")
        cells, notes = figure(lines, "W1 as text")
        self.assertEqual(cells[3:], ["8.00 M", "16.00 M", "0.50", "PASS"])
        self.assertEqual((figure(lines, "W1 as protobuf")[0][-1], notes), ("not measured", []))

    def test_a_slowed_client_drops_a_run_in_any_format(self):
        lines = [push_line("sidecar", 1, client_cpu=1.21), push_line("null", 1)]
        cells, notes = figure(lines, "W1 as text")
        self.assertEqual(cells[3], "-")
        self.assertIn("sidecar W1 text 1: dropped", notes[0])

    def test_a_push_run_with_another_page_does_not_count(self):
        line = push_line("sidecar", 1)
        line["scrape"]["scrape_series"] = 501
        self.assertEqual(figure([line], "W1 as text")[0][-1], "not measured")

    def test_memory_of_grouped_series_is_that_of_the_steady_phase(self):
        cells, _ = figure([push_line("sidecar", 1, workload="W2 text")], "memory per grouped")
        self.assertEqual(cells[3:], ["50 B", "-", "-", "PASS, aim reached"])

    def test_a_page_in_each_format_costs_cpu_per_scrape(self):
        self.assertEqual(figure([pages_line()], "scrape of W3's series as protobuf, gzip")[0][3], "20 ms")

    def test_a_page_in_another_format_than_asked_does_not_count(self):
        cells, notes = figure([pages_line(failed="answered text/plain")], "scrape of W3's series as OpenMetrics,")
        self.assertEqual(cells[3], "-")
        self.assertIn("protobuf_gzip: answered text/plain", notes[0])

    def test_the_full_server_stands_against_the_empty_one_by_the_median_turn(self):
        lines = [groups_line(full=[0.11, 0.9, 0.11], empty=[0.1, 0.01, 0.1])]
        self.assertEqual(figure(lines, "push p50 with 150,000")[0][3], "1.10 x")

    def test_one_failed_turn_spoils_the_comparison(self):
        line = groups_line(full=[0.1, 0.1], empty=[0.1, 0.1])
        line["empty"][1]["errors"] = 1
        cells, notes = figure([line], "push p50 with 150,000")
        self.assertEqual(cells[3], "-")
        self.assertIn("empty: 1 errors", notes[0])

    def test_decoding_is_a_rate_of_bytes(self):
        lines = [{"kind": "decode", "server": "sidecar", "bytes_per_s": 512_400_000.0}]
        self.assertEqual(figure(lines, "decode of W1's text")[0][1:4], ["300 MB/s", "1000 MB/s", "512 MB/s"])


class Journal(unittest.TestCase):
    def test_pushes_beside_a_journal_stand_against_those_without(self):
        line = {"kind": "journal", "server": "sidecar", "workload": "W1 journal", "run": 1, "died": False,
                "fill": phase(8000, 1.0), "fill_free": phase(8000, 1.0),
                "kept": [phase(700, 1.0), phase(800, 1.0)], "not_kept": [phase(1000, 1.0), phase(900, 1.0)]}
        self.assertEqual(figure([line], "W1 with a journal")[0][3:], ["0.80 x", "-", "-", "PASS"])

    def test_commits_stand_against_a_bare_loop(self):
        turns = [phase(8000, 1.0, commits_per_s=commits) for commits in (400.0, 900.0, 100.0)]
        line = {"kind": "commits", "server": "sidecar", "workload": "W4 always", "run": 1, "died": False,
                "fill": phase(8000, 1.0), "steady": turns, "loop": [1000.0, 1000.0, 500.0]}
        self.assertEqual(figure([line], "commits per second of W4")[0][3:], ["0.40 x", "-", "-", "**MISS**"])

    def test_a_start_that_finds_another_page_does_not_count(self):
        line = {"kind": "restarts", "server": "sidecar", "workload": "W3 restarts", "run": 1, "died": False,
                "merged_series": 250_000, "fill": phase(1_000_000, 1.0), "from_snapshot_ms": 300.0, "from_records_ms": 900.0,
                "from_records": phase(0, 1.0, scrape_series=250_000), "from_snapshot": phase(0, 1.0, scrape_series=250_000)}
        self.assertEqual(figure([line], "start with W3's 1,000,000 contributions, from a snapshot")[0][3], "300 ms")
        line["from_snapshot"]["scrape_series"] = 249_999
        self.assertEqual(figure([line], "start with W3's 1,000,000 contributions, from a snapshot")[0][3], "-")


class Attack(unittest.TestCase):
    def line(self, died=False):
        rounds = [{"alone": {"p99_ms": alone}, "beside": {"p99_ms": beside}} for alone, beside in ((0.9, 2.0), (0.8, 4.0), (3.0, 1.6))]
        return {"kind": "attack", "server": "sidecar", "rounds": rounds, "died": died}

    def test_the_best_round_beside_attackers_stands_against_the_best_alone(self):
        self.assertEqual(figure([self.line()], "honest pushes' p99")[0][3:], ["2.00 x", "-", "-", "PASS"])

    def test_a_server_that_ended_has_no_figure(self):
        self.assertEqual(figure([self.line(died=True)], "honest pushes' p99")[0][-1], "not measured")

    def test_attackers_frames_are_those_of_http2(self):
        self.assertEqual(attack_phase.frame(3, 0, 5, b"\0\0\0\x08"), b"\0\0\x04\x03\0\0\0\0\x05\0\0\0\x08")


class Files(unittest.TestCase):
    def test_only_what_is_between_the_markers_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder, "page.md")
            page.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n")
            run.write_between_markers(page, "new\n")
            self.assertEqual(page.read_text(), f"before\n{run.BEGIN}\n\nnew\n\n{run.END}\nafter\n")

    def test_the_documentation_has_the_markers(self):
        page = (run.ROOT / "docs" / "performance.md").read_text()
        self.assertEqual((page.count(run.BEGIN), page.count(run.END)), (1, 1))

    def test_criterion_estimates_become_rows(self):
        with tempfile.TemporaryDirectory() as folder:
            new = pathlib.Path(folder, "criterion", "decode", "w1", "new")
            new.mkdir(parents=True)
            (new / "estimates.json").write_text('{"median": {"point_estimate": 50000.0}}')
            (new / "benchmark.json").write_text('{"full_id": "decode/w1", "throughput": {"Elements": 500}}')
            self.assertTrue(criterion.table(folder).endswith("| decode/w1 | 50 us | 10 M/s |"))

    def test_a_criterion_estimate_of_bytes_becomes_a_rate(self):
        with tempfile.TemporaryDirectory() as folder:
            new = pathlib.Path(folder)
            (new / "estimates.json").write_text('{"median": {"point_estimate": 100000.0}}')
            (new / "benchmark.json").write_text('{"full_id": "x", "throughput": {"Bytes": 50000}}')
            self.assertEqual(criterion.bytes_per_second(new), 500e6)


if __name__ == "__main__":
    unittest.main()
