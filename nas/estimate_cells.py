"""Cells of tables that show estimates with their intervals, and probabilities."""

from __future__ import annotations

import math

import numpy as np

from nas.paired_tests import Estimate
from nas.report_document import Cell, number
from nas.shares import percent

__all__ = ["number_cell", "p_cell", "share_cell"]

SMALL_P = 1e-4
"""What p is only said to be below of."""


def share_cell(estimate: Estimate, whole: float = 1.0, *, sign: bool = False) -> Cell:
    """An estimate as a share in per cent.

    Args:
        estimate: The estimate.
        whole: What it is a share of.
        sign: Whether a plus is said.

    >>> share_cell(Estimate(1.0, 0.5, 3.0, 0.96), 2.0, sign=True)
    Cell(text='+50 %', note='25 % to 150 %', value=0.5, title='')
    """
    value, low, high = (end / whole for end in (estimate.value, estimate.low, estimate.high))
    return _cell(value, percent(value), (low, percent(low)), percent(high), sign)


def number_cell(estimate: Estimate, *, sign: bool = False) -> Cell:
    """An estimate as a number.

    Args:
        estimate: The estimate.
        sign: Whether a plus is said.

    >>> number_cell(Estimate(12.0, -3.0, 40.0, 0.96))
    Cell(text='12', note='-3 to 40', value=12.0, title='')
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    return _cell(value, number(value), (low, number(low)), number(high), sign)


def p_cell(p: float) -> Cell:
    """A probability.

    >>> p_cell(0.0123).text, p_cell(1e-6).text
    ('0.012', '< 0.0001')
    """
    return Cell(f"{p:.2g}" if p >= SMALL_P else f"< {SMALL_P:.4f}", "", p)


def _cell(value: float, text: str, low: tuple[float, str], high: str, sign: bool) -> Cell:
    plus = "+" * (sign and math.isfinite(value) and not text.startswith("-"))
    # Beyond every other where it is out of reach; JavaScript reads it.
    sortable = float(np.nan_to_num(value, nan=-1e300, posinf=1e300, neginf=-1e300))
    return Cell(f"{plus}{text}", "" if math.isnan(low[0]) else f"{low[1]} to {high}", sortable)
