"""A random sample of every family: built, trained one step, exported and compared, read back.

python -m benchmarks.families [--sample N] [--family NAME ...] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hw_profiles.onnx_graph import input_names, write_onnx
from hw_profiles.onnxruntime_cpu import session
from hw_profiles.runtime import random_inputs
from search_spaces import SPACES, Architecture, CountTable, SearchSpace, SparseSpace, count
from search_spaces.network import Network

TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--family", action="append", choices=[*SPACES, "sparse"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    spaces: dict[str, SearchSpace] = {name: cls() for name, cls in SPACES.items()}
    spaces["sparse"] = SparseSpace(SPACES["vit"](), (0.5, 0.9))
    results = {
        name: _check(space, options.sample)
        for name, space in spaces.items()
        if not options.family or name in options.family
    }
    if options.json:
        print(json.dumps(results))
        return
    print("family            networks  distinct  blocks  largest difference  seconds")
    for name, row in results.items():
        print(
            f"{name:16s} {row['sample']:9d} {row['distinct']:9d} {row['blocks']:7d} "
            f"{row['difference']:19.1e} {row['seconds']:8.1f}"
        )


def _check(space: SearchSpace, sample: int) -> dict[str, Any]:
    """What was checked; an architecture that fails ends the run with its configuration."""
    start, table = time.perf_counter(), CountTable()
    drawn = [space.decode(r) for r in space.random_codes(sample, np.random.default_rng(0))]
    difference = 0.0
    for architecture in drawn:
        try:
            difference = max(difference, _check_one(architecture, table))
        except Exception as error:
            raise RuntimeError(f"{space.name} {dict(architecture.config)}: {error}") from error
    return {
        "sample": len(drawn),
        "distinct": len({architecture.id for architecture in drawn}),
        "blocks": len(space.blocks),
        "difference": difference,
        "seconds": time.perf_counter() - start,
    }


def _check_one(architecture: Architecture, table: CountTable) -> float:
    """Largest difference of an output of the exported file, absolute above 1, else relative."""
    read = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    if read != architecture:
        raise AssertionError("JSON does not give the architecture back")
    network = Network(architecture).train()
    arrays = random_inputs(architecture, 2)
    network(*map(torch.from_numpy, arrays)).square().mean().backward()
    gradients = [p.grad for p in network.parameters()]
    if not all(g is not None and bool(g.isfinite().all()) for g in gradients):
        raise AssertionError("a weight has no finite gradient")
    with torch.inference_mode():
        expected = network.eval()(*map(torch.from_numpy, arrays)).numpy()
    weights = {name: t.numpy() for name, t in network.state_dict().items()}
    run = session(write_onnx(architecture, weights).SerializeToString())
    (found,) = run.run(None, dict(zip(input_names(architecture), arrays, strict=True)))
    difference = float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
    if not difference < TOLERANCE:
        raise AssertionError(f"the exported file differs by {difference:.1e}")
    with torch.device("meta"):
        copy = Network(architecture).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        copy(*(torch.from_numpy(array[:1]).to("meta") for array in arrays))
    if counter.get_total_flops() != 2 * count(architecture, table).macs:
        raise AssertionError("the MACs are not those of PyTorch's counter")
    return difference


if __name__ == "__main__":
    main()
