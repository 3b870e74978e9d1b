"""Which package may import which, what an import loads, and what the wheel holds."""

import ast
import json
import re
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
HEAVY = (
    "matplotlib",
    "onnx",
    "onnxruntime",
    "openvino",
    "optuna",
    "plotly",
    "pynvml",
    "scipy",
    "sklearn",
    "torch",
)
SCIENTIFIC = ("numpy", "scipy", "sklearn", "torch")
"""What a machine needs to be measured and priced on; the search and the command line need more."""


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


ALONE = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not here.")

refused = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Refuse())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def distributions_of_the_project() -> Iterator[str]:
    """Names of what the project may need, from its own file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ([], *project["optional-dependencies"].values(), project["dependencies"]):
        yield from (re.split(r"[<>=!~\[; ]", item)[0].lower().replace("-", "_") for item in extra)


def test_all_but_search_and_onnx_files_need_no_more_than_scientific_packages() -> None:
    named = {"scikit_learn": "sklearn", "nvidia_ml_py": "pynvml"}
    wanted = {named.get(name, name) for name in distributions_of_the_project()}
    assert wanted > set(SCIENTIFIC)
    modules = [
        f"{path.parent.name}.{path.stem}"
        for path in MODULES
        if path.parent.name != "nas"
        and path.stem not in ("__init__", "quantization")
        and not path.stem.startswith("onnx_")
    ]
    assert "hw_profiles.cuda_graph" in modules
    refused = ",".join(wanted - set(SCIENTIFIC))
    command = [sys.executable, "-c", ALONE, refused, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_wheel_holds_the_packages_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == sorted(LAYERS)
