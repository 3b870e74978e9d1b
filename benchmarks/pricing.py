"""Pricing candidates by table against building and counting them, in the same run on one core.

Beside the exact counts, what latency costs by a table of every block with a certificate of 300
networks, as shipped ones have: for one candidate and in batch, over what the params alone take.

python -m benchmarks.pricing [--candidates N] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hw_profiles import BlockTable, Certificate, Device, Entry, Measured, Setting, space_digest
from hw_profiles.profile import HardwareProfile
from predictors import ProfilePricer
from predictors.device_tables import families_of
from search_spaces import (
    Architecture,
    Counts,
    CountTable,
    MBConvSpace,
    SearchSpace,
    UnionSpace,
    ViTSpace,
    block_key,
    count,
    count_codes,
)
from search_spaces.network import Network

LATENCY = ("latency_s",)
REPEATS = 20
"""The quickest of so many, as whatever else runs on the machine only slows it down."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--candidates", type=int, default=500_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    per_layer = ViTSpace(depth=(4, 6, 8, 10, 12), heads=(2, 4), mlp_ratio=(1, 2, 3, 4))
    spaces = [per_layer, MBConvSpace(), UnionSpace([ViTSpace(), MBConvSpace()])]
    rows = [_measure(space, options.candidates) for space in spaces]
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{len(fields(Counts))} indicators of {options.candidates:,} random candidates, one core")
    print(f"{'space':12} {'a second':>12} {'one, us':>8} {'ready, s':>9} "
          f"{'FlopCounterMode a second':>25} {'ratio':>9}")  # fmt: skip
    for row in rows:
        print(
            f"{row['space']:12} {row['batch_per_s']:12,.0f} {row['single_us']:8.0f} "
            f"{row['prepare_s']:9.2f} {row['flop_counter_per_s']:25.1f} {row['ratio']:9,.0f}"
        )
    print("The MACs of both are the same.")
    print(f"{'space':12} {'latency a second':>17} {'one, us':>8}   over params: in batch, one")
    for row in rows:
        print(
            f"{row['space']:12} {row['latency_per_s']:17,.0f} {row['latency_single_us']:8.0f} "
            f"{row['latency_over_params']:23.2f}, {row['latency_over_params_single']:.2f}"
        )


def _measure(space: SearchSpace, candidates: int) -> dict[str, float | str]:
    counts = CountTable()
    for block in space.blocks:
        counts[block]
    codes = space.random_codes(candidates, np.random.default_rng(0))
    start = time.perf_counter()
    priced = count_codes(space, codes[:1], counts)
    prepare_s = time.perf_counter() - start
    batch_s, single_s = [], []
    architectures = [space.decode(row) for row in codes[:500]]
    pricer = _pricer(space, counts, architectures)
    pricer.price_codes(space, codes[:1], LATENCY)
    latency_s, latency_single_s = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        priced = count_codes(space, codes, counts)
        batch_s.append((time.perf_counter() - start) / len(codes))
        start = time.perf_counter()
        for architecture in architectures:
            count(architecture, counts)
        single_s.append((time.perf_counter() - start) / len(architectures))
        start = time.perf_counter()
        pricer.price_codes(space, codes, LATENCY)
        latency_s.append((time.perf_counter() - start) / len(codes))
        start = time.perf_counter()
        for architecture in architectures:
            pricer.price(architecture, LATENCY)
        latency_single_s.append((time.perf_counter() - start) / len(architectures))

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
    if traced != priced["macs"][: len(traced)].tolist():
        raise AssertionError("the two counts differ")
    return {
        "space": space.name,
        "batch_per_s": 1 / min(batch_s),
        "single_us": 1e6 * min(single_s),
        "prepare_s": prepare_s,
        "flop_counter_per_s": 1 / traced_s,
        "ratio": traced_s / min(batch_s),
        "latency_per_s": 1 / min(latency_s),
        "latency_single_us": 1e6 * min(latency_single_s),
        "latency_over_params": min(latency_s) / min(batch_s),
        "latency_over_params_single": min(latency_single_s) / min(single_s),
    }


def _pricer(
    space: SearchSpace, counts: CountTable, architectures: list[Architecture]
) -> ProfilePricer:
    """By a table in which each block takes what its MACs say, certified as shipped ones are."""

    def entry(value: float) -> Entry:
        return Entry(value, value, value, value, value, value, 24)

    entries = {block_key(b): entry(1e-6 + 1e-12 * counts[b].macs.at(1)) for b in space.blocks}
    measured = [
        Measured(a.id, a.space, 1.0, (1.0 + i / 9e3,) * 2, (1.0, 1.1, 1.2), 24)
        for i, a in enumerate(architectures[:300])
    ]
    table = BlockTable(
        quantity="latency_s",
        device=Device("made up", "none", cores=1, memory_bytes=2**33, features=""),
        setting=Setting("onnxruntime", "0"),
        space=space.name,
        digest=space_digest(space),
        overhead=entry(1e-5),
        entries=entries,
        conditions={"date": ""},
        certificate=Certificate("", "", tuple(measured)),
    )
    profile = HardwareProfile("made-up", Path())
    return ProfilePricer(profile, "", counts, families_of(space), [table])


if __name__ == "__main__":
    main()
