"""Budgets in other units than the indicators'."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.budget_units import (
    canonical_budget,
    canonical_budgets,
    column_budget,
    parse_budgets,
    parse_column_budgets,
    split_limit,
)
from nas.errors import ExperimentError, exit_status
from nas.indicators import Indicator, indicator_names
from search_spaces import UnknownNameError


@pytest.mark.parametrize(
    ("given", "limit", "name", "expected"),
    [
        ("latency_ms", 2.0, "latency_s@local", 2e-3),
        ("latency_us@nvidia-h200:fast", 5.0, "latency_s@nvidia-h200:fast", 5e-6),
        ("latency_p99_ms@local", 3.0, "latency_p99_s@local", 3e-3),
        ("latency_s", 2.0, "latency_s@local", 2.0),
        ("energy_mj@local", 4.0, "energy_j@local", 4e-3),
        ("energy_wh@local", 1.0, "energy_j@local", 3600.0),
        ("carbon_kg@local", 2.0, "carbon_g@local", 2000.0),
        ("peak_memory_mb", 2.0, "peak_memory_bytes", 2e6),
        ("model_kib", 2.0, "model_bytes", 2048.0),
        ("memory_access_fused_gb", 1.0, "memory_access_fused_bytes", 1e9),
        # Ten a millisecond are ten thousand a second.
        ("throughput_per_ms@local", 10.0, "throughput_per_s@local", 1e4),
        ("throughput_per_min@local", 60.0, "throughput_per_s@local", 1.0),
        ("macs", 5.0, "macs", 5.0),
        ("max_batch", 8.0, "max_batch@local", 8.0),
    ],
)
def test_units_that_fit(given: str, limit: float, name: str, expected: float) -> None:
    found, converted = canonical_budget(given, limit)
    assert found == name
    assert converted == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.sampled_from(indicator_names()), limit=st.floats(1e-300, 1e300))
def test_indicators_stay_as_they_are(name: str, limit: float) -> None:
    assert canonical_budget(name, limit) == (name, limit)


@pytest.mark.parametrize(
    ("name", "own", "fits"),
    [
        ("latency_kg", "latency_s", "ms"),
        ("latency_mb@local", "latency_s", "us"),
        ("energy_s@local", "energy_j", "kwh"),
        ("peak_memory_ms", "peak_memory_bytes", "mib"),
        ("throughput_per_kg", "throughput_per_s", "min"),
    ],
)
def test_a_unit_of_something_else_is_refused(name: str, own: str, fits: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        canonical_budget(name, 1.0)
    for word in (f"`{name}`", f"`{own}`", fits):
        assert word in str(caught.value)
    assert exit_status(caught.value) == 2


@pytest.mark.parametrize(
    "name", ["energy", "latency", "latency_parsecs", "foo_ms", "macs_ms", "", "_ms", "macs@local"]
)
def test_an_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        canonical_budget(name, 1.0)
    assert set(caught.value.known) == set(indicator_names())
    assert exit_status(caught.value) == 3


def test_two_budgets_of_one_indicator_are_refused() -> None:
    with pytest.raises(ExperimentError, match="two budgets of `latency_s@local`"):
        canonical_budgets({"latency_ms": 2.0, "latency_s@local": 0.1})
    with pytest.raises(ExperimentError, match="two budgets of `macs`"):
        parse_budgets(["macs<=1", "macs<=2"])


def test_the_forms_of_a_limit() -> None:
    texts = ["macs <= 2e5", "latency_ms@local=2", "throughput_per_s@local>=10"]
    assert parse_budgets(texts) == {
        "macs": 2e5,
        "latency_s@local": 2e-3,
        "throughput_per_s@local": 10.0,
    }
    assert split_limit("macs=5") == ("macs", "=", 5.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("macs", "NAME<=NUMBER"),
        ("macs<=many", "NAME<=NUMBER"),
        ("macs<5", "NAME<=NUMBER"),
        ("<=5", "NAME<=NUMBER"),
        ("macs<=", "NAME<=NUMBER"),
        ("macs>=5", "write macs<="),
        ("throughput_per_s@local<=5", "write throughput_per_s@local>="),
        ("macs<=0", "above 0 and finite"),
        ("macs<=-1", "above 0 and finite"),
        ("macs<=nan", "above 0 and finite"),
        ("macs<=inf", "above 0 and finite"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        parse_budgets([text])
    assert said in str(caught.value)


LATENCY, RATE, SPEED = "lat_ms_pixel3", "images_per_s", "img_s_rtx"
COSTS = {
    name: Indicator(name, "", "inference", "", name, maximize=name in (RATE, SPEED))
    for name in ("macs", LATENCY, RATE, SPEED, "Energy_mJ", "size_mb")
}


@pytest.mark.parametrize(
    ("name", "column", "factor"),
    [
        ("macs", "macs", 1),
        ("lat_s_pixel3", LATENCY, 1e3),
        ("lat_us_pixel3", LATENCY, 1e-3),
        ("images_per_ms", RATE, 1e3),
        ("images_per_min", RATE, 1 / 60),
        ("energy_wh", "Energy_mJ", 3.6e6),
        ("size_kib", "size_mb", 1024e-6),
    ],
)
def test_a_budget_of_a_column_may_be_in_another_unit(name: str, column: str, factor: float) -> None:
    found, limit = column_budget(name, 3.0, COSTS)
    assert (found, limit) == (column, pytest.approx(3 * factor))


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("lat_kg_pixel3", ExperimentError, "kg does not fit, as `lat_ms_pixel3` is in ms"),
        ("size_s", ExperimentError, "s does not fit, as `size_mb` is in mb; write it in one of"),
        ("lat_s", UnknownNameError, "Unknown cost 'lat_s'"),
        ("lat_s_pixel4", UnknownNameError, "Known: macs, lat_ms_pixel3, images_per_s"),
        # More is better of it, so its s is no unit of time but what images are counted in.
        ("img_ms_rtx", UnknownNameError, "Unknown cost 'img_ms_rtx'"),
    ],
)
def test_a_budget_of_no_column(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        column_budget(name, 1.0, COSTS)


def test_limits_of_columns_are_on_their_side() -> None:
    assert parse_column_budgets(["lat_s_pixel3<=2", "img_s_rtx>=5"], COSTS) == {
        LATENCY: 2000.0,
        SPEED: 5.0,
    }
    with pytest.raises(ExperimentError, match="write img_s_rtx>="):
        parse_column_budgets(["img_s_rtx<=5"], COSTS)
    with pytest.raises(ExperimentError, match="two budgets of `macs`"):
        parse_column_budgets(["macs<=5", "macs<=6"], COSTS)
    assert split_limit("a name with blanks <= 5") == ("a name with blanks", "<=", 5.0)
