"""A run of language models, from the file to verified exports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from nas import training
from nas.cli import main
from nas.export import export_members
from nas.run_folder import RunFolder
from nas.training import load_network

TRAIN = training.train

EXPERIMENT = """
name = "words"

[task]
dataset = "text"
path = "words.txt"

[spaces.decoder]
vocabulary = [128, 300]
context = [8, 16]
depth = [1]
width = [16]
heads = [2]
mlp_ratio = [1]

[spaces.encoder_decoder]
vocabulary = [128]
source = [6]
target = [4]
encoder_depth = [1]
decoder_depth = [1]
width = [16]
heads = [2]
mlp_ratio = [2]

[training]
epochs = 1
optimizer = "adam"
learning_rate = 1e-2

[search]
trials = 6
batch = 3
objectives = ["macs", "params"]
workers = 1

[measurement]
certificate = 20
"""


@pytest.fixture
def run(tmp_path: Path, stub: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, trained for real and measured by a stand-in."""
    monkeypatch.setattr("nas.training.train", TRAIN)
    (tmp_path / "words.txt").write_text("the cat sat on the mat and the rat sat on the hat. " * 60)
    (tmp_path / "words.toml").write_text(EXPERIMENT)
    arguments = ["search", str(tmp_path / "words.toml"), "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    return tmp_path / "run"


def test_a_run_of_language_models(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads((run / "pareto.json").read_text())
    assert data["evaluated"] == 6
    assert data["candidates"]
    for item in data["candidates"]:
        for split, key in (("validation", "quality"), ("test", "test_quality")):
            assert item[key]["name"] == f"{split}_bits_per_byte"
            assert 0 < item[key]["value"] < 8
        assert item["architecture"]["space"] in ("decoder", "encoder_decoder")
    capsys.readouterr()
    assert main(["pareto", str(run)]) == 0
    assert "val bits/byte" in capsys.readouterr().out

    opened = RunFolder.open(run)
    members = opened.read_pareto().members
    results = export_members(opened, members, opened.exports)
    for result, member in zip(results, members, strict=True):
        assert result.test_quality_torch == member.test_quality
        assert result.test_quality_onnx.value == pytest.approx(member.test_quality.value, abs=1e-3)
        # By hand: any batch, ids of 64 bits in, a distribution over the vocabulary out.
        session = onnxruntime.InferenceSession(result.file, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        ids = np.random.default_rng(0).integers(
            0, member.architecture.token_ids, (5, *given.shape[1:])
        )
        network = load_network(member.architecture, opened.load_weights(member.id))
        with torch.no_grad():
            expected = network(torch.from_numpy(ids)).numpy()
        (found,) = session.run(None, {given.name: ids})
        assert found == pytest.approx(expected, abs=1e-4)

    # Going on reads the qualities of the study back.
    again = ["search", str(run.parent / "words.toml"), "--out", str(run), "--resume"]
    assert main([*again, "--trials", "8", "--json"]) == 0
    longer = json.loads(capsys.readouterr().out)
    assert longer["evaluated"] == 8
    kept = {item["id"]: item for item in longer["candidates"]}
    for item in data["candidates"]:
        if item["id"] in kept:
            assert kept[item["id"]]["quality"] == item["quality"]
            assert kept[item["id"]]["test_quality"] == item["test_quality"]
