"""Predicted memory of published networks against PyTorch's memory tracker, byte for byte.

    python -m benchmarks.memory [--presets NAME ...] [--batches N ...] [--optimizer NAME] [--json]

``MemTracker`` watches each network run on fake tensors, which have shapes and no memory. They are
tensors of the CPU: there PyTorch takes its fused attention kernel, which keeps one number for each
row of scores as the fused kernels of other devices do; on meta tensors it writes the scores out.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from search_spaces import Architecture, CountTable, TrainingSetup, count
from search_spaces.counts import OPTIMIZERS
from search_spaces.network import Network
from search_spaces.presets import preset

PRESETS = (
    "vit_s_16",
    "vit_b_16",
    "universal_transformer_base",
    "vmoe_b_16",
    "fnet_b_16",
    "swin_t",
    "gpt2_small",
    "t5_small",
    "mobilenet_v2",
    "efficientnet_b0",
    "resnet50",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="adamw")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        print(f"{'preset':28}{'batch':>6}{'inference MB':>23}{'ratio':>8}{'training MB':>23}"
              f"{'ratio':>8}")  # fmt: skip
    rows: list[dict[str, Any]] = []
    table = CountTable()
    for name in options.presets:
        architecture = preset(name)
        for batch in options.batches:
            counts = count(architecture, table, TrainingSetup(batch, options.optimizer), batch)
            row: dict[str, Any] = {
                "preset": name,
                "batch": batch,
                "inference_bytes": counts.peak_memory_bytes,
                "inference_tracked_bytes": inference_bytes(architecture, batch),
                "training_bytes": counts.train_memory_bytes,
                "training_tracked_bytes": training_bytes(architecture, batch, options.optimizer),
            }
            rows.append(row)
            if not options.json:
                ratios = _compared(row, "inference") + _compared(row, "training")
                print(f"{name:28}{batch:6}{ratios}", flush=True)
    if options.json:
        print(json.dumps(rows))


def inference_bytes(architecture: Architecture, batch: int) -> int:
    """Most bytes alive in inference, by PyTorch's tracker."""
    with FakeTensorMode():
        network, inputs = Network(architecture).eval(), _inputs(architecture, batch)
        tracker = MemTracker()
        tracker.track_external(network, *inputs)
        with torch.no_grad(), tracker:
            network(*inputs)
    return _peak_bytes(tracker)


def training_bytes(architecture: Architecture, batch: int, optimizer: str) -> int:
    """Most bytes alive in a training step after the first, by PyTorch's tracker.

    Args:
        architecture: The network.
        batch: Examples in the step.
        optimizer: A key of :data:`search_spaces.counts.OPTIMIZERS`; its update is a fused one.
    """
    with FakeTensorMode():
        network, inputs = Network(architecture).train(), _inputs(architecture, batch)
        update = _optimizer(optimizer, network)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        update.step()  # Its state is there from now on.
        update.zero_grad()
        tracker = MemTracker()
        tracker.track_external(network, update, *inputs)
        with tracker:
            _there_and_back(network, inputs)
            if OPTIMIZERS[optimizer].passes == 2:
                way_back = _ascend(network)
                update.zero_grad()
                tracker.reset_mod_stats()  # It takes one pass at a time.
                _there_and_back(network, inputs)
                _descend(network, way_back)
            update.step()
    return _peak_bytes(tracker)


class _Loss(torch.autograd.Function):
    """A loss without memory of its own, whose gradient is a tensor like that of any other."""

    @staticmethod
    def forward(ctx: Any, output: torch.Tensor) -> torch.Tensor:
        ctx.shape = output.shape
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0].new_ones(ctx.shape)


def _there_and_back(network: Network, inputs: list[torch.Tensor]) -> None:
    output = network(*inputs)
    loss: torch.Tensor = _Loss.apply(output)  # type: ignore[no-untyped-call]
    loss.backward()


def _inputs(architecture: Architecture, batch: int) -> list[torch.Tensor]:
    dtype = torch.float32 if architecture.token_ids is None else torch.int32
    return [torch.zeros(batch, *shape, dtype=dtype) for shape in architecture.input_shapes]


def _optimizer(name: str, network: torch.nn.Module) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    match name:
        case "adam":
            return torch.optim.Adam(parameters, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, fused=True)
    momentum = 0.0 if name == "sgd" else 0.9
    return torch.optim.SGD(parameters, 0.1, momentum, fused=True)


@torch.no_grad()
def _ascend(network: torch.nn.Module) -> list[torch.Tensor]:
    """SAM's step uphill; what it returns leads back."""
    way_back = [parameter.clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        assert parameter.grad is not None
        parameter.add_(parameter.grad, alpha=0.05)
    return way_back


@torch.no_grad()
def _descend(network: torch.nn.Module, way_back: list[torch.Tensor]) -> None:
    for parameter, before in zip(network.parameters(), way_back, strict=True):
        parameter.copy_(before)


def _peak_bytes(tracker: MemTracker) -> int:
    (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    return int(snapshot["Total"])


def _compared(row: dict[str, Any], what: str) -> str:
    predicted, tracked = row[f"{what}_bytes"], row[f"{what}_tracked_bytes"]
    return f"{predicted / 1e6:11.2f} ~{tracked / 1e6:10.2f}{predicted / tracked:8.4f}"


if __name__ == "__main__":
    main()
