"""Exports: ONNX files that are shown to be the network that was searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hw_profiles import LatencyTable
from hw_profiles.files import write_atomically, write_json
from nas.candidates import Candidate
from nas.datasets import DATASETS, Dataset
from nas.errors import VerificationError
from nas.run_folder import RunFolder

if TYPE_CHECKING:
    import torch

__all__ = ["Verification", "export_members", "verify_export"]

TOLERANCE = 1e-4
"""Largest difference of an output, absolute where outputs are below 1, else relative."""
BATCHES = (1, 3, 8)


@dataclass(frozen=True, slots=True)
class Verification:
    """What an exported file was held against, and how it came out.

    Attributes:
        id: The candidate.
        file: The ONNX file.
        absolute: Largest absolute difference of an output between ONNX Runtime and PyTorch, over
            batches of 1, 3 and 8.
        relative: The same over the largest absolute output.
        test_accuracy_torch: Share of the test split labelled right by PyTorch.
        test_accuracy_onnx: Likewise by ONNX Runtime.
        predicted_s: Latency that the search went by.
        measured_s: Latency of the file, two measurements in turn with the reference network.
    """

    id: str
    file: str
    absolute: float
    relative: float
    test_accuracy_torch: float
    test_accuracy_onnx: float
    predicted_s: float
    measured_s: tuple[float, float]


def export_members(
    run: RunFolder, members: Sequence[Candidate], folder: Path
) -> list[Verification]:
    """Writes and verifies the ONNX file of each member, with a JSON file of what was shown.

    Args:
        run: Where the weights are.
        members: What to export.
        folder: Where the files go.

    Raises:
        VerificationError: A file is not the network; it is removed.
        CorruptFileError: The weights cannot be read.
    """
    from hw_profiles.onnx_graph import write_onnx
    from nas.training import load_network

    results = []
    for member in members:
        weights = run.load_weights(member.id)
        network = load_network(member.architecture, weights)
        arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        path = folder / f"{member.id}.onnx"
        model = write_onnx(member.architecture, arrays)
        write_atomically(path, model.SerializeToString())
        results.append(verify_export(run, member, path))
    return results


def verify_export(
    run: RunFolder, member: Candidate, path: Path, dataset: Dataset | None = None
) -> Verification:
    """Holds an ONNX file against the weights of its candidate, and removes it if it differs.

    The ONNX checker, every stored weight, outputs at three batch sizes and the labels of the test
    split must agree; its latency is measured and reported.

    Raises:
        VerificationError: They do not; the file and what was written about it are gone.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no exported file {path}.")
    record = path.with_suffix(".json")
    try:
        result = _verify(run, member, path, dataset or DATASETS[run.experiment().task.dataset]())
    except Exception as error:
        path.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        if isinstance(error, VerificationError):
            raise
        raise VerificationError(f"{path} cannot be run: {error}. It was removed.") from error
    write_json(record, asdict(result))
    return result


def _verify(run: RunFolder, member: Candidate, path: Path, dataset: Dataset) -> Verification:
    import onnx
    import torch

    from hw_profiles.onnx_graph import INPUT_NAME
    from hw_profiles.runtime import session
    from nas.training import accuracy, load_network, predict

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    weights = run.load_weights(member.id)
    _check_weights(model, weights, path)
    network = load_network(member.architecture, weights)
    # Read back from the file: what is verified is what a user will load.
    run_onnx = session(path.read_bytes()).run
    images = dataset.test.images
    absolute = largest = 0.0
    for batch in BATCHES:
        part = images[:batch]
        with torch.inference_mode():
            expected = network(torch.from_numpy(part)).numpy()
        difference = np.abs(run_onnx(None, {INPUT_NAME: part})[0] - expected)
        if not np.isfinite(difference).all():
            raise VerificationError(f"{path} puts out NaN or infinity. It was removed.")
        absolute = max(absolute, float(difference.max()))
        largest = max(largest, float(np.abs(expected).max()))
    if absolute > TOLERANCE * max(1.0, largest):
        raise VerificationError(
            f"{path} differs from the trained network by {absolute:.2e} in an output "
            f"(relative {absolute / largest:.2e}), more than {TOLERANCE:.0e}. It was removed."
        )
    by_torch = predict(network, images)
    by_onnx = np.concatenate(
        [run_onnx(None, {INPUT_NAME: part})[0] for part in np.array_split(images, 4)]
    )
    # Two labels may change places only where their outputs are closer than the tolerance.
    changed = by_torch.argmax(axis=1) != by_onnx.argmax(axis=1)
    ordered = np.sort(by_torch[changed], axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    if (margin > 2 * TOLERANCE * max(1.0, largest)).any():
        raise VerificationError(
            f"{path} labels test images otherwise than the trained network. It was removed."
        )
    table = LatencyTable.load(run.latency)
    name = "latency_s@local"
    return Verification(
        id=member.id,
        file=str(path),
        absolute=absolute,
        relative=absolute / largest,
        test_accuracy_torch=accuracy(by_torch, dataset.test),
        test_accuracy_onnx=accuracy(by_onnx, dataset.test),
        predicted_s=member.indicators[name].value,
        measured_s=_latency(path, table, images[:1]),
    )


def _check_weights(model: Any, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raises VerificationError unless every stored weight is the trained one, bit for bit."""
    from onnx import numpy_helper

    for initializer in model.graph.initializer:
        name, transposed = initializer.name.removesuffix(".T"), initializer.name.endswith(".T")
        if name.startswith("const/"):
            continue
        if name not in weights:
            raise VerificationError(
                f"{path} holds {name}, which the network does not. It was removed."
            )
        expected = weights[name].numpy()
        expected = np.swapaxes(expected, -1, -2) if transposed else expected
        if not np.array_equal(numpy_helper.to_array(initializer), expected):
            raise VerificationError(
                f"{path}: weight {name} is not the trained one. It was removed."
            )


def _latency(path: Path, table: LatencyTable, example: Any) -> tuple[float, float]:
    from hw_profiles.onnx_graph import INPUT_NAME
    from hw_profiles.runtime import RUNTIMES, session
    from hw_profiles.timing import on_one_core, prepare_reference, visit

    setting = table.setting
    run_onnx = session(path.read_bytes(), setting.threads).run
    feed = {INPUT_NAME: np.repeat(example, setting.batch, axis=0)}
    runtime = RUNTIMES[setting.runtime](threads=setting.threads, batch=setting.batch)
    reference = prepare_reference(runtime)
    scale = float(table.conditions["reference_s"])
    with on_one_core() if setting.threads == 1 else nullcontext():
        first, second = (
            visit(lambda: run_onnx(None, feed), reference).p10 * scale for _ in range(2)
        )
    return first, second
