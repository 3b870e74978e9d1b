"""Exported files are the network that was searched, or they are gone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from onnx import numpy_helper

from nas.candidates import Candidate
from nas.cli import main
from nas.errors import VerificationError
from nas.export import Verification, export_members, verify_export
from nas.run_folder import RunFolder
from nas.splits import Dataset
from search_spaces import CorruptFileError
from search_spaces.network import Network


@pytest.fixture(scope="module")
def exported(
    finished: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Verification]]:
    """Every member of the finished run as a file, verified."""
    folder = tmp_path_factory.mktemp("exports")
    run = RunFolder.open(finished.folder)
    return folder, export_members(run, run.read_pareto().pick("all"), folder)


@pytest.fixture
def files(exported: tuple[Path, list[Verification]], tmp_path: Path) -> Path:
    """A copy of the exported files, to be damaged."""
    return Path(shutil.copytree(exported[0], tmp_path / "exports"))


def of_family(opened: RunFolder, space: str) -> Candidate:
    return next(m for m in opened.read_pareto().members if m.architecture.space == space)


def trained(folder: Path, member: Candidate) -> Network:
    network = Network(member.architecture)
    path = folder / "checkpoints" / f"{member.id}.safetensors"
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.eval()


def test_every_member_is_verified_and_its_record_stands_beside_it(
    exported: tuple[Path, list[Verification]], opened: RunFolder, digits: Dataset
) -> None:
    folder, results = exported
    members = opened.read_pareto().members
    assert [result.id for result in results] == [member.id for member in members]
    names = {f"{member.id}.{ending}" for member in members for ending in ("onnx", "json")}
    assert {path.name for path in folder.iterdir()} == names
    for result, member in zip(results, members, strict=True):
        record = json.loads((folder / f"{member.id}.json").read_text())
        assert record["measured_s"] == list(result.measured_s)
        assert {k: v for k, v in record.items() if k != "measured_s"} == {
            name: value for name, value in asdict(result).items() if name != "measured_s"
        }
        assert result.absolute <= 1e-4 * max(1.0, result.absolute / max(result.relative, 1e-30))
        assert result.test_quality_torch == member.test_quality
        assert result.test_quality_onnx.name == "test_error"
        assert result.test_quality_onnx.value == pytest.approx(
            member.test_quality.value, abs=1.01 / 360
        )
        assert result.predicted_s == member.indicators["latency_s@local"].value
        assert all(seconds > 0 for seconds in result.measured_s)


@pytest.mark.parametrize("space", ["vit", "mbconv"])
@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_a_file_is_valid_onnx_and_equals_the_network_at_any_batch(
    exported: tuple[Path, list[Verification]],
    finished: Any,
    opened: RunFolder,
    space: str,
    batch: int,
) -> None:
    member = of_family(opened, space)
    path = exported[0] / f"{member.id}.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert not isinstance(given.shape[0], int)
    assert given.shape[1:] == [1, 8, 8]
    rng = np.random.default_rng(batch)
    images = rng.standard_normal((batch, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = trained(finished.folder, member)(torch.from_numpy(images)).numpy()
    (found,) = session.run(None, {given.name: images})
    assert found == pytest.approx(expected, abs=1e-4, rel=1e-4)


def test_a_file_is_not_held_against_seconds_of_another_runtime(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.open(finished.folder)
    table = run.latency_table()
    elsewhere = replace(table, setting=replace(table.setting, runtime="cudagraph", dtype="fp16"))
    monkeypatch.setattr(RunFolder, "latency_table", lambda self: elsewhere)
    (knee,) = run.read_pareto().pick("knee")
    (result,) = export_members(run, [knee], tmp_path)
    assert result.measured_s is None
    assert json.loads((tmp_path / f"{knee.id}.json").read_text())["measured_s"] is None


def test_the_knee_alone(opened: RunFolder, tmp_path: Path) -> None:
    (knee,) = opened.read_pareto().pick("knee")
    (result,) = export_members(opened, [knee], tmp_path / "out")
    assert result.id == knee.id
    assert result.file == str(tmp_path / "out" / f"{knee.id}.onnx")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_verifying_again_gives_the_same(
    exported: tuple[Path, list[Verification]], opened: RunFolder, files: Path
) -> None:
    member = opened.read_pareto().members[0]
    again = verify_export(opened, member, files / f"{member.id}.onnx")
    first = exported[1][0]
    for name in ("id", "absolute", "relative", "test_quality_torch", "test_quality_onnx"):
        assert getattr(again, name) == getattr(first, name)


def largest_weight(model: onnx.ModelProto) -> onnx.TensorProto:
    return max(
        (i for i in model.graph.initializer if not i.name.startswith("const/")),
        key=lambda i: numpy_helper.to_array(i).size,
    )


def perturb(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """Changes the largest weight of a file and returns its name."""
    model = onnx.load(path)
    weight = largest_weight(model)
    array = change(numpy_helper.to_array(weight).copy())
    weight.CopyFrom(numpy_helper.from_array(array.astype(np.float32), weight.name))
    onnx.save(model, path)
    return weight.name


def by(amount: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] += amount
        return array

    return change


def by_one_bit(array: np.ndarray) -> np.ndarray:
    array.flat[0] = np.nextafter(array.flat[0], np.float32(np.inf))
    return array


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def not_onnx(path: Path) -> None:
    path.write_text("mine")


def without_output(path: Path) -> None:
    model = onnx.load(path)
    del model.graph.output[:]
    onnx.save(model, path)


def scaled_output(path: Path) -> None:
    """Every weight as it was, but the output half of what it should be."""
    model = onnx.load(path)
    (output,) = model.graph.output
    last = next(node for node in model.graph.node if output.name in node.output)
    last.output[list(last.output).index(output.name)] = "whole"
    model.graph.initializer.append(
        numpy_helper.from_array(np.float32(0.5), "const/half-of-the-output")
    )
    model.graph.node.append(
        onnx.helper.make_node("Mul", ["whole", "const/half-of-the-output"], [output.name])
    )
    onnx.save(model, path)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "weight": lambda path: perturb(path, by(0.1)),
    "weight_slightly": lambda path: perturb(path, by(1e-6)),
    "weight_by_one_bit": lambda path: perturb(path, by_one_bit),
    "weight_nan": lambda path: perturb(path, by(float("nan"))),
    "truncated": truncated,
    "emptied": emptied,
    "not_onnx": not_onnx,
    "without_output": without_output,
    "scaled_output": scaled_output,
}


@pytest.mark.parametrize("space", ["vit", "mbconv"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_changed_file_is_refused_and_removed(
    opened: RunFolder, files: Path, space: str, damage: Callable[[Path], Any]
) -> None:
    member = of_family(opened, space)
    path = files / f"{member.id}.onnx"
    named = damage(path)
    with pytest.raises(VerificationError) as caught:
        verify_export(opened, member, path)
    assert str(path) in str(caught.value)
    if named is not None:
        assert named.removesuffix(".T") in str(caught.value)
    assert not path.exists()
    assert not path.with_suffix(".json").exists()
    # The other members' files are not touched.
    others = [m for m in opened.read_pareto().members if m.id != member.id]
    for other in others:
        assert (files / f"{other.id}.onnx").exists()


@pytest.mark.parametrize("damage", ["weight_slightly", "truncated"])
def test_verify_only_ends_with_5_and_removes_what_differs(
    finished: Any,
    opened: RunFolder,
    files: Path,
    damage: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    member = of_family(opened, "vit")
    DAMAGES[damage](files / f"{member.id}.onnx")
    arguments = ["export", str(finished.folder), "--out", str(files), "--verify-only"]
    assert main([*arguments, "--pick", member.id]) == 5
    assert f"{member.id}.onnx" in capsys.readouterr().err
    assert not (files / f"{member.id}.onnx").exists()
    assert not (files / f"{member.id}.json").exists()
    # A file that is gone is not found rather than good.
    assert main([*arguments, "--pick", member.id]) == 3
    other = next(m for m in opened.read_pareto().members if m.id != member.id)
    assert main([*arguments, "--pick", other.id, "--json"]) == 0
    assert [item["id"] for item in json.loads(capsys.readouterr().out)] == [other.id]


def test_swapped_files_are_both_refused(
    finished: Any, opened: RunFolder, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *others = opened.read_pareto().members
    one, two = (files / f"{member.id}.onnx" for member in (first, second))
    one.rename(files / "swap")
    two.rename(one)
    (files / "swap").rename(two)
    arguments = ["export", str(finished.folder), "--out", str(files), "--verify-only"]
    assert main([*arguments, "--pick", "all"]) == 5
    assert not one.exists()
    assert not two.exists()
    assert {path.stem for path in files.iterdir()} == {member.id for member in others}
    captured = capsys.readouterr()
    assert f"{len(others)} of {len(others) + 2} verified" in captured.err


def test_weights_of_the_run_that_cannot_be_read_are_the_runs_fault(
    run_copy: Path, files: Path
) -> None:
    # Nothing speaks against the file: it stays, and the damaged one is named.
    run = RunFolder(run_copy)
    member = run.read_pareto().members[0]
    path = files / f"{member.id}.onnx"
    checkpoint = run.checkpoint(member.id)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-8])
    with pytest.raises(CorruptFileError, match=checkpoint.name):
        verify_export(run, member, path)
    assert path.exists()
    with pytest.raises(CorruptFileError, match=checkpoint.name):
        export_members(run, [member], files / "new")
    assert not (files / "new").exists()


def test_an_interrupted_export_leaves_no_file_that_looks_good(
    opened: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.export._verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_members(opened, opened.read_pareto().pick("knee"), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.onnx"))


def test_a_file_that_is_not_there_is_not_found(opened: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        verify_export(opened, opened.read_pareto().members[0], tmp_path / "none.onnx")


def test_a_failing_export_leaves_no_earlier_file_either(
    opened: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = opened.read_pareto().pick("knee")
    (made,) = export_members(opened, members, tmp_path)
    assert Path(made.file).exists()

    def differ(*_: Any) -> Any:
        raise VerificationError("it differs")

    monkeypatch.setattr("nas.export._compare", differ)
    with pytest.raises(VerificationError):
        export_members(opened, members, tmp_path)
    assert list(tmp_path.iterdir()) == []
