"""Which package may import which, what an import loads, and what the wheel holds."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("search_spaces", "hw_profiles", "predictors", "nas")
"""Each may import itself and those before it."""
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
HEAVY = ("torch", "sklearn", "onnx", "onnxruntime", "optuna", "scipy")


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every module that a file imports from, wherever it stands, and the names it takes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import."
            yield node.module or "", tuple(alias.name for alias in node.names)


def test_every_package_is_here() -> None:
    assert {path.parent.name for path in MODULES} == set(LAYERS)
    assert all((ROOT / layer / "py.typed").exists() for layer in LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_imports_go_down_only_and_no_deeper_than_a_module(path: Path) -> None:
    below = LAYERS[: LAYERS.index(path.parent.name) + 1]
    for name, taken in imports(path):
        package, *rest = name.split(".")
        if package in LAYERS:
            assert package in below
            assert len(rest) <= 1
            assert "*" not in taken
            private = [item for item in (*rest, *taken) if item.startswith("_")]
            assert private == []


@pytest.mark.parametrize("name", [*LAYERS, "nas.cli"])
def test_import_loads_nothing_heavy(name: str) -> None:
    program = f"import json, sys, {name}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {module.split(".")[0] for module in json.loads(done.stdout)}
    assert loaded & set(HEAVY) == set()


def test_wheel_holds_the_packages_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == sorted(LAYERS)
