"""What stands at the ticks of an axis, the same in a page and in an SVG file."""

from __future__ import annotations

import math
import re

__all__ = ["label_lines", "log_ticks", "tick_text"]

FEW_TICKS = 6
LINE = 24
"""Characters of a line of a label, where its name can be broken."""


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round numbers on a logarithmic axis between two positive ends, few enough to be read.

    >>> log_ticks(0.8, 30)
    (1.0, 2.0, 5.0, 10.0, 20.0)
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{s}e{power}") for power in range(first, last + 1) for s in steps]
        within = tuple(tick for tick in ticks if low <= tick <= high)
        if len(within) <= FEW_TICKS:
            return within
    return within[:: math.ceil(len(within) / FEW_TICKS)]


def tick_text(tick: float) -> str:
    """What stands at a tick.

    >>> tick_text(0.05), tick_text(2000), tick_text(5e6)
    ('0.05', '2,000', '5M')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tick >= size and tick >= 1e4:
            return f"{tick / size:,g}{letter}"
    return f"{tick:,g}"


def label_lines(name: str) -> tuple[str, ...]:
    """A name in lines that are short enough for an axis: broken after ``@`` and ``:`` alone.

    >>> label_lines("latency_s@nvidia-h200:cudagraph-fp16-b1"), label_lines("energy_j@local")
    (('latency_s@nvidia-h200:', 'cudagraph-fp16-b1'), ('energy_j@local',))
    """
    lines = [""]
    for part in filter(None, re.split(r"(?<=[@:])", name)):
        if lines[-1] and len(lines[-1] + part) > LINE:
            lines.append("")
        lines[-1] += part
    return tuple(lines)
