"""Making a latency table: which networks to time, and what they say of their blocks.

A block timed alone is not the block inside a network: the runtime lays out memory anew at its
edges and a run has a fixed cost. So only whole networks are timed. Each block stands in a short
network of the space, and, where its output can be its own input, in one with further copies of it;
some whole networks of the space are timed as well. Every timing is then one equation

    time(network) = overhead + sum of time(block) over its blocks,

and the block times are the Gaussian posterior of all of them together: the rows weighted by their
relative noise, with a weak prior around a fit of operators, MACs and memory traffic (Bishop 2006,
section 3.3). What no network can tell apart (a stem and the head that always follows) is
shared between them as the prior does, and does not matter to any sum.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from hw_profiles.certificate import Certificate, Measured
from hw_profiles.code import timing_code
from hw_profiles.device import Device, local_device
from hw_profiles.runtime import Run, Runtime
from hw_profiles.table import LatencyTable, Timing, space_digest
from hw_profiles.timing import REFERENCES, Clock, Visit, on_one_core, prepare_reference, visit
from search_spaces import Architecture, Block, CountTable, Node, SearchSpace, block_key

__all__ = ["Plan", "certify", "estimate_s", "measure_table", "plan_measurement", "time_networks"]

Progress = Callable[[int, int, float], None]
"""Told the networks done, all of them, and the seconds that remain."""

COPIES = 3
HOST_TRIES = 48
MAX_BLOCKS = 400
VISITS = 2
PILOT = 6
DRAWS = 20
"""Random networks drawn for each one that a certificate needs, repeats and fitted ones apart."""
PRIOR_SPREAD = 0.5
"""One standard deviation of the prior of a block's time, relative."""
NOISE_FLOOR = 0.01
"""Least relative standard deviation of a timing: what the sum itself leaves out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be timed.

    Attributes:
        blocks: The blocks that the table will hold.
        unmeasured: Blocks of the space that are left to a predictor.
        networks: Whole networks to time. Those drawn at random may hold unmeasured blocks, which
            are fitted too but too rarely seen to be entered.
    """

    blocks: tuple[Block, ...]
    unmeasured: tuple[Block, ...]
    networks: tuple[Architecture, ...]


