"""The block and the space of a user's own in ``examples/``: counted, timed, searched, exported."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hw_profiles.measurement import time_networks
from hw_profiles.onnx_graph import INPUT_NAME, write_onnx
from hw_profiles.onnxruntime_cpu import OnnxRuntimeCpu, session
from hw_profiles.timing import Visit
from nas.cli import main
from nas.experiment import Experiment
from nas.space_classes import load_space_class
from search_spaces import (
    Architecture,
    Block,
    CountTable,
    FeedForward,
    SearchSpace,
    UncountedOperatorError,
    ViTHead,
    block_from_json,
    block_from_key,
    block_key,
    block_to_json,
    chain,
    count,
)
from search_spaces.layers import Apply
from search_spaces.network import Network

ROOT = Path(__file__).parent.parent
FILE = ROOT / "examples" / "own_block.py"
EXPERIMENT = FILE.with_suffix(".toml")
DOCUMENT = ROOT / "docs" / "own_block.md"


@pytest.fixture(scope="module")
def space_class() -> type[SearchSpace]:
    return load_space_class(f"{FILE}:MixerSpace")


@pytest.fixture(scope="module")
def token_mixing(space_class: Any) -> type[Block]:
    found: type[Block] = sys.modules[space_class.__module__].TokenMixing
    return found


def test_it_takes_one_file_of_less_than_sixty_lines_and_the_document_shows_it() -> None:
    text, document = FILE.read_text(), DOCUMENT.read_text()
    assert len(text.splitlines()) < 60
    assert f"```python\n{text}```" in document
    (essential,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    assert essential in EXPERIMENT.read_text()


def test_the_experiment_has_it_beside_a_family_that_is_there(space_class: Any) -> None:
    experiment = Experiment.load(EXPERIMENT)
    space = experiment.space(experiment.load_dataset())
    assert type(space.members["mixer"]) is space_class
    assert set(space.members) == {"mixer", "vit"}


def test_an_operator_without_a_formula_is_named(token_mixing: Any) -> None:
    @dataclass(frozen=True, slots=True)
    class Odd(token_mixing):  # type: ignore[misc]
        def build(self) -> nn.Module:
            return Apply(torch.special.bessel_j0)

    with pytest.raises(UncountedOperatorError, match=r"`special_bessel_j0` has no .* linear"):
        _ = CountTable()[Odd(4, 3, 5)]


def test_counts_by_hand(token_mixing: Any) -> None:
    tokens, width, hidden = 16, 6, 8
    counts = CountTable()[token_mixing(tokens, width, hidden)]
    assert counts.params == 2 * tokens * hidden + hidden + tokens + 2 * width
    assert counts.macs.at(3) == 3 * 2 * width * tokens * hidden
    # The norm; the biases; the exact GELU; the residual.
    n = tokens * width
    elementwise = 7 * n + 4 * tokens + width * hidden + n + 4 * width * hidden + n
    assert counts.flops.at(1) == 2 * counts.macs.at(1) + elementwise
    assert counts.output_shape == (tokens, width)


def test_counts_of_a_network_are_those_of_the_flop_counter(space_class: Any) -> None:
    space = space_class(3, 8, 10)
    for code in space.random_codes(4, np.random.default_rng(0)):
        architecture = space.decode(code)
        with torch.device("meta"):
            network = Network(architecture).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.empty(1, 3, 8, 8, device="meta"))
        counts = count(architecture, CountTable())
        assert counts.macs == counter.get_total_flops() // 2
        assert counts.params == sum(p.numel() for p in network.parameters())


def test_tokens_are_mixed_as_the_paper_does(token_mixing: Any) -> None:
    """Equation 1 of Tolstikhin et al. (2021), of one image and one feature at a time."""
    module = token_mixing(4, 3, 5).build().double()
    norm, first, second = (m for m in module.modules() if isinstance(m, nn.LayerNorm | nn.Linear))
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    expected = x.clone()
    for image in range(2):
        for feature in range(3):
            column = norm(x[image])[:, feature]
            hidden = nn.functional.gelu(first.weight @ column + first.bias)
            expected[image, :, feature] += second.weight @ hidden + second.bias
    torch.testing.assert_close(module(x), expected)


def test_the_space_makes_the_network_that_its_choices_name(
    space_class: Any, token_mixing: Any
) -> None:
    space = space_class(1, 8, 10, depth=(1, 2), width=(8, 16), hidden=(4, 8))
    config = {"depth": 2, "width": 16, "hidden_0": 4, "hidden_1": 8}
    blocks = space.architecture(config).blocks
    assert blocks[1:] == (
        token_mixing(16, 16, 4),
        FeedForward(16, 16, 32, 0),
        token_mixing(16, 16, 8),
        FeedForward(16, 16, 32, 0),
        ViTHead(16, 16, 10, "mean"),
    )
    assert space.size == 2 * (2 + 4)


def test_a_block_comes_back_from_json_and_from_its_key(token_mixing: Any) -> None:
    block = token_mixing(4, 3, 5)
    assert block_key(block) == "own_block:TokenMixing(tokens=4, width=3, hidden=5)"
    assert block_from_key(block_key(block)) == block
    assert block_from_json(json.loads(json.dumps(block_to_json(block)))) == block
    architecture = Architecture("mixer", {}, chain([block, block]))
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


@pytest.mark.parametrize("batch", [1, 5])
def test_outputs_of_its_onnx_graph_are_those_of_pytorch(space_class: Any, batch: int) -> None:
    space = space_class(1, 8, 10)
    architecture = space.decode([1] * len(space.parameters))
    network = Network(architecture).eval()
    model = write_onnx(architecture, {k: v.numpy() for k, v in network.state_dict().items()})
    images = torch.randn(batch, 1, 8, 8)
    (output,) = session(model.SerializeToString()).run(None, {INPUT_NAME: images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(output, network(images).numpy(), atol=1e-5)


def test_it_is_timed(space_class: Any) -> None:
    space = space_class(1, 8, 10)
    network = space.decode([0] * len(space.parameters))
    ((first, second),), _ = time_networks([network], OnnxRuntimeCpu())
    for visit in (first, second):
        assert visit.n >= 12
        assert 0 < visit.ratio(0.1) <= visit.ratio(0.5) <= visit.ratio(0.9)


def test_it_is_searched_and_exported_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    # Which block takes how long is not what is tested here.
    monkeypatch.setattr(OnnxRuntimeCpu, "prepare", lambda self, architecture: lambda: None)
    monkeypatch.setattr("hw_profiles.gauge.visit", lambda *_, **__: Visit((1.0, 1.1, 1.2), 1.0))
    monkeypatch.chdir(tmp_path)  # The path in the file is taken from where the file is.
    run = str(tmp_path / "run")
    settings = (
        "training.epochs=1",
        "search.workers=1",
        'spaces={mixer = {class = "own_block.py:MixerSpace"}}',
    )
    short = ["--trials", "3", *(word for item in settings for word in ("--set", item))]
    assert main(["search", str(EXPERIMENT), "--out", run, "--json", *short]) == 0
    member = json.loads(capsys.readouterr().out)["candidates"][0]
    assert member["architecture"]["nodes"][1]["block"]["type"] == "own_block:TokenMixing"
    assert main(["export", run, "--pick", member["id"]]) == 0
    assert f"{member['id']}.onnx: verified" in capsys.readouterr().out
    assert main(["cost", run, member["id"], "--json"]) == 0
    priced = json.loads(capsys.readouterr().out)["indicators"]
    assert priced["macs"]["value"] == member["indicators"]["macs"]["value"]
