"""Shares where a person reads them."""

from __future__ import annotations

import numpy as np

__all__ = ["percent", "times"]


def percent(share: float) -> str:
    """A share where a person reads.

    >>> percent(0.0123), percent(0.31), percent(float("inf"))
    ('1.2 %', '31 %', 'out of reach')
    """
    if not np.isfinite(share):
        return "out of reach" if share > 0 else "unknown"
    return f"{100 * share:.1f} %" if abs(share) < 0.0995 else f"{100 * share:.0f} %"


def times(excess: float) -> str:
    """How many times as much it is that is more by a share.

    >>> times(1.25), times(0.0), times(float("inf"))
    ('2.25', '1', 'out of reach')
    """
    return f"{1 + excess:.3g}" if np.isfinite(excess) else percent(excess)
