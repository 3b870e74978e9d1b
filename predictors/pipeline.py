"""How much of a training step a pipeline of devices stands idle, from the times of its stages.

Schedules and the bubble's definition are those of Narayanan et al. (2021, arXiv:2104.04473, section
2.2). Over an iteration of ``m`` micro-batches on ``p`` devices, its ideal time is that of the
devices' own work, and the bubble's fraction is the time beyond it over that ideal time (not over
the whole):

- ``gpipe`` (Huang et al. 2019, arXiv:1811.06965): all forward passes, then all backward passes;
- ``1f1b``: a few forward passes to fill the pipeline, then one forward and one backward in turn.
  Both have a fraction of ``(p - 1) / m`` where stages are balanced; ``1f1b`` holds the activations
  of ``p`` micro-batches at most instead of all ``m``;
- ``interleaved``: ``1f1b`` with ``v`` chunks of the network on each device, chunk ``c`` of device
  ``d`` being stage ``c * p + d``; ``(p - 1) / (m * v)`` where they are balanced.

Stages of unequal times have no such formula; the schedule is run through with their own. Sending
activations from device to device, the optimiser's step and data parallelism take no time here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np

from search_spaces import UnknownNameError

__all__ = [
    "BACKWARD_RATIO",
    "SCHEDULES",
    "Bubble",
    "network_bubble",
    "partition",
    "pipeline_bubble",
]

Schedule = Literal["gpipe", "1f1b", "interleaved"]
SCHEDULES: tuple[Schedule, ...] = ("gpipe", "1f1b", "interleaved")
BACKWARD_RATIO = 2.0
"""Backward over forward time where it was not measured, as Narayanan et al. (2021) assume."""


@dataclass(frozen=True, slots=True)
class Bubble:
    """One iteration of a pipeline.

    Attributes:
        time_s: From the first forward pass to the end of the last backward pass.
        busy_s: What each device computes in it.
    """

    time_s: float
    busy_s: tuple[float, ...]

    @property
    def ideal_s(self) -> float:
        """How long it would take if no device ever waited and all had the same to do."""
        return math.fsum(self.busy_s) / len(self.busy_s)

    @property
    def fraction(self) -> float:
        """Time beyond the ideal over the ideal: the devices' mean wait over their mean work."""
        return self.time_s / self.ideal_s - 1

    @property
    def imbalance(self) -> float:
        """The part of :attr:`fraction` that no number of micro-batches mends: the busiest device's
        work over the mean, less one."""
        return max(self.busy_s) / self.ideal_s - 1


def pipeline_bubble(
    stage_s: Sequence[float],
    micro_batches: int,
    schedule: Schedule = "1f1b",
    *,
    backward_s: Sequence[float] | None = None,
    chunks: int = 1,
) -> Bubble:
    """Runs a schedule through with the stages' times.

    Args:
        stage_s: Forward seconds of a micro-batch in each stage, in the network's order: one stage
            for each device, or ``chunks`` for ``interleaved``.
        micro_batches: In an iteration; for ``interleaved`` a multiple of the devices.
        schedule: One of :data:`SCHEDULES`.
        backward_s: Backward seconds; without them, twice the forward ones.
        chunks: Stages of each device; above 1 only for ``interleaved``.

    Raises:
        UnknownNameError: There is no such schedule.
        ValueError: A time is negative, NaN or infinite, all are 0, or the numbers do not fit.

    Four balanced stages and eight micro-batches wait (4 - 1) / 8 of their work, and half as much
    with two chunks:

    >>> pipeline_bubble([0.25] * 4, 8).fraction
    0.375
    >>> pipeline_bubble([0.125] * 8, 8, "interleaved", chunks=2).fraction
    0.1875
    """
    if schedule not in SCHEDULES:
        raise UnknownNameError("schedule", schedule, SCHEDULES)
    for name, value in (("micro_batches", micro_batches), ("chunks", chunks)):
        _check_whole(name, value)
    forward = _checked("stage_s", stage_s)
    if backward_s is None:
        backward = [BACKWARD_RATIO * seconds for seconds in forward]
    else:
        backward = _checked("backward_s", backward_s)
    if len(backward) != len(forward):
        raise ValueError(
            f"`backward_s` must have a time for each of the {len(forward)} stages; got "
            f"{len(backward)}."
        )
    if not any(forward) and not any(backward):
        raise ValueError("`stage_s` must not be all 0; there is nothing to wait for.")
    if chunks > 1 and schedule != "interleaved":
        raise ValueError(f"`chunks` above 1 are for 'interleaved'; got {chunks} for {schedule!r}.")
    if len(forward) % chunks:
        raise ValueError(
            f"`stage_s` must have {chunks} stages for each device; got {len(forward)} in all."
        )
    devices = len(forward) // chunks
    if schedule == "interleaved" and micro_batches % devices:
        raise ValueError(
            f"`micro_batches` must be a multiple of the devices for 'interleaved'; got "
            f"{micro_batches} on {devices}."
        )
    orders = [_order(device, devices, micro_batches, schedule, chunks) for device in range(devices)]
    busy = [
        micro_batches * math.fsum((*forward[device::devices], *backward[device::devices]))
        for device in range(devices)
    ]
    return Bubble(_run_through(orders, forward, backward), tuple(busy))


