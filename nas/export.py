"""Exports: ONNX files that are shown to be the network that was searched."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles import BlockTable, make_runtime
from hw_profiles.files import write_atomically, write_json
from nas.candidates import Candidate
from nas.errors import VerificationError
from nas.quality import Quality
from nas.run_folder import RunFolder
from nas.splits import Dataset, output_shape

if TYPE_CHECKING:
    import torch

__all__ = ["Verification", "export_members", "verify_export"]

TOLERANCE = 1e-4
"""Largest difference of an output, absolute where outputs are below 1, else relative."""
BATCHES = (1, 3, 8)
FILES = ("onnxruntime", "fp32")
"""Runtime and number format that exported files are run in."""

RunOnnx = Callable[[NDArray[Any]], NDArray[Any]]
"""Outputs of the exported file for a batch."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What an exported file was held against, and how it came out.

    Attributes:
        id: The candidate.
        file: The ONNX file.
        absolute: Largest absolute difference of an output between ONNX Runtime and PyTorch, over
            batches of 1, 3 and 8.
        relative: The same over the largest absolute output.
        test_quality_torch: Quality on the test split by PyTorch.
        test_quality_onnx: Likewise by ONNX Runtime.
        predicted_s: Latency that the search went by.
        measured_s: Latency of the file, two measurements in turn with the reference network;
            ``None`` where the search went by another runtime or number format than the file's.
    """

    id: str
    file: str
    absolute: float
    relative: float
    test_quality_torch: Quality
    test_quality_onnx: Quality
    predicted_s: float
    measured_s: tuple[float, float] | None


def export_members(
    run: RunFolder, members: Sequence[Candidate], folder: Path
) -> list[Verification]:
    """Writes and verifies the ONNX file of each member, with a JSON file of what was shown.

    Args:
        run: Where the weights are.
        members: What to export.
        folder: Where the files go.

    Raises:
        VerificationError: A file would not be the network; it is not kept.
        CorruptFileError: The weights cannot be read, or are not those of the network.
    """
    dataset = run.experiment().load_dataset()
    return [_export(run, member, folder / f"{member.id}.onnx", dataset) for member in members]


def _export(run: RunFolder, member: Candidate, path: Path, dataset: Dataset) -> Verification:
    from hw_profiles.onnx_graph import write_onnx
    from nas.training import load_network

    weights = run.load_weights(member.id)
    load_network(member.architecture, weights)  # Refuses weights of other code.
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    content = write_onnx(member.architecture, arrays).SerializeToString()
    # It takes its name only when it is verified, so that nothing that looks good is ever wrong.
    unverified = path.with_name(f".{path.name}.unverified")
    write_atomically(unverified, content)
    try:
        result = replace(_verify(run, member, unverified, dataset), file=str(path))
        os.replace(unverified, path)
    except VerificationError:
        path.unlink(missing_ok=True)  # An earlier file of the same name.
        path.with_suffix(".json").unlink(missing_ok=True)
        raise
    finally:
        unverified.unlink(missing_ok=True)
    write_json(path.with_suffix(".json"), asdict(result))
    return result


def verify_export(
    run: RunFolder, member: Candidate, path: Path, dataset: Dataset | None = None
) -> Verification:
    """Holds an ONNX file against the weights of its candidate, and removes it if it differs.

    The ONNX checker, every stored weight, outputs at three batch sizes and what is predicted on the
    test split must agree; its latency is measured and reported.

    Raises:
        VerificationError: They do not; the file and what was written about it are gone.
        FileNotFoundError: There is no such file.
        CorruptFileError: The weights of the run cannot be read, or are not those of the network;
            the file stays.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no exported file {path}.")
    record = path.with_suffix(".json")
    try:
        result = _verify(run, member, path, dataset or run.experiment().load_dataset())
    except VerificationError as error:
        path.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        raise VerificationError(f"{error} It was removed.") from error
    write_json(record, asdict(result))
    return result


