"""What is learned of the members of a set alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import Measured, timing
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
    # Runs of 1 to 12 ms beside a reference of 1 ms, and of 2 to 24; then the same network twice.
    ladder = tuple(1e-3 * i for i in range(1, 13))
    pairs = [
        [timing.Visit(ladder, 1e-3), timing.Visit(tuple(2 * run for run in ladder), 1e-3)],
        [timing.Visit((5e-3,) * 12, 5e-3)] * 2,
    ]

    def fake(jobs: Any, *_: Any, **__: Any) -> Any:
        assert len(jobs) == 2
        return pairs, 0

    monkeypatch.setattr("hw_profiles.measurement.time_networks", fake)
    table = opened.latency_table()
    second = table.conditions["reference_s"]
    members = opened.read_pareto().members[:2]
    (first, other), known = learned.measure_members(members, table, tiny().measurement, quiet)
    value = first.measured["latency_s@local"]
    # The 10 % quantile of 1..12 lies a tenth of the 11 steps up: 2.1 and 4.2 times the reference.
    assert value.value == pytest.approx(3.15 * second, rel=1e-5)
    assert (value.low, value.high) == pytest.approx((2.1 * second, 4.2 * second), rel=1e-5)
    assert value.provenance == "measured"
    # The quantiles are the machine's own seconds: the median of 1..12 is 6.5, that of 2..24 is 13,
    # and in 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, ... the twelfth and thirteenth are 8 and 9.
    median = first.measured["latency_p50_s@local"]
    assert (median.low, median.value, median.high) == pytest.approx((6.5e-3, 8.5e-3, 13e-3))
    for name in ("latency_s", "latency_p50_s", "latency_p90_s", "latency_p99_s"):
        assert f"{name}@local" in first.measured
    p90, p99 = (first.measured[f"latency_p{q}_s@local"] for q in (90, 99))
    assert median.value < p90.value < p99.value <= 24e-3
    assert other.measured["latency_s@local"].value == pytest.approx(second, rel=1e-5)
    assert other.measured["latency_p99_s@local"].value == pytest.approx(5e-3)
    assert first.indicators == members[0].indicators
    # What the front is certified with: predicted beside both measurements.
    assert [m.architecture for m in known] == [member.id for member in members]
    assert [m.predicted for m in known] == pytest.approx(
        [member.indicators["latency_s@local"].value for member in members], rel=1e-5
    )
    assert known[0].measured == pytest.approx((2.1 * second, 4.2 * second), rel=1e-5)


def test_a_front_is_certified_by_its_members_alone() -> None:
    # 4 % above, 4 % below, 8 % above and 20 % above what was measured.
    measured = [
        Measured("a", "vit", 1.04, (1.0, 1.0), (1.0, 1.0, 1.0), 24),
        Measured("b", "vit", 1.92, (2.0, 2.0), (2.0, 2.0, 2.0), 24),
        Measured("c", "vit", 3.24, (3.0, 3.0), (3.0, 3.0, 3.0), 24),
        Measured("d", "vit", 4.80, (4.0, 4.0), (4.0, 4.0, 4.0), 24),
    ]
    found = learned.front_certificate(measured)
    assert found is not None
    assert found["n"] == 4
    assert found["bias"] == pytest.approx((0.04 - 0.04 + 0.08 + 0.2) / 4)
    assert found["mape"] == pytest.approx((0.04 + 0.04 + 0.08 + 0.2) / 4)
    assert (found["within_5"], found["within_10"]) == (0.5, 0.75)
    assert found["tau"] == pytest.approx(1.0)
    assert learned.front_certificate([]) is None


def test_no_members(opened: RunFolder, tiny: Any, quiet: Any, digits: Dataset) -> None:
    table = opened.latency_table()
    assert learned.score_members(opened, [], digits) == ()
    assert learned.measure_members([], table, tiny().measurement, quiet) == ((), ())
