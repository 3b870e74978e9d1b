"""Making a table of a space's blocks: planned, timed, solved and certified.

A block timed alone is not the block inside a network: the runtime lays out memory anew at its
edges and a run has a fixed cost. So only whole networks are timed. Each block stands in a short
network of the space, and, where its output can be its own input, in one with further copies of it,
whose weights are their own; some whole networks of the space are timed as well. What each block
adds follows from all of them together (:mod:`hw_profiles.solver`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np

from hw_profiles.cache import WEIGHT_BYTES, Weights
from hw_profiles.certificate import Certificate, Measured
from hw_profiles.code import timing_code
from hw_profiles.files import sha256_of
from hw_profiles.gauge import Gauge, MakeGauge, Stopwatch
from hw_profiles.journal import Journal
from hw_profiles.plan import Plan, features, plan_measurement
from hw_profiles.quantity import quantity
from hw_profiles.runtime import Runtime
from hw_profiles.solver import design_of, solve
from hw_profiles.table import BlockTable, Entry, space_digest
from hw_profiles.timing import (
    Reference,
    Visit,
    reference_called,
    reference_for,
    reference_id,
)
from search_spaces import Architecture, Block, CountTable, SearchSpace, block_key
from search_spaces.space_fields import space_fields

__all__ = [
    "certificate_networks",
    "certify",
    "estimate_s",
    "measure_table",
    "reference_seconds",
    "time_networks",
    "whole",
]

Progress = Callable[[int, int, float], None]
"""Told the visits done, all of them, and the seconds that remain."""

PILOT = 6
DRAWS = 20
"""Random networks drawn for each one that a certificate needs, repeats and fitted ones apart."""
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
MAX_DRIFT, MAX_REPEAT, MAX_DISTURBED = 1.5, 0.1, 0.5
"""Range of the reference, 90 % quantile of the difference between two visits, and share of visits
with no quiet moment, above which a table is called noisy."""
ATTEMPTS = 3
"""Times that visits with no quiet moment are made again."""
DISTURBED_WEIGHT = 0.3
"""Of a network that was never timed in a quiet moment, where one that was weighs 1: seen, the two
are 3 to 5 % and 1 to 2 % apart from one visit to the next."""


def measure_table(
    space: SearchSpace,
    runtime: Runtime,
    counts: CountTable,
    *,
    of: str = "latency_s",
    plan: Plan | None = None,
    progress: Progress | None = None,
    journal: Journal | None = None,
    make_gauge: MakeGauge = Stopwatch,
    beside: Callable[[Block], float] | None = None,
) -> BlockTable:
    """Measures the blocks of a space on this machine; the table has no certificate yet.

    Args:
        space: Whose blocks to measure.
        runtime: Prepares and times the networks; its setting becomes the table's.
        counts: Counts of the space's blocks.
        of: Which quantity, of those that are timed.
        plan: What to time; :func:`plan_measurement` with its defaults when absent.
        progress: Called after each visit.
        journal: Keeps each visit, and holds those of a measurement that was interrupted.
        make_gauge: How networks are visited; by the clock unless the quantity is an energy.
        beside: Another quantity of any block that this one goes with, as energy goes with seconds.
            Then blocks that no network held are entered too, with what it says of them and no runs.
    """
    journal = Journal() if journal is None else journal
    plan = (plan or plan_measurement(space, counts)).of(quantity(of))
    jobs: list[Architecture | None] = [None, *plan.networks]
    batch = runtime.setting.batch
    macs = [sum(counts[b].macs.at(batch) for b in network.blocks) for network in plan.networks]
    reference = reference_for(runtime, float(np.median(macs)))
    visits, core, gauge = _visit_networks(
        jobs, runtime, reference, None, progress, journal, phase="table", make_gauge=make_gauge
    )
    held = {block for network in plan.networks for block in network.blocks}
    unheld = (block for block in plan.unmeasured if block in held or beside is not None)
    blocks = (*plan.blocks, *unheld)
    entered = plan.blocks if beside is None else blocks
    calm = [[v for v in job if not v.disturbed] for job in visits]
    counted = [undisturbed or job for undisturbed, job in zip(calm, visits, strict=True)]
    observed = {
        name: np.array([np.mean([v.ratio(q) for v in job]) for job in counted])
        for name, q in ({"value": gauge.quantile} | QUANTILES).items()
    }
    repeated = [job for job in counted if job[1:]] or [job for job in visits if job[1:]]
    pairs = [[v.ratio(gauge.quantile) for v in job[:2]] for job in repeated]
    repeats = np.array([np.log(second / first) for first, second in pairs])
    # Of a mean over the visits: the difference of two has twice the variance of one.
    noise = float(np.median(np.abs(repeats)) * 1.48 / np.sqrt(2 * runtime.effort.visits))
    sizes = features(blocks, counts, batch)
    types = [type(block).__qualname__ for block in blocks]
    if beside is not None:
        sizes = np.column_stack([[beside(block) for block in blocks], sizes])
        types = [""] * len(blocks)  # What a type does to seconds, it has done to them already.
    weights = [Weights.of(job, counts) for job in jobs]
    solution = solve(
        design_of(jobs, blocks),
        observed,
        sizes,
        types,
        noise,
        WEIGHT_BYTES[runtime.setting.dtype] * np.array([w.elements for w in weights], dtype=float),
        np.array([w.tensors for w in weights], dtype=float),
        np.array([1.0 if undisturbed else DISTURBED_WEIGHT for undisturbed in calm]),
    )
    references = np.array([v.reference_s for job in counted for v in job])
    disturbed = float(np.mean([v.disturbed for job in visits for v in job]))
    reference_s = float(np.median(references))
    drift = float(np.quantile(references, 0.95) / np.quantile(references, 0.05))
    repeat = float(np.quantile(np.abs(np.expm1(repeats)), 0.9))
    runs: dict[Block | None, int] = {None: sum(v.n for job in visits for v in job)}
    for network, job in zip(plan.networks, visits[1:], strict=True):
        for block in set(network.blocks):
            runs[block] = runs.get(block, 0) + sum(v.n for v in job)

    def entry(index: int, block: Block | None) -> Entry:
        solved = {name: float(v[index]) * reference_s for name, v in solution.values.items()}
        value, p10 = max(solved["value"], 0.0), max(solved["p10"], 0.0)
        # A quantile cannot lie below a lower one; the solution of each is its own.
        p50 = max(solved["p50"], p10)
        half = 1.96 * float(solution.spread[index]) * reference_s
        return Entry(
            value=_rounded(value),
            p10=_rounded(p10),
            p50=_rounded(p50),
            p90=_rounded(max(solved["p90"], p50)),
            low=_rounded(max(value - half, 0.0)),
            high=_rounded(value + half),
            n=runs.get(block, 0),
        )

    cache = solution.cache
    if cache is not None:
        cache = replace(cache, per_tensor=_rounded(cache.per_tensor * reference_s))
    return BlockTable(
        quantity=of,
        device=runtime.device,
        setting=runtime.setting,
        space=space.name,
        digest=space_digest(space),
        overhead=entry(0, None),
        entries={block_key(block): entry(i, block) for i, block in enumerate(entered, start=1)},
        conditions={
            "date": journal.started,
            "statistic": gauge.statistic,
            "reference": reference_id(reference),
            "reference_s": reference_s,
            "reference_drift": drift,
            "networks": len(visits),
            "visits": runtime.effort.visits,
            "blocks_unmeasured": len(plan.unmeasured),
            "timing_noise": noise,
            "repeat_90": repeat,
            "disturbed": disturbed,
            "noisy": drift > MAX_DRIFT or repeat > MAX_REPEAT or disturbed > MAX_DISTURBED,
            "fit_error": solution.error,
            "core": core,
            "versions": dict(runtime.versions),
            "effort": asdict(runtime.effort),
            **gauge.conditions,
            "code": timing_code(space),
            "fitted": sorted(network.id for network in plan.networks),
        },
        cache=cache,
        spaces=tuple(space_fields(space)),
    )


def estimate_s(plan: Plan, runtime: Runtime, certificate: int) -> float:
    """About how many seconds a plan and its certificate will take, from timing a few networks.

    Args:
        plan: What will be timed.
        runtime: With what.
        certificate: Networks of the certificate.
    """
    sample = plan.networks[:: max(1, len(plan.networks) // PILOT)]
    start = time.monotonic()
    time_networks(sample, runtime, visits=1)
    first = time.monotonic()
    time_networks(sample, runtime, visits=1)
    again = time.monotonic() - first
    # The first time, the graph of each block is made; after that it is known.
    blocks = len({block for network in sample for block in network.blocks})
    each_block = max(0.0, first - start - again) / blocks
    visits = runtime.effort.visits * len(plan.networks) + 2 * certificate
    return again / len(sample) * visits + each_block * len(plan.blocks)


def certificate_networks(
    table: BlockTable, space: SearchSpace, each: int, salt: str = ""
) -> list[Architecture]:
    """Networks that a table was not fitted to, of each family.

    Args:
        table: The frozen table; the networks are drawn with its checksum as the seed.
        space: Where they are drawn from.
        each: How many of each family; fewer in a space that has no more.
        salt: Makes another draw, which leaves out the networks of the certificate.
    """
    rng = np.random.default_rng(int(sha256_of((table.sha256 + salt).encode()), 16))
    fitted, certified = set(table.conditions["fitted"]), set()
    if salt and table.certificate is not None:
        certified = {network.architecture for network in table.certificate.measured}
    network_of = quantity(table.quantity).network
    drawn: dict[str, dict[str, Architecture]] = {}
    seen: set[bytes] = set()
    for _ in range(DRAWS):
        codes = space.random_codes(2 * each, rng)
        for row, placed in zip(codes, space.placement_indices(codes), strict=True):
            if placed.tobytes() in seen:
                continue
            seen.add(placed.tobytes())
            architecture = space.decode(row)
            family = drawn.setdefault(architecture.space, {})
            left_out = architecture.id in certified or network_of(architecture).id in fitted
            if len(family) < each and not left_out:
                family.setdefault(architecture.id, architecture)
        if all(len(family) == each for family in drawn.values()):
            break
    return [architecture for family in drawn.values() for architecture in family.values()]


def certify(
    table: BlockTable,
    space: SearchSpace,
    runtime: Runtime,
    price: Callable[[Architecture], float],
    *,
    networks: int = 100,
    progress: Progress | None = None,
    journal: Journal | None = None,
    salt: str = "",
    make_gauge: MakeGauge = Stopwatch,
) -> Certificate | None:
    """Measures networks that a table was not fitted to, each twice.

    ``None`` where the space has no other network: the error of such a table is not known.

    Args:
        table: The frozen table.
        space: Where they are drawn from (:func:`certificate_networks`).
        runtime: Prepares them.
        price: What is certified: the value of a network by the table and whatever predicts the
            blocks that it does not hold.
        networks: How many of each family.
        progress: Called after each visit.
        journal: Keeps each visit.
        salt: Makes another draw.
        make_gauge: As for :func:`measure_table`.
    """
    drawn = certificate_networks(table, space, networks, salt)
    if not drawn:
        return None
    network_of = quantity(table.quantity).network
    visits, _, gauge = _visit_networks(
        [network_of(architecture) for architecture in drawn],
        runtime,
        reference_called(table.conditions["reference"]),
        2,
        progress,
        Journal() if journal is None else journal,
        phase=f"certificate {table.sha256[:12]}{salt}",
        make_gauge=make_gauge,
    )
    reference_s = reference_seconds(table, runtime, visits)
    measured = tuple(
        whole(architecture, price(architecture), job, reference_s, gauge.quantile)
        for architecture, job in zip(drawn, visits, strict=True)
    )
    return Certificate(now(), table.sha256 + salt, measured)


def reference_seconds(
    table: BlockTable, runtime: Runtime, visits: Sequence[Sequence[Visit]]
) -> float:
    """Seconds of the reference by which ratios of a later session are multiplied.

    A shared machine drifts from one session to the next, so there it is what the table says. A GPU
    keeps its clocks, and what differs is where in memory the reference happens to lie (seen: 5 % in
    fp32), so there it is what the session itself saw.
    """
    if runtime.effort.alternate:
        return float(table.conditions["reference_s"])
    return float(np.median([v.reference_s for job in visits for v in job]))


def whole(
    architecture: Architecture,
    predicted: float,
    visits: Sequence[Visit],
    reference_s: float,
    quantile: float = 0.1,
) -> Measured:
    """What two visits of a whole network say, in a table's unit."""
    first, second = (_rounded(v.ratio(quantile) * reference_s) for v in visits)
    runs = np.concatenate([v.runs_s for v in visits])
    p50, p90, p99 = (_rounded(float(q)) for q in np.quantile(runs, (0.5, 0.9, 0.99)))
    return Measured(
        architecture.id,
        architecture.space,
        _rounded(predicted),
        (first, second),
        (p50, p90, p99),
        len(runs),
    )


