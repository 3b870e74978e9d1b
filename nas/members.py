"""What is learned of the members of a final set only: test quality, and their whole latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hw_profiles import RUNTIMES, LatencyTable
from nas.candidates import Candidate
from nas.experiment import MeasurementConfig
from nas.indicators import Value
from nas.progress import Reporter
from nas.quality import Quality
from nas.run_folder import RunFolder
from nas.splits import Dataset

__all__ = ["known_tests", "measure_members", "score_members"]


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
    table: LatencyTable,
    config: MeasurementConfig,
    report: Reporter,
) -> tuple[Candidate, ...]:
    """The members with the latency of the whole network, in the table's seconds."""
    from hw_profiles.measurement import time_networks

    runtime = RUNTIMES[config.runtime](threads=config.threads)
    with report.bar("Measuring members") as bar:
        visits, _ = time_networks(
            [member.architecture for member in members],
            runtime,
            progress=lambda done, total, left: bar(done, total),
        )
    reference_s = float(table.conditions["reference_s"])
    measured = []
    for member, pair in zip(members, visits, strict=True):
        seconds = [visit.p10 * reference_s for visit in pair]
        value = Value(float(np.mean(seconds)), min(seconds), max(seconds), "measured")
        measured.append(replace(member, measured={"latency_s@local": value}))
    return tuple(measured)
