"""How much of training a pipeline of devices would stand idle, by a profile's block times."""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import ExperimentError
from nas.indicators import Indicator
from predictors import ProfilePricer, Value
from predictors.pipeline import BACKWARD_RATIO, SCHEDULES, Schedule, network_bubble
from search_spaces import Architecture, UnknownNameError

__all__ = ["PIPELINE_BUBBLE", "Pipeline", "pipeline_bubble"]

PIPELINE_BUBBLE = Indicator(
    "pipeline_bubble",
    "1",
    "training",
    "Time of a step beyond the devices' own work, over that work (Narayanan et al. 2021), where "
    "blocks are split into stages so that the longest is as short as it can be.",
    "bubble",
    needs_profile=True,
)
"""Of a stated pipeline, so no experiment names it."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Devices in a row that train one network.

    Attributes:
        stages: Devices.
        micro_batches: Micro-batches of a step, each of the setting's batch.
        schedule: One of :data:`predictors.pipeline.SCHEDULES`.
        chunks: Pieces of the network on each device; more than one for ``interleaved``.

    Raises:
        UnknownNameError: There is no such schedule.
    """

    stages: int
    micro_batches: int
    schedule: Schedule = "1f1b"
    chunks: int = 1

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UnknownNameError("schedule", self.schedule, SCHEDULES)


def pipeline_bubble(architecture: Architecture, device: ProfilePricer, pipeline: Pipeline) -> Value:
    """The bubble of a pipeline that trains an architecture on devices of a profile.

    A block's backward pass takes twice its forward pass: of a training step's seconds that is two
    thirds, and where only the latency was measured, twice that.

    Raises:
        ExperimentError: The network cannot be split like that, or the profile has no seconds.
    """
    training = device.predictor("train_step_s", architecture.space)
    predictor = training or device.predictor("latency_s", architecture.space)
    if predictor is None:
        raise ExperimentError(f"`--stages` needs seconds: {device.reason('latency_s')}.")
    share = 1 / (1 + BACKWARD_RATIO) if training is not None else 1.0
    block_s = [share * predictor.block_value(block) for block in architecture.blocks]
    try:
        bubble = network_bubble(
            block_s,
            pipeline.stages,
            pipeline.micro_batches,
            pipeline.schedule,
            chunks=pipeline.chunks,
        )
    except ValueError as error:
        raise ExperimentError(f"`--stages`, `--micro-batches`: {error}") from error
    estimate = predictor.price(architecture)
    source = predictor.table.quantity
    at = (
        f"{pipeline.stages} stages, {pipeline.micro_batches} micro-batches, {pipeline.schedule}"
        f"{f' of {pipeline.chunks} chunks' if pipeline.chunks > 1 else ''}; from {source}"
        f"{'' if training is not None else ', as no training step was measured there'}; "
        f"{bubble.imbalance:.3g} of it from unequal stages"
    )
    return Value(bubble.fraction, None, None, estimate.provenance, at)
