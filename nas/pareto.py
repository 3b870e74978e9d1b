"""The Pareto set across all indicators, whichever of them steered the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidates import Candidate
from nas.indicators import INDICATORS, indicator, split_name
from search_spaces import CorruptFileError, UnknownNameError

__all__ = ["ParetoSet", "pareto_set"]

QUALITY_COLUMN = "quality"
EXACT_HYPERVOLUME_COLUMNS = 6
MARGIN = 0.1
"""How far the reference point lies beyond the worst value, as a share of the range."""
ALIKE = 9
"""Digits after the point in which columns over their largest agree that are multiples."""


@dataclass(frozen=True, slots=True)
class ParetoSet:
    """Feasible candidates that no other one beats in quality and every indicator at once.

    The costs of generating text are no part of it where some of the networks generate none, since
    their 0 would win.

    Attributes:
        members: By quality, then params; each network once.
        reference_point: For ``"quality"`` and each indicator, the worst value among the feasible
            evaluated candidates and a tenth of their range beyond it, in the indicator's unit.
        ideal_point: The best values, likewise: the largest of what is maximised.
        hypervolume: Share of the box between ideal and reference point that the members dominate.
            Columns in which all candidates are equal are left out, and those that are a multiple of
            another.
        hypervolume_method: ``"exact"``, or the approximation used above six columns.
        evaluated: Distinct candidates that were trained.
        feasible: How many of those meet every budget.
        front_certificate: How far what the members were predicted to take is from what they took,
            as figures of a :class:`hw_profiles.Score`: a search picks where a table errs low.
    """

    members: tuple[Candidate, ...]
    reference_point: Mapping[str, float]
    ideal_point: Mapping[str, float]
    hypervolume: float
    hypervolume_method: str
    evaluated: int
    feasible: int
    front_certificate: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "candidates": [member.to_json() for member in self.members],
            "hypervolume": self.hypervolume,
            "hypervolume_method": self.hypervolume_method,
            "reference_point": dict(self.reference_point),
            "ideal_point": dict(self.ideal_point),
            "evaluated": self.evaluated,
            "feasible": self.feasible,
            "front_certificate": self.front_certificate and dict(self.front_certificate),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "data") -> ParetoSet:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            CorruptFileError: It is something else; the message names where it came from.
        """
        try:
            members = tuple(Candidate.from_json(item) for item in data["candidates"])
            rest = {key: data[key] for key in cls.__dataclass_fields__ if key != "members"}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{where} is not a Pareto set: {error!r}.") from error
        return cls(members, **rest)

    def pick(self, name: str) -> tuple[Candidate, ...]:
        """Members by ``"all"``, ``"knee"`` or an id (or its unambiguous beginning).

        The knee is the member closest to the ideal point when quality and each indicator are
        scaled to the members' own range, all weighing the same. An indicator that is a multiple of
        another weighs nothing: without experts, active params are params.

        Raises:
            UnknownNameError: No member has that id.
        """
        if name == "all":
            return self.members
        if name == "knee" and self.members:
            columns = _columns(self.members)
            points = _matrix(self.members, columns)
            scaled, _, _ = _scaled(points, _maximized(columns))
            distance = np.linalg.norm(scaled[:, _distinct(points, columns)], axis=1)
            return (self.members[int(np.argmin(distance))],)
        found = [member for member in self.members if name and member.id.startswith(name)]
        if len(found) != 1:
            known = ["knee", "all", *(member.id for member in self.members)]
            raise UnknownNameError("member", name, known if self.members else [])
        return (found[0],)


