"""Uncertainty of candidates: how far quality and each indicator may be from what they will be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.candidates import Candidate, Evaluated
from nas.columns import QUALITY
from nas.indicators import split_name
from nas.quality import ERROR, Quality
from nas.splits import Dataset
from predictors import Value
from predictors.profile_pricer import COUNTED
from search_spaces import Architecture

__all__ = ["in_unit", "resolutions", "sampling_error", "sampling_errors", "standard_errors"]

NORMAL_95 = 1.959964
"""Half-width of a 95 % interval in standard errors."""
EXACT_RESOLUTION = 0.05
"""Relative difference that counts in what is exact.

A count stands for what a device will take, and there a network measured twice differs by about 5 %
(what certificates call A/A), so no device shows less.
"""
UNKNOWN_RESOLUTION = 0.1
"""Relative difference that counts where no certificate tells the error: tables are held to it."""


def sampling_error(quality: Quality, architecture: Architecture, dataset: Dataset) -> float | None:
    """Standard error of a quality, as the validation split is a sample; ``None`` if not known.

    Known for a share of wrong labels only, which is binomial (with one more of both kinds, as
    Agresti & Coull 1998 add, so that no error at all is not certain). That training again gives
    another network is not in it; between two networks on the same split it is less.
    """
    if dataset.measure is not ERROR or quality.name != f"validation_{ERROR.name}":
        return None
    n = dataset.fitted(architecture).validation.size
    share = min(1.0, (quality.value * n + 1) / (n + 2))
    return math.sqrt(share * (1 - share) / n)


def sampling_errors(candidates: Sequence[Candidate], dataset: Dataset) -> dict[str, float]:
    """What is known by :func:`sampling_error`, by the candidates' ids."""
    each = {c.id: sampling_error(c.quality, c.architecture, dataset) for c in candidates}
    return {key: error for key, error in each.items() if error is not None}


def standard_errors(
    candidates: Sequence[Evaluated], names: Sequence[str], quality_errors: Mapping[str, float]
) -> NDArray[np.float64]:
    """Standard error of quality, and of the logarithm of each indicator: ``[candidates, names]``.

    0 where it is exact, and where nothing is known of it.
    """
    return np.array(
        [
            [
                quality_errors.get(candidate.id, 0.0)
                if name == QUALITY
                else _log_error(name, candidate.indicators[name]) or 0.0
                for name in names
            ]
            for candidate in candidates
        ]
    )


def resolutions(
    candidates: Sequence[Evaluated], names: Sequence[str], quality_errors: Mapping[str, float]
) -> dict[str, float]:
    """Difference between two candidates that counts, of quality and each indicator.

    Of quality in its unit, of an indicator relative to it: half of the 95 % interval in the median
    over the candidates; at least 5 % of an indicator, which is also that of exact ones. Where the
    error is not known it is 5 % of quality, 10 % of an indicator. An indicator that is negative
    somewhere has it in its unit, as quality does (see :func:`in_unit`).
    """
    found = {}
    for name in names:
        if name == QUALITY:
            known = [quality_errors[c.id] for c in candidates if c.id in quality_errors]
            half = NORMAL_95 * float(np.median(known)) if known else 0.0
            found[name] = half or _typical([c.quality.value for c in candidates])
        elif in_unit(name, candidates):
            found[name] = _typical([c.indicators[name].value for c in candidates])
        else:
            errors = [_log_error(name, c.indicators[name]) for c in candidates]
            sure = [
                UNKNOWN_RESOLUTION if error is None else math.expm1(NORMAL_95 * error)
                for error in errors
            ]
            found[name] = max(EXACT_RESOLUTION, float(np.median(sure)))
    return found


def in_unit(name: str, candidates: Sequence[Evaluated]) -> bool:
    """Whether the difference that counts is one in the unit of a column, not relative to it."""
    return name == QUALITY or any(c.indicators[name].value < 0 for c in candidates)


def _typical(values: Sequence[float]) -> float:
    """5 % of the median size of some values."""
    return EXACT_RESOLUTION * (float(np.median(np.abs(values))) or 1.0)


def _log_error(name: str, value: Value) -> float | None:
    """Standard error of a value's logarithm by its interval; ``None`` where it is not known."""
    if value.provenance == "exact" or split_name(name)[0] in COUNTED:
        return 0.0
    if value.low is None or value.high is None or not 0 < value.low <= value.high:
        return None
    return math.log(value.high / value.low) / (2 * NORMAL_95)
