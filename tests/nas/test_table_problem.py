"""Problems of a table: merged rows, codes, costs, features, and files that are refused."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.cell_features import Cell
from nas.errors import ExperimentError, NothingFeasibleError, exit_status
from nas.layer_features import LayerStack
from nas.steered_problem import SteeredProblem
from nas.table_column import Column
from nas.table_file import TableFile
from nas.table_problem import TableProblem
from search_spaces import UnknownNameError

TEXT = """op,width,accuracy,macs,speed
conv,8,90,100,5
pool,8,80,50,9
conv,16,94,400,2
conv,8,92,120,7
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def made(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text)
        return path

    return made


def load(path: Path, **changes: Any) -> TableProblem:
    said: dict[str, Any] = {
        "quality": "accuracy:max",
        "costs": ["macs", "speed:max"],
        "config": ["op", "width"],
    }
    return TableProblem.from_csv(path, **(said | changes))


def test_columns_are_minimised_unless_they_say_max() -> None:
    said = [Column.parse(text) for text in (" a ", "b:max", "c:min")]
    assert said == [Column("a"), Column("b", True), Column("c")]
    assert Column.parse("lat:b1") == Column("lat:b1")


def test_rows_of_one_configuration_are_merged_by_medians(write: Any) -> None:
    problem = load(write(TEXT))
    assert dict(problem.parameters) == {"op": ("conv", "pool"), "width": (8, 16)}
    assert problem.costs == ("macs", "speed")
    assert problem.size == 3
    codes = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    assert problem.exist(codes).tolist() == [True, True, True, False]
    # The first and the last line are one: 91, 110 and 6; what is maximised is negated.
    assert problem.quality(codes[:3]).tolist() == [-91, -80, -94]
    assert problem.cost_values(codes[:3]).tolist() == [[110, -6], [50, -9], [400, -2]]
    assert len(set(problem.keys(codes))) == 4
    with pytest.raises(ExperimentError, match="no row with op=pool, width=16"):
        problem.quality(codes)


def test_codes_out_of_range_do_not_exist(write: Any) -> None:
    assert not load(write(TEXT)).exist(np.array([[-1, 0], [2, 0], [0, 2], [1, 2]])).any()