def pareto_set(candidates: Sequence[Candidate]) -> ParetoSet:
    """The Pareto set of evaluated candidates; order and repeats change nothing.

    Args:
        candidates: All that were evaluated, with the same indicators each.

    Raises:
        ValueError: A value is NaN or infinite, or their qualities are of several kinds.
    """
    import moocore

    distinct = {candidate.id: candidate for candidate in candidates}
    feasible = [distinct[key] for key in sorted(distinct) if distinct[key].feasible]
    if not feasible:
        return ParetoSet((), {}, {}, 0.0, "exact", len(distinct), 0)
    kinds = sorted({candidate.quality.name for candidate in feasible})
    if len(kinds) > 1:
        raise ValueError(f"`candidates` must be of one quality; got {', '.join(kinds)}.")
    columns = _columns(feasible)
    points = _matrix(feasible, columns)
    if not np.isfinite(points).all():
        raise ValueError("`candidates` hold a NaN or infinite value; leave failed ones out.")
    maximized = _maximized(columns)
    keep = moocore.is_nondominated(points, maximise=maximized.tolist(), keep_weakly=True)
    members = [candidate for candidate, kept in zip(feasible, keep, strict=True) if kept]
    members.sort(key=lambda c: (c.quality.value, c.indicators["params"].value, c.id))
    scaled, ideal, worst = _scaled(points, maximized)
    varying = _distinct(points, columns)
    volume, method = 0.0, "exact"
    if varying.any():
        front = scaled[keep][:, varying]
        reference = np.full(int(varying.sum()), 1 + MARGIN)
        if len(reference) <= EXACT_HYPERVOLUME_COLUMNS:
            volume = moocore.hypervolume(front, ref=reference)
        else:
            method = "moocore.hv_approx, Rphi-FWE+, 262144 samples"
            volume = moocore.hv_approx(front, ref=reference)
        volume = float(volume) / (1 + MARGIN) ** len(reference)
    return ParetoSet(
        members=tuple(members),
        reference_point=dict(
            zip(columns, (worst + MARGIN * (worst - ideal)).tolist(), strict=True)
        ),
        ideal_point=dict(zip(columns, ideal.tolist(), strict=True)),
        hypervolume=volume,
        hypervolume_method=method,
        evaluated=len(distinct),
        feasible=len(feasible),
    )


def _maximized(columns: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([name != QUALITY_COLUMN and indicator(name).maximize for name in columns])


def _scaled(
    points: NDArray[np.float64], maximized: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points between 0 for the best value of a column and 1 for the worst; these two values.

    A column in which all are equal is 0.
    """
    least, most = points.min(axis=0), points.max(axis=0)
    ideal, worst = np.where(maximized, most, least), np.where(maximized, least, most)
    span = np.where(most > least, worst - ideal, 1.0)
    return (points - ideal) / span, ideal, worst


def _distinct(points: NDArray[np.float64], columns: Sequence[str]) -> NDArray[np.bool_]:
    """Which columns vary, are no multiple of an earlier one and follow none: ``[columns]``."""
    shares = points / np.maximum(np.abs(points).max(axis=0), 1e-300)
    _, first = np.unique(np.round(shares, ALIKE), axis=1, return_index=True)
    distinct: NDArray[np.bool_] = np.isin(np.arange(points.shape[1]), first)
    distinct &= np.ptp(points, axis=0) > 0
    for position, name in enumerate(columns):
        base, place = split_name(name)
        followed = INDICATORS[base].follows if base in INDICATORS else ""
        distinct[position] &= not followed or f"{followed}@{place}" not in columns
    return distinct


def _columns(candidates: Sequence[Candidate]) -> list[str]:
    """What candidates are compared by: not the costs of generation where only some generate."""
    mixed = {
        name
        for name in candidates[0].indicators
        if indicator(name).of_generation
        and len({candidate.indicators[name].value == 0 for candidate in candidates}) > 1
    }
    names = (name for name in candidates[0].indicators if name not in mixed)
    return [QUALITY_COLUMN, *names]


def _matrix(candidates: Sequence[Candidate], columns: Sequence[str]) -> NDArray[np.float64]:
    rows = [
        [
            candidate.quality.value if name == QUALITY_COLUMN else candidate.indicators[name].value
            for name in columns
        ]
        for candidate in candidates
    ]
    return np.array(rows, dtype=float)
