"""From raw lines to the table: python3 -m unittest discover bench"""
import pathlib
import tempfile
import unittest

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
        self.assertEqual((table.count("not measured"), misses), (15, 0))


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


if __name__ == "__main__":
    unittest.main()
