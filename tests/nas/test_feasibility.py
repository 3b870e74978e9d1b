"""What budgets leave of a space."""

import re

import numpy as np
import pytest

from nas.errors import NothingFeasibleError
from nas.feasibility import POOL, feasible_neighbours, feasible_pool
from nas.pricer import Pricer
from search_spaces import (
    Architecture,
    CountTable,
    MBConvSpace,
    TrainingSetup,
    UnionSpace,
    ViTSpace,
)


@pytest.fixture(scope="module")
def networks(tiny_space: UnionSpace, tiny_codes: np.ndarray) -> list[Architecture]:
    """Every network of the tiny space once."""
    _, first = np.unique(tiny_space.block_indices(tiny_codes), axis=0, return_index=True)
    return [tiny_space.decode(code) for code in tiny_codes[first]]


def test_without_budgets_everything_is_in_the_pool(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    pool = feasible_pool(tiny_space, tiny_pricer, {}, seed=0)
    assert pool.share == 1.0
    assert len(pool.codes) == POOL


def test_the_pool_holds_only_and_all_that_meets_the_budgets(
    tiny_space: UnionSpace,
    tiny_pricer: Pricer,
    tiny_codes: np.ndarray,
    networks: list[Architecture],
) -> None:
    values = tiny_pricer.price_codes(tiny_space, tiny_codes)
    budgets = {
        "macs": float(np.quantile(values["macs"], 0.5)),
        "latency_s@local": float(np.quantile(values["latency_s@local"], 0.6)),
    }
    pool = feasible_pool(tiny_space, tiny_pricer, budgets, seed=0)
    prices = [tiny_pricer.price(network) for network in networks]
    feasible = {
        network.id
        for network, price in zip(networks, prices, strict=True)
        if all(price[name].value <= limit for name, limit in budgets.items())
    }
    assert 0 < len(feasible) < len(networks) == 64
    held = tiny_space.block_indices(pool.codes)
    _, first = np.unique(held, axis=0, return_index=True)
    assert {tiny_space.decode(code).id for code in pool.codes[first]} == feasible
    # Every code is as likely as any other: the share is that of all codes.
    meets = np.all([values[name] <= limit for name, limit in budgets.items()], axis=0)
    assert pool.share == pytest.approx(meets.mean(), abs=0.02)
    assert pool.share == pytest.approx(len(pool.codes) / POOL)


def test_a_pool_follows_from_the_seed(tiny_space: UnionSpace, tiny_pricer: Pricer) -> None:
    first, second, other = (
        feasible_pool(tiny_space, tiny_pricer, {"macs": 1e4}, seed).codes for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_an_impossible_budget_names_the_nearest_and_by_how_much(
    tiny_space: UnionSpace,
    tiny_pricer: Pricer,
    tiny_codes: np.ndarray,
    networks: list[Architecture],
) -> None:
    macs = tiny_pricer.price_codes(tiny_space, tiny_codes)["macs"]
    least = sorted({int(value) for value in macs})
    with pytest.raises(NothingFeasibleError) as caught:
        feasible_pool(tiny_space, tiny_pricer, {"macs": least[0] / 3}, seed=0)
    nearest = caught.value.nearest
    assert len(nearest) == 3
    # The cheapest network misses a third of its own cost by 200 %.
    assert f"macs {least[0]:.4g}" in nearest[0]
    assert "missed by +200.0%" in nearest[0]
    missed = [float(re.search(r"by \+([0-9.]+)%", line).group(1)) for line in nearest]  # type: ignore[union-attr]
    assert missed == sorted(missed)
    ids = [line.split()[0] for line in nearest]
    assert len(set(ids)) == 3
    assert set(ids) <= {network.id for network in networks}
    for line in (*nearest, "multiply-accumulates", tiny_space.name, "64 architectures"):
        assert line in str(caught.value)


def test_only_the_budgets_that_are_missed_are_named(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    with pytest.raises(NothingFeasibleError) as caught:
        feasible_pool(tiny_space, tiny_pricer, {"macs": 1.0, "params": 1e9}, seed=0)
    for line in caught.value.nearest:
        assert "macs " in line
        assert "params" not in line


def test_budgets_that_only_together_are_impossible(
    tiny_space: UnionSpace, tiny_pricer: Pricer, tiny_codes: np.ndarray
) -> None:
    # The fewest parameters are a CNN's, the fewest activations a transformer's.
    values = tiny_pricer.price_codes(tiny_space, tiny_codes)
    budgets = {name: float(values[name].min()) for name in ("params", "activations")}
    assert not np.all([values[name] <= limit for name, limit in budgets.items()], axis=0).any()
    with pytest.raises(NothingFeasibleError) as caught:
        feasible_pool(tiny_space, tiny_pricer, budgets, seed=0)
    for name in budgets:
        assert f"{name} <= " in str(caught.value)


def test_a_corner_too_rare_to_be_drawn_is_found_by_mutation(
    vast_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    # Only the least in every choice meets the budget, which 20,000 random draws do not hit.
    space, pricer = vast_space, Pricer(tiny_pricer.counts, TrainingSetup(), {})
    least = np.zeros((1, len(space.parameters)), dtype=np.int64)
    budgets = {"macs": float(pricer.price_codes(space, least)["macs"][0])}
    pool = feasible_pool(space, pricer, budgets, seed=0)
    assert pool.share == 0.0
    assert {space.decode(code).id for code in pool.codes} == {space.decode(least[0]).id}


def test_neighbours_of_feasible_candidates_meet_the_budgets_and_are_more() -> None:
    space = UnionSpace([ViTSpace(), MBConvSpace()])
    counts = CountTable()
    pricer = Pricer(counts, TrainingSetup(), {})
    codes = space.random_codes(2_000, np.random.default_rng(0))
    limit = float(np.quantile(pricer.price_codes(space, codes)["macs"], 0.01))
    few = codes[pricer.price_codes(space, codes)["macs"] <= limit][:3]
    more = feasible_neighbours(space, pricer, {"macs": limit}, few, seed=0)
    assert (pricer.price_codes(space, more)["macs"] <= limit).all()
    distinct = len(np.unique(space.block_indices(more), axis=0))
    assert distinct >= 10 * len(few)
