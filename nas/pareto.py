"""The Pareto set across all indicators, whichever of them steered the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic

import numpy as np
from numpy.typing import NDArray

from nas.candidates import Candidate, Evaluated
from nas.columns import QUALITY, Columns
from nas.dominance import membership, nondominated, representatives
from nas.picks import pick_members
from nas.redundancy import RedundantGroup, leading
from nas.uncertainty import in_unit, resolutions, standard_errors
from search_spaces import CorruptFileError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Member = TypeVar("Member", bound=Evaluated, default=Candidate)
else:  # A default, so that `ParetoSet` alone is one of candidates, is Python 3.13's.
    from typing import TypeVar

    Member = TypeVar("Member", bound=Evaluated)

__all__ = ["ParetoSet", "hypervolume", "pareto_set"]

EXACT_COLUMNS, EXACT_POINTS = 6, 500
"""The hypervolume is exact up to so many columns, and in as many up to so many points."""
SAMPLES, REPEATS = 262_144, 4
SAMPLED_POINTS = 500
"""More points than these are sampled less, so that time stays the same."""
MARGIN = 0.1
"""How far the reference point lies beyond the worst value, as a share of the range."""


@dataclass(frozen=True, slots=True)
class ParetoSet(Generic[Member]):
    """Feasible candidates that no other one beats in quality and every indicator at once.

    The costs of generating text are no part of it where some of the networks generate none, since
    their 0 would win.

    Attributes:
        members: By quality, then by the first indicator; each candidate once.
        reference_point: For ``"quality"`` and each indicator, the worst value among the feasible
            evaluated candidates and a tenth of their range beyond it, in the indicator's unit.
        ideal_point: The best values, likewise: the largest of what is maximised.
        hypervolume: Share of the box between ideal and reference point that the members dominate.
            Columns in which all candidates are equal are left out, and those that are a multiple of
            another.
        hypervolume_method: ``"exact"``, or the approximation used where that is slow.
        evaluated: Distinct candidates that were evaluated.
        feasible: How many of those meet every budget.
        front_certificate: How far what the members were predicted to take is from what they took,
            as figures of a :class:`hw_profiles.Score`: a search picks where a table errs low.
        hypervolume_error: Of the approximation, 95 %: twice the root mean square of how far four
            repetitions by random directions are from it. 0 where it is exact.
        redundant: Indicators that order the space alike.
        representative: Ids of few members such that of each member one of them is worse by less
            than what counts, in quality and in one indicator of each redundant group.
        resolutions: What counts in each of these: of quality in its unit, else relative.
        probabilities: By id of each member, the probability that it belongs to the set, as values
            are uncertain (see :func:`nas.dominance.membership`); empty where all are exact.
    """

    members: tuple[Member, ...]
    reference_point: Mapping[str, float]
    ideal_point: Mapping[str, float]
    hypervolume: float
    hypervolume_method: str
    evaluated: int
    feasible: int
    front_certificate: Mapping[str, float] | None = None
    hypervolume_error: float = 0.0
    redundant: tuple[RedundantGroup, ...] = ()
    representative: tuple[str, ...] = ()
    resolutions: Mapping[str, float] = field(default_factory=dict)
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "candidates": [member.to_json() for member in self.members],
            "hypervolume": self.hypervolume,
            "hypervolume_method": self.hypervolume_method,
            "hypervolume_error": self.hypervolume_error,
            "reference_point": dict(self.reference_point),
            "ideal_point": dict(self.ideal_point),
            "evaluated": self.evaluated,
            "feasible": self.feasible,
            "front_certificate": self.front_certificate and dict(self.front_certificate),
            "redundant": [group.to_json() for group in self.redundant],
            "representative": list(self.representative),
            "resolutions": dict(self.resolutions),
            "probabilities": dict(self.probabilities),
        }

    @classmethod
    def from_json(
        cls,
        data: Mapping[str, Any],
        where: str = "data",
        read: Callable[[Mapping[str, Any]], Any] = Candidate.from_json,
    ) -> ParetoSet[Any]:
        """Reads back what :meth:`to_json` wrote; what earlier versions did not write is empty.

        Args:
            data: What was written.
            where: Where it came from.
            read: Reads one member.

        Raises:
            CorruptFileError: It is something else; the message names where it came from.
        """
        try:
            known = {
                item.name: data[item.name]
                for item in fields(cls)
                if item.name in data or (_needed(item) and item.name != "members")
            }
            groups = [RedundantGroup.from_json(item) for item in known.get("redundant", ())]
            known |= {
                "members": tuple(map(read, data["candidates"])),
                "redundant": tuple(groups),
                "representative": tuple(known.get("representative", ())),
            }
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{where} is not a Pareto set: {error!r}.") from error
        return cls(**known)

    def pick(self, text: str) -> tuple[Member, ...]:
        """Members by a pick such as ``"knee"`` or ``"least:quality,macs<=1e6"``.

        See :func:`nas.picks.pick_members`, also for errors.
        """
        return pick_members(self.members, self.representative, text)


def pareto_set(
    candidates: Sequence[Member],
    *,
    redundant: Sequence[RedundantGroup] = (),
    quality_errors: Mapping[str, float] | None = None,
) -> ParetoSet[Member]:
    """The Pareto set of evaluated candidates; order and repeats change nothing.

    Args:
        candidates: All that were evaluated, with the same indicators each.
        redundant: Indicators that order the space alike; the set is over all of them, and its
            representative members are chosen by one of each.
        quality_errors: Standard error of quality by id, where it is known.

    Raises:
        ValueError: A value is NaN or infinite, or their qualities are of several kinds.
    """
    distinct = {candidate.id: candidate for candidate in candidates}
    feasible = [distinct[key] for key in sorted(distinct) if distinct[key].feasible]
    if not feasible:
        groups = tuple(redundant)
        return ParetoSet((), {}, {}, 0.0, "exact", len(distinct), 0, redundant=groups)
    kinds = sorted({candidate.quality.name for candidate in feasible})
    if len(kinds) > 1:
        raise ValueError(f"`candidates` must be of one quality; got {', '.join(kinds)}.")
    columns, errors = Columns.of(feasible), quality_errors or {}
    if not np.isfinite(columns.values).all():
        raise ValueError("`candidates` hold a NaN or infinite value; leave failed ones out.")
    keep = nondominated(columns.values, columns.maximized)
    members = [candidate for candidate, kept in zip(feasible, keep, strict=True) if kept]
    members.sort(key=_order)
    ideal, worst = columns.ideal, columns.worst
    volume, error, method = hypervolume(columns.scaled[keep][:, columns.distinct])
    sizes, chosen = _representative(members, columns, redundant, errors)
    return ParetoSet(
        members=tuple(members),
        reference_point=dict(
            zip(columns.names, (worst + MARGIN * (worst - ideal)).tolist(), strict=True)
        ),
        ideal_point=dict(zip(columns.names, ideal.tolist(), strict=True)),
        hypervolume=volume,
        hypervolume_method=method,
        evaluated=len(distinct),
        feasible=len(feasible),
        hypervolume_error=error,
        redundant=tuple(redundant),
        representative=chosen,
        resolutions=sizes,
        probabilities=_probabilities(feasible, members, columns, errors),
    )


def _order(candidate: Evaluated) -> tuple[float, float, str]:
    quality, (first, *_) = candidate.quality, [*candidate.indicators.values()]
    return -quality.value if quality.maximize else quality.value, first.value, candidate.id


def _needed(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def hypervolume(front: NDArray[np.float64], approximate: bool = False) -> tuple[float, float, str]:
    """Share of the box up to the reference point that points dominate, its error and the method.

    Args:
        front: ``[n, columns]``, scaled to between 0 and 1; the reference point is 1.1.
        approximate: Whether to do so even where the exact value is quick.
    """
    import moocore

    points, columns = front.shape
    if not columns:
        return 0.0, 0.0, "exact"
    reference, box = np.full(columns, 1 + MARGIN), (1 + MARGIN) ** columns
    quick = columns < EXACT_COLUMNS or (columns == EXACT_COLUMNS and points <= EXACT_POINTS)
    if quick and not approximate:
        return float(moocore.hypervolume(front, ref=reference)) / box, 0.0, "exact"
    samples = SAMPLES * min(points, SAMPLED_POINTS) // points
    volume = moocore.hv_approx(front, ref=reference, nsamples=samples)
    repeated = [
        moocore.hv_approx(front, ref=reference, nsamples=samples, method="DZ2019-MC", seed=seed)
        for seed in range(1, REPEATS + 1)
    ]
    error = 2 * float(np.sqrt(np.mean((np.array(repeated) - volume) ** 2)))
    return float(volume) / box, error / box, f"moocore.hv_approx, Rphi-FWE+, {samples} samples"


def _representative(
    members: Sequence[Evaluated],
    columns: Columns,
    redundant: Sequence[RedundantGroup],
    quality_errors: Mapping[str, float],
) -> tuple[dict[str, float], tuple[str, ...]]:
    """What counts in each column that representatives are chosen by, and their ids."""
    varying = [n for n, kept in zip(columns.names, columns.distinct, strict=True) if kept]
    names = list(leading(varying, redundant))
    sizes = resolutions(members, names, quality_errors)
    coordinates = []
    for name in names:
        position = columns.names.index(name)
        column = np.array(
            [m.quality.value if name == QUALITY else m.indicators[name].value for m in members]
        )
        if in_unit(name, members):
            steps = column / sizes[name]
        else:
            with np.errstate(divide="ignore"):
                steps = np.log(column) / np.log1p(sizes[name])
        coordinates.append(-steps if columns.maximized[position] else steps)
    if not coordinates:
        return sizes, (members[0].id,)
    chosen = representatives(np.stack(coordinates, axis=1))
    return sizes, tuple(members[i].id for i in chosen)


def _probabilities(
    feasible: Sequence[Evaluated],
    members: Sequence[Evaluated],
    columns: Columns,
    quality_errors: Mapping[str, float],
) -> dict[str, float]:
    """Of each member the probability that it belongs to the set."""
    names = [n for n, kept in zip(columns.names, columns.distinct, strict=True) if kept]
    errors = standard_errors(feasible, names, quality_errors)
    if not errors.any():
        return {}
    shares = membership(
        columns.values[:, columns.distinct],
        columns.maximized[columns.distinct],
        errors,
        np.array([name != QUALITY for name in names]),
    )
    by_id = {c.id: float(share) for c, share in zip(feasible, shares, strict=True)}
    return {member.id: by_id[member.id] for member in members}
