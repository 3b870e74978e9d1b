"""Getting ready to price: counts and a latency table for a space, kept from before or made now."""

from __future__ import annotations

from dataclasses import replace

from hw_profiles import RUNTIMES, LatencyTable, local_device
from hw_profiles.store import Store
from nas.experiment import Experiment, MeasurementConfig
from nas.indicators import Pricer
from nas.progress import Reporter
from predictors import LatencyPredictor
from search_spaces import (
    Architecture,
    CountTable,
    SearchSpace,
    TrainingSetup,
    UnknownNameError,
    block_from_key,
)

__all__ = [
    "count_space",
    "describe_table",
    "local_pricer",
    "measure",
    "ready_table",
    "report_table",
    "warn_of_table",
]

DOUBTFUL = 0.8
"""A share of networks within 10 % below which a table is warned of."""


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
    space: SearchSpace, experiment: Experiment, counts: CountTable, store: Store, report: Reporter
) -> LatencyTable:
    """The latency table of this machine for a space: the kept one if it is valid, or a new one."""
    config = experiment.measurement
    setting = RUNTIMES[config.runtime](threads=config.threads).setting
    table, reason = store.valid_table(local_device(), setting, space)
    if table is not None:
        planned = len(space.blocks) - int(table.conditions["blocks_unmeasured"])
        if planned < min(config.max_blocks, len(space.blocks)):
            table, reason = None, f"the kept table was made for {planned} blocks only"
    if table is not None:
        report.line(f"Latency table: kept from {table.conditions['date']} ({setting.name}).")
        report_table(table, report)
        return table
    report.line(f"Latency table: {reason}, so it is measured now.")
    return measure(space, config, counts, store, report)


def measure(
    space: SearchSpace,
    config: MeasurementConfig,
    counts: CountTable,
    store: Store,
    report: Reporter,
) -> LatencyTable:
    """Measures and keeps the latency table of this machine for a space."""
    from hw_profiles.measurement import certify, estimate_s, measure_table, plan_measurement

    runtime = RUNTIMES[config.runtime](threads=config.threads)
    plan = plan_measurement(space, counts, max_blocks=config.max_blocks)
    seconds = estimate_s(plan, runtime, config.certificate)
    report.line(
        f"Timing {len(plan.blocks)} of {len(space.blocks)} blocks in {len(plan.networks)} networks"
        f" and {config.certificate} more for the certificate: about {seconds:.0f} s."
    )
    with report.bar("Timing networks") as bar:
        table = measure_table(
            space,
            runtime,
            counts,
            plan=plan,
            progress=lambda done, total, left: bar(done, total, f"about {left:.0f} s left"),
        )
    predictor = LatencyPredictor(table, counts)
    with report.bar("Certifying") as bar:
        certificate = certify(
            table,
            space,
            runtime,
            lambda architecture: predictor.price(architecture).value_s,
            networks=config.certificate,
            progress=lambda done, total, left: bar(done, total),
        )
    table = replace(table, certificate=certificate)
    store.save_table(table, space)
    report_table(table, report)
    return table


def describe_table(table: LatencyTable) -> str:
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


def report_table(table: LatencyTable, report: Reporter) -> None:
    """Says how far a table can be trusted, with a warning where that is not far."""
    report.line(describe_table(table))
    warn_of_table(table, report)


def warn_of_table(table: LatencyTable, report: Reporter) -> None:
    """Says so where many networks of the certificate are far from what the table says."""
    score = table.certificate.families["all"] if table.certificate else None
    if score is not None and score.within_10 < DOUBTFUL:
        report.line(
            f"Warning: only {score.within_10:.0%} of the networks are within ±10 % of the table. "
            "Raise `measurement.max_blocks`, or measure on a quieter machine (see `hwnas doctor`)."
        )


def local_pricer(architecture: Architecture, store: Store, training: TrainingSetup) -> Pricer:
    """A pricer with this machine's table that holds most of an architecture's blocks, if any."""
    counts = store.counts()
    device = local_device()
    best: LatencyTable | None = None
    fewest = len(set(architecture.blocks))
    for table in store.local_tables().values():
        if table.differences(device, table.setting):
            continue
        missing = len(set(table.missing(architecture.blocks)))
        if missing and not _can_predict(table):
            continue
        if missing < fewest or (best is not None and missing == fewest):
            best, fewest = table, missing
    latency = {} if best is None else {"local": LatencyPredictor(best, counts)}
    return Pricer(counts, training, latency)


def _can_predict(table: LatencyTable) -> bool:
    """Whether each of its blocks is known: none of a user's own, or of an earlier version."""
    try:
        return all(block_from_key(key) for key in table.entries)
    except (UnknownNameError, ValueError):
        return False
