"""Three ways to make a latency table, on the same networks in the same run.

    python -m benchmarks.latency_tables [--networks N] [--json]

- ``alone``: each block timed as a network of its own, less what an empty run costs;
- ``marginal``: a third of what three further copies add in a network, alone where a block cannot
  be repeated;
- ``fitted``: what hwnas does, the posterior of block times given whole networks.

The networks that score them took part in none. ``A/A`` is the same network measured twice: no
table can be held to be better than that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from hw_profiles.certificate import Score, score
from hw_profiles.measurement import measure_table, time_networks, whole
from hw_profiles.onnxruntime_cpu import OnnxRuntimeCpu
from hw_profiles.plan import COPIES, plan_measurement, with_copies
from hw_profiles.timing import Visit
from predictors import TablePredictor
from search_spaces import (
    Architecture,
    Block,
    CountTable,
    MBConvSpace,
    UnionSpace,
    ViTSpace,
    chain,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=100, help="that score the tables")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    space = UnionSpace([ViTSpace(), MBConvSpace()])
    counts, runtime = CountTable(), OnnxRuntimeCpu()
    plan = plan_measurement(space, counts)
    fitted = measure_table(space, runtime, counts, plan=plan)
    scale = float(fitted.conditions["reference_s"])

    alone_jobs = [Architecture("alone", {}, chain([block])) for block in space.blocks]
    visits, _ = time_networks([None, *alone_jobs], runtime)
    seconds = [scale * _ratio(pair) for pair in visits]
    empty = seconds[0]
    alone = dict(zip(space.blocks, np.subtract(seconds[1:], empty), strict=True))

    marginal = dict(alone)
    hosts = {block: _host(block, plan.networks) for block in space.blocks}
    repeated = {
        block: copies
        for block, host in hosts.items()
        if (copies := with_copies(host, block, counts, COPIES)) is not None
    }
    pairs = [network for block, copies in repeated.items() for network in (hosts[block], copies)]
    visits, _ = time_networks(pairs, runtime)
    ratios = list(map(_ratio, visits))
    for position, block in enumerate(repeated):
        more = ratios[2 * position + 1] - ratios[2 * position]
        marginal[block] = scale * more / COPIES

    rng = np.random.default_rng(1)
    known = set(fitted.conditions["fitted"])
    drawn = {a.id: a for a in map(space.decode, space.random_codes(20 * options.networks, rng))}
    networks = [a for a in drawn.values() if a.id not in known][: options.networks]
    visits, _ = time_networks(networks, runtime, visits=2)

    def total(base: float, time_of: Callable[[Block], float]) -> list[float]:
        return [base + sum(time_of(block) for block in a.blocks) for a in networks]

    predictor = TablePredictor(fitted, counts)
    predictions = {
        "alone": total(empty, lambda block: float(alone[block])),
        "marginal": total(empty, lambda block: float(marginal[block])),
        "fitted": [predictor.price(a).value for a in networks],
    }
    scores: dict[str, dict[str, Score]] = {}
    for method, predicted in predictions.items():
        rows = [
            whole(a, p, pair, scale) for a, p, pair in zip(networks, predicted, visits, strict=True)
        ]
        families = sorted({row.family for row in rows})
        scores[method] = {f: score([r for r in rows if r.family == f]) for f in families}
    if options.json:
        print(json.dumps({m: {f: asdict(s) for f, s in d.items()} for m, d in scores.items()}))
        return
    print(f"{'table':9} {'family':7} {'n':>4} {'bias':>7} {'MAPE':>6} {'±5 %':>6} {'±10 %':>6}"
          f" {'tau':>6}   A/A: {'±5 %':>6} {'±10 %':>6} {'tau':>6}")  # fmt: skip
    for method, by_family in scores.items():
        for family, s in by_family.items():
            print(f"{method:9} {family:7} {s.n:4} {s.bias:+7.1%} {s.mape:6.1%} {s.within_5:6.0%}"
                  f" {s.within_10:6.0%} {s.tau:6.3f}        {s.aa_within_5:6.0%}"
                  f" {s.aa_within_10:6.0%} {s.aa_tau:6.3f}")  # fmt: skip


def _ratio(visits: Sequence[Visit]) -> float:
    """What a table stores of a network: the mean over its visits."""
    return float(np.mean([v.ratio(0.1) for v in visits]))


def _host(block: Block, networks: tuple[Architecture, ...]) -> Architecture:
    """The shortest timed network that holds the block."""
    return min((n for n in networks if block in n.blocks), key=len)


if __name__ == "__main__":
    main()
