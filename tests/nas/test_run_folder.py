"""Run folders: what is damaged is named."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from hw_profiles import BlockTable, local_device
from nas.errors import ExperimentError
from nas.experiment import Experiment
from nas.pareto import pareto_set
from nas.run_folder import RunFolder
from search_spaces import CorruptFileError

FILES = [
    "config.toml", "profile.json", "table", "study.db", "pareto.json", "manifest.json",
    "checkpoint",
]  # fmt: skip


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path) -> None:
    """Changes one digit of a text in its middle, or one bit of another file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if path.suffix in {".json", ".toml"}:
        digits = [i for i, byte in enumerate(content) if chr(byte) in "0123456789"]
        place = min(digits, key=lambda i: abs(i - middle))
        content[place] = ord("1") if content[place] != ord("1") else ord("2")
    else:
        content[middle] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    path.unlink()


def pick(folder: Path, name: str) -> Path:
    if name == "checkpoint":
        return min((folder / "checkpoints").iterdir())
    if name == "profile.json":
        return folder / "profiles" / "local" / name
    if name == "table":
        return next((folder / "profiles" / "local").glob("*.latency_s.*.json"))
    return folder / name


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [truncate, flip, empty, delete])
def test_a_damaged_file_is_named(run_copy: Path, name: str, damage: Callable[[Path], None]) -> None:
    path = pick(run_copy, name)
    damage(path)
    if (name, damage) == ("manifest.json", delete):
        with pytest.raises(FileNotFoundError, match=r"manifest\.json"):
            RunFolder.open(run_copy)
        return
    with pytest.raises(CorruptFileError) as caught:
        RunFolder.open(run_copy)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("seed", 4), ("state", "running"), ("files", {})])
def test_a_manifest_that_was_changed_is_named(run_copy: Path, key: str, value: Any) -> None:
    path = run_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(CorruptFileError, match=r"manifest\.json"):
        RunFolder.open(run_copy)


