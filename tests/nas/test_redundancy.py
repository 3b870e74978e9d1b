"""Indicators that order the members of a space alike."""

import json
from typing import Any

import numpy as np
import pytest

from nas.indicators import INDICATORS
from nas.pricer import Pricer
from nas.progress import Reporter
from nas.redundancy import (
    RedundantGroup,
    leading,
    redundant_groups,
    redundant_of_space,
    report_redundant,
)
from search_spaces import UnionSpace


def test_tau_by_hand() -> None:
    # Of the 10 pairs of 5 one is ordered the other way: tau = (9 - 1) / 10.
    values = {"a": np.array([1, 2, 3, 4, 5]), "b": np.array([2, 1, 3, 4, 5])}
    (group,) = redundant_groups(values, limit=0.8)
    assert group == RedundantGroup(("a", "b"), 0.8)
    assert redundant_groups(values, limit=0.81) == ()


def test_every_two_of_a_group_are_alike() -> None:
    # a and b, b and c differ in one pair of 10 each, a and c in two: tau 0.6.
    values = {
        "a": np.array([1, 2, 3, 4, 5]),
        "b": np.array([2, 1, 3, 4, 5]),
        "c": np.array([2, 1, 3, 5, 4]),
    }
    assert [g.names for g in redundant_groups(values, limit=0.8)] == [("a", "b")]
    (whole,) = redundant_groups(values, limit=0.6)
    assert whole == RedundantGroup(("a", "b", "c"), 0.6)


def test_what_is_maximised_is_alike_where_it_falls() -> None:
    x = np.arange(1.0, 9.0)
    values = {"latency": x, "rate": 1 / x, "macs": x**3, "against": 1 / x}
    (group,) = redundant_groups(values, maximized=["rate"])
    assert group.names == ("latency", "rate", "macs")


def test_a_constant_orders_nothing() -> None:
    same = np.ones(5)
    assert redundant_groups({"a": same, "b": same, "c": np.arange(5.0)}) == ()
    assert redundant_groups({"a": np.zeros(0), "b": np.zeros(0)}) == ()


def test_of_two_columns_the_rows_with_both_count() -> None:
    # a and b are alike in the six rows that have both; b and c are not in their five.
    gap = float("nan")
    values = {
        "a": np.array([1, 2, 3, 4, 5, 6, gap, gap]),
        "b": np.array([2, 4, 6, 8, 10, 12, 1, 0.5]),
        "c": np.array([gap, gap, gap, 6, 5, 4, 2, 3]),
    }
    assert redundant_groups(values) == (RedundantGroup(("a", "b"), 1.0),)
    # With c only three rows of a are shared: these would be in one order by chance.
    few = values | {"c": np.array([gap, gap, gap, 4, 5, 6, gap, gap])}
    assert redundant_groups(few) == (RedundantGroup(("a", "b"), 1.0),)
    # Where a column is known beside another it may order nothing.
    flat = {"a": values["a"], "d": np.array([3, 3, 3, 3, 3, 3, 4, 5.0])}
    assert redundant_groups(flat) == ()


def test_monotone_functions_change_nothing() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 50))
    assert redundant_groups({"x": x, "y": y, "z": np.exp(x)}) == redundant_groups(
        {"x": np.log(x), "y": y**3, "z": x}
    )


@pytest.mark.parametrize("limit", [0.0, -0.5, 1.1])
def test_a_limit_that_cannot_be_one_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="`limit` must be above 0"):
        redundant_groups({}, limit=limit)


@pytest.mark.parametrize(("names", "tau"), [(("a",), 1.0), (("a", "a"), 1.0), (("a", "b"), 1.5)])
def test_a_group_validates(names: tuple[str, ...], tau: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        RedundantGroup(names, tau)


def test_one_of_each_group_leads() -> None:
    groups = [RedundantGroup(("a", "b", "c"), 0.9), RedundantGroup(("d", "e"), 0.9)]
    assert leading(["x", "c", "b", "e", "x"], groups) == ("x", "b", "e")
    assert leading([], groups) == ()


def test_a_group_round_trips_through_json() -> None:
    group = RedundantGroup(("a", "b"), 0.93)
    assert RedundantGroup.from_json(json.loads(json.dumps(group.to_json()))) == group


def test_params_and_bytes_of_a_space_are_redundant_and_exact_ones_lead(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    groups = redundant_of_space(tiny_space, tiny_pricer)
    assert groups == redundant_of_space(tiny_space, tiny_pricer)
    of = {name: group for group in groups for name in group.names}
    # At fp32 a parameter is four bytes; a quantile of latency is a multiple of it in a family.
    assert of["params"] is of["model_bytes"]
    assert of["params"].names[0] == "params"
    assert len(of) == sum(len(group.names) for group in groups)
    assert set(of) <= set(tiny_pricer.names)
    assert all(name.split("@")[0] in INDICATORS for name in of)


def test_what_is_redundant_is_reported(quiet: Reporter) -> None:
    report_redundant([], quiet)
    assert quiet.text == ""  # type: ignore[attr-defined]
    report_redundant([RedundantGroup(("params", "macs"), 0.97)], quiet)
    assert "params, macs (tau at least 0.970)" in quiet.text  # type: ignore[attr-defined]


def test_a_search_reports_what_is_redundant_and_keeps_it(finished: Any) -> None:
    groups = finished.outcome.pareto.redundant
    assert groups
    for group in groups:
        assert str(group) in finished.text
