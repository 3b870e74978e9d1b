"""Peak memory that inference takes on a GPU, beside what is predicted without one.

On the device (PyTorch with CUDA is enough):
python -m benchmarks.device_memory RESULT.json --measure [--dtype fp16] [--batch 1 64]

Anywhere, the same figures again:
python -m benchmarks.device_memory RESULT.json

Measured is what PyTorch's allocator held at most in an eager run: weights, input, activations and
what kernels take for a while (``torch.cuda.max_memory_allocated``). A first run leaves the
workspaces that cuBLAS keeps from then on; they depend on the runtime rather than on the network,
and stand apart. What stays outside of the allocator (the CUDA context) is in neither.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hw_profiles import gpu_device
from hw_profiles.files import read_json, write_json
from hw_profiles.runtime import random_inputs
from predictors.device_memory import peak_bytes
from search_spaces import Architecture, CountTable, preset
from search_spaces.network import Network
from search_spaces.profiled import profiled_space

if TYPE_CHECKING:
    import torch
    from torch import nn

SPACES = ("vit_224", "mbconv_224", "resnet_224", "swin_224")
PRESETS = ("vit_b_16", "resnet50", "mobilenet_v2", "efficientnet_b0", "swin_t")
PUBLISHED = "published"
"""The family that presets are told apart by."""
TORCH_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
MB = 1e6


@dataclass(frozen=True, slots=True)
class Row:
    """A network at a batch.

    Attributes:
        name: The preset, or the network's id.
        family: The space that it was drawn from, or :data:`PUBLISHED`.
        batch: Examples in a run.
        predicted: Peak bytes without a device.
        measured: Peak bytes on it, less what the first run left; ``None`` where it did not fit.
        workspace: Bytes that the first run left.
    """

    name: str
    family: str
    batch: int
    predicted: float
    measured: int | None
    workspace: int | None

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        assert self.measured is not None
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of the networks of a family at a batch.

    Attributes:
        family: Which.
        batch: Examples in a run.
        n: Networks that fitted.
        bias: Mean relative error.
        mape: Mean absolute relative error.
        worst: The network whose error is farthest from 0.
        workspace: The most bytes that a first run left.
    """

    family: str
    batch: int
    n: int
    bias: float
    mape: float
    worst: Row
    workspace: int


def summaries(rows: Sequence[Row]) -> list[Summary]:
    """Figures of each family at each batch, in the order of the rows; of what fitted."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.measured is not None:
            groups.setdefault((row.family, row.batch), []).append(row)
    found = []
    for (family, batch), members in groups.items():
        errors = np.array([row.error for row in members])
        found.append(
            Summary(
                family=family,
                batch=batch,
                n=len(members),
                bias=float(errors.mean()),
                mape=float(np.abs(errors).mean()),
                worst=members[int(np.abs(errors).argmax())],
                workspace=max(row.workspace or 0 for row in members),
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--dtype", choices=TORCH_DTYPES, default="fp16")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--networks", type=int, default=20, help="random ones of each space")
    options = parser.parse_args()
    if options.measure:
        measure(options.result, options.dtype, options.batch, options.networks)
    _print(read_json(options.result))


def measure(path: Path, dtype: str, batches: Sequence[int], networks: int) -> None:
    """Measures each network at each batch; the file is written after each network.

    Raises:
        UnavailableError: No CUDA device is here.
    """
    device = gpu_device().to_json()
    import torch

    counts, rows = CountTable(), []
    for name, family, architecture in subjects(networks):
        predicted = [peak_bytes(architecture, counts, batch, dtype) for batch in batches]
        for batch, expected in zip(batches, predicted, strict=True):
            try:
                found = _measured(architecture, batch, dtype)
            except torch.cuda.OutOfMemoryError:
                found = (None, None)
            rows.append(asdict(Row(name, family, batch, expected, *found)))
        setting = {"runtime": "eager", "dtype": dtype, "version": torch.__version__}
        write_json(path, {"device": device, "setting": setting, "rows": rows})


def subjects(networks: int, seed: int = 0) -> Iterator[tuple[str, str, Architecture]]:
    """Name, family and network of the presets, and of distinct random members of each space."""
    for name in PRESETS:
        yield name, PUBLISHED, preset(name)
    for family in SPACES:
        space, rng = profiled_space(family), np.random.default_rng(seed)
        members = {a.id: a for a in map(space.decode, space.random_codes(2 * networks, rng))}
        for key, architecture in list(members.items())[:networks]:
            yield key, family, architecture


def _measured(architecture: Architecture, batch: int, dtype: str) -> tuple[int, int]:
    """Peak bytes of a run and the bytes that the first run left, over what was there before."""
    import torch

    _clear()
    before = torch.cuda.memory_allocated()
    network, inputs = _placed(architecture, batch, getattr(torch, TORCH_DTYPES[dtype]))
    own = torch.cuda.memory_allocated()
    with torch.inference_mode():
        network(*inputs)
        torch.cuda.synchronize()
        workspace = torch.cuda.memory_allocated() - own
        torch.cuda.reset_peak_memory_stats()
        network(*inputs)
        torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before - workspace, workspace


def _placed(
    architecture: Architecture, batch: int, dtype: torch.dtype
) -> tuple[nn.Module, list[torch.Tensor]]:
    """The network and its inputs on the device, in a number format."""
    import torch

    with torch.device("cuda"):
        network = Network(architecture).eval().to("cuda", dtype)
    inputs = []
    for array in random_inputs(architecture, batch):
        tensor = torch.from_numpy(array)
        inputs.append(tensor.to("cuda", dtype if tensor.is_floating_point() else None))
    gc.collect()  # What initialising left.
    return network, inputs


def _clear() -> None:
    """Gives back what earlier networks took, workspaces included."""
    import torch

    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()


def _print(result: dict[str, Any]) -> None:
    rows, setting = [Row(**row) for row in result["rows"]], result["setting"]
    print(f"{result['device']['name']}, PyTorch {setting['version']}, {setting['dtype']}\n")
    print("| family | batch | n | bias | MAPE | worst | workspace MB |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for s in summaries(rows):
        print(
            f"| {s.family} | {s.batch} | {s.n} | {s.bias:+.1%} | {s.mape:.1%} | "
            f"{s.worst.error:+.1%} ({s.worst.name}) | {s.workspace / MB:.1f} |"
        )
    print("\n| network | batch | predicted MB | measured MB |")
    print("|---|---:|---:|---:|")
    for row in rows:
        if row.family == PUBLISHED or row.measured is None:
            measured = "does not fit" if row.measured is None else f"{row.measured / MB:.1f}"
            print(f"| {row.name} | {row.batch} | {row.predicted / MB:.1f} | {measured} |")


if __name__ == "__main__":
    main()
