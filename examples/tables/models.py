"""Writes ``models.csv``: made-up convolutional networks, with costs and an error by formulas.

``python examples/tables/models.py > examples/tables/models.csv``

- weights of a layer ``K = kernel^2 width^2``; of a depthwise one ``kernel^2 width + width^2``
- ``params = depth K + 10 width``, ``macs = 64 depth K`` on 8 x 8 positions
- ``latency_ms = 0.05 + depth (0.02 + work / 2e9 * 1e3)``, where a depthwise layer runs at a quarter
  of the speed, so that it is slower than its MACs say
- ``energy_mj = 3 latency_ms + 4e-6 params``
- ``error = 0.04 + 0.6 (sqrt(K) depth)^-0.4``, and 0.01 less with kernel 5 in place of 3
"""

from __future__ import annotations

import csv
import itertools
import sys

COLUMNS = ("operation", "kernel", "depth", "width", "error", "params", "macs", "latency_ms",
           "energy_mj")  # fmt: skip
OPERATIONS, KERNELS = ("conv", "depthwise"), (3, 5)
DEPTHS, WIDTHS = (2, 4, 6, 8, 12, 16), (8, 16, 24, 32, 48, 64, 96)


def row(operation: str, kernel: int, depth: int, width: int) -> list[object]:
    """A network with its error and costs."""
    if operation == "conv":
        weights, speed = kernel**2 * width**2, 2e9
    else:
        weights, speed = kernel**2 * width + width**2, 5e8
    params, macs = depth * weights + 10 * width, 64 * depth * weights
    latency_ms = 0.05 + depth * (0.02 + 1e3 * 64 * weights / speed)
    energy_mj = 3 * latency_ms + 4e-6 * params
    error = 0.04 + 0.6 * (weights**0.5 * depth) ** -0.4 - 0.01 * (kernel == 5)
    return [operation, kernel, depth, width, f"{error:.4f}", params, macs, f"{latency_ms:.4f}",
            f"{energy_mj:.4f}"]  # fmt: skip


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for choices in itertools.product(OPERATIONS, KERNELS, DEPTHS, WIDTHS):
        writer.writerow(row(*choices))
