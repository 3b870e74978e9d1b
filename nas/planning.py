"""What to measure in the time that there is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hw_profiles import Runtime
from hw_profiles.files import canonical_json, sha256_of
from hw_profiles.plan import Plan, plan_cover, plan_measurement
from hw_profiles.quantity import Quantity
from nas.errors import ExperimentError
from search_spaces import Architecture, CountTable, SearchSpace, UnionSpace

__all__ = [
    "SECONDS_OF",
    "Planner",
    "Sizes",
    "certificate_size",
    "interrupted_sizes",
    "plan_digest",
]

WHOLE = 40
"""Whole networks that a table is fitted to where there is time for them."""
ENERGY_NETWORKS, ENERGY_VISIT_S = 100, 1.5
"""Networks that a table of an energy is fitted to, and about how long one of them is run."""
SECONDS_OF = {"energy_j": "latency_s", "train_energy_j": "train_step_s"}
"""The table that one of an energy is measured beside: joules of a block go with its seconds."""
LEAST_BLOCKS, LEAST_WHOLE = 8, 8
"""With fewer blocks nothing is predicted, and with fewer networks their context is not seen."""


def certificate_size(space: SearchSpace, each: int) -> int:
    """Networks of a certificate of a space, so many of each family."""
    members = space.members.values() if isinstance(space, UnionSpace) else (space,)
    return sum(min(each, member.size) for member in members)


def plan_digest(plan: Plan) -> str:
    """Twelve hexadecimal digits of which networks a plan times."""
    return sha256_of(canonical_json([network.id for network in plan.networks]))[:12]


class Sizes(NamedTuple):
    """How large a plan is.

    Attributes:
        blocks: Blocks measured at most.
        whole: Whole networks that the table is fitted to.
    """

    blocks: int
    whole: int


@dataclass(frozen=True)
class Planner:
    """Plans for a quantity of a space's blocks.

    Attributes:
        space: Whose blocks to measure.
        counts: Counts of its blocks.
        runtime: With what.
        quantity: Which one.
        max_blocks: Blocks that are measured at most.
        certificate: Networks of each family that certify the table.
        also: Chains whose blocks are measured too.
    """

    space: SearchSpace
    counts: CountTable
    runtime: Runtime
    quantity: Quantity
    max_blocks: int
    certificate: int
    also: Sequence[Architecture] = ()

    @property
    def most(self) -> Sizes:
        """How large a plan is where there is time."""
        whole = ENERGY_NETWORKS if self.quantity.name in SECONDS_OF else WHOLE
        return Sizes(min(self.max_blocks, len(self.space.blocks)), whole)

    def plan(self, sizes: Sizes) -> Plan:
        """The networks to time; for an energy whole ones alone, as each takes long."""
        if self.quantity.name in SECONDS_OF:
            return plan_cover(self.space, networks=sizes.whole)
        plan = plan_measurement(
            self.space,
            self.counts,
            max_blocks=sizes.blocks,
            whole=sizes.whole,
            also=self.also,
        )
        return plan.of(self.quantity)

    def estimate_s(self, plan: Plan) -> float:
        """About how long a plan and its certificate take, from timing a few networks."""
        from hw_profiles.measurement import estimate_s

        certificate = certificate_size(self.space, self.certificate)
        if self.quantity.name in SECONDS_OF:
            return ENERGY_VISIT_S * (len(plan.networks) + 2 * certificate)
        return estimate_s(plan, self.runtime, certificate)

    def within(self, minutes: float) -> tuple[Sizes, float]:
        """What there is time for, and the seconds that it takes.

        Raises:
            ExperimentError: Even the least takes longer; the message says how long.
        """
        limit = 60 * minutes
        sizes = self.most
        least = Sizes(min(sizes.blocks, LEAST_BLOCKS), LEAST_WHOLE)
        seconds = self.estimate_s(self.plan(sizes))
        while seconds > limit:
            if sizes == least:
                raise ExperimentError(
                    f"`minutes` is {minutes:g}, but the least plan ({least.blocks} blocks, "
                    f"{least.whole} whole networks and {self.certificate} of each family for the "
                    f"certificate) takes about {seconds / 60:.1f}; give at least "
                    f"{math.ceil(seconds / 60)}, or fewer networks for the certificate."
                )
            share = min(limit / seconds, 0.9)
            sizes = Sizes(
                max(least.blocks, math.floor(share * sizes.blocks)),
                max(least.whole, math.floor(share * sizes.whole)),
            )
            seconds = self.estimate_s(self.plan(sizes))
        return sizes, seconds


def interrupted_sizes(path: Path, conditions: Mapping[str, Any]) -> Sizes | None:
    """Of a measurement that was interrupted, if it was this one.

    Args:
        path: Its journal.
        conditions: What it was made under, but for its plan.
    """
    try:
        with path.open() as file:
            kept = json.loads(file.readline())["conditions"]
        sizes = Sizes(*kept.pop("sizes"))
        del kept["plan"]
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return sizes if kept == json.loads(json.dumps(conditions)) else None
