"""A table of models: what each is good for and what it costs, by every indicator, with gaps.

It is what indicators are compared on, whether the models stand in a file or were found by
searches. Values are kept as they were given; `costs`, `loss` and `log_costs` turn what is maximised
round, so that there less is better everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.tolerance import Tolerance
from nas.uncertainty import UNKNOWN_RESOLUTION

if TYPE_CHECKING:
    from nas.comparison import Comparison

__all__ = ["ALL", "ModelTable"]

ALL = "all"
"""What stands for every cost at once beside the names of single ones."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelTable:
    """Models with a quality and costs, each of which may be missing.

    Attributes:
        names: What a person knows each model by: ``[models]``.
        quality: What the quality is called.
        scores: As stored, NaN where it is missing: ``[models]``.
        indicators: What the costs are called.
        values: As stored, NaN where one is missing: ``[models, indicators]``.
        maximized: Of which names, that of the quality included, more is better.
        families: Family of each model; nothing is known of them when empty.
        strata: Labels of each model by the name of what tells groups apart that are not to be
            mixed, such as how they were trained.
        tolerances: Measurement error by name; what is not there is exact.
    """

    names: tuple[str, ...]
    quality: str
    scores: NDArray[np.float64]
    indicators: tuple[str, ...]
    values: NDArray[np.float64]
    maximized: frozenset[str] = frozenset()
    families: tuple[str, ...] = ()
    strata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, columns = len(self.names), (self.quality, *self.indicators)
        if self.scores.shape != (n,) or self.values.shape != (n, len(self.indicators)):
            raise ValueError(
                f"`scores` and `values` must be of {n} models and {len(self.indicators)} "
                f"indicators; got shapes {self.scores.shape} and {self.values.shape}."
            )
        if np.isinf(self.scores).any() or np.isinf(self.values).any():
            raise ValueError("`scores` and `values` must be finite, or NaN where they are missing.")
        for name in columns:
            if columns.count(name) > 1 or name == ALL:
                raise ExperimentError(
                    f"Quality and costs must each have a name of its own other than `{ALL}`; got "
                    f"{', '.join(columns)}."
                )
        if not self.indicators:
            raise ExperimentError("There is no cost to compare by; name at least one.")
        strangers = (set(self.maximized) | set(self.tolerances)) - set(columns)
        if strangers:
            raise ExperimentError(
                f"{', '.join(sorted(strangers))} is neither the quality nor a cost: these are "
                f"{', '.join(columns)}."
            )
        for labels in (self.families, *self.strata.values()):
            if labels and len(labels) != n:
                raise ValueError(f"There must be a label for each of {n} models: {len(labels)}.")

    @classmethod
    def of_comparison(
        cls,
        comparison: Comparison,
        tolerances: Mapping[str, Tolerance] | None = None,
        *,
        told: bool = False,
    ) -> ModelTable:
        """The models that the arms of a comparison evaluated.

        Args:
            comparison: What was searched.
            tolerances: As the attribute. What no certificate tells the error of counts as the same
                within 10 %; that is taken of all that a device decides when absent.
            told: Whether the quality is what searches were told, in the mean over them, rather
                than what was scored where no search looked. Every model has the first.
        """
        scores = comparison.scored
        if told:
            total, count = np.zeros(len(scores)), np.zeros(len(scores))
            for run in comparison.runs:
                np.add.at(total, run.models, run.told)
                np.add.at(count, run.models, 1)
            scores = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return cls(
            _distinct([model.label for model in comparison.models]),
            comparison.quality,
            scores,
            comparison.names,
            comparison.values,
            _maximized(comparison),
            tuple(model.family for model in comparison.models),
            tolerances=_tolerances(comparison) if tolerances is None else tolerances,
        )

    @classmethod
    def of_population(
        cls, comparison: Comparison, tolerances: Mapping[str, Tolerance] | None = None
    ) -> ModelTable:
        """Random members of the space, of which no quality is known; arguments as above."""
        n = len(comparison.population)
        return cls(
            tuple(f"member {i}" for i in range(n)),
            comparison.quality,
            np.full(n, np.nan),
            comparison.names,
            comparison.population,
            _maximized(comparison),
            tolerances=_tolerances(comparison) if tolerances is None else tolerances,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def costs(self) -> NDArray[np.float64]:
        """``values``, what is maximised negated: ``[models, indicators]``."""
        return self.values * self._signs

    @property
    def loss(self) -> NDArray[np.float64]:
        """``scores``, negated where more is better: ``[models]``."""
        return -self.scores if self.quality in self.maximized else self.scores

    @property
    def log_costs(self) -> NDArray[np.float64]:
        """Logarithms, negated of what is maximised: ``[models, indicators]``.

        So their differences are logarithms of how many times as costly one is as another, and a
        throughput is the latency that it is one over. NaN of what is 0 or below.
        """
        positive = np.where(self.values > 0, self.values, np.nan)
        return np.log(positive) * self._signs

    @property
    def _signs(self) -> NDArray[np.float64]:
        return np.where([name in self.maximized for name in self.indicators], -1.0, 1.0)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which models have a quality and every cost: ``[models]``."""
        known: NDArray[np.bool_] = ~np.isnan(self.scores) & ~np.isnan(self.values).any(axis=1)
        return known

    @property
    def missing(self) -> dict[str, int]:
        """How many models lack the quality, and each cost."""
        gaps = np.isnan(np.column_stack([self.scores, self.values])).sum(axis=0)
        return dict(zip((self.quality, *self.indicators), gaps.tolist(), strict=True))

    def tolerance(self, name: str) -> Tolerance:
        """The measurement error of a column."""
        return self.tolerances.get(name, Tolerance())

    def position(self, name: str) -> int:
        """Where a cost stands among the indicators.

        Raises:
            ExperimentError: It is none of them.
        """
        if name not in self.indicators:
            raise ExperimentError(
                f"`{name}` is none of the costs, which are {', '.join(self.indicators)}."
            )
        return self.indicators.index(name)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> ModelTable:
        """The same of some models, by position or by truth values."""
        kept = np.flatnonzero(rows) if rows.dtype == bool else rows
        return ModelTable(
            tuple(self.names[i] for i in kept),
            self.quality,
            self.scores[kept],
            self.indicators,
            self.values[kept],
            self.maximized,
            tuple(self.families[i] for i in kept) if self.families else (),
            {name: tuple(labels[i] for i in kept) for name, labels in self.strata.items()},
            self.tolerances,
        )


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels, numbered where several models have one."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return tuple(result)


def _maximized(comparison: Comparison) -> frozenset[str]:
    names = {indicator.name for indicator in comparison.indicators if indicator.maximize}
    return frozenset(names | ({comparison.quality} if comparison.maximize else set()))


def _tolerances(comparison: Comparison) -> dict[str, Tolerance]:
    return {
        indicator.name: Tolerance(UNKNOWN_RESOLUTION)
        for indicator in comparison.indicators
        if indicator.needs_profile
    }
