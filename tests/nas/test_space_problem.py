"""Problems over a space: what its codes cost, which exist, and what features say."""

import numpy as np
import pytest

from nas.errors import ExperimentError, NothingFeasibleError
from nas.pricer import Pricer
from nas.space_problem import SpaceProblem
from search_spaces import (
    CountTable,
    MBConvSpace,
    SearchSpace,
    TrainingSetup,
    UnionSpace,
    UnknownNameError,
    ViTSpace,
)

COSTS = ("params", "macs", "peak_memory_bytes")


@pytest.fixture(scope="module")
def union() -> UnionSpace:
    vit = ViTSpace(
        resolution=16, patch_size=(4, 8), depth=(1, 2, 3), width=(8, 16), heads=(1, 2),
        mlp_ratio=(1, 2, 4),
    )  # fmt: skip
    mbconv = MBConvSpace(
        resolution=16, stem_width=(4,), strides=(1, 2), width=(4, 8), depth=(1, 2),
        kernel_size=(3,), expansion=(1, 2), squeeze=(False, True),
    )  # fmt: skip
    return UnionSpace([vit, mbconv])


@pytest.fixture(scope="module")
def pricer() -> Pricer:
    return Pricer(CountTable(), TrainingSetup(), {})


@pytest.fixture(scope="module")
def codes(union: SearchSpace) -> np.ndarray:
    return union.random_codes(500, np.random.default_rng(1))


def test_costs_are_those_of_each_architecture(
    union: SearchSpace, pricer: Pricer, codes: np.ndarray
) -> None:
    problem = SpaceProblem(union, pricer, COSTS)
    assert problem.costs == COSTS
    assert dict(problem.parameters) == dict(union.parameters)
    values = problem.cost_values(codes[:20])
    for row, found in zip(codes[:20], values, strict=True):
        priced = pricer.price(union.decode(row), COSTS)
        assert found.tolist() == [priced[name].value for name in COSTS]


def test_keys_and_features_are_those_of_the_network(
    union: SearchSpace, pricer: Pricer, codes: np.ndarray
) -> None:
    problem = SpaceProblem(union, pricer, COSTS)
    # Parameters of the other family, and of layers that are not there, make no difference.
    ids = [union.decode(row).id for row in codes]
    keys, features = problem.keys(codes), problem.features(codes)
    assert len(set(ids)) == len(set(keys)) == len(set(zip(ids, keys, strict=True))) < len(ids)
    first: dict[bytes, np.ndarray] = {}
    for key, row in zip(keys, features, strict=True):
        assert np.array_equal(first.setdefault(key, row), row)
    # And different networks can be told apart by them.
    assert len({row.tobytes() for row in features}) > 0.95 * len(first)


def test_features_are_finite_vary_and_are_scaled(
    union: SearchSpace, pricer: Pricer, codes: np.ndarray
) -> None:
    features = SpaceProblem(union, pricer, COSTS).features(codes)
    assert np.isfinite(features).all()
    assert (np.ptp(features, axis=0) > 0).all()
    assert np.abs(features).max() < 20
    assert (features.std(axis=0) < 1.5).all()


def test_features_do_not_depend_on_what_is_asked_with_them(
    union: SearchSpace, pricer: Pricer, codes: np.ndarray
) -> None:
    problem, other = (SpaceProblem(union, pricer, COSTS) for _ in range(2))
    together = problem.features(codes)
    assert np.array_equal(together[7:8], other.features(codes[7:8]))
    assert np.array_equal(problem.cost_values(codes)[7:8], other.cost_values(codes[7:8]))


def test_only_what_meets_the_budgets_exists(
    union: SearchSpace, pricer: Pricer, codes: np.ndarray
) -> None:
    macs = pricer.price_codes(union, codes)["macs"]
    limit = float(np.median(macs))
    problem = SpaceProblem(union, pricer, COSTS, {"macs": limit})
    assert problem.exist(codes).tolist() == (macs <= limit).tolist()
    drawn = problem.random_codes(300, np.random.default_rng(0))
    assert drawn.shape == (300, len(union.parameters))
    assert problem.exist(drawn).all()
    assert np.array_equal(drawn, problem.random_codes(300, np.random.default_rng(0)))


def test_rare_candidates_are_found(pricer: Pricer) -> None:
    space = MBConvSpace(
        stem_width=(4,), strides=(1,) * 8, width=(4, 8, 12), depth=(1,), kernel_size=(3, 5),
        expansion=(1, 2), squeeze=(False,),
    )  # fmt: skip
    cheapest = pricer.price_codes(space, np.zeros((1, len(space.parameters)), dtype=np.int64))
    budgets = {"macs": 1.05 * float(cheapest["macs"][0])}
    problem = SpaceProblem(space, pricer, ["params"], budgets)
    drawn = problem.random_codes(40, np.random.default_rng(0))
    assert len(drawn) == 40
    assert problem.exist(drawn).all()


def test_what_is_maximised_is_negated(tiny_space: UnionSpace, tiny_pricer: Pricer) -> None:
    name = "throughput_per_s@local"
    problem = SpaceProblem(tiny_space, tiny_pricer, ["latency_s@local", name])
    codes = tiny_space.random_codes(50, np.random.default_rng(0))
    values = tiny_pricer.price_codes(tiny_space, codes, [name, "latency_s@local"])
    assert np.array_equal(problem.cost_values(codes)[:, 0], values["latency_s@local"])
    assert np.array_equal(problem.cost_values(codes)[:, 1], -values[name])
    least = float(np.quantile(values[name], 0.7))
    bounded = SpaceProblem(tiny_space, tiny_pricer, [name], {name: least})
    assert bounded.exist(codes).tolist() == (values[name] >= least).tolist()


@pytest.mark.parametrize(
    ("costs", "budgets", "error", "said"),
    [
        ([], {}, ExperimentError, "`costs` is empty"),
        (["macs", "macs"], {}, ExperimentError, "names macs 2 times"),
        (["mac"], {}, UnknownNameError, "Did you mean 'macs'"),
        (["latency_s"], {}, UnknownNameError, "Unknown indicator 'latency_s'"),
        (["latency_s@local"], {}, UnknownNameError, "latency_s@local"),
        (["macs"], {"parms": 1.0}, UnknownNameError, "Did you mean 'params'"),
        (["macs"], {"params": 0.0}, ExperimentError, "budget of params"),
        (["macs"], {"params": float("nan")}, ExperimentError, "budget of params"),
        (["macs"], {"params": 1.0}, NothingFeasibleError, "budgets params <= 1"),
    ],
)
def test_what_cannot_be_is_refused(
    union: SearchSpace,
    pricer: Pricer,
    costs: list[str],
    budgets: dict[str, float],
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        SpaceProblem(union, pricer, costs, budgets)
