"""Whether a certificate still holds: its networks held against others that were measured since.

For each family two questions, each answered against the certificate only where chance would not
explain it:

- The share within ±10 %. The certificate claims at least the lower end of its one-sided 95 %
  interval (Clopper & Pearson 1934); it no longer holds where the upper end of the new share's
  interval lies below that. If the share is unchanged, this happens in under 2 % of cases.
- The bias. It no longer holds where the mean error has moved by more than 2 points even at the
  nearer end of the 99 % interval of the move (Welch 1947). Sessions on the same machine differ by
  up to about that.

Where nothing changed, one of the two says otherwise in under 3 % of cases.

Either can also come of a machine that was busy, which repeating each measurement shows (A/A).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_profiles.certificate import Certificate, Score

__all__ = ["MAX_BIAS_MOVE", "MAX_REPEAT", "Finding", "compare", "upper_bound"]

MAX_BIAS_MOVE = 0.02
"""What the mean error may move by between two sessions."""

MAX_REPEAT = 0.1
"""Above this 90 % quantile of the difference between two measurements of a network, the machine was
too busy to tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What new measurements say of a certificate's claim for one family.

    Attributes:
        family: Name of the space.
        certified: Figures of the certificate.
        found: Figures of the new networks.
        within_10_high: Upper end of the one-sided 95 % interval of the new share within ±10 %.
        bias_move: New mean error less the certificate's.
        bias_half: Half-width of the 99 % interval of that; infinite for fewer than two networks.
        repeat_90: 90 % quantile of the difference between the two measurements of a network.
    """

    family: str
    certified: Score
    found: Score
    within_10_high: float
    bias_move: float
    bias_half: float
    repeat_90: float

    @property
    def noisy(self) -> bool:
        """Whether the new measurements are too far from each other to tell."""
        return self.repeat_90 > MAX_REPEAT

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the claim no longer holds; none where it does."""
        reasons = []
        if self.within_10_high < self.certified.within_10_low:
            reasons.append(
                f"{self.found.within_10:.0%} of {self.found.n} networks are within ±10 %, so at "
                f"most {self.within_10_high:.1%} of all; the certificate says at least "
                f"{self.certified.within_10_low:.1%}"
            )
        if abs(self.bias_move) - self.bias_half > MAX_BIAS_MOVE:
            reasons.append(
                f"the bias moved from {self.certified.bias:+.1%} to {self.found.bias:+.1%} "
                f"(±{self.bias_half:.1%}), by more than {MAX_BIAS_MOVE:.0%}"
            )
        if reasons and self.noisy:
            reasons.append(
                f"the machine was too busy to tell: one network in ten differs by more than "
                f"{self.repeat_90:.0%} from itself; repeat it when it is quieter"
            )
        return tuple(reasons)

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the claim."""
        return not self.reasons


def compare(certificate: Certificate, found: Certificate) -> Mapping[str, Finding]:
    """Findings by family, for those that both have networks of.

    Args:
        certificate: What was claimed.
        found: The same of other networks, measured since.
    """
    families = sorted({m.family for m in certificate.measured} & {m.family for m in found.measured})
    return {family: _finding(family, certificate, found) for family in families}


def _finding(family: str, certificate: Certificate, found: Certificate) -> Finding:
    old, new = certificate.families[family], found.families[family]
    errors = [
        np.array([m.error for m in c.measured if m.family == family]) for c in (certificate, found)
    ]
    repeats = [abs(m.repeat_error) for m in found.measured if m.family == family]
    return Finding(
        family=family,
        certified=old,
        found=new,
        within_10_high=upper_bound(round(new.within_10 * new.n), new.n),
        bias_move=new.bias - old.bias,
        bias_half=_welch_half_width(*errors),
        repeat_90=float(np.quantile(repeats, 0.9)),
    )


def upper_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """Upper end of the one-sided interval of a share (Clopper & Pearson 1934).

    >>> round(upper_bound(0, 20), 4)
    0.1391
    """
    from scipy.stats import beta

    if successes == n:
        return 1.0
    return float(beta.ppf(confidence, successes + 1, n - successes))


def _welch_half_width(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Half-width of the 99 % interval of the difference of two means (Welch 1947)."""
    if min(len(a), len(b)) < 2:
        return math.inf
    from scipy.stats import t

    parts = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True)
    )
    return float(t.ppf(0.995, freedom)) * math.sqrt(sum(parts))