def test_random_codes_are_rows_and_follow_from_the_generator(write: Any) -> None:
    problem = load(write(TEXT))
    first, second = (problem.random_codes(50, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert problem.exist(first).all()
    assert {tuple(row) for row in first.tolist()} == {(0, 0), (1, 0), (0, 1)}


def test_features_are_scaled_finite_and_the_same_for_equal_codes(write: Any) -> None:
    problem = load(write(TEXT))
    features = problem.features(problem.members)
    assert np.isfinite(features).all()
    assert (np.ptp(features, axis=0) > 0).all()
    # Two columns of the operation, the width, and the logarithms of two costs.
    assert features.shape == (3, 5)
    assert features[:, 2:].mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert features[:, 2:].std(axis=0) == pytest.approx(1)
    assert np.array_equal(problem.features(problem.members[[1, 1]])[0], features[1])


def test_logarithms_of_costs_are_a_line_in_the_logarithm() -> None:
    problem = TableProblem({"w": [1, 2, 3]}, [0.0, 0.0, 0.0], {"cost": [1.0, 10.0, 100.0]})
    column = problem.features(problem.members)[:, -1]
    assert np.diff(column)[0] == pytest.approx(np.diff(column)[1])


def test_costs_that_can_be_zero_or_negative_are_features_too() -> None:
    problem = TableProblem({"w": [1, 2, 3]}, [0.0, 0.0, 0.0], {"cost": [-1.0, 0.0, 100.0]})
    assert np.isfinite(problem.features(problem.members)).all()


def test_alike_columns_are_counted_over() -> None:
    rows = list(itertools.product(["a", "b"], repeat=3))
    problem = TableProblem(
        {f"edge{i}": [row[i] for row in rows] for i in range(3)}, [0.0] * 8, {"cost": [1.0] * 8}
    )
    features = problem.features(problem.members)
    # 3 x 2 columns of words and the counts of two; the cost says nothing.
    assert features.shape == (8, 8)
    counts = np.array([row.count("a") for row in rows])
    assert np.corrcoef(features[:, 6], counts)[0, 1] == pytest.approx(1)


def test_many_columns_are_told_apart() -> None:
    # 10^40 combinations of choices: no 64-bit number holds them.
    rng = np.random.default_rng(0)
    table = rng.integers(0, 10, size=(300, 40))
    config = {f"p{i}": table[:, i] for i in range(40)}
    problem = TableProblem(config, np.arange(300.0), {"cost": np.arange(300.0)})
    assert problem.size == 300
    codes = np.stack(
        [np.searchsorted(problem.parameters[f"p{i}"], table[:, i]) for i in range(40)], axis=1
    )
    assert problem.quality(codes).tolist() == list(range(300))
    assert not problem.exist(rng.integers(0, 10, size=(1_000, 40))).any()


@pytest.mark.parametrize("given", ["column", "keys", "function"])
def test_a_class_is_one_candidate(write: Any, given: str) -> None:
    text = "op,same,err,cost\na,x,1,10\nb,x,3,30\nc,y,5,50\nd,x,8,20\n"
    if given == "column":
        said: dict[str, Any] = {"quality": "err", "costs": ["cost"], "config": ["op"]}
        problem = TableProblem.from_csv(write(text), classes="same", **said)
    else:
        keys = ["x", "x", "y", "x"]
        problem = TableProblem(
            {"op": ["a", "b", "c", "d"]},
            [1, 3, 5, 8],
            {"cost": [10, 30, 50, 20]},
            classes=keys if given == "keys" else lambda config: np.where(config["op"] == "c", 1, 2),
        )
    codes = np.arange(4)[:, None]
    assert problem.size == 2
    assert problem.quality(codes).tolist() == [3, 3, 5, 3]
    assert problem.cost_values(codes)[:, 0].tolist() == [20, 20, 50, 20]
    first, second, third, fourth = problem.keys(codes)
    assert first == second == fourth != third
    features = problem.features(codes)
    assert np.array_equal(features[0], features[3])


def test_cells_with_equal_live_paths_are_one_candidate() -> None:
    cell = Cell({"a": (0, 1), "b": (1, 2), "c": (0, 2)}, frozenset({"none"}))
    rows = list(itertools.product(["none", "conv"], repeat=3))
    rows = [row for row in rows if row[2] != "none" or (row[0] != "none" and row[1] != "none")]
    quality = [float(i) for i in range(len(rows))]
    problem = TableProblem(
        {name: [row[i] for row in rows] for i, name in enumerate("abc")},
        quality,
        {"cost": quality},
        structures=[cell],
    )
    # Through c alone, with three dead halves; through a and b; through both.
    assert (len(rows), problem.size) == (5, 3)
    dead = [row for row in rows if row[2] == "conv" and "none" in row]
    middle = np.median([quality[rows.index(row)] for row in dead])
    codes = np.array([[["conv", "none"].index(operation) for operation in row] for row in dead])
    assert problem.quality(codes).tolist() == [middle] * 3
    assert len(set(problem.keys(codes))) == 1


def test_layers_that_are_not_there_make_no_other_candidate() -> None:
    stack = LayerStack("depth", {"ratio": ("r0", "r1")})
    problem = TableProblem(
        {"depth": [1, 2, 2, 1], "r0": [1, 1, 2, 2], "r1": [2, 1, 2, 1]},
        [4.0, 3.0, 2.0, 1.0],
        {"cost": [1.0, 2.0, 3.0, 4.0]},
        structures=[stack],
    )
    # Depth 1 exists with either choice of the layer that is not there; of depth 2, only the rows.
    codes = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]])
    assert problem.exist(codes).tolist() == [True, True, True, False]
    assert problem.quality(codes[:3]).tolist() == [4, 4, 3]
    first, second, *_ = problem.keys(codes)
    assert first == second


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace("pool,8,80", "pool,8,abc"), ["row 3", "`accuracy`", "'abc'"]),
        (TEXT.replace("pool,8,80", "pool,8,nan"), ["row 3", "`accuracy`", "nan"]),
        (TEXT.replace("pool,8,80", "pool,8,inf"), ["row 3", "`accuracy`", "inf"]),
        (TEXT.replace("pool,8,80", "pool,8,"), ["row 3", "`accuracy`", "no value"]),
        (TEXT.replace("94,400", "94,x"), ["row 4", "`macs`", "'x'"]),
        (TEXT.replace("94,400", "94,-inf"), ["row 4", "`macs`"]),
        (TEXT.replace("pool,8", "pool,wide"), ["row 3", "`width`", "'wide'", "width:text"]),
        (TEXT.replace("pool,8", "pool,"), ["row 3", "`width`", "no value"]),
        (TEXT.replace("pool,8", ",8"), ["row 3", "`op`", "no value"]),
        (TEXT.replace("pool,8,80,50,9", "pool,8,80"), ["row 3", "3 cells"]),
        (TEXT.replace("op,", "macs,"), ["2 columns", "`macs`"]),
        ("op,width,accuracy,macs,speed\n", ["no rows"]),
        ("", ["no rows"]),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column(write: Any, text: str, said: list[str]) -> None:
    with pytest.raises(ExperimentError) as caught:
        load(write(text))
    assert exit_status(caught.value) == 2
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"quality": "acc"}, {"costs": ["macs", "flops:max"]}, {"config": ["op", "depth"]},
     {"classes": "family"}],
)  # fmt: skip
def test_an_unknown_column_is_named_with_those_that_there_are(write: Any, changes: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"column of .*Known: op, width, accuracy") as caught:
        load(write(TEXT), **changes)
    assert exit_status(caught.value) == 3


