"""The command line prints the tables of The Efficiency Misnomer (Dehghani et al., ICLR 2022)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.misnomer import PRINTED
from nas.cli import main

Cost = Callable[[str], dict[str, Any]]

CUT_SHORT = {("vit_b_8", "params"): 86.577, ("vit_b_64", "flops"): 0.9396}
"""Figures that the paper cuts off instead of rounding them, and what they are."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def cost(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cost:
    monkeypatch.setenv("HWNAS_HOME", str(home))

    def indicators(preset: str) -> dict[str, Any]:
        assert main(["cost", preset, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["indicators"]
        return found

    return indicators


@pytest.mark.parametrize("preset", list(PRINTED))
def test_every_row_comes_out_to_the_printed_digit(preset: str, cost: Cost) -> None:
    indicators = cost(preset)
    found = {
        "params": indicators["params"]["value"] / 1e6,
        "flops": indicators["flops"]["value"] / 2e9,
    }
    printed = dict(zip(found, PRINTED[preset], strict=True))
    for name, text in printed.items():
        decimals = len(text.partition(".")[2])
        exact = CUT_SHORT.get((preset, name))
        if exact is None:
            assert f"{found[name]:.{decimals}f}" == text
        else:
            assert found[name] == pytest.approx(exact, abs=5e-5 if name == "flops" else 5e-4)
            assert f"{int(found[name] * 10**decimals) / 10**decimals:.{decimals}f}" == text


def test_depth_and_width_disagree_as_the_paper_says(cost: Cost) -> None:
    """D48 and W3072: equal FLOPs, near in params, and four times apart in how much is in series."""
    deep, wide = cost("misnomer_d48"), cost("misnomer_w3072")
    assert deep["flops"]["value"] == pytest.approx(wide["flops"]["value"], rel=0.005)
    assert deep["params"]["value"] < wide["params"]["value"]
    assert deep["sequential_depth"]["value"] > 3.5 * wide["sequential_depth"]["value"]
    assert deep["activations"]["value"] > 1.5 * wide["activations"]["value"]
