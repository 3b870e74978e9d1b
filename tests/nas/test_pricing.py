"""Getting ready to price: what is kept is used, what is not is made."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import BlockTable, local_device
from hw_profiles.errors import UnavailableError
from hw_profiles.gauge import Stopwatch
from hw_profiles.meter import Unavailable
from hw_profiles.store import Store
from hw_profiles.timing import Visit
from nas.errors import ExperimentError, VerificationError
from nas.experiment import Experiment
from nas.pricing import (
    count_space,
    describe_table,
    doubt_of,
    measure,
    ready_table,
    report_table,
)
from nas.splits import Dataset
from search_spaces import CountTable, UnionSpace

TablesIn = Callable[[Path], dict[Path, BlockTable]]


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("measured")

    monkeypatch.setattr("hw_profiles.measurement.measure_table", refuse)
    monkeypatch.setattr("hw_profiles.measurement.time_networks", refuse)


def test_kept_counts_are_read_and_new_ones_kept(
    tiny_space: UnionSpace, tmp_path: Path, quiet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "new")
    counts = count_space(tiny_space, store, quiet)
    assert not list(counts.missing(tiny_space.blocks))

    def refuse(*_: Any) -> Any:
        raise AssertionError("traced")

    monkeypatch.setattr("search_spaces.tracing.trace_block", refuse, raising=False)
    again = count_space(tiny_space, Store(tmp_path / "new"), quiet)
    assert again.to_json() == counts.to_json()


def test_a_kept_table_is_used(
    tiny_space: UnionSpace,
    tiny: Callable[..., Experiment],
    home_copy: Path,
    quiet: Any,
    no_measuring: None,
    tables_in: TablesIn,
) -> None:
    store = Store(home_copy)
    table = ready_table(tiny_space, tiny(), CountTable(), store, quiet)
    assert [table] == list(tables_in(home_copy).values())
    assert "kept from" in quiet.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: replace(t, device=replace(t.device, name="Other")), "Other then"),
        (lambda t: replace(t, setting=replace(t.setting, version="0.1")), "0.1 then"),
        (lambda t: replace(t, setting=replace(t.setting, batch=8)), "8 then, 1 now"),
        (None, "no table of latency_s in onnxruntime-fp32-b1-t1 over space vit"),
    ],
)
def test_a_table_that_does_not_hold_is_measured_anew_and_the_reason_given(
    tiny_space: UnionSpace,
    tiny: Callable[..., Experiment],
    home_copy: Path,
    quiet: Any,
    no_measuring: None,
    change: Callable[[BlockTable], BlockTable] | None,
    reason: str,
    tables_in: TablesIn,
) -> None:
    store = Store(home_copy)
    ((path, table),) = tables_in(home_copy).items()
    if change is None:
        path.unlink()
    else:
        change(table).save(path)
    counts = count_space(tiny_space, store, quiet)
    with pytest.raises(AssertionError, match="measured"):
        ready_table(tiny_space, tiny(), counts, store, quiet)
    assert reason in quiet.text


def test_the_finished_runs_table_was_kept_with_its_certificate(
    finished: Any, tiny_space: UnionSpace, tables_in: TablesIn
) -> None:
    ((path, table),) = tables_in(finished.home).items()
    assert set(tiny_space.blocks) == {b for b in tiny_space.blocks if b in table}
    assert table.device == local_device()
    assert table.certificate is not None
    scores = table.certificate.families
    assert 0 < scores["vit"].n <= 20
    score = scores["all"]
    assert score.n == sum(scores[name].n for name in scores if name != "all")
    assert f"Certificate on {score.n} whole networks" in describe_table(table)
    assert describe_table(table) in finished.text
    fitted = set(table.conditions["fitted"])
    assert not fitted & {m.architecture for m in table.certificate.measured}
    assert json.loads(path.read_text())["sha256"]
    assert not list(path.parent.glob("*.journal"))


def test_a_space_of_few_networks_has_a_table_that_is_kept(
    tiny: Callable[..., Experiment],
    four: Any,
    digits: Dataset,
    tmp_path: Path,
    quiet: Any,
    stub: Any,
) -> None:
    # Of four networks few or none are left that the table was not fitted to.
    experiment = tiny(spaces=four)
    space, store = experiment.space(digits), Store(tmp_path / "new")
    counts = count_space(space, store, quiet)
    table = measure(space, experiment.measurement, counts, store, quiet)
    assert all(block in table for block in space.blocks)
    assert ready_table(space, experiment, counts, store, quiet) == table


def test_describe_a_table_without_certificate(table: BlockTable) -> None:
    assert "has no certificate" in describe_table(replace(table, certificate=None))


def quiet_table(table: BlockTable) -> BlockTable:
    """The table as a machine that nothing disturbs would have made it."""
    assert table.certificate is not None
    measured = tuple(replace(m, measured=(m.predicted,) * 2) for m in table.certificate.measured)
    return replace(
        table,
        conditions={**table.conditions, "noisy": False},
        certificate=replace(table.certificate, measured=measured),
    )


@pytest.mark.parametrize(("ratio", "warned"), [(1.0, False), (1.5, True)])
def test_a_table_that_is_far_off_is_warned_of(
    table: BlockTable, quiet: Any, ratio: float, warned: bool
) -> None:
    table = quiet_table(table)
    assert table.certificate is not None
    measured = tuple(replace(m, predicted=ratio * m.predicted) for m in table.certificate.measured)
    table = replace(table, certificate=replace(table.certificate, measured=measured))
    report_table(table, quiet)
    assert describe_table(table) in quiet.text
    assert ("Raise `measurement.max_blocks`" in quiet.text) == warned
    assert "noisy" not in quiet.text


@pytest.mark.parametrize("why", ["drift", "repeats"])
def test_a_table_of_a_busy_machine_is_warned_of(table: BlockTable, quiet: Any, why: str) -> None:
    table = quiet_table(table)
    assert doubt_of(table) == ""
    assert table.certificate is not None
    if why == "drift":
        found = {"noisy": True, "reference_drift": 1.8, "repeat_90": 0.04}
        table = replace(table, conditions={**table.conditions, **found})
        said = "ranged over 80% (limit 50%)"
    else:
        # The second measurement of one network in seven is a fifth above the first.
        networks = table.certificate.measured
        measured = tuple(
            replace(m, measured=(m.predicted, 1.2 * m.predicted)) if i % 7 == 0 else m
            for i, m in enumerate(networks)
        )
        table = replace(table, certificate=replace(table.certificate, measured=measured))
        agree = 1 - len(networks[::7]) / len(networks)
        said = f"only {agree:.0%} of the networks measured twice agree within ±10 %"
    report_table(table, quiet)
    assert said in doubt_of(table)
    assert f"is noisy: {doubt_of(table)}." in quiet.text


class TestMeasuring:
    """A measurement in which every network takes the same time, of the space of four networks."""

    @pytest.fixture
    def go(
        self,
        tiny: Callable[..., Experiment],
        four: Any,
        digits: Dataset,
        tmp_path: Path,
        quiet: Any,
        stub: Any,
    ) -> Callable[..., BlockTable]:
        experiment = tiny(spaces=four)
        space, store = experiment.space(digits), Store(tmp_path / "new")
        counts = count_space(space, store, quiet)

        def run(**options: Any) -> BlockTable:
            return measure(space, experiment.measurement, counts, store, quiet, **options)

        return run

    def test_the_plan_is_cut_until_there_is_time(
        self, go: Callable[..., BlockTable], quiet: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        planned = []

        def a_second_each(plan: Any, runtime: Any, certificate: int) -> float:
            planned.append((len(plan.blocks), len(plan.networks)))
            return float(len(plan.networks) + certificate)

        monkeypatch.setattr("hw_profiles.measurement.estimate_s", a_second_each)
        go()
        first = planned[-1]
        # Its four networks are all that the certificate can be of.
        assert f"about {first[1] + 4} s" in quiet.text
        planned.clear()
        go(minutes=(first[1] + 4) / 60)
        assert planned == [first]
        planned.clear()
        go(minutes=(first[1] + 3) / 60)
        assert len(planned) >= 2
        assert planned[-1][1] < first[1]

    def test_too_few_minutes_say_how_many_it_takes(
        self, go: Callable[..., BlockTable], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hw_profiles.measurement.estimate_s", lambda *_: 150.0)
        with pytest.raises(ExperimentError, match=r"takes about 2\.5; give at least 3, or fewer"):
            go(minutes=2)

    def test_strict_keeps_no_noisy_table(
        self,
        go: Callable[..., BlockTable],
        tmp_path: Path,
        tables_in: TablesIn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("nas.pricing.doubt_of", lambda table: "the machine was busy")
        with pytest.raises(VerificationError, match=r"the machine was busy\. It was not written"):
            go(strict=True)
        assert tables_in(tmp_path / "new") == {}
        # Nor do its timings spoil the next attempt.
        assert not list((tmp_path / "new").rglob("*.journal"))
        table = go()
        assert list(tables_in(tmp_path / "new").values()) == [table]

    def test_energy_that_is_not_counted_is_refused(
        self, go: Callable[..., BlockTable], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hw_profiles.gauge.find_meter", lambda *_, **__: Unavailable("no zone"))
        with pytest.raises(UnavailableError, match="`energy_j` cannot be measured here: no zone"):
            go(quantity="energy_j")


def test_an_interrupted_measurement_goes_on_where_it_was(
    tiny: Callable[..., Experiment],
    four: Any,
    digits: Dataset,
    tmp_path: Path,
    quiet: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = tiny(spaces=four)
    space, store = experiment.space(digits), Store(tmp_path / "new")
    counts = count_space(space, store, quiet)
    monkeypatch.setattr("hw_profiles.measurement.estimate_s", lambda *_: 1.0)
    visited: list[float] = []

    class Clockwork(Stopwatch):
        """Stops at the sixth visit, once."""

        limit_s = float("inf")

        def __call__(self, run: Any) -> Visit:
            if len(visited) == 5 and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            visited.append(1.0)
            return Visit((1e-4 * len(visited),) * 12, 1e-4)

    interrupted: list[bool] = []
    monkeypatch.setattr("nas.pricing.gauge_of", lambda *_: Clockwork)
    with pytest.raises(KeyboardInterrupt):
        measure(space, experiment.measurement, counts, store, quiet)
    (journal,) = (tmp_path / "new").rglob("*.journal")
    header, *lines = map(json.loads, journal.read_text().splitlines())
    assert [runs_s[0] for _, runs_s, *_ in lines] == [1e-4 * n for n in (1, 2, 3, 4, 5)]
    assert header["conditions"]["quantity"] == "latency_s"
    # Fewer blocks are another measurement, which the journal knows nothing of.
    assert header["conditions"]["max_blocks"] == experiment.measurement.max_blocks
    table = measure(space, experiment.measurement, counts, store, quiet)
    assert table.conditions["date"] == header["started"]
    assert not journal.exists()
    # Every visit of the table was made once: the first five were not made again.
    certified = 0 if table.certificate is None else 2 * len(table.certificate.measured)
    assert len(visited) == 2 * table.conditions["networks"] + certified
