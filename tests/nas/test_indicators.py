"""Indicators: their names, and what each says of itself."""

from dataclasses import fields
from pathlib import Path

import pytest

from hw_profiles.profile import HardwareProfile
from nas.indicators import (
    INDICATORS,
    Indicator,
    check_name,
    check_place,
    indicator,
    indicator_names,
    split_name,
    split_place,
)
from predictors.profile_pricer import DEVICE_INDICATORS
from search_spaces import Counts, UnknownNameError


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped profile, ``moon``, with two settings and no table."""
    monkeypatch.setattr("hw_profiles.profile.DATA", tmp_path)
    HardwareProfile("moon", tmp_path / "moon", order=("fast-fp16-b1", "slow-fp32-b1-t1")).save()
    return tmp_path


def test_there_is_one_indicator_for_each_count_and_each_of_a_device() -> None:
    counted = {field.name for field in fields(Counts)}
    assert set(INDICATORS) == counted | set(DEVICE_INDICATORS)
    assert {item.name for item in INDICATORS.values() if item.needs_profile} == set(
        DEVICE_INDICATORS
    )


@pytest.mark.parametrize("place", ["local", "moon:fast-fp16-b1"])
def test_every_name_stands_for_its_indicator(place: str) -> None:
    for name in indicator_names(place):
        base, at = split_name(name)
        assert indicator(name) is INDICATORS[base]
        assert at == (place if INDICATORS[base].needs_profile else "")


def test_names_carry_a_place_exactly_where_hardware_decides() -> None:
    assert {name for name in indicator_names() if "@" in name} == {
        f"{name}@local" for name in DEVICE_INDICATORS
    }


@pytest.mark.parametrize("item", INDICATORS.values(), ids=lambda item: item.name)
def test_an_indicator_says_what_it_is(item: Indicator) -> None:
    assert item.unit
    assert item.definition.endswith(".")
    assert item.symbol
    assert item.scale > 0
    assert item.phase == ("training" if item.name.startswith("train_") else "inference")
    units = {
        "_bytes": "bytes",
        "_per_s": "examples/s",
        "_s": "seconds",
        "_j": "joules",
        "_g": "grams of CO2 equivalent",
        "_usd": "US dollars",
    }
    said = next((unit for ending, unit in units.items() if item.name.endswith(ending)), item.unit)
    assert item.unit == said


def test_all_but_throughput_and_the_largest_batch_are_minimised() -> None:
    more = {item.name for item in INDICATORS.values() if item.maximize}
    assert more == {"throughput_per_s", "max_batch"}
    for item in INDICATORS.values():
        assert item.direction == ("maximize" if item.name in more else "minimize")


def test_what_follows_another_is_of_the_same_unit() -> None:
    following = [item for item in INDICATORS.values() if item.follows]
    assert [item.name for item in following] == [
        "latency_p50_s", "latency_p90_s", "latency_p99_s",
    ]  # fmt: skip
    for item in following:
        assert INDICATORS[item.follows].unit == item.unit


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("local", ("local", "")),
        ("moon:fast-fp16-b1", ("moon", "fast-fp16-b1")),
    ],
)
def test_a_place_is_a_profile_and_a_setting(place: str, parts: tuple[str, str]) -> None:
    assert split_place(place) == parts


@pytest.mark.parametrize(
    ("name", "kind", "known"),
    [
        ("mac", "indicator", "macs"),
        ("", "indicator", "macs"),
        ("latency_s", "indicator", "latency_s@local"),
        ("macs@local", "indicator", "macs"),
        ("macs@", "indicator", "macs"),
        ("latency@moon", "indicator", "latency_s@moon"),
        ("latency_s@", "profile", "local"),
        ("latency_s@sun", "profile", "moon"),
        ("latency_s@moon:quick", "setting of profile moon", "fast-fp16-b1"),
    ],
)
def test_another_name_is_refused_with_the_known_ones(
    shipped: Path, name: str, kind: str, known: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        check_name(name)
    assert caught.value.kind == kind
    assert known in caught.value.known


@pytest.mark.parametrize(
    "name",
    [
        "macs",
        "latency_s@local",
        "latency_s@local:onnxruntime-fp32-b8-t1",  # What this machine has, its tables say.
        "energy_j@moon",
        "max_batch@moon:slow-fp32-b1-t1",
    ],
)
def test_a_name_of_a_shipped_profile_is_one(shipped: Path, name: str) -> None:
    check_name(name)


def test_profiles_may_be_those_of_a_run(shipped: Path) -> None:
    HardwareProfile("mars", shipped / "elsewhere", order=("a-fp32-b1",)).save()
    check_place("mars:a-fp32-b1", {"mars": shipped / "elsewhere"})
    with pytest.raises(UnknownNameError, match="Unknown profile 'moon'"):
        check_place("moon", {"mars": shipped / "elsewhere"})
