"""Which code a kept result follows from."""

from importlib import import_module
from pathlib import Path

import pytest

import search_spaces
from hw_profiles import RUNTIMES
from hw_profiles.code import counting_code, timing_code
from search_spaces import ViTSpace


@pytest.fixture
def read(vit: ViTSpace, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[Path]]:
    """Files that each digest was made of."""
    files: dict[str, set[Path]] = {}
    real = Path.read_bytes
    for name in ("counting", "timing"):
        seen = files[name] = set()

        def note(path: Path, seen: set[Path] = seen) -> bytes:
            seen.add(path.resolve())
            return real(path)

        monkeypatch.setattr(Path, "read_bytes", note)
        _ = counting_code(vit) if name == "counting" else timing_code(vit)
    monkeypatch.undo()
    return files


def file_of(module: str) -> Path:
    file = import_module(module).__file__
    assert file is not None
    return Path(file).resolve()


def test_timings_follow_from_how_each_runtime_prepares_and_times(
    read: dict[str, set[Path]],
) -> None:
    runtimes = {place.partition(":")[0] for place in RUNTIMES.values()}
    further = {"cpu_runtime", "energy", "gauge", "onnx_graph", "quantization", "runtime", "timing"}
    for module in (*runtimes, *(f"hw_profiles.{name}" for name in further)):
        assert file_of(module) in read["timing"]


def test_counts_follow_from_the_blocks_alone(read: dict[str, set[Path]]) -> None:
    folder = Path(search_spaces.__file__).parent.resolve()
    assert read["counting"] == {path.resolve() for path in folder.glob("*.py")}
    assert read["counting"] < read["timing"]


def test_results_of_measuring_do_not_follow_from_how_they_are_kept_or_solved(
    read: dict[str, set[Path]],
) -> None:
    for name in ("certificate", "files", "journal", "profile", "solver", "store", "table"):
        assert file_of(f"hw_profiles.{name}") not in read["timing"]
