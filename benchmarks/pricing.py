"""Pricing candidates by table against building and counting them, in the same run on one core.

python -m benchmarks.pricing [--candidates N] [--json]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import CountTable, MBConvSpace, UnionSpace, ViTSpace, count, count_codes
from search_spaces.network import Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = UnionSpace([ViTSpace(), MBConvSpace()])
    counts = CountTable()
    for block in space.blocks:
        counts[block]
    codes = space.random_codes(options.candidates, np.random.default_rng(0))

    start = time.perf_counter()
    priced = count_codes(space, codes, counts)
    batch_s = (time.perf_counter() - start) / len(codes)

    architectures = [space.decode(row) for row in codes[:200]]
    start = time.perf_counter()
    for architecture in architectures:
        count(architecture, counts)
    single_s = (time.perf_counter() - start) / len(architectures)

    start = time.perf_counter()
    traced = []
    for architecture in architectures[:20]:
        with torch.device("meta"):
            network = Network(architecture).eval()
            example = torch.empty(1, *space.input_shape)
        with FlopCounterMode(display=False) as counter:
            network(example)
        traced.append(counter.get_total_flops() // 2)
    traced_s = (time.perf_counter() - start) / len(traced)
    assert traced == priced["macs"][: len(traced)].tolist(), "the two counts differ"

    result = {
        "batch_per_s": 1 / batch_s,
        "single_us": 1e6 * single_s,
        "flop_counter_per_s": 1 / traced_s,
        "ratio": traced_s / batch_s,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"ten indicators, {len(codes):,} candidates at once: {1 / batch_s:,.0f} a second")
    print(f"one candidate by itself: {1e6 * single_s:.0f} us")
    print(f"MACs alone by FlopCounterMode on the meta device: {1 / traced_s:.1f} a second")
    print(f"ratio {traced_s / batch_s:,.0f}; the MACs agree")


if __name__ == "__main__":
    main()
