"""Compound scaling (EfficientNet, Tan & Le 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search_spaces.validation import check_whole

__all__ = ["CompoundScaling"]

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""Growth of depth, width and resolution; ``ALPHA * BETA**2 * GAMMA**2`` is about 2."""


@dataclass(frozen=True, slots=True)
class CompoundScaling:
    """One coefficient that scales depth, width and resolution together.

    They grow by 1.2, 1.1 and 1.15 to the power of ``compound``, and MACs by about 2 to that power.
    A coefficient of 0 changes nothing, not even a width that is no multiple of the divisor.

    The released EfficientNets B1 to B7 use rounded multipliers in place of these powers (B1: depth
    1.1, width 1.0, 240 pixels), so they are told by depth, width and resolution themselves.

    Attributes:
        compound: The coefficient.
        divisor: Scaled widths are multiples of it.

    >>> scaling = CompoundScaling(compound=1, divisor=8)
    >>> scaling.depth(3), scaling.width(40), scaling.resolution(224)
    (4, 48, 258)
    """

    compound: float
    divisor: int

    def __post_init__(self) -> None:
        if type(self.compound) not in (int, float) or not math.isfinite(self.compound):
            raise ValueError(f"`compound` must be a finite number; got {self.compound!r}.")
        check_whole(self, "divisor")

    def depth(self, units: int) -> int:
        """Units of a stage, rounded up."""
        return math.ceil(units * math.pow(ALPHA, self.compound))

    def width(self, channels: int) -> int:
        """Channels, rounded to the nearest multiple that is not below 90 % of the scaled width."""
        if self.compound == 0:
            return channels
        scaled = channels * math.pow(BETA, self.compound)
        nearest = max(1, math.floor(scaled / self.divisor + 0.5)) * self.divisor
        return nearest if nearest >= 0.9 * scaled else nearest + self.divisor

    def resolution(self, pixels: int) -> int:
        """Height and width of the image, rounded to whole pixels."""
        return round(pixels * math.pow(GAMMA, self.compound))
