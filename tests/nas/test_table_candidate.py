"""Configurations of a table as members of sets."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

from nas.pareto import ParetoSet, pareto_set
from nas.rendering import print_pareto
from nas.table_candidate import TableCandidate, column_indicators, table_candidates
from nas.table_problem import TableProblem
from search_spaces import CorruptFileError


def made(
    quality: list[float], costs: dict[str, list[float]], *more: str, **budgets: float
) -> list[TableCandidate]:
    """Candidates told apart by their place, whose quality is called ``score``."""
    problem = TableProblem(
        {"place": list(range(len(quality)))}, quality, costs, maximize=more, quality_name="score"
    )
    return table_candidates(problem, problem.candidates, budgets)


def places(found: ParetoSet[Any]) -> list[Any]:
    return [member.config["place"] for member in found.members]


def test_values_are_as_the_table_has_them() -> None:
    first, second = made([3, 4], {"ms": [1, 2], "speed": [8, 9]}, "speed", ms=1.5, speed=10)
    assert (first.quality.name, first.quality.value, first.quality.maximize) == ("score", 3, False)
    assert {name: value.value for name, value in second.indicators.items()} == {"ms": 2, "speed": 9}
    assert first.indicator("speed").maximize
    # 10 are wanted of speed; of 1.5, 2 is a third too much.
    assert first.violations == pytest.approx({"speed": 0.2})
    assert second.violations == pytest.approx({"ms": 1 / 3, "speed": 0.1})
    assert [first.feasible, second.feasible] == [False, False]
    assert first.label == "place=0"


def test_an_id_is_of_the_configuration_alone() -> None:
    one, two = made([3, 4], {"ms": [1, 2]})
    again, _ = made([5, 6], {"ms": [7, 8]})
    assert one.id == again.id != two.id
    assert len(one.id) == 12


def test_the_better_quality_is_the_larger_where_it_is_maximised() -> None:
    quality, costs = [5.0, 9.0, 7.0, 9.0], {"ms": [1.0, 3.0, 3.0, 2.0]}
    assert places(pareto_set(made(quality, costs))) == [0]
    found = pareto_set(made(quality, costs, "score"))
    assert places(found) == [3, 0]
    assert found.ideal_point == {"quality": 9, "ms": 1}
    assert found.reference_point == pytest.approx({"quality": 4.6, "ms": 3.2})
    # Scaled (5, 1) is (1, 0) and (9, 2) is (0, 0.5); the box is 1.1^2.
    assert found.hypervolume == pytest.approx((0.5 * 0.1 + 0.6 * 1.1) / 1.21)
    assert [m.config["place"] for m in found.pick("most:score")] == [3]
    assert [m.config["place"] for m in found.pick("all,score>=6")] == [3]


def test_negative_costs_are_compared_in_their_unit() -> None:
    # The median size is 100, of which 5 % is 5; what is beside a member by less is one with it.
    values = [-100.0, -98.0, 10.0, -100.5, 150.0]
    found = pareto_set(made([3.0, 2.9, 2.0, 9.0, 1.0], {"log": values}))
    assert found.resolutions["log"] == pytest.approx(5.0)
    assert places(found) == [4, 2, 1, 0, 3]
    chosen = [m.config["place"] for m in found.members if m.id in found.representative]
    assert chosen == [4, 2, 1]  # 0 is worse than 1 by 0.1 in the score, and 3 nowhere better by 5.


def test_a_set_is_read_back_with_what_its_columns_are(capsys: Any) -> None:
    found = pareto_set(made([5.0, 9.0], {"ms": [1.0, 3.0], "speed": [1, 2]}, "score", "speed"))
    data = json.loads(json.dumps(found.to_json()))
    columns = column_indicators(["ms", "speed"], ["speed"])
    read = ParetoSet.from_json(data, "x.json", partial(TableCandidate.from_json, columns=columns))
    assert read == found
    print_pareto(read)
    (heading,) = (x for x in capsys.readouterr().out.splitlines() if "configuration" in x)
    cells = [cell.strip() for cell in heading.split("  ") if cell.strip()]
    more = " (more is better)"
    assert cells[:5] == ["id", "configuration", f"score{more}", "ms", f"speed{more}"]
    other = partial(TableCandidate.from_json, columns=column_indicators(["ms"]))
    with pytest.raises(CorruptFileError, match=r"x\.json is not a Pareto set.*`indicators`"):
        ParetoSet.from_json(data, "x.json", other)


def test_candidates_are_those_of_the_codes() -> None:
    problem = TableProblem({"a": ["x", "y"]}, [1.0, 2.0], {"ms": [3.0, 4.0]})
    (candidate,) = table_candidates(problem, np.array([[1]]), {})
    assert (candidate.config, candidate.quality.value) == ({"a": "y"}, 2.0)
