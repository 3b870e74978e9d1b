"""Optuna's samplers, asked and told by codes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.function_problem import FunctionProblem
from nas.steered_problem import SteeredProblem
from nas.stock_search import StockSearch
from search_spaces import UnknownNameError

PARAMETERS = {"depth": [1, 2, 3, 4], "width": [8, 16, 24], "pool": ["cls", "mean"]}
PROBLEM = FunctionProblem(
    PARAMETERS, lambda c: {"macs": c["depth"] * c["width"], "depth": c["depth"]}
)


def badness(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    return (codes**2).sum(axis=1).astype(float)


def design(n: int) -> NDArray[np.int64]:
    codes = np.indices((4, 3, 2)).reshape(3, -1).T
    return np.random.default_rng(0).permutation(codes)[:n]


@pytest.mark.parametrize("costs", [(), ("macs",), ("macs", "depth")], ids=len)
@pytest.mark.parametrize("name", ["nsga2", "nsga3", "tpe", "random"])
def test_every_candidate_is_proposed_once_beside_what_was_told(
    name: str, costs: tuple[str, ...]
) -> None:
    search = StockSearch(name, SteeredProblem(PROBLEM, costs), 0, 24, 4)
    first = design(6)
    search.tell(first[:5], badness(first[:5]))
    search.leave_out(first[5:])
    rows = [*first]
    while len(asked := search.ask(4)):
        search.tell(asked, badness(asked))
        rows += list(asked)
    assert len(rows) == len({tuple(row) for row in rows}) == 24


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_an_evolutionary_sampler_breeds_from_what_it_was_told(name: str) -> None:
    """The whole first population is told, and all of it is of one pool; so are the children,
    but for mutations."""
    codes = np.indices((2,) * 12).reshape(12, -1).T
    parents = codes[codes[:, :6].sum(axis=1) == 0][:16]
    problem = FunctionProblem(
        {f"p{i}": [0, 1] for i in range(12)}, lambda c: {"sum": 1 + sum(c.values())}
    )
    search = StockSearch(name, problem, 0, 30, 4)
    search.tell(parents, badness(parents))
    children = search.ask(8)
    assert children[:, :6].mean() < 0.25
    assert children[:, 6:].mean() > 0.25


def test_the_study_holds_each_candidate_once_with_what_was_told_of_it() -> None:
    search = StockSearch("tpe", PROBLEM, 0, 24, 4)
    first = design(4)
    search.tell(first[:3], badness(first[:3]))
    search.leave_out(first[3:])
    asked = search.ask(5)
    search.tell(asked[1:], badness(asked[1:]))
    search.leave_out(asked[:1])
    held = {}
    for trial in search.study.get_trials(deepcopy=False):
        row = tuple(PARAMETERS[name].index(trial.params[name]) for name in PARAMETERS)
        held[row] = (trial.state.name, trial.values)
    assert len(held) == len(search.study.trials) == 9
    lost = [tuple(first[3].tolist()), tuple(asked[0].tolist())]
    for row, found in held.items():
        depth, width = row[0] + 1, 8 * (row[1] + 1)
        values = [sum(place**2 for place in row), depth * width, depth]
        assert found == (("FAIL", None) if row in lost else ("COMPLETE", values))


def test_the_same_seed_proposes_the_same() -> None:
    found = []
    for seed in (1, 1, 2):
        search = StockSearch("tpe", SteeredProblem(PROBLEM, ("macs",)), seed, 12, 4)
        search.tell(design(4), badness(design(4)))
        found.append(search.ask(6).tolist())
    assert found[0] == found[1] != found[2]


class TestSteeredProblem:
    def test_only_the_named_costs_are_seen_and_all_else_stays(self) -> None:
        steered, codes = SteeredProblem(PROBLEM, ("depth",)), design(10)
        assert steered.costs == ("depth",)
        assert steered.cost_values(codes).tolist() == [[1.0 + row[0]] for row in codes.tolist()]
        assert np.array_equal(steered.features(codes), PROBLEM.features(codes))
        assert steered.keys(codes) == PROBLEM.keys(codes)
        assert steered.parameters == PROBLEM.parameters
        assert len(steered.members) == 24  # type: ignore[arg-type]

    def test_there_may_be_no_costs(self) -> None:
        assert SteeredProblem(PROBLEM, ()).cost_values(design(3)).shape == (3, 0)

    def test_a_cost_that_is_none_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="Unknown cost 'params'"):
            SteeredProblem(PROBLEM, ("params",))
