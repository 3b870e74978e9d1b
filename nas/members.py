"""What is learned of the members of a final set only: test quality, and their whole latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from hw_profiles import BlockTable, Measured
from hw_profiles.certificate import score as score_of
from nas.candidates import Candidate
from nas.experiment import MeasurementConfig
from nas.indicators import LOCAL
from nas.progress import Reporter
from nas.quality import Quality
from nas.run_folder import RunFolder
from nas.splits import Dataset
from predictors import Value

__all__ = ["front_certificate", "known_tests", "measure_members", "score_members"]

QUANTILES = {"latency_p50_s": 0.5, "latency_p90_s": 0.9, "latency_p99_s": 0.99}
"""In the order of :attr:`hw_profiles.Measured.tail`."""


def known_tests(run: RunFolder) -> dict[str, Quality]:
    """Test qualities that the run's set already holds: each is computed once."""
    earlier = run.read_pareto().members if run.pareto.exists() else ()
    return {m.id: m.test_quality for m in earlier if m.test_quality is not None}


def score_members(
    run: RunFolder, members: Sequence[Candidate], dataset: Dataset
) -> tuple[Candidate, ...]:
    """The members with their test quality; one that the run's set already holds is kept.

    Raises:
        CorruptFileError: The weights of a member cannot be read.
    """
    from nas.training import load_network, score

    known = known_tests(run)
    tested = []
    for member in members:
        if member.id not in known:
            network = load_network(member.architecture, run.load_weights(member.id))
            error = score(network, dataset.fitted(member.architecture).test, dataset.measure)
            known[member.id] = dataset.measure.quality("test", error)
        tested.append(replace(member, test_quality=known[member.id]))
    return tuple(tested)


def measure_members(
    members: Sequence[Candidate],
    table: BlockTable,
    config: MeasurementConfig,
    report: Reporter,
) -> tuple[tuple[Candidate, ...], tuple[Measured, ...]]:
    """The members with the latency of the whole network, and what was measured of each.

    The latency is in the table's seconds, its quantiles in the machine's at that moment.

    Args:
        members: What to measure.
        table: Of this machine.
        config: How it was made.
        report: Told how far it is.
    """
    from hw_profiles.measurement import reference_seconds, time_networks, whole
    from hw_profiles.timing import reference_called

    runtime = config.make_runtime()
    with report.bar("Measuring members") as bar:
        visits, _ = time_networks(
            [member.architecture for member in members],
            runtime,
            reference=reference_called(table.conditions["reference"]),
            visits=2,
            progress=lambda done, total, left: bar(done, total),
        )
    latency = f"latency_s@{LOCAL}"
    reference_s = reference_seconds(table, runtime, visits)
    measured, known = [], []
    for member, pair in zip(members, visits, strict=True):
        predicted = member.indicators[latency].value
        found = whole(member.architecture, predicted, pair, reference_s)
        seconds = found.measured
        values = {latency: Value(float(np.mean(seconds)), *_ends(seconds), "measured")}
        for (name, quantile), value in zip(QUANTILES.items(), found.tail, strict=True):
            each = [float(np.quantile(visit.runs_s, quantile)) for visit in pair]
            values[f"{name}@{LOCAL}"] = Value(value, *_ends((*each, value)), "measured")
        measured.append(replace(member, measured=values))
        known.append(found)
    return tuple(measured), tuple(known)


def front_certificate(measured: Sequence[Measured]) -> dict[str, float] | None:
    """How far the members' predicted latency is from the measured; ``None`` without members.

    They are no sample of the space: a search picks where the table errs low.
    """
    return asdict(score_of(measured)) if measured else None


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