def time_networks(
    jobs: Sequence[Architecture | None],
    runtime: Runtime,
    *,
    reference: Reference | None = None,
    visits: int | None = None,
    progress: Progress | None = None,
    journal: Journal | None = None,
    phase: str = "",
    seed: int = 0,
) -> tuple[list[list[Visit]], int | None]:
    """Times networks in shuffled rounds, each in turn with the reference.

    Args:
        jobs: Networks; ``None`` for the one that does nothing.
        runtime: Prepares and times them.
        reference: What in turn with; the one for small networks, or the GPU's, when absent.
        visits: Rounds. When absent, as many as the runtime needs; if that is one, some networks are
            visited again, so that the noise is known.
        progress: Called after each visit.
        journal: Holds visits already made, and keeps those made now.
        phase: What they are for, as part of their keys in the journal.
        seed: Of the order.

    Returns:
        For each network its visits, one a round; and the core that was used.
    """
    done, core, _ = _visit_networks(
        jobs,
        runtime,
        reference or reference_for(runtime),
        visits,
        progress,
        Journal() if journal is None else journal,
        phase=phase,
        seed=seed,
    )
    return done, core


def _visit_networks(
    jobs: Sequence[Architecture | None],
    runtime: Runtime,
    reference: Reference,
    visits: int | None,
    progress: Progress | None,
    journal: Journal,
    *,
    phase: str,
    make_gauge: MakeGauge = Stopwatch,
    seed: int = 0,
) -> tuple[list[list[Visit]], int | None, Gauge]:
    """As :func:`time_networks`, by any gauge, which is returned too."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(len(jobs)) for _ in range(visits or runtime.effort.visits)]
    done: list[list[Visit]] = [[] for _ in jobs]
    with runtime.pinned() as core:
        gauge = make_gauge(runtime, reference)
        if visits is None and len(rounds) == 1:
            rounds.append(rng.permutation(len(jobs))[: gauge.repeated])
        order = [(number, int(index)) for number, row in enumerate(rounds) for index in row]

        def visit_all(order: Sequence[tuple[int, int]], again: str = "") -> Iterator[Visit]:
            made, start = 0, time.monotonic()
            for position, (number, index) in enumerate(order, start=1):
                job = jobs[index]
                key = f"{phase} {number}{again} {'nothing' if job is None else job.id}"
                timed = journal.get(key)
                if timed is None:
                    timed = gauge(runtime.prepare(job))
                    journal.add(key, timed)
                    made += 1
                yield timed
                if progress is not None:
                    each = (time.monotonic() - start) / max(made, 1)
                    progress(position, len(order), each * (len(order) - position))

        for (_, index), timed in zip(order, visit_all(order), strict=True):
            done[index].append(timed)
        for attempt in range(1, ATTEMPTS + 1):
            # Perhaps it is quieter now; and what quiet is, is known better.
            late = [place for place in order if _disturbed(done[place[1]][place[0]], gauge)]
            again = zip(late, visit_all(late, f" again {attempt}"), strict=True)
            for (number, index), timed in again:
                if not _disturbed(timed, gauge):
                    done[index][number] = timed
        for number, index in order:
            if _disturbed(done[index][number], gauge):
                done[index][number] = replace(done[index][number], quiet_s=())
    return done, core, gauge


def _disturbed(made: Visit, gauge: Gauge) -> bool:
    return made.disturbed or made.reference_s > gauge.limit_s


def _rounded(value: float) -> float:
    """To six digits, which is more than a timing has."""
    return float(f"{value:.6g}")


def now() -> str:
    """This moment, in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
