"""What is learned of the members of a set alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import LatencyTable, timing
from nas import members as learned
from nas.pareto import ParetoSet
from nas.run_folder import RunFolder
from nas.splits import Dataset


def test_a_member_that_was_tested_is_not_tested_again(
    opened: RunFolder, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("tested")

    monkeypatch.setattr("nas.training.score", refuse)
    members = opened.read_pareto().members
    untested = [replace(member, test_quality=None) for member in members]
    again = learned.score_members(opened, untested, digits)
    assert [m.test_quality for m in again] == [m.test_quality for m in members]


def test_a_member_that_was_not_is_tested(run_copy: Path, digits: Dataset) -> None:
    run = RunFolder(run_copy)
    found: ParetoSet = run.read_pareto()
    run.pareto.unlink()
    untested = [replace(member, test_quality=None) for member in found.members]
    again = learned.score_members(run, untested, digits)
    assert [m.test_quality for m in again] == [m.test_quality for m in found.members]
    assert [replace(m, test_quality=None) for m in again] == untested


def test_measured_latency_is_in_the_tables_seconds(
    opened: RunFolder, tiny: Any, quiet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = [(2.0, 4.0), (1.0, 1.0)]

    def fake(jobs: Any, *_: Any, **__: Any) -> Any:
        assert len(jobs) == 2
        return [[timing.Visit(r, r, r, 1.0, 12) for r in pair] for pair in ratios], 0

    monkeypatch.setattr("hw_profiles.measurement.time_networks", fake)
    table = LatencyTable.load(opened.latency)
    second = table.conditions["reference_s"]
    members = opened.read_pareto().members[:2]
    first, other = learned.measure_members(members, table, tiny().measurement, quiet)
    value = first.measured["latency_s@local"]
    # The mean and the two ends of ratios 2 and 4 to the reference.
    assert value.value == pytest.approx(3 * second)
    assert (value.low, value.high) == pytest.approx((2 * second, 4 * second))
    assert value.provenance == "measured"
    assert other.measured["latency_s@local"].value == pytest.approx(second)
    assert first.indicators == members[0].indicators


def test_no_members(opened: RunFolder, tiny: Any, quiet: Any, digits: Dataset) -> None:
    table = LatencyTable.load(opened.latency)
    assert learned.score_members(opened, [], digits) == ()
    assert learned.measure_members([], table, tiny().measurement, quiet) == ()