def plan_measurement(
    space: SearchSpace,
    counts: CountTable,
    *,
    max_blocks: int = MAX_BLOCKS,
    whole: int = 40,
    seed: int = 0,
) -> Plan:
    """Chooses the networks that show what each block of a space costs.

    Args:
        space: Whose blocks to measure.
        counts: Counts of its blocks.
        max_blocks: Above this many blocks a sample is measured, spread over type and size.
        whole: Random networks of the space that are timed too.
        seed: Of every random choice.
    """
    rng = np.random.default_rng(seed)
    chosen = _spread_sample(space.blocks, counts, max_blocks)
    networks: dict[str, Architecture] = {}
    macs = np.array([counts[block].macs.at(1) for block in space.blocks] + [0])
    for index in chosen:
        host = _cheapest_host(space, int(index), macs, rng)
        networks.setdefault(host.id, host)
        repeated = with_copies(host, space.blocks[index], counts, COPIES)
        if repeated is not None:
            networks.setdefault(repeated.id, repeated)
    drawn = {a.id: a for a in map(space.decode, space.random_codes(2 * whole, rng))}
    others = [architecture for key, architecture in drawn.items() if key not in networks]
    # In a small space half of what is left is left for the certificate.
    networks |= {a.id: a for a in others[: min(whole, len(others) // 2)]}
    wanted = {space.blocks[i] for i in chosen}
    return Plan(
        blocks=tuple(block for block in space.blocks if block in wanted),
        unmeasured=tuple(block for block in space.blocks if block not in wanted),
        networks=tuple(networks.values()),
    )


def measure_table(
    space: SearchSpace,
    runtime: Runtime,
    counts: CountTable,
    *,
    plan: Plan | None = None,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> LatencyTable:
    """Measures the blocks of a space on this machine; the table has no certificate yet.

    Args:
        space: Whose blocks to measure.
        runtime: Prepares the networks; its setting becomes the table's.
        counts: Counts of the space's blocks.
        plan: What to time; :func:`plan_measurement` with its defaults when absent.
        progress: Called after each visit.
        clock: Monotonic seconds.
    """
    plan = plan or plan_measurement(space, counts)
    jobs: list[Architecture | None] = [None, *plan.networks]
    visits, core = time_networks(jobs, runtime, progress=progress, clock=clock)
    return _solve(space, plan, visits, counts, runtime, local_device(), core)


def estimate_s(plan: Plan, runtime: Runtime, certificate: int) -> float:
    """About how many seconds a plan and its certificate will take, from timing a few networks."""
    sample = plan.networks[:: max(1, len(plan.networks) // PILOT)]
    start = time.monotonic()
    time_networks(sample, runtime)
    first = time.monotonic()
    time_networks(sample, runtime)
    again = time.monotonic() - first
    # The first time, the graph of each block is made; after that it is known.
    blocks = len({block for network in sample for block in network.blocks})
    each_block = max(0.0, first - start - again) / blocks
    networks = len(plan.networks) + certificate
    return again / len(sample) * networks + each_block * len(plan.blocks)


def certify(
    table: LatencyTable,
    space: SearchSpace,
    runtime: Runtime,
    price: Callable[[Architecture], float],
    *,
    networks: int = 40,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> Certificate | None:
    """Measures networks that a table was not fitted to, each twice.

    ``None`` where the space has no other network: the error of such a table is not known.

    Args:
        table: The frozen table; the networks are drawn with its checksum as the seed.
        space: Where they are drawn from.
        runtime: Prepares them.
        price: What is certified: seconds of a network by the table and whatever predicts the
            blocks that it does not hold.
        networks: How many; fewer in a space that has no more.
        progress: Called after each visit.
        clock: Monotonic seconds.
    """
    rng = np.random.default_rng(int(table.sha256, 16))
    fitted = set(table.conditions["fitted"])
    drawn: dict[str, Architecture] = {}
    for row in space.random_codes(networks * DRAWS, rng):
        architecture = space.decode(row)
        if architecture.id not in fitted:
            drawn.setdefault(architecture.id, architecture)
        if len(drawn) == networks:
            break
    if not drawn:
        return None
    visits, _ = time_networks(list(drawn.values()), runtime, progress=progress, clock=clock)
    reference_s = float(table.conditions["reference_s"])
    measured = []
    for architecture, pair in zip(drawn.values(), visits, strict=True):
        first, second = (v.p10 * reference_s for v in pair)
        measured.append(
            Measured(architecture.id, architecture.space, price(architecture), (first, second))
        )
    return Certificate(_now(), table.sha256, tuple(measured))


def time_networks(
    jobs: Sequence[Architecture | None],
    runtime: Runtime,
    *,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
    seed: int = 0,
) -> tuple[list[list[Visit]], int | None]:
    """Times networks in shuffled rounds, each in turn with the reference.

    Args:
        jobs: Networks; ``None`` for the one that does nothing.
        runtime: Prepares them.
        progress: Called after each visit.
        clock: Monotonic seconds.
        seed: Of the order.

    Returns:
        For each network its visits, one a round; and the core that was used.
    """
    rng = np.random.default_rng(seed)
    visits: list[list[Visit]] = [[] for _ in jobs]
    total, done, start = len(jobs) * VISITS, 0, time.monotonic()
    with on_one_core() if runtime.setting.threads == 1 else nullcontext() as core:
        reference = prepare_reference(runtime)
        for _ in range(VISITS):
            for index in rng.permutation(len(jobs)):
                run: Run = runtime.prepare(jobs[index])
                visits[index].append(visit(run, reference, clock=clock))
                done += 1
                if progress is not None:
                    each = (time.monotonic() - start) / done
                    progress(done, total, each * (total - done))
    return visits, core


def _spread_sample(blocks: Sequence[Block], counts: CountTable, limit: int) -> NDArray[np.int64]:
    """Indices of all blocks, or of ``limit`` that lie farthest apart in type and log size."""
    if len(blocks) <= limit:
        return np.arange(len(blocks))
    features = np.log1p(_features(blocks, counts))
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-9)
    types = [type(block).__qualname__ for block in blocks]
    apart = 10.0 * np.array([[a == b for b in sorted(set(types))] for a in types], dtype=float)
    points = np.concatenate([features, apart], axis=1)
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    distance[chosen] = -1  # Equal counts are at distance 0, and still another block.
    while len(chosen) < limit:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        distance[chosen] = -1
    return np.array(sorted(chosen))


def _cheapest_host(
    space: SearchSpace, block: int, macs: NDArray[np.int64], rng: np.random.Generator
) -> Architecture:
    """A network of the space that holds the block and little else."""
    rows = space.random_codes(HOST_TRIES, rng)
    slot, choices = space.place(block)
    rows[:, slot] = choices
    indices = space.block_indices(rows)
    holds = (indices == block).any(axis=1)
    cost = macs[indices].sum(axis=1)
    return space.decode(rows[np.argmin(np.where(holds, cost, np.iinfo(np.int64).max))])


def with_copies(
    host: Architecture, block: Block, counts: CountTable, copies: int
) -> Architecture | None:
    """The network with further copies of the block after it, where its output fits its input."""
    if block.input_shapes != (counts[block].output_shape,):
        return None
    at = host.blocks.index(block)
    shift = [copies if i > at else 0 for i in range(len(host))]
    moved = [
        Node(
            node.block,
            tuple(s + copies if s >= at else s for s in node.inputs) if i > at else node.inputs,
            None if node.tie is None else node.tie + shift[node.tie],
            tuple((own, source + shift[source], there) for own, source, there in node.shared),
        )
        for i, node in enumerate(host)
    ]
    extra = [Node(block, (at + i,)) for i in range(copies)]
    nodes = (*moved[: at + 1], *extra, *moved[at + 1 :])
    return Architecture(host.space, dict(host.config), nodes)


def _features(blocks: Sequence[Block], counts: CountTable) -> NDArray[np.float64]:
    """Operators, MACs and memory traffic of each block: ``[blocks, 3]``."""
    return np.array(
        [[counts[b].operators, counts[b].macs.at(1), counts[b].access.at(1)] for b in blocks],
        dtype=float,
    )


def _solve(
    space: SearchSpace,
    plan: Plan,
    visits: list[list[Visit]],
    counts: CountTable,
    runtime: Runtime,
    device: Device,
    core: int | None,
) -> LatencyTable:
    from scipy.optimize import nnls

    held = {block for network in plan.networks for block in network.blocks}
    blocks = (*plan.blocks, *(block for block in plan.unmeasured if block in held))
    column = {block: i + 1 for i, block in enumerate(blocks)}
    design = np.zeros((len(visits), len(blocks) + 1))
    design[:, 0] = 1.0
    for row, architecture in enumerate(plan.networks, start=1):
        for block in architecture.blocks:
            design[row, column[block]] += 1
    ratios = {
        name: np.array([[getattr(v, name) for v in pair] for pair in visits])
        for name in ("p10", "p50", "p90")
    }
    observed = ratios["p10"].mean(axis=1)
    repeats = np.diff(np.log(ratios["p10"]), axis=1)
    noise = max(float(np.median(np.abs(repeats))) * 1.48 / 2, NOISE_FLOOR)
    coarse = np.concatenate([np.eye(1, 4), np.pad(_features(blocks, counts), ((0, 0), (1, 0)))])
    scale = np.maximum(coarse.max(axis=0), 1e-12)
    weighted = (design @ coarse / scale) / observed[:, None]
    prior = (coarse / scale) @ nnls(weighted, np.ones(len(observed)))[0]
    prior = np.maximum(prior, 1e-4 * prior.max())
    # Unknowns are relative departures from the prior; rows are relative errors.
    rows = design * prior / observed[:, None]
    precision = rows.T @ rows / noise**2 + np.eye(len(prior)) / PRIOR_SPREAD**2
    covariance = np.linalg.inv(precision)

    def posterior(values: NDArray[np.float64]) -> NDArray[np.float64]:
        residual = (values - design @ prior) / observed
        departure: NDArray[np.float64] = covariance @ (rows.T @ residual) / noise**2
        solution: NDArray[np.float64] = prior * (1 + departure)
        return solution

    seconds = {name: posterior(values.mean(axis=1)) for name, values in ratios.items()}
    spread = 1.96 * prior * np.sqrt(np.diag(covariance))
    references = np.array([v.reference_s for pair in visits for v in pair])
    reference_s = float(np.median(references))
    runs = np.array([sum(v.n for v in pair) for pair in visits])
    times = (design > 0).T @ runs

    def timing(index: int) -> Timing:
        values = {name: float(array[index]) * reference_s for name, array in seconds.items()}
        # A quantile cannot lie below a lower one; the solution of each is its own.
        p10 = max(values["p10"], 0.0)
        p50 = max(values["p50"], p10)
        half = float(spread[index]) * reference_s
        return Timing(
            value_s=p10,
            p10_s=p10,
            p50_s=p50,
            p90_s=max(values["p90"], p50),
            low_s=max(p10 - half, 0.0),
            high_s=p10 + half,
            n=int(times[index]),
        )

    fitted = design @ seconds["p10"] / observed - 1
    return LatencyTable(
        device=device,
        setting=runtime.setting,
        space=space.name,
        digest=space_digest(space),
        overhead=timing(0),
        entries={block_key(block): timing(column[block]) for block in plan.blocks},
        conditions={
            "date": _now(),
            "statistic": "p10 of runs in turn with the reference",
            "reference": "+".join(network.id for network in REFERENCES),
            "reference_s": reference_s,
            "reference_drift": float(np.quantile(references, 0.95) / np.quantile(references, 0.05)),
            "networks": len(visits),
            "visits": VISITS,
            "blocks_unmeasured": len(plan.unmeasured),
            "timing_noise": noise,
            "fit_error": float(np.abs(fitted).mean()),
            "core": core,
            "code": timing_code(space),
            "fitted": sorted(network.id for network in plan.networks),
        },
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