@pytest.mark.parametrize("content", ["[]", "3", "null", '{"format": "another 1"}'])
def test_another_manifest_is_named(run_copy: Path, content: str) -> None:
    (run_copy / "manifest.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"manifest\.json is not the manifest of a run"):
        RunFolder.open(run_copy)


def test_a_folder_without_a_run_is_not_found(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match="There is no run"):
            RunFolder.open(path)


def test_exports_and_files_of_others_do_not_matter(run_copy: Path) -> None:
    (run_copy / "exports").mkdir(exist_ok=True)
    (run_copy / "exports" / "mine.onnx").write_bytes(b"x")
    (run_copy / "notes.txt").write_text("mine")
    run = RunFolder.open(run_copy)
    run.finish("complete")
    (run_copy / "notes.txt").write_text("changed")
    assert RunFolder.open(run_copy).state() == "complete"


@pytest.mark.parametrize("name", ["my run", "run#1", "what?", "100%41", "ü"])
def test_a_folder_may_have_any_name(run_copy: Path, name: str) -> None:
    (run_copy.parent / "runs").mkdir()
    renamed = run_copy.rename(run_copy.parent / "runs" / name)
    assert RunFolder.open(renamed).read_pareto().members
    # Nor is another file made on the way.
    assert list(renamed.parent.iterdir()) == [renamed]


def test_the_manifest_holds_the_checksum_of_every_file(finished: Any) -> None:
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    on_disk = {
        path.relative_to(finished.folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in finished.folder.rglob("*")
        if path.is_file() and path.name != "manifest.json" and "exports" not in path.parts
    }
    assert manifest["files"] == on_disk
    expected = {"config.toml", "study.db", "pareto.json", "events.jsonl"}
    expected |= {str(pick(Path(), "profile.json"))}
    expected |= {pick(finished.folder, "table").relative_to(finished.folder).as_posix()}
    assert expected < set(on_disk)
    assert (manifest["state"], manifest["seed"]) == ("complete", 3)
    assert manifest["versions"]["torch"].startswith(torch.__version__)
    assert manifest["device"] == local_device().to_json()


def test_nothing_in_a_run_is_a_pickle(finished: Any) -> None:
    for path in finished.folder.rglob("*"):
        if path.is_file():
            assert path.suffix in {".toml", ".json", ".jsonl", ".db", ".safetensors"}
            if path.suffix == ".safetensors":  # Its first byte, a length, may look like a pickle's.
                assert safetensors.torch.load_file(path)
            else:
                assert not path.read_bytes().startswith(b"\x80")


def test_the_experiment_is_kept_with_every_default(
    opened: RunFolder, tiny: Callable[..., Experiment]
) -> None:
    assert opened.experiment() == tiny()
    text = opened.config.read_text()
    for key in ("sampler", "weight_decay", "max_blocks", "threads", "max_failed"):
        assert key in text


@pytest.fixture
def started(
    finished: Any, tiny: Callable[..., Experiment], tmp_path: Path
) -> Callable[..., RunFolder]:
    """Starts a run in a new folder."""
    run = RunFolder(finished.folder)
    priced = [(profile, profile.tables()) for profile in run.profiles().values()]
    return lambda name="new": RunFolder.create(tmp_path / name, tiny(), priced, local_device())


def test_a_run_holds_what_it_was_priced_with(
    started: Callable[..., RunFolder], table: BlockTable, finished: Any
) -> None:
    for run in (RunFolder.open(finished.folder), started()):
        assert run.latency_table() == table
        assert run.latency_table().certificate == table.certificate
        (profile,) = run.profiles().values()
        assert profile.name == "local"
        assert profile.device == local_device()
        assert profile.settings == (table.setting.name,)


def test_a_run_without_its_table_is_damaged(started: Callable[..., RunFolder]) -> None:
    run = started()
    pick(run.path, "table").unlink()
    with pytest.raises(CorruptFileError, match="has no latency table"):
        run.latency_table()


def test_a_run_that_is_going_on(started: Callable[..., RunFolder], finished: Any) -> None:
    run = started()
    assert run.state() == "running"
    assert run.openings() == 0
    assert run.device() == local_device()
    run.log("trained", candidate="x")
    run.write_pareto(finished.outcome.pareto)  # What changes has no checksum yet.
    assert RunFolder.open(run.path).read_pareto() == finished.outcome.pareto
    run.start(run.experiment())
    assert run.openings() == 1


@pytest.mark.parametrize("name", ["config.toml", "profile.json", "table"])
def test_what_never_changes_is_checked_while_a_run_goes_on(
    started: Callable[..., RunFolder], name: str
) -> None:
    run = started()
    path = pick(run.path, name)
    flip(path)
    with pytest.raises(CorruptFileError, match=path.name):
        RunFolder.open(run.path)


def test_a_run_without_a_set_says_how_to_go_on(started: Callable[..., RunFolder]) -> None:
    with pytest.raises(FileNotFoundError, match="--resume"):
        started().read_pareto()


def test_a_run_ends_with_the_checksum_of_what_changed_since(
    started: Callable[..., RunFolder],
) -> None:
    run = started()
    run.write_pareto(pareto_set([]))
    run.finish("interrupted")
    assert RunFolder.open(run.path).state() == "interrupted"
    run.write_pareto(pareto_set([]))  # The same bytes.
    RunFolder.open(run.path)
    flip(run.pareto)
    with pytest.raises(CorruptFileError, match=r"pareto\.json"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_a_taken_path_is_refused(
    started: Callable[..., RunFolder], tmp_path: Path, taken: str
) -> None:
    path = tmp_path / "new"
    if taken == "folder":
        path.mkdir()
    (path if taken == "file" else path / "x").write_text("mine")
    with pytest.raises(ExperimentError, match="is taken"):
        started()


def test_weights_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "matrix": rng.standard_normal((3, 5)).astype(np.float32),
        "scalar": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 2), np.float32),
        "one_by_one": rng.standard_normal((4, 2, 1, 1)).astype(np.float32),
        "special": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
    }
    run = RunFolder(tmp_path)
    run.save_weights("abc", weights)
    loaded = run.load_weights("abc")
    assert loaded.keys() == weights.keys()
    for name, array in weights.items():
        assert loaded[name].numpy().tobytes() == array.tobytes()
        assert loaded[name].shape == array.shape
        assert loaded[name].numpy().dtype == array.dtype


def test_weights_in_another_memory_layout_round_trip(tmp_path: Path) -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    run = RunFolder(tmp_path)
    run.save_weights("abc", {"w": np.ascontiguousarray(tensor.numpy())})
    assert torch.equal(run.load_weights("abc")["w"], tensor)


def test_weights_that_are_missing_or_damaged_are_named(run_copy: Path, opened: RunFolder) -> None:
    run = RunFolder(run_copy)
    path = pick(run_copy, "checkpoint")
    truncate(path)
    with pytest.raises(CorruptFileError, match=path.name):
        run.load_weights(path.stem)
    path.unlink()
    with pytest.raises(CorruptFileError, match=f"{path.name} is missing"):
        run.load_weights(path.stem)
