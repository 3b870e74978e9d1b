"""Tables of models: directions, gaps, and where models come from."""

from dataclasses import replace

import numpy as np
import pytest

from nas.comparison import Arm, ArmRun, Comparison, Model
from nas.errors import ExperimentError
from nas.indicators import INDICATORS, Indicator
from nas.model_table import ModelTable
from nas.tolerance import Tolerance

NAN = float("nan")


def table() -> ModelTable:
    return ModelTable(
        ("a", "b", "c"),
        "top1",
        np.array([70.0, NAN, 80.0]),
        ("params", "rate"),
        np.array([[1.0, 100.0], [2.0, NAN], [4.0, 25.0]]),
        frozenset({"top1", "rate"}),
        ("x", "y", "x"),
        {"pretraining": ("p", "q", "p")},
        {"rate": Tolerance(0.05)},
    )


def comparison() -> Comparison:
    latency = replace(INDICATORS["latency_s"], name="latency_s@local")
    rate = replace(INDICATORS["throughput_per_s"], name="throughput_per_s@local")
    indicators: tuple[Indicator, ...] = (INDICATORS["params"], latency, rate)
    values = np.array([[1.0, 0.5, 2.0], [2.0, 0.25, 4.0], [3.0, 0.125, 8.0]])

    def run(arm: str, models: list[int], told: list[float]) -> ArmRun:
        found = np.array(models)
        return ArmRun(arm, 0, found, np.array(told), np.zeros(2), found[:1])

    return Comparison(
        "tiny",
        "error",
        False,
        indicators,
        (Model("1", "deep", "vit"), Model("2", "wide", "vit"), Model("3", "wide", "mbconv")),
        values,
        np.array([0.3, NAN, 0.1]),
        (Arm("params", ("params",)), Arm("random", (), null=True)),
        (run("params", [0, 1], [0.4, 0.2]), run("random", [1, 2], [0.1, 0.3])),
        2,
        1,
        values[:2] * 10,
    )


def test_less_is_better_in_what_is_compared() -> None:
    found = table()
    assert found.costs[:, 1].tolist()[::2] == [-100, -25]
    assert found.loss.tolist()[::2] == [-70, -80]
    # Four times the params, and a fourth of the rate is four times the time.
    assert (found.log_costs[2] - found.log_costs[0]).tolist() == pytest.approx([np.log(4)] * 2)


def test_gaps_are_counted() -> None:
    assert table().missing == {"top1": 1, "params": 0, "rate": 1}
    assert table().complete.tolist() == [True, False, True]


def test_some_of_the_models() -> None:
    found = table().take(np.array([2, 0]))
    assert (found.names, found.families) == (("c", "a"), ("x", "x"))
    assert found.strata == {"pretraining": ("p", "p")}
    assert found.values[:, 0].tolist() == [4, 1]
    assert table().take(table().complete).names == ("a", "c")
    assert len(table().take(np.zeros(3, dtype=bool))) == 0


def test_what_is_not_positive_has_no_ratio() -> None:
    found = replace(table(), values=np.array([[0.0, 1.0], [-1.0, 2.0], [1.0, 4.0]]))
    assert np.isnan(found.log_costs[:2, 0]).all()
    assert found.log_costs[2, 0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indicators": ("params", "top1")}, "a name of its own"),
        ({"indicators": ("params", "all")}, "other than `all`"),
        ({"indicators": (), "values": np.zeros((3, 0))}, "no cost"),
        ({"maximized": frozenset({"speed"})}, "speed is neither"),
        ({"tolerances": {"speed": Tolerance()}}, "speed is neither"),
    ],
)
def test_a_table_that_cannot_be_compared_is_refused(
    change: dict[str, object], message: str
) -> None:
    plain: dict[str, object] = {"maximized": frozenset(), "tolerances": {}}
    with pytest.raises(ExperimentError, match=message):
        replace(table(), **(plain | change))


@pytest.mark.parametrize(
    "change",
    [
        {"scores": np.zeros(2)},
        {"values": np.zeros((3, 1))},
        {"values": np.full((3, 2), np.inf)},
        {"families": ("x",)},
        {"strata": {"p": ("x",)}},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(table(), **change)


def test_an_unknown_cost_is_named_with_the_known() -> None:
    assert table().position("rate") == 1
    with pytest.raises(ExperimentError, match=r"`flops` is none of the costs.*params, rate"):
        table().position("flops")


class TestOfComparison:
    def test_models_are_those_that_arms_evaluated(self) -> None:
        found = ModelTable.of_comparison(comparison())
        assert found.names == ("deep", "wide", "wide (2)")
        assert found.families == ("vit", "vit", "mbconv")
        assert found.scores.tolist()[::2] == [0.3, 0.1]
        assert np.isnan(found.scores[1])
        assert found.maximized == {"throughput_per_s@local"}

    def test_what_was_told_is_the_mean_over_searches(self) -> None:
        found = ModelTable.of_comparison(comparison(), told=True)
        assert found.scores.tolist() == pytest.approx([0.4, (0.2 + 0.1) / 2, 0.3])

    def test_only_what_a_device_decides_has_an_error(self) -> None:
        found = ModelTable.of_comparison(comparison())
        assert found.tolerance("params") == Tolerance(0)
        assert found.tolerance("latency_s@local") == Tolerance(0.1)
        exact = ModelTable.of_comparison(comparison(), {})
        assert exact.tolerance("latency_s@local") == Tolerance(0)

    def test_random_members_have_no_quality(self) -> None:
        found = ModelTable.of_population(comparison())
        assert len(found) == 2
        assert np.isnan(found.scores).all()
        assert found.values[1].tolist() == [20, 2.5, 40]
