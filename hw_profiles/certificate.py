"""Certificates: how wrong a table's sums are on whole networks that it was not fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["Certificate", "Measured", "Score", "kendall_tau", "score"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A whole network of a certificate.

    Attributes:
        architecture: Its id.
        family: Name of its space.
        predicted: What the table says, in its quantity's unit.
        measured: Two independent measurements of it.
        tail: Median, 90 % and 99 % quantile of all runs, without the reference: the machine's drift
            is in them.
        n: Runs.
    """

    architecture: str
    family: str
    predicted: float
    measured: tuple[float, float]
    tail: tuple[float, float, float]
    n: int

    def __post_init__(self) -> None:
        values = (self.predicted, *self.measured, *self.tail)
        if len(values) != 6 or not all(map(math.isfinite, values)) or min(values) < 0:
            raise ValueError(
                f"Network {self.architecture} of the certificate must have a prediction, two "
                f"measurements and three quantiles, finite and at least 0; got {values}."
            )
        if not all(self.measured):
            raise ValueError(f"Network {self.architecture} cannot have been measured at 0.")

    @property
    def error(self) -> float:
        """Predicted over the mean measured, less one."""
        return self.predicted / float(np.mean(self.measured)) - 1

    @property
    def repeat_error(self) -> float:
        """Second measurement over the first, less one: the A/A figure."""
        return self.measured[1] / self.measured[0] - 1


@dataclass(frozen=True, slots=True)
class Score:
    """Figures over the networks of one family; shares and errors as fractions.

    Attributes:
        n: Networks.
        bias: Mean relative error.
        mape: Mean absolute relative error.
        within_5: Share within ±5 %.
        within_5_low: Lower end of its one-sided 95 % interval (Clopper & Pearson 1934).
        within_10: Share within ±10 %.
        within_10_low: Likewise the lower end.
        tau: Kendall rank correlation of predicted and measured.
        aa_within_5: Share of networks whose second measurement is within ±5 % of the first.
        aa_within_10: Likewise ±10 %.
        aa_tau: Kendall rank correlation of the two measurements.
        quantile_95: 95 % quantile of the absolute relative error; the half-width of intervals.
    """

    n: int
    bias: float
    mape: float
    within_5: float
    within_5_low: float
    within_10: float
    within_10_low: float
    tau: float
    aa_within_5: float
    aa_within_10: float
    aa_tau: float
    quantile_95: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """Networks drawn after the table was frozen, measured, and what they show.

    Attributes:
        date: When, in ISO 8601, UTC.
        seed: What the networks were drawn with: the table's checksum.
        measured: The raw figures.
    """

    date: str
    seed: str
    measured: tuple[Measured, ...]

    @property
    def families(self) -> dict[str, Score]:
        """Figures of each family, and of ``"all"``."""
        return dict(_scores(self.measured))

    def half_width(self, family: str) -> float:
        """Relative half-width of a 95 % interval for a network of the family."""
        families = self.families
        return families.get(family, families["all"]).quantile_95

    def of_family(self, family: str) -> tuple[Measured, ...]:
        """Its networks of a family; all of them where it has none of that."""
        return tuple(m for m in self.measured if m.family == family) or self.measured

    def probability_within(self, predicted: float, limit: float, family: str) -> float:
        """Probability that a network of a family, by its predicted value, stays within a limit.

        Of the networks of the certificate the share whose error would leave it there, with half a
        network added on either side, since none of n is not never.
        """
        errors = np.array([m.error for m in self.of_family(family)])
        kept = int((predicted / (1 + errors) <= limit).sum())
        return (kept + 0.5) / (len(errors) + 1)

    def tail_factor(self, position: int, family: str) -> tuple[float, float, float]:
        """What a network's predicted value is multiplied by for a quantile of its runs.

        Args:
            position: Into :attr:`Measured.tail`.
            family: Of the network.

        Returns:
            The median of measured quantile over predicted value, and the ends of the range that
            95 % of the networks are in.
        """
        factors = [m.tail[position] / m.predicted for m in self.of_family(family)]
        low, middle, high = (float(q) for q in np.quantile(factors, (0.025, 0.5, 0.975)))
        return middle, low, high

    def to_json(self) -> dict[str, Any]:
        """The raw figures and the scores."""
        return asdict(self) | {"families": {k: asdict(v) for k, v in self.families.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Certificate:
        """Reads back what :meth:`to_json` wrote; the scores are computed anew."""
        measured = tuple(
            Measured(**(dict(item) | {key: tuple(item[key]) for key in ("measured", "tail")}))
            for item in data["measured"]
        )
        return cls(data["date"], data["seed"], measured)


@lru_cache(maxsize=64)
def _scores(measured: tuple[Measured, ...]) -> Mapping[str, Score]:
    names = sorted({m.family for m in measured})
    groups = {name: [m for m in measured if m.family == name] for name in names}
    return {name: score(group) for name, group in groups.items()} | {"all": score(measured)}


def score(measured: Sequence[Measured]) -> Score:
    """Figures over some networks; the definitions stand at :class:`Score`."""
    error = np.array([m.error for m in measured])
    repeat = np.abs([m.repeat_error for m in measured])
    absolute = np.abs(error)
    within_5, within_10 = (int((absolute <= limit).sum()) for limit in (0.05, 0.10))
    return Score(
        n=len(measured),
        bias=float(error.mean()),
        mape=float(absolute.mean()),
        within_5=within_5 / len(measured),
        within_5_low=_lower_bound(within_5, len(measured)),
        within_10=within_10 / len(measured),
        within_10_low=_lower_bound(within_10, len(measured)),
        tau=kendall_tau(
            [m.predicted for m in measured], [float(np.mean(m.measured)) for m in measured]
        ),
        aa_within_5=float((repeat <= 0.05).mean()),
        aa_within_10=float((repeat <= 0.10).mean()),
        aa_tau=kendall_tau([m.measured[0] for m in measured], [m.measured[1] for m in measured]),
        quantile_95=float(np.quantile(absolute, 0.95)),
    )


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b of two sequences; 0 where it is not defined, a sequence being constant.

    >>> round(kendall_tau([1, 2, 3], [1, 3, 2]), 4)
    0.3333
    """
    if len(set(a)) < 2 or len(set(b)) < 2:
        return 0.0
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _lower_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, successes, n - successes + 1)) if successes else 0.0
