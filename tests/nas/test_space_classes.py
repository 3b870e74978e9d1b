"""Spaces of a user's own: found, named the same everywhere, and refused with the way out."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.cli import main
from nas.errors import ExperimentError
from nas.evaluation import evaluator
from nas.experiment import Experiment
from nas.search import run_experiment
from nas.space_classes import absolute_reference, load_space_class
from nas.splits import Dataset
from search_spaces import Block, SearchSpace, block_key

SOURCE = """
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from search_spaces import Block, SearchSpace, Slot


@dataclass(frozen=True, slots=True)
class Flat(Block):
    channels: int
    resolution: int
    hidden: int
    classes: int

    @property
    def input_shapes(self):
        return ((self.channels, self.resolution, self.resolution),)

    def build(self):
        pixels = self.channels * self.resolution**2
        return nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, self.hidden), nn.Linear(self.hidden, self.classes)
        )


@dataclass(frozen=True)
class FlatSpace(SearchSpace):
    input_channels: int
    resolution: int
    classes: int
    hidden: Sequence[int] = (4, 8)
    name = "flat"

    @property
    def parameters(self):
        return {"hidden": tuple(self.hidden)}

    @property
    def slots(self):
        def flat(hidden):
            return Flat(self.input_channels, self.resolution, hidden, self.classes)

        return (Slot(("hidden",), flat),)


NUMBER = 3
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """A file with a space of its own, and forgotten after the test."""
    path = tmp_path / "flat_of_test.py"
    path.write_text(SOURCE)
    yield path
    sys.modules.pop(path.stem, None)
    for name in [name for name in Block.types if name.startswith(f"{path.stem}:")]:
        del Block.types[name]


def data(reference: str, **fields: Any) -> dict[str, Any]:
    return {"name": "x", "spaces": {"mine": {"class": reference, **fields}}}


def write(path: Path, reference: str) -> Path:
    path.write_text(f'name = "x"\n[spaces.mine]\nclass = "{reference}"\nhidden = [4, 8, 16]\n')
    return path


def test_a_space_of_a_file_is_one_of_the_experiment(module: Path, digits: Dataset) -> None:
    file = write(module.with_name("x.toml"), f"{module.name}:FlatSpace")  # Relative to it.
    space = Experiment.load(file).space(digits)
    assert space.name == "flat"
    assert space.size == 3
    (block, *_) = space.blocks
    assert block_key(block) == ("flat_of_test:Flat(channels=1, resolution=8, hidden=4, classes=10)")


def test_a_file_is_found_from_the_working_directory_too(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module.parent / "elsewhere").mkdir()
    file = write(module.parent / "elsewhere" / "x.toml", f"{module.name}:FlatSpace")
    monkeypatch.chdir(module.parent)
    experiment = Experiment.load(file)
    assert experiment.spaces["mine"]["class"] == f"{module}:FlatSpace"