def network_bubble(
    block_s: Sequence[float],
    devices: int,
    micro_batches: int,
    schedule: Schedule = "1f1b",
    *,
    backward_s: Sequence[float] | None = None,
    chunks: int = 1,
) -> Bubble:
    """Splits a network by :func:`partition` and runs a schedule through.

    Args:
        block_s: Forward seconds of a micro-batch in each block, in the network's order.
        devices: In the pipeline.
        micro_batches: See :func:`pipeline_bubble`, as for the others.
        schedule: One of :data:`SCHEDULES`.
        backward_s: Backward seconds of each block; without them, twice the forward ones.
        chunks: Stages of each device.

    Raises:
        ValueError: See :func:`pipeline_bubble`; or there are fewer blocks than stages.
    """
    _check_whole("devices", devices)
    _check_whole("chunks", chunks)
    forward = _checked("block_s", block_s)
    backward = (
        [BACKWARD_RATIO * s for s in forward]
        if backward_s is None
        else _checked("backward_s", backward_s)
    )
    if len(backward) != len(forward):
        raise ValueError(
            f"`backward_s` must have a time for each of the {len(forward)} blocks; got "
            f"{len(backward)}."
        )
    both = [f + b for f, b in zip(forward, backward, strict=True)]
    ends = list(accumulate(partition(both, devices * chunks)))
    stages = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return pipeline_bubble(
        [math.fsum(forward[stage]) for stage in stages],
        micro_batches,
        schedule,
        backward_s=[math.fsum(backward[stage]) for stage in stages],
        chunks=chunks,
    )


def partition(times: Sequence[float], stages: int) -> tuple[int, ...]:
    """Splits a row of blocks into stages so that the longest stage is as short as it can be.

    Exact, by dynamic programming over where the last stage begins: ``O(stages * blocks**2)``.

    Args:
        times: Of each block, in the network's order.
        stages: How many; each gets at least one block.

    Returns:
        How many blocks each stage has.

    Raises:
        ValueError: There are fewer blocks than stages, or a time is negative, NaN or infinite.

    >>> partition([1, 1, 1, 1, 4, 2], 3)
    (4, 1, 1)
    """
    _check_whole("stages", stages)
    times = _checked("times", times)
    if len(times) < stages:
        raise ValueError(
            f"`stages` must not exceed the blocks, as each has at least one; got {stages} stages "
            f"for {len(times)} blocks."
        )
    sums = np.array([0.0, *accumulate(times)])
    # Longest stage over the first `i` blocks, first in one stage and then in one more each time.
    longest = np.where(np.arange(len(sums)) > 0, sums, np.inf)
    last = sums[:, None] - sums[None, :]  # `[i, j]`: the stage of blocks `j` to `i`.
    last[np.triu_indices(len(sums))] = np.inf
    begins = []
    for _ in range(stages - 1):
        split = np.maximum(longest[None, :], last)
        begins.append(split.argmin(axis=1))
        longest = split.min(axis=1)
    sizes, end = [], len(times)
    for begin in reversed(begins):
        sizes.append(end - int(begin[end]))
        end = int(begin[end])
    return (end, *reversed(sizes))


class _Pass(NamedTuple):
    backward: bool
    stage: int
    micro_batch: int


def _order(
    device: int, devices: int, micro_batches: int, schedule: Schedule, chunks: int
) -> list[_Pass]:
    """What a device does, one after the other."""
    units = range(micro_batches * chunks)
    group = devices * chunks
    if schedule == "interleaved":
        # Micro-batches go in groups of as many as there are devices, through one chunk at a time.
        places = [(u % group // devices, u // group * devices + u % devices) for u in units]
        warm = 2 * (devices - device - 1) + (chunks - 1) * devices
    else:
        places = [(0, unit) for unit in units]
        warm = devices - device - 1 if schedule == "1f1b" else micro_batches
    forward = [_Pass(False, chunk * devices + device, micro) for chunk, micro in places]
    backward = [
        _Pass(True, (chunks - 1 - chunk) * devices + device, micro) for chunk, micro in places
    ]
    warm = min(warm, len(units))
    turns = zip(forward[warm:], backward, strict=False)
    return [
        *forward[:warm],
        *(step for turn in turns for step in turn),
        *backward[len(units) - warm :],
    ]


def _run_through(
    orders: Sequence[Sequence[_Pass]], forward: Sequence[float], backward: Sequence[float]
) -> float:
    """When the last pass ends, each starting as soon as its device and its input are there."""
    ends: dict[_Pass, float] = {}
    free, done = [0.0] * len(orders), [0] * len(orders)
    left = sum(map(len, orders))
    while left:
        before = left
        for device, order in enumerate(orders):
            while done[device] < len(order):
                step = order[done[device]]
                needs = _input(step, len(forward))
                if needs is not None and needs not in ends:
                    break
                start = max(free[device], 0.0 if needs is None else ends[needs])
                seconds = (backward if step.backward else forward)[step.stage]
                free[device] = ends[step] = start + seconds
                done[device] += 1
                left -= 1
        assert left < before, "A schedule waits for itself."
    return max(free)


def _input(step: _Pass, stages: int) -> _Pass | None:
    """The pass whose output another one takes."""
    if not step.backward:
        return _Pass(False, step.stage - 1, step.micro_batch) if step.stage else None
    if step.stage == stages - 1:
        return _Pass(False, step.stage, step.micro_batch)
    return _Pass(True, step.stage + 1, step.micro_batch)


def _checked(name: str, times: Sequence[float]) -> list[float]:
    values = [float(seconds) for seconds in times]
    if not values:
        raise ValueError(f"`{name}` is empty; give the seconds of each.")
    for value in values:
        if not 0 <= value < math.inf:
            raise ValueError(f"`{name}` must be numbers, 0 or more; got {value!r} among them.")
    return values


def _check_whole(name: str, value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"`{name}` must be a whole number above 0; got {value!r}.")
