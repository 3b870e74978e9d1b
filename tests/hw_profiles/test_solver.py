"""Solving for the values of blocks, against truths that are known."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hw_profiles.cache import CacheModel
from hw_profiles.solver import Solution, design_of, solve
from search_spaces import FeedForward, SelfAttention, ViTSpace

Array = NDArray[np.float64]
BLOCKS = 60


@dataclass(frozen=True)
class World:
    """Blocks of known values and networks of them, some held back.

    Attributes:
        design: How often each network has the overhead and each block.
        unseen: The same of other networks.
        features: Operators, MACs and traffic of each block.
        types: Type of each block.
        truth: Value of the overhead and of each block: a third off what the features say.
        weight_bytes: Of the overhead, which has none, and each block.
        tensors: Likewise.
    """

    design: Array
    unseen: Array
    features: Array
    types: list[str]
    truth: Array
    weight_bytes: Array
    tensors: Array

    def solve(self, value: Array, noise: float, cached: bool = True) -> Solution:
        """The solution for values of the networks."""
        weights = (self.design @ self.weight_bytes, self.design @ self.tensors) if cached else ()
        return solve(self.design, {"p10": value}, self.features, self.types, noise, *weights)

    def errors(self, solution: Solution, cache: CacheModel | None = None) -> Array:
        """Relative errors of a solution on the unseen networks, under a cache of theirs."""
        weights = self.unseen @ self.weight_bytes, self.unseen @ self.tensors
        said, truth = self.unseen @ solution.values["p10"], self.unseen @ self.truth
        if solution.cache is not None:
            said = said + solution.cache.value(*weights)
        if cache is not None:
            truth = truth + cache.value(*weights)
        errors: Array = said / truth - 1
        return errors


def make_world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    features = np.stack(
        [
            rng.integers(2, 20, BLOCKS),
            np.exp(rng.uniform(10, 16, BLOCKS)),
            np.exp(rng.uniform(8, 13, BLOCKS)),
        ],
        axis=1,
    )
    truth = features @ [2e-6, 1e-11, 2e-10] * rng.uniform(0.67, 1.33, BLOCKS)

    def networks(blocks: list[Array]) -> Array:
        rows = np.zeros((len(blocks), 1 + BLOCKS))
        rows[:, 0] = 1
        for row, members in zip(rows, blocks, strict=True):
            np.add.at(row, 1 + members, 1)
        return rows

    # Each block with two others, and the same with three copies of it; then longer networks.
    hosts = [np.array([b, *rng.integers(0, BLOCKS, 2)]) for b in range(BLOCKS)]
    repeated = [np.append(host, [host[0]] * 3) for host in hosts]
    longer = [rng.integers(0, BLOCKS, rng.integers(6, 25)) for _ in range(120)]
    return World(
        design=networks([np.array([], dtype=int), *hosts, *repeated, *longer[:60]]),
        unseen=networks(longer[60:]),
        features=features,
        types=[f"type {b % 4}" for b in range(BLOCKS)],
        truth=np.array([2e-5, *truth]),
        weight_bytes=np.array([0, *np.exp(rng.uniform(np.log(2e4), np.log(3e6), BLOCKS))]),
        tensors=np.array([0.0, *rng.integers(1, 4, BLOCKS)]),
    )


@pytest.fixture(scope="module", params=range(3))
def world(request: pytest.FixtureRequest) -> World:
    return make_world(request.param)


def noisy(values: Array, noise: float, seed: int = 0) -> Array:
    out: Array = values * (1 + noise * np.random.default_rng(seed).standard_normal(len(values)))
    return out


def test_design_counts_the_overhead_and_each_block(vit: ViTSpace) -> None:
    network = vit.architecture(
        {name: choices[-1] for name, choices in vit.parameters.items()}
        | {"depth": 3, "mlp_ratio_0": 1, "mlp_ratio_1": 2, "mlp_ratio_2": 1}
    )
    attention = next(b for b in network.blocks if isinstance(b, SelfAttention))
    small, large = sorted(
        {b for b in network.blocks if isinstance(b, FeedForward)}, key=lambda b: b.hidden
    )
    blocks = (large, network.blocks[0], attention, network.blocks[-1], small)
    expected = [[1, 0, 0, 0, 0, 0], [1, 1, 1, 3, 1, 2]]
    assert design_of([None, network], blocks).tolist() == expected


def test_additive_truth_is_recovered(world: World) -> None:
    solution = world.solve(world.design @ world.truth, noise=0.0)
    assert np.abs(world.errors(solution)).max() < 1e-3
    np.testing.assert_allclose(solution.values["p10"], world.truth, rtol=0.02)
    assert solution.error < 1e-3


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_noise_of_the_networks_is_more_than_that_of_the_sums(world: World, noise: float) -> None:
    solution = world.solve(noisy(world.design @ world.truth, noise), noise)
    errors = world.errors(solution)
    # 181 equations for 61 unknowns leave about a third of the variance, and less in long sums.
    assert np.sqrt(np.mean(errors**2)) < 0.6 * noise
    assert abs(errors.mean()) < noise / 4


def test_spread_is_that_of_the_errors(world: World) -> None:
    noise, truth = 0.02, world.design @ world.truth
    departures = []
    for seed in range(10):
        solution = world.solve(noisy(truth, noise, seed), noise)
        departures.append((solution.values["p10"] - world.truth) / solution.spread)
    covered = np.mean(np.abs(departures) < 1.96)
    assert 0.85 < covered < 0.99


@pytest.mark.parametrize("factor", [200.0, 1 / 200])
def test_block_far_from_what_its_counts_say_is_recovered(world: World, factor: float) -> None:
    truth = world.truth.copy()
    truth[17] *= factor
    solution = world.solve(noisy(world.design @ truth, 0.002), 0.002)
    said = solution.values["p10"]
    networks = world.unseen[world.unseen[:, 17] > 0]
    assert len(networks) > 5
    errors = networks @ said / (networks @ truth) - 1
    assert np.abs(errors).max() < 0.01
    if factor > 1:
        assert said[17] == pytest.approx(truth[17], rel=0.01)
    else:  # Not to be seen beside two others; it is next to nothing.
        assert said[17] < 0.1 * world.truth[17]
    assert solution.cache is None


def test_what_no_network_tells_apart_is_shared_and_leaves_sums_alone(world: World) -> None:
    design, unseen = world.design.copy(), world.unseen.copy()
    # Two blocks that always come together, as a stem and its head do.
    design[:, 6], unseen[:, 6] = design[:, 5], unseen[:, 5]
    other = world.truth.copy()
    other[5], other[6] = 0.2 * (other[5] + other[6]), 0.8 * (other[5] + other[6])
    solutions = [
        solve(design, {"p10": design @ truth}, world.features, world.types, 0.0)
        for truth in (world.truth, other)
    ]
    first, second = (solution.values["p10"] for solution in solutions)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    np.testing.assert_allclose(unseen @ first, unseen @ world.truth, rtol=1e-3)
    assert first[5] + first[6] == pytest.approx(world.truth[5] + world.truth[6], rel=0.02)
    assert min(first[5:7]) > 0
    # What each of them is alone is known no better than the prior has it.
    assert solutions[0].spread[5] > 10 * np.median(solutions[0].spread / first) * first[5]


def test_every_statistic_is_solved_for_by_the_weights_of_the_first(world: World) -> None:
    main = noisy(world.design @ world.truth, 0.01)
    observed = {"p10": main, "p50": 1.1 * main, "p90": main + 3e-5}
    solution = solve(world.design, observed, world.features, world.types, 0.01)
    assert list(solution.values) == list(observed)
    sums = {name: world.unseen @ values for name, values in solution.values.items()}
    np.testing.assert_allclose(sums["p50"], 1.1 * sums["p10"], rtol=2e-3)
    # What each network has once is the overhead's.
    overhead = solution.values["p90"][0] - solution.values["p10"][0]
    assert overhead == pytest.approx(3e-5, rel=0.1)


def test_networks_too_few_for_their_blocks_still_give_their_sums(world: World) -> None:
    few = np.concatenate([world.design[:40], world.design[-20:]])
    truth = few @ world.truth
    weights = few @ world.weight_bytes, few @ world.tensors
    solution = solve(few, {"p10": truth}, world.features, world.types, 0.0, *weights)
    assert solution.cache is None
    np.testing.assert_allclose(few @ solution.values["p10"], truth, rtol=0.01)
    assert (solution.values["p10"] > 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.03])
def test_no_cache_is_invented(noise: float) -> None:
    for seed in range(8):
        world = make_world(seed)
        assert world.solve(noisy(world.design @ world.truth, noise, seed), noise).cache is None


@pytest.mark.parametrize("noise", [0.0, 0.005])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_window_and_price_of_a_cache_are_recovered(
    world: World, noise: float, share: float
) -> None:
    weights, tensors = world.design @ world.weight_bytes, world.design @ world.tensors
    sums = world.design @ world.truth
    # A tensor from memory costs this share of what a network takes for each of its own.
    each = share * float(np.median(sums[1:] / tensors[1:]))
    low = float(np.quantile(weights, 0.4))
    cache = CacheModel(low, 2.2 * low, each)
    value = noisy(sums + cache.value(weights, tensors), noise)
    solution = world.solve(value, noise)
    assert solution.cache is not None
    assert solution.cache.low_bytes == pytest.approx(low, rel=0.25)
    assert solution.cache.high_bytes == pytest.approx(2.2 * low, rel=0.25)
    assert solution.cache.per_tensor == pytest.approx(each, rel=0.1)
    without = world.solve(value, noise, cached=False)
    left, before = (np.abs(world.errors(s, cache)).mean() for s in (solution, without))
    assert left < before / 4
    assert solution.error < without.error


def test_networks_without_weights_have_no_cache(world: World) -> None:
    nothing = np.zeros(len(world.design))
    value = world.design @ world.truth
    arguments = (world.design, {"p10": value}, world.features, world.types, 0.0)
    with_zeros, without = solve(*arguments, nothing, nothing), solve(*arguments)
    assert with_zeros.cache is None
    np.testing.assert_array_equal(with_zeros.values["p10"], without.values["p10"])


def test_equations_weigh_by_their_certainty() -> None:
    world = make_world(3)
    value = world.design @ world.truth
    rng = np.random.default_rng(0)
    wrong = rng.random(len(value)) < 0.3
    value = np.where(wrong, value * rng.uniform(0.7, 1.5, len(value)), value)
    given = (world.design, {"p10": value}, world.features, world.types, 0.005)
    alike = world.errors(solve(*given))
    known = world.errors(solve(*given, weights=np.where(wrong, 0.02, 1.0)))
    assert np.abs(known).mean() < 0.2 * np.abs(alike).mean()
    ones = solve(*given, weights=np.ones(len(value)))
    assert ones.values["p10"] == pytest.approx(solve(*given).values["p10"])