def test_what_the_experiment_keeps_holds_from_anywhere(
    module: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(module.with_name("x.toml"), f"{module.name}:FlatSpace")
    experiment = Experiment.load(file)
    assert experiment.spaces["mine"]["class"] == f"{module}:FlatSpace"
    (tmp_path / "run").mkdir()
    kept = tmp_path / "run" / "config.toml"
    kept.write_text(experiment.to_toml())
    monkeypatch.chdir("/")
    assert Experiment.load(kept) == experiment
    assert Experiment.load(kept).space(digits).size == 3


def test_the_same_file_is_loaded_once(module: Path) -> None:
    first, second = (load_space_class(f"{module}:FlatSpace") for _ in range(2))
    assert first is second


def test_a_built_in_family_may_be_named_by_its_class(digits: Dataset) -> None:
    experiment = Experiment.from_data(data("search_spaces.vit:ViTSpace", depth=[1]))
    assert experiment.space_classes()["mine"].__name__ == "ViTSpace"
    assert experiment.space(digits).parameters["vit.depth"] == (1,)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("FlatSpace", "must be 'path/to/file.py:Class'"),
        (":FlatSpace", "must be 'path/to/file.py:Class'"),
        ("{folder}/flat_of_test.py:", "must be 'path/to/file.py:Class'"),
        ("{folder}/flat_of_test.py:Flt", "has no search space Flt; it has FlatSpace"),
        ("{folder}/flat_of_test.py:Flat", "has no search space Flat; it has FlatSpace"),
        ("{folder}/flat_of_test.py:NUMBER", "has no search space NUMBER"),
        ("{folder}/none.py:X", "there is no file .*none.py; give its path"),
        ("{folder}/no-name.py:X", "rename it"),
        ("{folder}/json.py:X", "would be the module json, which is .* already; rename it"),
        ("{folder}/colorsys.py:X", "would be the module colorsys"),
        ("{folder}/broken.py:X", "cannot be loaded: ZeroDivisionError"),
        ("no_such_module_at_all:X", "cannot be imported .* install it, or name a file"),
        ("json:JSONDecoder", "json has no search space JSONDecoder; it has none: derive one"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_way_out(
    module: Path, digits: Dataset, reference: str, said: str
) -> None:
    for name in ("no-name", "json", "colorsys", "empty"):
        module.with_name(f"{name}.py").write_text("")
    module.with_name("broken.py").write_text("1 / 0")
    experiment = Experiment.from_data(data(reference.format(folder=module.parent)))
    with pytest.raises(ExperimentError, match=said):
        experiment.space(digits)
    assert "broken" not in sys.modules


def test_another_file_of_the_same_name_is_refused(module: Path, tmp_path: Path) -> None:
    load_space_class(f"{module}:FlatSpace")
    other = tmp_path / "other" / module.name
    other.parent.mkdir()
    other.write_text(SOURCE)
    with pytest.raises(ExperimentError, match="rename it"):
        load_space_class(f"{other}:FlatSpace")


@pytest.mark.parametrize("reference", [3, ["a.py:X"], True])
def test_a_reference_is_text(reference: Any) -> None:
    with pytest.raises(ExperimentError, match=r"`spaces\.mine\.class` must be"):
        Experiment.from_data(data(reference))


def test_its_fields_are_checked_like_those_of_a_built_in_space(
    module: Path, digits: Dataset
) -> None:
    reference = f"{module}:FlatSpace"
    with pytest.raises(ExperimentError, match=r"`spaces\.mine\.hiden`. Did you mean `hidden`"):
        Experiment.from_data(data(reference, hiden=[3])).space(digits)
    with pytest.raises(ExperimentError, match=r"`spaces\.mine\.classes`"):
        Experiment.from_data(data(reference, classes=3)).space(digits)
    with pytest.raises(ExperimentError, match=r"`spaces\.mine\.hidden` must list .* write \[4\]"):
        Experiment.from_data(data(reference, hidden=4)).space(digits)
    space = Experiment.from_data(data(reference, resolution=4, sparsity=[0.0, 0.5])).space(digits)
    assert space.input_shape == (1, 4, 4)
    assert space.parameters["flat.sparsity"] == (0.0, 0.5)


def test_fields_that_the_data_set_does_not_give_are_named(module: Path) -> None:
    of_text = data(f"{module}:FlatSpace", resolution=8) | {"task": {"dataset": "text"}}
    experiment = Experiment.from_data(of_text)
    said = "FlatSpace needs `input_channels`, `classes`, which the data set text does not give"
    with pytest.raises(ExperimentError, match=said):
        experiment.space(experiment.load_dataset())


def test_absolute_references(tmp_path: Path) -> None:
    assert absolute_reference("package.module:X", tmp_path) == "package.module:X"
    assert absolute_reference("nonsense", tmp_path) == "nonsense"
    assert absolute_reference("/a/b.py:X", tmp_path) == "/a/b.py:X"


@pytest.fixture
def own_run(
    module: Path,
    tmp_path: Path,
    stub: Any,
    tiny: Callable[..., Experiment],
    quiet: Any,
) -> Path:
    """A run of a space of the user's own next to a built-in one, in the user's home."""
    spaces = {
        "mine": {"class": f"{module}:FlatSpace", "hidden": [4, 8, 16, 32]},
        "vit": {"depth": [1], "width": [8], "heads": [1], "patch_size": [4]},
    }
    run_experiment(tiny(spaces=spaces, search={"trials": 4}), tmp_path / "run", report=quiet)
    return tmp_path / "run"


COMMANDS = [["pareto", "{run}"], ["cost", "{run}", "{id}"], ["export", "{run}", "--pick", "{id}"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_another_process_reads_the_run_back(own_run: Path, words: list[str]) -> None:
    data = json.loads((own_run / "pareto.json").read_text())
    candidates = data["candidates"]
    assert {c["architecture"]["space"] for c in candidates} >= {"flat"}
    own = next(c for c in candidates if c["architecture"]["space"] == "flat")
    (node,) = own["architecture"]["nodes"]
    assert node["block"]["type"] == "flat_of_test:Flat"
    given = [word.format(run=own_run, id=own["id"]) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "nas", *given, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert own["id"] in done.stdout


def test_a_run_whose_file_is_gone_says_so(
    own_run: Path, module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module.unlink()
    del sys.modules[module.stem]
    assert main(["pareto", str(own_run)]) == 2
    assert f"there is no file {module}" in capsys.readouterr().err


def test_a_run_whose_code_changed_does_not_go_on(
    own_run: Path, module: Path, capsys: pytest.CaptureFixture[str], stub: Any
) -> None:
    found = json.loads((own_run / "pareto.json").read_text())
    own = next(c for c in found["candidates"] if c["architecture"]["space"] == "flat")
    module.write_text(SOURCE.replace("pixels, self.hidden)", "pixels, self.hidden, bias=False)"))
    sys.modules.pop(module.stem)
    words = ["search", str(own_run / "config.toml"), "--out", str(own_run), "--resume"]
    assert main(words) == 2
    assert "code of the run's blocks is not what it was" in capsys.readouterr().err
    assert main(["cost", str(own_run), own["id"]]) == 0
    assert "code of the run's blocks is not what it was" in capsys.readouterr().err
    for more in ([], ["--verify-only"]):
        if more:
            (own_run / "exports").mkdir(exist_ok=True)
            (own_run / "exports" / f"{own['id']}.onnx").write_bytes(b"")
        assert main(["export", str(own_run), "--pick", own["id"], *more]) == 7
        assert f"candidate {own['id']} do not fit" in capsys.readouterr().err


def test_worker_processes_train_blocks_of_a_file(
    module: Path, tiny: Callable[..., Experiment], digits: Dataset
) -> None:
    spaces = {"mine": {"class": f"{module}:FlatSpace"}}
    experiment = tiny(spaces=spaces, search={"workers": 2})
    space: SearchSpace = experiment.space(digits)
    architectures = [space.decode([0, index]) for index in range(2)]
    with evaluator(experiment, digits) as evaluate:
        results = list(evaluate(architectures))
    assert all(not isinstance(result, str) for result in results), results
