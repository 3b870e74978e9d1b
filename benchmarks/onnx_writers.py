"""The direct ONNX writer against PyTorch's dynamo exporter, in the same run.

    python -m benchmarks.onnx_writers [--networks N] [--json]

For random networks of both families: seconds to write, largest difference of outputs, and the
ratio of latencies in ONNX Runtime, beside that of the same file timed twice.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import torch

from hw_profiles.onnx_graph import INPUT_NAME, write_onnx
from hw_profiles.onnxruntime_cpu import OnnxRuntimeCpu, session
from hw_profiles.timing import on_one_core, prepare_reference, visit
from search_spaces import MBConvSpace, UnionSpace, ViTSpace
from search_spaces.network import Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # The exporter warns of packages that it does without.
    space = UnionSpace([ViTSpace(), MBConvSpace()])
    runtime = OnnxRuntimeCpu()
    reference = prepare_reference(runtime)
    rows: list[dict[str, Any]] = []
    for codes in space.random_codes(options.networks, np.random.default_rng(0)):
        architecture = space.decode(codes)
        torch.manual_seed(0)
        network = Network(architecture).eval()
        start = time.perf_counter()
        weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        direct = write_onnx(architecture, weights).SerializeToString()
        direct_s = time.perf_counter() - start
        start = time.perf_counter()
        dynamo = _dynamo(network, space.input_shape)
        dynamo_s = time.perf_counter() - start
        runs = [session(model).run for model in (direct, dynamo, direct)]
        batch = np.random.default_rng(1).standard_normal((3, *space.input_shape), np.float32)
        outputs = [run(None, {INPUT_NAME: batch})[0] for run in runs[:2]]
        one = {INPUT_NAME: batch[:1]}
        with on_one_core():
            times = [
                np.mean([visit(once, reference, runtime).ratio(0.1) for _ in range(3)])
                for once in (partial(run, None, one) for run in runs)
            ]
        rows.append(
            {
                "family": architecture.space,
                "direct_s": direct_s,
                "dynamo_s": dynamo_s,
                "difference": float(np.abs(outputs[0] - outputs[1]).max()),
                "latency_ratio": float(times[0] / times[1]),
                "repeat_ratio": float(times[0] / times[2]),
            }
        )
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'family':7} {'direct s':>9} {'dynamo s':>9} {'difference':>11} "
          f"{'latency direct/dynamo':>22} {'direct/direct':>14}")  # fmt: skip
    for row in rows:
        print(f"{row['family']:7} {row['direct_s']:9.4f} {row['dynamo_s']:9.2f} "
              f"{row['difference']:11.1e} {row['latency_ratio']:22.3f} "
              f"{row['repeat_ratio']:14.3f}")  # fmt: skip


def _dynamo(network: torch.nn.Module, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (torch.zeros(2, *shape),),
            dynamo=True,
            input_names=[INPUT_NAME],
            dynamic_shapes=(({0: torch.export.Dim("batch")},),),
            verbose=False,
        )
    assert program is not None
    program.save(file)
    return file.getvalue()


if __name__ == "__main__":
    main()
