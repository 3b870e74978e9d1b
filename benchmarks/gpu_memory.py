"""Predicted memory of published networks against what a CUDA device allocates.

    python -m benchmarks.gpu_memory [--presets NAME ...] [--batches N ...] [--out FILE]

A second step is watched, when the optimiser's state is there. The workspaces of cuBLAS, which the
first products allocate for good, are measured and taken off; those of cuDNN come and go with a
convolution and are part of the peak.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.memory import PRESETS
from search_spaces import Architecture, CountTable, TrainingSetup, count, preset
from search_spaces.network import Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--out", type=Path, help="JSON file, written after each row")
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    print(f"{device}, torch {torch.__version__}")
    print(
        f"{'preset':28}{'batch':>6}{'inference MB':>23}{'ratio':>8}{'training MB':>23}{'ratio':>8}"
    )
    table, rows = CountTable(), []
    for name in options.presets:
        architecture = preset(name)
        for batch in options.batches:
            counts = count(architecture, table, TrainingSetup(batch), batch)
            row: dict[str, Any] = {
                "preset": name,
                "batch": batch,
                "device": device,
                "torch": torch.__version__,
                "inference_bytes": counts.peak_memory_bytes,
                "inference_allocated_bytes": _peak(_inference, architecture, batch),
                "training_bytes": counts.train_memory_bytes,
                "training_allocated_bytes": _peak(_training, architecture, batch),
            }
            rows.append(row)
            cells = ""
            for what in ("inference", "training"):
                predicted, found = row[f"{what}_bytes"], row[f"{what}_allocated_bytes"]
                cells += f"{predicted / 1e6:11.2f} ~{found / 1e6:10.2f}{predicted / found:8.4f}"
            print(f"{name:28}{batch:6}{cells}", flush=True)
            if options.out:
                options.out.write_text(json.dumps(rows, indent=1) + "\n")


def _peak(
    prepare: Callable[[Architecture, int], Callable[[], None]],
    architecture: Architecture,
    batch: int,
) -> int:
    """Most bytes allocated by a run of what is prepared, less those of a workspace that stays."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    run = prepare(architecture, batch)
    run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    del run
    torch.cuda.synchronize()
    workspace = torch.cuda.memory_allocated() - before
    torch._C._cuda_clearCublasWorkspaces()
    return peak - before - workspace


def _inputs(architecture: Architecture, batch: int) -> list[torch.Tensor]:
    shapes = architecture.input_shapes
    if architecture.token_ids is not None:
        ids = architecture.token_ids
        return [
            torch.randint(ids, (batch, *shape), device="cuda", dtype=torch.int32)
            for shape in shapes
        ]
    return [torch.randn(batch, *shape, device="cuda") for shape in shapes]


def _inference(architecture: Architecture, batch: int) -> Callable[[], None]:
    network, inputs = Network(architecture).cuda().eval(), _inputs(architecture, batch)

    def run() -> None:
        with torch.inference_mode():
            network(*inputs)

    return run


def _training(architecture: Architecture, batch: int) -> Callable[[], None]:
    network, inputs = Network(architecture).cuda().train(), _inputs(architecture, batch)
    update = torch.optim.AdamW(network.parameters(), fused=True)

    def run() -> None:
        output = network(*inputs)
        output.backward(torch.ones_like(output))
        update.step()
        update.zero_grad()

    return run


if __name__ == "__main__":
    main()
