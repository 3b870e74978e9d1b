"""Getting ready to price: counts and tables of a space, kept from before or made now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hw_profiles import BlockTable, Runtime
from hw_profiles.code import timing_code
from hw_profiles.gauge import gauge_of
from hw_profiles.journal import Journal
from hw_profiles.quantity import quantity as find_quantity
from hw_profiles.store import Store
from nas.errors import ExperimentError, VerificationError
from nas.experiment import Experiment, MeasurementConfig
from nas.planning import (
    SECONDS_OF,
    Planner,
    certificate_size,
    interrupted_sizes,
    plan_digest,
)
from nas.progress import Reporter
from predictors import TablePredictor
from predictors.table_predictor import with_model
from search_spaces import Architecture, Block, CountTable, SearchSpace

__all__ = [
    "count_space",
    "describe_table",
    "doubt_of",
    "measure",
    "ready_table",
    "report_others",
    "report_table",
    "warn_of_table",
]

DOUBTFUL = 0.8
"""A share of networks within 10 % below which a table is warned of."""
REPEATED = 0.9
"""A share of networks whose second measurement is within 10 % of the first, below which the machine
was too busy."""


def count_space(space: SearchSpace, store: Store, report: Reporter) -> CountTable:
    """Counts of every block of a space; those not kept from before are traced and kept."""
    counts = store.counts(space)
    missing = list(counts.missing(space.blocks))
    if missing:
        with report.bar("Counting blocks") as bar:
            for done, block in enumerate(missing, start=1):
                counts[block]
                bar(done, len(missing))
        store.save_counts(counts, space)
    return counts


def ready_table(
    space: SearchSpace,
    experiment: Experiment,
    counts: CountTable,
    store: Store,
    report: Reporter,
    quantity: str = "latency_s",
) -> BlockTable:
    """This machine's table of a quantity of a space: the kept one if it is valid, or a new one."""
    config = experiment.measurement
    runtime = config.make_runtime(quantity)
    setting, what = runtime.setting, f"Table of {quantity}"
    table, reason = store.valid_table(runtime.device, setting, space, quantity)
    if table is not None:
        planned = len(space.blocks) - int(table.conditions["blocks_unmeasured"])
        if planned < min(config.max_blocks, len(space.blocks)):
            table, reason = None, f"the kept table was made for {planned} blocks only"
    if table is not None:
        report.line(f"{what}: kept from {table.conditions['date']} ({setting.name}).")
        report_table(table, report)
        return table
    report.line(f"{what}: {reason}, so it is measured now.")
    return measure(space, config, counts, store, report, quantity=quantity)


def measure(
    space: SearchSpace,
    config: MeasurementConfig,
    counts: CountTable,
    store: Store,
    report: Reporter,
    *,
    quantity: str = "latency_s",
    minutes: float | None = None,
    strict: bool = False,
    also: Sequence[Architecture] = (),
) -> BlockTable:
    """Measures and keeps a table of this machine for a space.

    Every visit is kept as it is made: after an interrupt the same call goes on where it was.

    Args:
        space: Whose blocks to measure.
        config: How.
        counts: Counts of its blocks.
        store: Where the table is kept.
        report: Told how far it is, and what to think of the table.
        quantity: Which quantity.
        minutes: About how long it may take; blocks and whole networks are chosen to fit.
        strict: Whether a table that a busy machine made noisy is refused.
        also: Chains of which the table is to hold the blocks too.

    Raises:
        ExperimentError: There is no such setting, there are too few minutes for any plan, or an
            energy is asked for before the seconds that it goes with are known.
        UnavailableError: This machine has not what it takes.
        VerificationError: The table is noisy, and ``strict`` was asked for; it is not kept.
    """
    from hw_profiles.measurement import certify, measure_table

    runtime, of = config.make_runtime(quantity), find_quantity(quantity)
    gauge, beside = gauge_of(of, runtime), None
    if quantity in SECONDS_OF:
        beside = _beside(SECONDS_OF[quantity], space, runtime, counts, store)
    planner = Planner(space, counts, runtime, of, config.max_blocks, config.certificate, also)
    path = store.journal_path(runtime.setting, quantity, space)
    conditions = {
        "device": runtime.device.identity,
        "setting": runtime.setting.to_json(),
        "quantity": quantity,
        "minutes": minutes,
        "max_blocks": config.max_blocks,
        "also": [network.id for network in also],
        "code": timing_code(space),
    }
    sizes, seconds = interrupted_sizes(path, conditions), None
    if sizes is None and minutes is not None:
        sizes, seconds = planner.within(minutes)
    sizes = sizes or planner.most
    plan = planner.plan(sizes)
    seconds = planner.estimate_s(plan) if seconds is None else seconds
    report.line(
        f"Timing {len(plan.blocks)} of {len(plan.blocks) + len(plan.unmeasured)} blocks in "
        f"{len(plan.networks)} networks and {certificate_size(space, config.certificate)} more for "
        f"the certificate: about {seconds:.0f} s."
    )
    journal = Journal(path, conditions | {"sizes": sizes, "plan": plan_digest(plan)})
    with report.bar("Timing networks") as bar:
        table = measure_table(
            space,
            runtime,
            counts,
            of=quantity,
            plan=plan,
            progress=lambda done, total, left: bar(done, total, f"about {left:.0f} s left"),
            journal=journal,
            make_gauge=gauge,
            beside=beside,
        )
    table = with_model(table, counts)
    predictor = TablePredictor(table, counts)
    with report.bar("Certifying") as bar:
        certificate = certify(
            table,
            space,
            runtime,
            lambda architecture: predictor.price(architecture).value,
            networks=config.certificate,
            progress=lambda done, total, left: bar(done, total, f"about {left:.0f} s left"),
            journal=journal,
            make_gauge=gauge,
        )
    table = replace(table, certificate=certificate)
    doubt = doubt_of(table)
    if not (strict and doubt):
        store.save_table(table, space)
    # Visits of a busy machine are no use to the next attempt either.
    journal.close()
    if strict and doubt:
        raise VerificationError(
            f"The table of {table.name} is noisy: {doubt}. It was not written; measure on a "
            "quieter machine (see `hwnas doctor`)."
        )
    report_table(table, report)
    return table


