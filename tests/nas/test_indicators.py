"""Indicators: their names, what each says of itself, and prices one by one and in bulk."""

import json
from dataclasses import fields

import numpy as np
import pytest

from nas.indicators import INDICATORS, Indicator, Pricer, Value, indicator, indicator_names
from search_spaces import Counts, TrainingSetup, UnionSpace, UnknownNameError


def test_there_is_one_indicator_for_each_count_and_latency() -> None:
    assert set(INDICATORS) == {field.name for field in fields(Counts)} | {"latency_s"}


@pytest.mark.parametrize("name", indicator_names())
def test_every_name_stands_for_its_indicator(name: str) -> None:
    assert indicator(name) is INDICATORS[name.partition("@")[0]]


def test_names_carry_a_profile_exactly_where_hardware_decides() -> None:
    assert {name for name in indicator_names() if "@" in name} == {"latency_s@local"}
    assert [item.name for item in INDICATORS.values() if item.needs_profile] == ["latency_s"]


@pytest.mark.parametrize("item", INDICATORS.values(), ids=lambda item: item.name)
def test_an_indicator_says_what_it_is(item: Indicator) -> None:
    assert item.unit
    assert item.definition.endswith(".")
    assert item.symbol
    assert item.scale > 0
    assert item.direction == "minimize"
    assert item.phase == ("training" if item.name.startswith("train_") else "inference")
    units = {"_bytes": "bytes", "_s": "seconds"}
    for ending, unit in units.items():
        if item.name.endswith(ending):
            assert item.unit == unit


@pytest.mark.parametrize(
    ("name", "kind", "known"),
    [
        ("mac", "indicator", "macs"),
        ("", "indicator", "macs"),
        ("latency_s", "indicator", "latency_s@local"),
        ("macs@local", "indicator", "macs"),
        ("macs@", "indicator", "macs"),
        ("latency_s@", "profile", "local"),
        ("latency_s@moon", "profile", "local"),
        ("latency_s@local:fast", "profile", "local"),
    ],
)
def test_another_name_is_refused_with_the_known_ones(name: str, kind: str, known: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        indicator(name)
    assert caught.value.kind == kind
    assert known in caught.value.known


def test_price_equals_price_codes(tiny_space: UnionSpace, tiny_pricer: Pricer) -> None:
    codes = tiny_space.random_codes(60, np.random.default_rng(0))
    columns = tiny_pricer.price_codes(tiny_space, codes)
    assert set(columns) == set(indicator_names())
    for row, code in enumerate(codes):
        values = tiny_pricer.price(tiny_space.decode(code))
        assert set(values) == set(indicator_names())
        for name, value in values.items():
            if "@" in name:
                assert columns[name][row] == pytest.approx(value.value, rel=1e-12)
            else:
                assert columns[name][row] == value.value


def test_counts_are_exact_and_latency_is_of_the_table(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    values = tiny_pricer.price(tiny_space.decode(np.zeros(len(tiny_space.parameters), int)))
    latency = values.pop("latency_s@local")
    assert latency.provenance == "table"
    assert latency.low is not None
    assert latency.high is not None
    assert 0 <= latency.low < latency.value < latency.high
    for value in values.values():
        assert (value.low, value.high, value.provenance) == (value.value, value.value, "exact")


def test_training_indicators_follow_the_batch_and_the_others_do_not(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    architecture = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    one, two = (
        Pricer(tiny_pricer.counts, TrainingSetup(batch, "adamw"), {}).price(architecture)
        for batch in (32, 64)
    )
    assert "latency_s@local" not in one
    assert two["train_macs"].value == 2 * one["train_macs"].value
    assert two["train_memory_bytes"].value > one["train_memory_bytes"].value
    assert [n for n in one if one[n] != two[n]] == ["train_macs", "train_memory_bytes"]


def test_adam_keeps_two_numbers_for_each_parameter(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    architecture = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    sgd, adam = (
        Pricer(tiny_pricer.counts, TrainingSetup(64, name), {}).price(architecture)
        for name in ("sgd", "adamw")
    )
    difference = adam["train_memory_bytes"].value - sgd["train_memory_bytes"].value
    assert difference == 4 * 2 * adam["params"].value


def test_a_value_round_trips_through_json() -> None:
    value = Value(1.5, None, 2.0, "predicted")
    assert Value(**json.loads(json.dumps(value.to_json()))) == value
