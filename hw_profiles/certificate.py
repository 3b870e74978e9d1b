"""Certificates: how wrong a table's sums are on whole networks that it was not fitted to."""

from __future__ import annotations

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
        predicted_s: What the table says.
        measured_s: Two independent measurements.
    """

    architecture: str
    family: str
    predicted_s: float
    measured_s: tuple[float, float]

    @property
    def error(self) -> float:
        """Predicted over the mean measured, less one."""
        return self.predicted_s / float(np.mean(self.measured_s)) - 1

    @property
    def repeat_error(self) -> float:
        """Second measurement over the first, less one: the A/A figure."""
        return self.measured_s[1] / self.measured_s[0] - 1


@dataclass(frozen=True, slots=True)
class Score:
    """Figures over the networks of one family; shares and errors as fractions.

    Attributes:
        n: Networks.
        bias: Mean relative error.
        mape: Mean absolute relative error.
        within_5: Share within ±5 %.
        within_10: Share within ±10 %.
        within_10_low: Lower end of its one-sided 95 % interval (Clopper & Pearson 1934).
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

    def to_json(self) -> dict[str, Any]:
        """The raw figures and the scores."""
        return asdict(self) | {"families": {k: asdict(v) for k, v in self.families.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Certificate:
        """Reads back what :meth:`to_json` wrote; the scores are computed anew."""
        measured = tuple(
            Measured(**(dict(item) | {"measured_s": tuple(item["measured_s"])}))
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
    within = int((absolute <= 0.10).sum())
    return Score(
        n=len(measured),
        bias=float(error.mean()),
        mape=float(absolute.mean()),
        within_5=float((absolute <= 0.05).mean()),
        within_10=within / len(measured),
        within_10_low=_lower_bound(within, len(measured)),
        tau=kendall_tau(
            [m.predicted_s for m in measured], [float(np.mean(m.measured_s)) for m in measured]
        ),
        aa_within_5=float((repeat <= 0.05).mean()),
        aa_within_10=float((repeat <= 0.10).mean()),
        aa_tau=kendall_tau(
            [m.measured_s[0] for m in measured], [m.measured_s[1] for m in measured]
        ),
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
