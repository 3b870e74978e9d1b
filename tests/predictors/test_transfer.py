"""Latency on a new device from ten networks, on devices whose laws are known."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr, t

from hw_profiles import BlockTable
from predictors import TablePredictor
from predictors.transfer import Transfer, choose_networks, network_features
from search_spaces import (
    Architecture,
    Block,
    CorruptFileError,
    CountTable,
    ViTSpace,
    count,
)

Array = NDArray[np.float64]


def networks(n: int = 400, seed: int = 0) -> Array:
    """Operators, MACs and bytes of networks: ``[n, 3]``."""
    rng = np.random.default_rng(seed)
    depth, width = rng.integers(2, 13, n), 32 * rng.integers(1, 9, n)
    ratio = rng.choice([0.5, 1, 2, 4], n)
    return np.column_stack([7 * depth, depth * width**2 * ratio, depth * width * (9 + ratio)])


def latency(features: Array, prices: tuple[float, float, float]) -> Array:
    seconds: Array = 1e-4 + features @ np.array(prices)
    return seconds


KNOWN, NEW = (2e-6, 1e-9, 1e-9), (1.5e-5, 1.5e-9, 4e-9)
"""Prices on two devices: the new one starts operators more slowly."""


def setting(seed: int = 0, noise: float = 0.0) -> tuple[Array, Array, Array]:
    """Latencies on the known device, features, and latencies on the new one."""
    features = networks(seed=seed)
    factors = np.exp(noise * np.random.default_rng(seed).standard_normal(len(features)))
    return latency(features, KNOWN)[:, None], features, factors * latency(features, NEW)


def fitted(sources: Array, features: Array, seconds: Array, n: int = 10) -> tuple[Transfer, Any]:
    chosen = choose_networks(sources, features, n)
    return Transfer.fit(sources, features, chosen.tolist(), seconds[chosen].tolist()), chosen


@pytest.mark.parametrize("seed", range(3))
def test_ten_networks_are_enough_where_the_latency_is_a_sum(seed: int) -> None:
    sources, features, seconds = setting(seed)
    transfer, chosen = fitted(sources, features, seconds)
    value = transfer.predict(sources, features)[0]
    rest = np.delete(np.arange(len(value)), chosen)
    np.testing.assert_allclose(value[rest], seconds[rest], rtol=0.05)
    assert spearmanr(value[rest], seconds[rest]).statistic > 0.999


def test_ranks_are_better_than_those_of_the_known_device() -> None:
    sources, features, seconds = setting(noise=0.03)
    transfer, chosen = fitted(sources, features, seconds)
    value = transfer.predict(sources, features)[0]
    rest = np.delete(np.arange(len(value)), chosen)
    own = spearmanr(value[rest], seconds[rest]).statistic
    assert own > 0.98
    assert spearmanr(sources[rest, 0], seconds[rest]).statistic < own


def test_intervals_cover() -> None:
    inside = []
    for seed in range(12):
        sources, features, seconds = setting(seed, noise=0.05)
        transfer, chosen = fitted(sources, features, seconds)
        _, low, high = transfer.predict(sources, features)
        inside.append(np.delete((low <= seconds) & (seconds <= high), chosen).mean())
    assert 0.93 < np.mean(inside) <= 1


def test_interval_narrows_with_more_networks() -> None:
    sources, features, seconds = setting(noise=0.05)
    widths = []
    for n in (5, 10, 40):
        _, low, high = fitted(sources, features, seconds, n)[0].predict(sources, features)
        widths.append(float(np.median(high - low)))
    assert widths[0] > 1.5 * widths[1] > widths[2]


def test_device_in_proportion_is_found_to_be_so() -> None:
    sources, features, _ = setting()
    transfer, _ = fitted(sources, features, 3 * sources[:, 0])
    np.testing.assert_allclose(transfer.predict(sources, features)[0], 3 * sources[:, 0], rtol=0.02)


def test_unit_of_the_seconds_is_that_of_the_predictions() -> None:
    sources, features, seconds = setting(noise=0.02)
    here = fitted(sources, features, seconds)[0].predict(sources, features)
    there = fitted(1e3 * sources, features, 1e-6 * seconds)[0].predict(1e3 * sources, features)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(1e-6 * one, other, rtol=1e-6, atol=1e-15)


def test_chosen_networks_span_the_space() -> None:
    """A network that is unlike all others is among the first, and none is taken twice."""
    sources, features, _ = setting()
    features[17] *= 6
    sources = latency(features, KNOWN)[:, None]
    assert 17 in choose_networks(sources, features, 3)
    assert len(set(choose_networks(sources, features, 40).tolist())) == 40


def test_choice_leaves_less_open_than_chance() -> None:
    """By the determinant of what the networks tell of the prices, over random choices."""
    sources, features, _ = setting()
    design = np.column_stack([np.ones(400), sources, features])
    design[:, 1:] = (design[:, 1:] - design[:, 1:].mean(0)) / design[:, 1:].std(0)

    def told(rows: NDArray[Any]) -> float:
        own = design[rows]
        return float(np.linalg.slogdet(np.eye(5) + 10 * own.T @ own)[1])

    rng = np.random.default_rng(0)
    random = [told(rng.choice(400, 10, replace=False)) for _ in range(50)]
    assert told(choose_networks(sources, features, 10)) > max(random)


def test_choice_is_the_same_each_time() -> None:
    sources, features, _ = setting()
    first, second, other = (
        choose_networks(sources, features, 10, seed=seed).tolist() for seed in (1, 1, 2)
    )
    assert first == second
    assert sorted(first) != sorted(range(10))
    assert len(other) == 10


def test_several_known_devices_are_better_than_the_worse_one() -> None:
    """The new device is a mean of two known ones."""
    features = networks()
    one, two = latency(features, (2e-6, 1e-9, 0)), latency(features, (1e-6, 0, 2e-8))
    seconds = (one + two) / 2

    def error(sources: Array) -> float:
        nothing = np.zeros((len(features), 0))
        transfer, chosen = fitted(sources, nothing, seconds)
        value = transfer.predict(sources, nothing)[0]
        return float(np.abs(np.delete(value / seconds, chosen) - 1).mean())

    both = error(np.column_stack([one, two]))
    assert both < 0.02
    assert both < min(error(one[:, None]), error(two[:, None])) / 3


def test_least_latency_is_above_zero() -> None:
    sources, features, seconds = setting()
    transfer, _ = fitted(sources, features, seconds)
    value, low, high = transfer.predict(1e-6 * sources, 1e-6 * features)
    assert (value > 0).all()
    assert (low >= 0).all()
    assert (high >= value).all()


def test_quantile_is_student_s() -> None:
    sources, features, seconds = setting()
    assert fitted(sources, features, seconds, 10)[0].quantile == pytest.approx(t.ppf(0.975, 7))


def test_json_brings_the_same_transfer_back() -> None:
    sources, features, seconds = setting(noise=0.02)
    transfer, _ = fitted(sources, features, seconds)
    again = Transfer.from_json(json.loads(json.dumps(transfer.to_json())))
    before, after = (one.predict(sources, features) for one in (transfer, again))
    for one, other in zip(before, after, strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "hwnas transfer 0"}, "format 'hwnas transfer 0'"),
        ({"prices": [1.0]}, "5 prices"),
        ({"means": "none"}, "not a transfer"),
        ({"noise": None}, "not a transfer"),
    ],
)
def test_what_is_no_transfer_is_refused(change: dict[str, Any], message: str) -> None:
    data = fitted(*setting())[0].to_json()
    with pytest.raises(CorruptFileError, match=message):
        Transfer.from_json(data | change)
    with pytest.raises(CorruptFileError, match="not a transfer"):
        Transfer.from_json({})


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        ([1.0, 1.0, 1.0], "at least 4; got 3 and 3"),
        ([1.0, 1.0, 1.0, float("nan")], "`seconds` must be finite and above 0"),
        ([1.0, 1.0, 1.0, -1.0], "`seconds` must be finite and above 0"),
        ([1.0, 1.0, 1.0, 0.0], "`seconds` must be finite and above 0"),
    ],
)
def test_measurements_that_cannot_be_are_refused(seconds: list[float], message: str) -> None:
    sources, features, _ = setting()
    with pytest.raises(ValueError, match=message):
        Transfer.fit(sources, features, list(range(len(seconds))), seconds)


def test_measurements_and_positions_must_be_of_the_same_networks() -> None:
    sources, features, _ = setting()
    with pytest.raises(ValueError, match="got 5 and 4"):
        Transfer.fit(sources, features, range(5), [1.0] * 4)
    with pytest.raises(ValueError, match="got 400 networks"):
        Transfer.fit(sources, features, [0, 1, 2, 400], [1.0] * 4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s, f: (s[:-1], f), r"shapes \(399, 1\) and \(400, 3\)"),
        (lambda s, f: (s[:, 0], f), "shapes"),
        (lambda s, f: (s[:, :0], f), "a known device; got none"),
        (lambda s, f: (np.where(s > np.median(s), s, 0), f), "finite and above 0"),
        (lambda s, f: (s, np.where(f > np.median(f), f, np.nan)), "`features` finite"),
    ],
)
def test_figures_that_cannot_be_are_refused(
    spoil: Callable[[Array, Array], tuple[Array, Array]], message: str
) -> None:
    sources, features, seconds = setting()
    transfer, _ = fitted(sources, features, seconds)
    wrong = spoil(sources, features)
    with pytest.raises(ValueError, match=message):
        choose_networks(*wrong)
    with pytest.raises(ValueError, match=message):
        transfer.predict(*wrong)


def test_columns_of_another_fit_are_refused() -> None:
    sources, features, seconds = setting()
    transfer, _ = fitted(sources, features, seconds)
    with pytest.raises(ValueError, match="1 known device and 3 features; got 2 and 3"):
        transfer.predict(np.tile(sources, 2), features)
    with pytest.raises(ValueError, match="1 known device and 3 features; got 1 and 2"):
        transfer.predict(sources, features[:, :2])


@pytest.mark.parametrize("n", [0, 401])
def test_number_of_networks_must_be_there(n: int) -> None:
    sources, features, _ = setting()
    with pytest.raises(ValueError, match=f"from 1 to the 400 networks; got {n}"):
        choose_networks(sources, features, n)


@pytest.fixture(scope="module")
def space() -> ViTSpace:
    """Vision Transformers of 42 blocks."""
    return ViTSpace(
        patch_size=(4,),
        depth=(1, 2, 3, 4, 5, 6),
        width=(32, 48, 64),
        heads=(2, 4),
        mlp_ratio=(1, 2, 4),
    )


def drawn(space: ViTSpace, n: int) -> list[Architecture]:
    """Distinct networks of a space."""
    rng, found = np.random.default_rng(0), dict[str, Architecture]()
    while len(found) < n:
        network = space.sample(lambda _, choices: choices[rng.integers(len(choices))])
        found[network.id] = network
    return list(found.values())


def test_features_are_counts(space: ViTSpace, counts: CountTable) -> None:
    some = drawn(space, 3)
    for network, row in zip(some, network_features(some, counts), strict=True):
        c = count(network, counts)
        operators = sum(counts[block].operators for block in network.blocks)
        assert row.tolist() == [
            operators,
            c.macs,
            c.flops - 2 * c.macs,
            c.activations,
            c.memory_access_bytes,
            c.params,
        ]
    assert network_features([], counts).shape == (0, 6)


def test_table_of_another_device_and_ten_networks_rank_the_others(
    space: ViTSpace,
    counts: CountTable,
    seconds: Callable[[Block], float],
    make_table: Callable[..., BlockTable],
) -> None:
    """As the docs show it: a known device's table, and a new device with prices of its own."""
    pool = drawn(space, 60)
    predictor = TablePredictor(make_table(space), counts)
    sources = np.array([[predictor.price(network).value] for network in pool])
    features = network_features(pool, counts)

    def new_device(network: Architecture) -> float:
        macs = count(network, counts).macs
        return 1e-3 + 4 * sum(map(seconds, network.blocks)) + 3e-9 * macs

    chosen = choose_networks(sources, features, 10)
    times = [new_device(pool[i]) for i in chosen]
    transfer = Transfer.fit(sources, features, chosen.tolist(), times)
    true = np.array([new_device(network) for network in pool])
    value, low, high = transfer.predict(sources, features)
    rest = np.delete(np.arange(len(pool)), chosen)
    assert spearmanr(value[rest], true[rest]).statistic > 0.99
    np.testing.assert_allclose(value[rest], true[rest], rtol=0.05)
    assert np.mean((low <= true) & (true <= high)) > 0.95
