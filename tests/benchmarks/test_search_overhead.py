"""What is measured of samplers by themselves."""

import numpy as np
import pytest

from benchmarks.search_overhead import measure, overhead_table
from benchmarks.search_problems import table_subject
from nas.errors import ExperimentError
from nas.table_problem import TableProblem


@pytest.mark.parametrize("name", ["cost-aware", "nsga2", "tpe"])
def test_a_study_is_looked_at_after_so_many_trials(larger: TableProblem, name: str) -> None:
    row = measure(name, table_subject("small", larger), [5, 30])
    assert (row["sampler"], row["objectives"]) == (name, 3)
    first, second = row["after"]["5"], row["after"]["30"]
    assert 0 < first["seconds"] <= second["seconds"]
    assert first["resident_mib"] > 1
    printed = overhead_table([row]).splitlines()
    assert printed[2].startswith("| sampler | 5 trials | 30 trials |")
    assert printed[4].startswith(f"| {name} | {first['seconds_per_trial']:.3f} |")
    assert printed[4].endswith(" MiB |")


def test_seconds_are_of_the_last_trials_and_of_all(
    larger: TableProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that goes on by one second whenever it is read: two for each trial."""
    ticks = iter(np.arange(10_000.0).tolist())
    monkeypatch.setattr("benchmarks.search_overhead.time.process_time", lambda: next(ticks))
    row = measure("random", table_subject("small", larger), [20])
    # One second to make it; asking and telling take one each.
    assert row["after"]["20"]["seconds"] == 1 + 20 * 2
    assert row["after"]["20"]["seconds_per_trial"] == 2


def test_only_samplers_of_optuna_are_measured(larger: TableProblem) -> None:
    with pytest.raises(ExperimentError, match="got 'lemonade'"):
        measure("lemonade", table_subject("small", larger), [5])
