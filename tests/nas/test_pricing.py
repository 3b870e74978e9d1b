"""Getting ready to price: what is kept is used, what is not is made."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles import LatencyTable, local_device
from hw_profiles.store import Store
from nas.experiment import Experiment
from nas.pricing import (
    count_space,
    describe_table,
    local_pricer,
    measure,
    ready_table,
    report_table,
)
from nas.splits import Dataset
from search_spaces import CountTable, TrainingSetup, UnionSpace, block_key


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
) -> None:
    store = Store(home_copy)
    table = ready_table(tiny_space, tiny(), CountTable(), store, quiet)
    assert [table] == list(store.local_tables().values())
    assert "kept from" in quiet.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: replace(t, device=replace(t.device, name="Other")), "Other then"),
        (lambda t: replace(t, setting=replace(t.setting, version="0.1")), "0.1 then"),
        (None, "no table of onnxruntime-fp32-b1-t1 over space vit"),
    ],
)
def test_a_table_that_does_not_hold_is_measured_anew_and_the_reason_given(
    tiny_space: UnionSpace,
    tiny: Callable[..., Experiment],
    home_copy: Path,
    quiet: Any,
    no_measuring: None,
    change: Callable[[LatencyTable], LatencyTable] | None,
    reason: str,
) -> None:
    store = Store(home_copy)
    ((path, table),) = store.local_tables().items()
    if change is None:
        path.unlink()
    else:
        change(table).save(path)
    counts = count_space(tiny_space, store, quiet)
    with pytest.raises(AssertionError, match="measured"):
        ready_table(tiny_space, tiny(), counts, store, quiet)
    assert reason in quiet.text


def test_the_finished_runs_table_was_kept_with_its_certificate(
    finished: Any, tiny_space: UnionSpace
) -> None:
    ((path, table),) = Store(finished.home).local_tables().items()
    assert set(tiny_space.blocks) == {b for b in tiny_space.blocks if b in table}
    assert table.device == local_device()
    assert table.certificate is not None
    score = table.certificate.families["all"]
    assert 0 < score.n <= 20
    assert f"Certificate on {score.n} whole networks" in describe_table(table)
    assert describe_table(table) in finished.text
    fitted = set(table.conditions["fitted"])
    assert not fitted & {m.architecture for m in table.certificate.measured}
    assert json.loads(path.read_text())["sha256"]


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


def test_describe_a_table_without_certificate(finished: Any) -> None:
    (table,) = Store(finished.home).local_tables().values()
    assert "has no certificate" in describe_table(replace(table, certificate=None))


@pytest.mark.parametrize(("ratio", "warned"), [(1.0, False), (1.5, True)])
def test_a_table_that_is_far_off_is_warned_of(
    finished: Any, quiet: Any, ratio: float, warned: bool
) -> None:
    (table,) = Store(finished.home).local_tables().values()
    measured = tuple(
        replace(m, predicted_s=ratio * sum(m.measured_s) / 2) for m in table.certificate.measured
    )
    table = replace(table, certificate=replace(table.certificate, measured=measured))
    report_table(table, quiet)
    assert describe_table(table) in quiet.text
    assert ("Raise `measurement.max_blocks`" in quiet.text) == warned


def test_a_local_pricer_takes_the_table_that_holds_the_blocks(
    tiny_space: UnionSpace, kept: Store
) -> None:
    architecture = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    pricer = local_pricer(architecture, kept, TrainingSetup())
    assert all(block in pricer.latency["local"].table for block in architecture.blocks)
    assert pricer.price(architecture)["latency_s@local"].provenance == "table"


def test_a_local_pricer_without_a_table_prices_all_but_latency(
    tiny_space: UnionSpace, tmp_path: Path, home_copy: Path
) -> None:
    architecture = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    other = Store(home_copy)
    ((path, table),) = other.local_tables().items()
    replace(table, device=replace(table.device, name="Other")).save(path)
    for store in (Store(tmp_path / "new"), other):
        prices = local_pricer(architecture, store, TrainingSetup()).price(architecture)
        assert "macs" in prices
        assert "latency_s@local" not in prices


@pytest.mark.parametrize("key", ["mine:Block(width=3)", "ConvHead(width=3)"])
def test_a_table_with_a_block_that_is_not_known_predicts_nothing(
    tiny_space: UnionSpace, home_copy: Path, key: str
) -> None:
    architecture = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    store = Store(home_copy)
    ((path, table),) = store.local_tables().items()
    entries = {**table.entries, key: table.overhead}
    replace(table, entries=entries).save(path)
    assert "local" in local_pricer(architecture, store, TrainingSetup()).latency
    del entries[block_key(architecture.blocks[0])]
    replace(table, entries=entries).save(path)
    assert local_pricer(architecture, store, TrainingSetup()).latency == {}
