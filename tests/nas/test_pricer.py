"""Prices one by one and in bulk, with made-up tables whose sums are worked by hand."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hw_profiles import BlockTable
from nas.errors import ExperimentError
from nas.pricer import Pricer, paper_gflops
from predictors import Value
from search_spaces import TrainingSetup, UnionSpace

MakeDevice = Callable[..., Any]


def first(space: UnionSpace) -> Any:
    return space.decode(np.zeros(len(space.parameters), int))


def test_price_equals_price_codes(tiny_space: UnionSpace, tiny_pricer: Pricer) -> None:
    codes = tiny_space.random_codes(60, np.random.default_rng(0))
    columns = tiny_pricer.price_codes(tiny_space, codes)
    assert set(columns) == set(tiny_pricer.names)
    for row, code in enumerate(codes):
        values = tiny_pricer.price(tiny_space.decode(code))
        assert set(values) == set(tiny_pricer.names)
        for name, value in values.items():
            if "@" in name:
                assert columns[name][row] == pytest.approx(value.value, rel=1e-12)
            else:
                assert columns[name][row] == value.value


@pytest.mark.parametrize("names", [["macs"], ["latency_s@local"], ["max_batch@local", "params"]])
def test_only_what_is_asked_for_is_priced(
    tiny_space: UnionSpace, tiny_pricer: Pricer, names: list[str]
) -> None:
    everything = tiny_pricer.price(first(tiny_space))
    assert tiny_pricer.price(first(tiny_space), names) == {n: everything[n] for n in names}
    codes = tiny_space.random_codes(9, np.random.default_rng(0))
    columns, all_columns = (tiny_pricer.price_codes(tiny_space, codes, n) for n in (names, None))
    assert set(columns) == set(names)
    for name in names:
        assert np.array_equal(columns[name], all_columns[name])


def test_counts_are_exact_and_latency_is_of_the_table(
    tiny_space: UnionSpace, tiny_pricer: Pricer, table: BlockTable
) -> None:
    architecture = first(tiny_space)
    values = tiny_pricer.price(architecture)
    latency = values["latency_s@local"]
    blocks = [table[block].value for block in architecture.blocks]
    assert latency.value == pytest.approx(table.overhead.value + sum(blocks), rel=0.01)
    assert latency.provenance == "table"
    assert latency.low is not None
    assert latency.high is not None
    assert 0 <= latency.low < latency.value < latency.high
    for name, value in values.items():
        if "@" not in name:
            assert (value.low, value.high, value.provenance) == (value.value, value.value, "exact")


def test_training_indicators_follow_the_batch_and_the_others_do_not(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    architecture = first(tiny_space)
    one, two = (
        Pricer(tiny_pricer.counts, TrainingSetup(batch, "adamw"), {}).price(architecture)
        for batch in (32, 64)
    )
    assert not any("@" in name for name in one)
    assert two["train_macs"].value == 2 * one["train_macs"].value
    assert two["train_memory_bytes"].value > one["train_memory_bytes"].value
    assert [n for n in one if one[n] != two[n]] == ["train_macs", "train_memory_bytes"]


def test_adam_keeps_two_numbers_for_each_parameter(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    architecture = first(tiny_space)
    sgd, adam = (
        Pricer(tiny_pricer.counts, TrainingSetup(64, name), {}).price(architecture)
        for name in ("sgd", "adamw")
    )
    difference = adam["train_memory_bytes"].value - sgd["train_memory_bytes"].value
    assert difference == 4 * 2 * adam["params"].value


def test_what_a_profile_does_not_have_is_refused_with_the_reason(tiny_pricer: Pricer) -> None:
    tiny_pricer.require(["macs", "latency_s@local", "max_batch@local"])
    for name, reason in {
        "energy_j@local": "energy is not counted on local",
        "carbon_g@local": "energy is not counted on local",
        "cost_usd@local": "states no chip_price",
        "train_step_s@local": "was not measured on local",
        "decode_step_s@local": "the networks of vit generate no text",
    }.items():
        assert name not in tiny_pricer.names
        with pytest.raises(ExperimentError, match=f"`{name}` is not available: .*{reason}"):
            tiny_pricer.require(["macs", name])


def test_what_is_exact_is_within_a_budget_or_is_not(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    architecture = first(tiny_space)
    macs = tiny_pricer.price(architecture)["macs"].value
    assert tiny_pricer.feasibility(architecture, {"macs": macs}) == {"macs": 1.0}
    assert tiny_pricer.feasibility(architecture, {"macs": macs - 1}) == {"macs": 0.0}


def test_a_value_round_trips_through_json() -> None:
    for value in (Value(1.5, None, 2.0, "predicted"), Value(3.0, 2.0, 4.0, "table", "batch 8")):
        assert Value(**json.loads(json.dumps(value.to_json()))) == value
    assert "at" not in Value(1.5, None, 2.0, "predicted").to_json()


def test_the_papers_gflops_are_half_the_operations() -> None:
    assert paper_gflops({"flops": Value(35e9, 35e9, 35e9, "exact")}) == 17.5
