"""Spaces whose networks do not fit are refused before anything is measured."""

from pathlib import Path
from typing import Any

import pytest

from nas.cli import main
from nas.errors import ExperimentError
from nas.fitting import check_fit
from nas.images import ImageDataset
from search_spaces import CountTable, UnionSpace

SOURCE = """
from search_spaces import ConvHead, ConvStem, SearchSpace, Slot


class Odd(SearchSpace):
    name = "odd"

    def __init__(self, width=(4,), classes_out=(10,)):
        self.width, self.classes_out = width, classes_out

    @property
    def parameters(self):
        return {"width": tuple(self.width), "classes": tuple(self.classes_out)}

    @property
    def slots(self):
        return (
            Slot(("width",), lambda width: ConvStem(1, 8, width, 1, "relu")),
            Slot(("classes",), lambda classes: ConvHead(8, 4, classes, 0, "")),
        )
"""


@pytest.fixture(scope="session")
def odd() -> Any:
    scope: dict[str, Any] = {"__name__": __name__}
    exec(SOURCE, scope)
    return scope["Odd"]


def test_a_space_that_fits_passes(odd: Any, tiny_space: UnionSpace, digits: ImageDataset) -> None:
    check_fit(UnionSpace([odd()]), digits, CountTable(), seed=0)
    check_fit(tiny_space, digits, CountTable(), seed=0)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"width": (4, 8)}, r"space odd .*\(width=8, classes=10\)"),  # Only the last does not.
        ({"classes_out": (7, 10)}, "classes=7.* has 10 classes, but the network puts out"),
    ],
)
def test_one_that_does_not_fit_is_named(
    odd: Any, digits: ImageDataset, choices: Any, said: str
) -> None:
    with pytest.raises(ExperimentError, match=said):
        check_fit(UnionSpace([odd(**choices)]), digits, CountTable(), seed=0)


@pytest.mark.parametrize("words", [["search"], ["profile", "measure"]], ids=" ".join)
def test_nothing_is_measured_before(
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hw_profiles.measurement.measure_table", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"odd_to_{words[-1]}.py").write_text(SOURCE)
    file = tmp_path / "x.toml"
    file.write_text(
        f'name = "x"\n[spaces.odd]\nclass = "odd_to_{words[-1]}.py:Odd"\nwidth = [4, 8]\n'
    )
    assert main([*words, str(file)]) == 2
    error = capsys.readouterr().err
    assert "The space odd makes a network that does not fit" in error
    assert "Traceback" not in error