def test_a_column_has_one_part(write: Any) -> None:
    with pytest.raises(ExperimentError, match="`macs` is named 2 times"):
        load(write(TEXT), config=["op", "macs"])


def test_numbers_can_be_words(write: Any) -> None:
    problem = load(write(TEXT), config=["op", "width:text"])
    assert problem.parameters["width"] == ("16", "8")
    with pytest.raises(ExperimentError, match=r"row 3, column `width`.*width:text"):
        load(write(TEXT.replace("pool,8", "pool,none")))
    mixed = load(write(TEXT.replace("pool,8", "pool,none")), config=["op", "width:text"])
    assert mixed.parameters["width"] == ("16", "8", "none")


@pytest.mark.parametrize(
    ("config", "quality", "costs", "said"),
    [
        ({}, [1.0], {}, "`config` is empty"),
        ({"a": []}, [], {}, "no rows"),
        ({"a": [1, 2]}, [1.0], {}, "has 2 rows"),
        ({"a": [1, 2]}, [1.0, 2.0], {"c": [1.0]}, "`c` has 1 rows"),
        ({"a": [1, 2]}, [1.0, np.nan], {}, "`quality`, row 1"),
        ({"a": [1.0, np.inf]}, [1.0, 2.0], {}, "`a`, row 1"),
        ({"a": [1, None]}, [1.0, 2.0], {}, "`a` must hold numbers or words"),
        ({"a": [1, 2]}, ["good", "bad"], {}, "`quality` must hold numbers"),
    ],
)
def test_bad_arrays_are_refused(config: Any, quality: Any, costs: Any, said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        TableProblem(config, quality, costs)


def test_structures_and_directions_name_columns() -> None:
    with pytest.raises(ValueError, match="Unknown column 'b'"):
        TableProblem({"a": [1]}, [1.0], {}, structures=[Cell({"b": (0, 1)})])
    with pytest.raises(ValueError, match="Unknown column 'speed'"):
        TableProblem({"a": [1]}, [1.0], {}, maximize=["speed"])


def test_budgets_leave_candidates_out(write: Any) -> None:
    problem = load(write(TEXT))
    codes = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    within = problem.within({"macs": 110, "speed": 6})
    # (110, 6) is on both budgets, (50, 9) within them, (400, 2) beyond.
    assert within.exist(codes).tolist() == [True, True, False, False]
    assert (within.size, problem.size) == (2, 3)
    drawn = within.random_codes(50, np.random.default_rng(0))
    assert {tuple(row) for row in drawn.tolist()} == {(0, 0), (1, 0)}
    assert problem.exist(codes).tolist() == [True, True, True, False]
    assert within.within({"macs": 60}).exist(codes).tolist() == [False, True, False, False]
    with pytest.raises(NothingFeasibleError, match="macs 60, speed 10"):
        problem.within({"macs": 60, "speed": 10})
    with pytest.raises(UnknownNameError, match=r"'accuracy'\. Known: macs, speed"):
        problem.within({"accuracy": 90})


def test_some_costs_steer_while_the_features_stay(write: Any) -> None:
    problem = load(write(TEXT))
    steered = SteeredProblem(problem, ["speed"])
    assert steered.costs == ("speed",)
    assert steered.cost_values(problem.members).tolist() == [[-6], [-2], [-9]]
    assert np.array_equal(steered.features(problem.members), problem.features(problem.members))
    assert SteeredProblem(problem, []).cost_values(problem.members).shape == (3, 0)
    with pytest.raises(UnknownNameError, match="Unknown cost 'accuracy'"):
        SteeredProblem(problem, ["accuracy"])


def test_what_was_measured_is_as_the_table_has_it(write: Any) -> None:
    problem = load(write(TEXT))
    measured = {k: v.tolist() for k, v in problem.measured(problem.candidates).items()}
    rows = problem.configuration(problem.candidates)
    order = [(row["op"], row["width"]) for row in rows]
    assert sorted(order) == [("conv", 8), ("conv", 16), ("pool", 8)]
    assert measured["accuracy"][order.index(("conv", 8))] == 91
    assert measured["speed"][order.index(("conv", 16))] == 2


LISTS = """depth,heads,ratio,err,cost
1,4,2,5,1
2,"4,8","2,3",3,2
2,"8,8","2,2",2,3
1,4,2,7,1
"""


def test_lists_are_layers_of_a_stack(write: Any) -> None:
    said: dict[str, Any] = {"quality": "err", "costs": ["cost"], "depth": "depth"}
    table = TableFile.read(write(LISTS))
    problem = TableProblem.from_table(table, config=["depth", "heads:list", "ratio:list"], **said)
    assert list(problem.parameters) == ["depth", "heads_0", "heads_1", "ratio_0", "ratio_1"]
    assert problem.size == 3
    told = problem.configuration(problem.candidates)
    assert {"depth": 2, "heads": "4,8", "ratio": "2,3"} in told
    assert {"depth": 1, "heads": "4", "ratio": "2"} in told
    # What stands for a layer that is not there decides nothing: 5 and 7 are one network's.
    codes = problem.candidates[[row["depth"] == 1 for row in told]]
    other = codes.copy()
    other[:, 2] = 1
    assert problem.quality(np.concatenate([codes, other])).tolist() == [6, 6]
    with pytest.raises(UnknownNameError, match=r"for `depth`, 'depth'\. Known: heads"):
        TableProblem.from_table(table, config=["heads:list", "ratio:list"], **said)
    with pytest.raises(ExperimentError, match="no column of the configuration is a list"):
        TableProblem.from_table(table, config=["depth", "ratio:text"], **said)


def test_lists_of_one_length_are_columns(write: Any) -> None:
    text = 'heads,heads_0,err,cost\n"4,8",1,5,1\n"8,8",1,3,2\n'
    table = TableFile.read(write(text))
    problem = TableProblem.from_table(table, quality="err", costs=["cost"], config=["heads:list"])
    assert dict(problem.parameters) == {"heads_0": (4, 8), "heads_1": (8,)}
    with pytest.raises(ExperimentError, match="`heads_0` and `heads:list`"):
        TableProblem.from_table(
            table, quality="err", costs=["cost"], config=["heads:list", "heads_0"]
        )
