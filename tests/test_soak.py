"""A minute of soak.py; `make soak` goes on for twenty."""

import soak


def test_a_minute_of_churn_leaves_memory_files_and_counters_as_they_should_be(tmp_path, launch):
    assert soak.soak(tmp_path / "data", 60, 4888, launch)
