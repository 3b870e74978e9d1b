"""The documents say what is there: commands, options, files and links."""

import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import nas
from nas.cli import _parser
from nas.datasets import DATASETS
from nas.experiment import Experiment
from nas.indicators import indicator_names

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def _blocks(document: Path) -> list[str]:
    return re.findall(r"```(?:sh|console)\n(.*?)```", document.read_text(), re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_parse(document: Path) -> None:
    """Every `hwnas ...` line of a shell block is one that the command line takes."""
    lines = [line for block in _blocks(document) for line in block.splitlines()]
    commands = [part.strip() for line in lines for part in line.split("&&")]
    for command in commands:
        words = shlex.split(command, comments=True)
        if words[:1] == ["hwnas"] and words[1:] not in (["--help"], ["--version"]):
            assert _parser().parse_args(words[1:]).command


def test_readme_has_its_two_commands_as_single_lines() -> None:
    text = (ROOT / "README.md").read_text()
    for name, ending in (
        ("main", "hwnas search examples/digits.toml"),
        ("test", "pytest -n 2 --dist loadfile"),
    ):
        found = re.findall(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", text, re.DOTALL)
        assert len(found) == 1
        assert "\n" not in found[0]
        assert found[0].endswith(ending)


def test_every_indicator_is_documented() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    missing = [name for name in indicator_names() if f"`{name.split('@')[0]}`" not in text]
    assert missing == []


def test_every_dependency_earns_its_place_in_the_design() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs" / "design.md").read_text()
    names = [re.split(r"[><=]", item)[0] for item in project["dependencies"]]
    assert [name for name in names if f"| {name} |" not in text] == []


def test_constraints_pin_what_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-"): line.split("==")[1]
        for line in (ROOT / "constraints.txt").read_text().split()
    }
    assert pinned["torch"] == "2.13.0"
    for requirement in wanted:
        name, floor = requirement.split(">=")
        assert _numbers(pinned[name.lower()]) >= _numbers(floor)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_readme_experiment_is_one() -> None:
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    experiment = Experiment.from_data(tomllib.loads(block))
    assert experiment.space(DATASETS["digits"]()).size > 1


def test_the_readme_python_names_what_there_is() -> None:
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    compile(block, "README.md", "exec")
    (line,) = re.findall(r"from nas import (.*)", block)
    assert [name for name in line.split(", ") if not hasattr(nas, name)] == []


def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    packages = {"nas", "predictors", "hw_profiles", "search_spaces"}
    assert tops == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
