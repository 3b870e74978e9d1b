"""What a folder keeps of a comparison, read back."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.arm_search import Found
from nas.comparison import Arm, ArmRun, Comparison, Failure, Model
from nas.comparison_folder import ComparisonFolder, Trained
from nas.indicators import Indicator
from search_spaces import CorruptFileError


def found(arm: str = "macs", seed: int = 3) -> Found:
    return Found(
        arm, seed, np.array([[0, 1], [2, 3]]), np.array([0.5, 0.25]), np.array([1.0, 2.0]),
        np.array([1]), 0.125, (Failure(1, 4.0),),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> ComparisonFolder:
    return ComparisonFolder(tmp_path / "run")


def test_searches_are_told_apart_by_seed_and_position(folder: ComparisonFolder) -> None:
    assert folder.read_search(3, "macs", 0) is None
    folder.write_search(found(), 0)
    folder.write_search(found("all"), 1)
    folder.write_search(found(seed=4), 0)
    assert [path.name for path in folder.searches()] == ["3-0.json", "3-1.json", "4-0.json"]
    for arm, seed, position in (("macs", 3, 0), ("all", 3, 1), ("macs", 4, 0)):
        read = folder.read_search(seed, arm, position)
        assert read is not None
        assert read.to_json() == found(arm, seed).to_json()
    assert folder.read_search(4, "all", 1) is None


@pytest.mark.parametrize(("arm", "seed"), [("all", 3), ("macs", 4)])
def test_a_search_of_another_arm_or_seed_is_refused(
    folder: ComparisonFolder, arm: str, seed: int
) -> None:
    folder.write_search(found(), 0)
    path = folder.searches()[0].rename(folder.path / "searches" / f"{seed}-0.json")
    with pytest.raises(CorruptFileError, match=rf"of arm macs and seed 3; .* {arm} and {seed}\."):
        folder.read_search(seed, arm, 0)
    path.write_text("[1]")
    with pytest.raises(CorruptFileError, match="is not a search: "):
        folder.read_search(seed, arm, 0)


def test_trainings_are_told_apart_by_seed_and_architecture(folder: ComparisonFolder) -> None:
    kept = {
        (0, "ab"): Trained(0.5, 1.0, 0.25), (1, "ab"): Trained(0.75, 2.0),
        (0, "cd"): Trained(None, 3.0, reason="the loss became nan"),
    }  # fmt: skip
    for (seed, key), trained in kept.items():
        assert folder.read_training(seed, key) is None
        folder.write_training(seed, key, trained)
    assert folder.trained() == 3
    for (seed, key), trained in kept.items():
        assert folder.read_training(seed, key) == trained
    next((folder.path / "trainings").glob("1/*.json")).write_text(json.dumps({"quality": 1}))
    with pytest.raises(CorruptFileError, match="is not a training"):
        folder.read_training(1, "ab")


def test_a_comparison_is_kept_with_its_experiment(folder: ComparisonFolder) -> None:
    with pytest.raises(FileNotFoundError, match=r"is not over\. Go on with it:\nhwnas compare"):
        folder.read_comparison()
    values = np.array([[1.0], [2.0]])
    run = ArmRun("macs", 3, np.array([1, 0]), np.array([0.5, 0.25]), np.ones(2), np.array([0, 1]))
    comparison = Comparison(
        "c", "error", False, (Indicator("macs", "", "inference", "", "macs"),),
        (Model("a", "a"), Model("b", "b")), values, np.array([0.5, np.nan]),
        (Arm("macs", ("macs",)),), (run,), 2, 1, values,
    )  # fmt: skip
    folder.write_comparison(comparison, {"seed": 3})
    assert folder.read_comparison().to_json() == comparison.to_json()
    assert json.loads(folder.comparison.read_text())["experiment"] == {"seed": 3}
    folder.comparison.write_text("{}")
    with pytest.raises(CorruptFileError, match="is not a comparison"):
        folder.read_comparison()


def test_results_are_the_comparison_trainings_and_searches(folder: ComparisonFolder) -> None:
    folder.write_search(found(), 0)
    folder.write_training(3, "ab", Trained(0.5, 1.0))
    names = [str(path.relative_to(folder.path)) for path in folder.results()]
    assert names == ["comparison.json", "trainings/3/ab.json", "searches/3-0.json"]
