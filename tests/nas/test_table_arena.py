"""A comparison on a table: what its models are called."""

import csv
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nas.conclusions import traits
from nas.table_arena import TableArena
from nas.table_experiment import TableExperiment


def arena(path: Path, **table: Any) -> TableArena:
    """Over cells of three edges with codes of operations, and a depth."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["e0", "e1", "e2", "depth", "error", "macs"])
        for place, row in enumerate(product((1, 2), (0, 1, 2), (1, 2), (4, 8))):
            writer.writerow([*row, 1 + place % 7, sum(row)])
    experiment = TableExperiment.from_data({
        "name": "cells",
        "table": {
            "file": str(path), "quality": "error", "costs": ["macs"],
            "config": ["e0", "e1", "e2", "depth"], **table,
        },
    })  # fmt: skip
    return TableArena(experiment, experiment.problem(experiment.read()))


def test_codes_of_a_cells_operations_are_words(tmp_path: Path) -> None:
    edges = {"e0": [0, 1], "e1": [1, 2], "e2": [0, 2]}
    found = arena(tmp_path / "cells.csv", cell={"edges": edges, "none": [0]})
    models = found.models(found.problem.candidates)
    assert models[0].label == 'e0="1" e1="0" e2="1" depth=4'
    by_trait = {(trait.name, trait.value): trait.column for trait in traits(models)}
    assert set(by_trait) == {("e*", "0"), ("e*", "1"), ("e*", "2"), ("depth", "")}
    of_three = [sum(f'="{code}"' in pair for pair in models[5].label.split()) for code in range(3)]
    np.testing.assert_allclose([by_trait["e*", str(code)][5] for code in range(3)],
                               np.array(of_three) / 3)  # fmt: skip


def test_numbers_of_other_columns_are_numbers(tmp_path: Path) -> None:
    found = arena(tmp_path / "plain.csv")
    models = found.models(found.problem.candidates)
    assert models[0].label == "e0=1 e1=0 e2=1 depth=4"
    assert [trait.name for trait in traits(models)] == ["e0", "e1", "e2", "depth"]
    assert all(trait.value == "" for trait in traits(models))


def test_numbers_that_are_taken_as_text_are_words(tmp_path: Path) -> None:
    found = arena(tmp_path / "text.csv", config=["e0:text", "e1", "e2", "depth"])
    models = found.models(found.problem.candidates)
    assert models[0].label == 'e0="1" e1=0 e2=1 depth=4'
    (word,) = (trait for trait in traits(models) if trait.value)
    assert (word.name, word.value, word.other) == ("e0", "1", "2")


def test_searches_are_told_the_error_that_is_stated(tmp_path: Path) -> None:
    for number, stated in enumerate((None, 0.3)):
        found = arena(tmp_path / f"{number}.csv", **({"quality_error": stated} if stated else {}))
        answers = found.evaluate(found.problem.candidates[:3], 0)
        assert answers.errors.tolist() == [stated or 0.0] * 3
        assert answers.told.tolist() == [1, 2, 3]