def _beside(
    quantity: str, space: SearchSpace, runtime: Runtime, counts: CountTable, store: Store
) -> Callable[[Block], float]:
    """Seconds of a block by the kept table.

    Raises:
        ExperimentError: There is none that holds.
    """
    table, reason = store.valid_table(runtime.device, runtime.setting, space, quantity)
    if table is None:
        raise ExperimentError(
            f"An energy is measured beside a table of {quantity}, but {reason}; measure that first."
        )
    return TablePredictor(table, counts).block_value


def describe_table(table: BlockTable) -> str:
    """One line on how far a table can be trusted."""
    certificate = table.certificate
    if certificate is None:
        return f"The table of {table.name} has no certificate: its error is not known."
    score = certificate.families["all"]
    ranks = f", Kendall tau {score.tau:.2f} (repeated: {score.aa_tau:.2f})" if score.n > 1 else ""
    return (
        f"Certificate on {score.n} whole networks the table was not fitted to: "
        f"{score.within_10:.0%} within ±10 %, {score.within_5:.0%} within ±5 % "
        f"(repeated measurement: {score.aa_within_5:.0%}), bias {score.bias:+.1%}{ranks}."
    )


def doubt_of(table: BlockTable) -> str:
    """Why the machine was too busy for a table; empty where it was not."""
    from hw_profiles.measurement import MAX_DRIFT, MAX_REPEAT

    conditions, certificate = table.conditions, table.certificate
    if conditions.get("noisy", False):
        return (
            f"the reference's own time ranged over {conditions['reference_drift'] - 1:.0%} (limit "
            f"{MAX_DRIFT - 1:.0%}), and one network in ten differed by more than "
            f"{conditions['repeat_90']:.0%} from itself (limit {MAX_REPEAT:.0%})"
        )
    repeated = 1.0 if certificate is None else certificate.families["all"].aa_within_10
    if repeated < REPEATED:
        return f"only {repeated:.0%} of the networks measured twice agree within ±10 %"
    return ""


def report_table(table: BlockTable, report: Reporter) -> None:
    """Says how far a table can be trusted, with a warning where that is not far."""
    report.line(describe_table(table))
    warn_of_table(table, report)


def report_others(profile: str, tables: Iterable[BlockTable], report: Reporter) -> None:
    """Says how far each table of another machine can be trusted."""
    for table in tables:
        report.line(f"{profile}, {table.name}: {describe_table(table)}")


def warn_of_table(table: BlockTable, report: Reporter) -> None:
    """Says so where the machine was busy, or many networks are far from what the table says."""
    doubt = doubt_of(table)
    if doubt:
        report.line(f"Warning: the table of {table.name} is noisy: {doubt}.")
    score = table.certificate.families["all"] if table.certificate else None
    if score is not None and score.within_10 < DOUBTFUL:
        report.line(
            f"Warning: only {score.within_10:.0%} of the networks are within ±10 % of the table. "
            "Raise `measurement.max_blocks`, or measure on a quieter machine (see `hwnas doctor`)."
        )