def _verify(run: RunFolder, member: Candidate, path: Path, dataset: Dataset) -> Verification:
    from nas.training import load_network, predict

    weights = run.load_weights(member.id)
    table = run.latency_table()
    network = load_network(member.architecture, weights)
    test = dataset.fitted(member.architecture).test
    timed = (table.setting.runtime, table.setting.dtype) == FILES
    run_onnx = _checked_session(path, weights, table.setting.threads if timed else 1)
    absolute, largest = _compare(run_onnx, network, test.inputs, path)
    totals = np.zeros(2)
    for inputs, labels in test.parts(output_shape(member.architecture)):
        both = predict(network, inputs), run_onnx(inputs)
        if _predict_differently(*both, 2 * TOLERANCE * max(1.0, largest)):
            raise VerificationError(f"{path} labels test data otherwise than the trained network.")
        totals += [dataset.measure.total(outputs, labels) for outputs in both]
    by_torch, by_onnx = (dataset.measure.quality("test", t) for t in (totals / test.size).tolist())
    return Verification(
        id=member.id,
        file=str(path),
        absolute=absolute,
        relative=absolute / largest,
        test_quality_torch=by_torch,
        test_quality_onnx=by_onnx,
        predicted_s=member.indicators["latency_s@local"].value,
        measured_s=_latency(run_onnx, table, test.inputs[:1]) if timed else None,
    )


def _predict_differently(first: NDArray[Any], second: NDArray[Any], tolerance: float) -> bool:
    """Whether outputs ``[..., classes]`` have their largest at other places.

    Two labels may change places only where their outputs are closer than the tolerance.
    """
    changed = first[first.argmax(axis=-1) != second.argmax(axis=-1)]
    ordered = np.sort(changed, axis=-1)
    return bool((ordered[:, -1] - ordered[:, -2] > tolerance).any())


def _checked_session(path: Path, weights: Mapping[str, torch.Tensor], threads: int) -> RunOnnx:
    """The file as a function of a batch, once the checker has passed it and its weights agree."""
    import onnx

    from hw_profiles.onnx_graph import INPUT_NAME
    from hw_profiles.onnxruntime_cpu import session

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        run = session(path.read_bytes(), threads).run
    except Exception as error:  # Each of the two libraries has errors of its own for a bad file.
        raise VerificationError(f"{path} is not a network that runs: {error}.") from error
    _check_weights(model, weights, path)

    def outputs(batch: NDArray[Any]) -> NDArray[Any]:
        try:
            return np.asarray(run(None, {INPUT_NAME: batch})[0])
        except Exception as error:
            raise VerificationError(f"{path} does not run: {error}.") from error

    return outputs


def _compare(
    run_onnx: RunOnnx, network: torch.nn.Module, inputs: NDArray[Any], path: Path
) -> tuple[float, float]:
    """Largest absolute difference of an output over the batch sizes, and largest output."""
    from nas.training import predict

    absolute = largest = 0.0
    for batch in BATCHES:
        expected = predict(network, inputs[:batch])
        difference = np.abs(run_onnx(inputs[:batch]) - expected)
        if not np.isfinite(difference).all():
            raise VerificationError(f"{path} puts out NaN or infinity.")
        absolute = max(absolute, float(difference.max()))
        largest = max(largest, float(np.abs(expected).max()))
    if absolute > TOLERANCE * max(1.0, largest):
        raise VerificationError(
            f"{path} differs from the trained network by {absolute:.2e} in an output (relative "
            f"{absolute / largest:.2e}), more than {TOLERANCE:.0e}."
        )
    return absolute, largest


def _check_weights(model: Any, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raises VerificationError unless every stored weight is the trained one, bit for bit."""
    from onnx import numpy_helper

    for initializer in model.graph.initializer:
        name, transposed = initializer.name.removesuffix(".T"), initializer.name.endswith(".T")
        if name.startswith("const/"):
            continue
        if name not in weights:
            raise VerificationError(f"{path} holds {name}, which the network does not.")
        expected = weights[name].numpy()
        expected = np.swapaxes(expected, -1, -2) if transposed else expected
        if not np.array_equal(numpy_helper.to_array(initializer), expected):
            raise VerificationError(f"{path}: weight {name} is not the trained one.")


def _latency(run_onnx: RunOnnx, table: BlockTable, example: Any) -> tuple[float, float]:
    from hw_profiles.timing import prepare_reference, reference_called, visit

    setting = table.setting
    runtime = make_runtime(
        setting.runtime, dtype=setting.dtype, batch=setting.batch, threads=setting.threads
    )
    batch = np.repeat(example, setting.batch, axis=0)

    def once() -> None:
        run_onnx(batch)

    with runtime.pinned():
        networks = reference_called(table.conditions["reference"])
        reference = prepare_reference(runtime, networks)
        visits = [visit(once, reference, runtime) for _ in range(2)]
    # A table's seconds are of its own machine; elsewhere these are of this one as it is now.
    elsewhere = table.differences(runtime.device, runtime.setting)
    first, second = (
        v.ratio(0.1) * (v.reference_s if elsewhere else float(table.conditions["reference_s"]))
        for v in visits
    )
    return first, second
