"""Tolerance: the difference of two measurements that is no more than their error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError

__all__ = ["Tolerance"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The difference up to which two measurements count as the same.

    Attributes:
        value: In the unit of the column, or as a share of the smaller of the two in size.
        relative: Which of these it is.
    """

    value: float = 0.0
    relative: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.value < (1 if self.relative else math.inf):
            raise ValueError(
                f"`value` must be at least 0 and finite, as a share below 1; got {self.value}."
            )

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """``"5%"`` is relative, ``"0.1"`` is in the unit of the column.

        Raises:
            ExperimentError: It is neither.

        >>> Tolerance.parse("5%"), Tolerance.parse("0.1")
        (Tolerance(value=0.05, relative=True), Tolerance(value=0.1, relative=False))
        """
        relative = text.strip().endswith("%")
        try:
            number = float(text.strip().removesuffix("%"))
            return cls(number / 100 if relative else number, relative)
        except ValueError as error:
            raise ExperimentError(
                f"A measurement error is a share below `100%`, such as `5%`, or at least 0 in the "
                f"unit of its column; got {text!r}."
            ) from error

    def __str__(self) -> str:
        return f"{self.value:.3g}" if not self.relative else f"{100 * self.value:.3g} %"

    def below(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What another value must be below to be less than each by more than the tolerance.

        >>> Tolerance(0.05).below(np.array([1.05, 1.06])) > 1.0
        array([False,  True])
        """
        # A difference that is just the limit, but for rounding, is within it.
        size = self.value * (1 + 1e-9)
        if not self.relative:
            return values - size
        least: NDArray[np.float64] = np.where(values > 0, values / (1 + size), values * (1 + size))
        return least

    def same(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values differ by no more; none where one is NaN."""
        same: NDArray[np.bool_] = np.minimum(a, b) >= self.below(np.maximum(a, b))
        return same
