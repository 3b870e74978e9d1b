"""Fair matching: of each family the best model at equal cost, by one indicator or by several.

A cost is equal to a level where it is at most the level and below it by no more than a slack. A
budget without the second part would let a family win with a model that costs a fraction, which is
a finding, but none at equal cost. Of what is maximised, such as a throughput, the cost is one over
the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.model_table import ModelTable
from nas.unfair_matches import unfair_match

__all__ = ["SLACK", "Match", "MatchRequest", "Matched", "match_families"]

SLACK = 0.25
QUANTILES = (0.25, 0.5, 0.75)
"""Of the costs that all families have, where levels are set."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The best model of a family at one level.

    Attributes:
        family: The family.
        model: Name of the model.
        score: Its quality.
        costs: Each of its costs, as stored; ``None`` of one that is missing.
    """

    family: str
    model: str
    score: float
    costs: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "family": self.family,
            "model": self.model,
            "quality": self.score,
            "costs": dict(self.costs),
        }


@dataclass(frozen=True, slots=True)
class Match:
    """Families at equal cost.

    Attributes:
        indicators: What is equal.
        levels: At most what, or at least where more is better: of each of these.
        slack: How far better a cost may be to count as equal.
        models: Of each family that has one there, the best in quality first.
        absent: Families that have none there.
        ties: Families whose best is no worse than the winner's by more than the measurement error.
        warnings: Why the match is unfair.
    """

    indicators: tuple[str, ...]
    levels: Mapping[str, float]
    slack: float
    models: tuple[Matched, ...]
    absent: tuple[str, ...]
    ties: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def winner(self) -> str | None:
        """The family of the best model; ``None`` where fewer than two families meet."""
        return self.models[0].family if len(self.models) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "indicators": list(self.indicators),
            "levels": dict(self.levels),
            "slack": self.slack,
            "winner": self.winner,
            "ties": list(self.ties),
            "models": [model.to_json() for model in self.models],
            "absent": list(self.absent),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """What families are to be matched on.

    Attributes:
        indicators: Costs to match on: by each of them alone, and by all at once.
        levels: What these are to be equal to; quartiles when empty.
        slack: How far better a cost may be to count as equal, as a share.
    """

    indicators: tuple[str, ...] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    slack: float = SLACK

    def __post_init__(self) -> None:
        strangers = set(self.levels) - set(self.indicators)
        if strangers:
            raise ExperimentError(
                f"There is a level of {', '.join(sorted(strangers))}, which is not matched on; "
                "name it in `--match` as well, or leave the level out."
            )
        if not 0 < self.slack < 1:
            raise ExperimentError(
                f"The slack of a match must be between 0 and 1; got {self.slack}."
            )

    @classmethod
    def parse(cls, match: str | None, at: Sequence[str], slack: float = SLACK) -> MatchRequest:
        """What the options ``--match A,B``, ``--at A=1 --at B=2`` and ``--slack`` ask for.

        Raises:
            ExperimentError: They are written otherwise, or contradict each other.
        """
        levels = {}
        for text in at:
            name, _, given = text.rpartition("=")
            try:
                levels[name.strip()] = float(given)
            except ValueError as error:
                raise ExperimentError(
                    f"--at takes NAME=NUMBER, such as params=25e6; got {text!r}."
                ) from error
        parts = [part.strip() for part in (match or "").split(",")]
        return cls(tuple(dict.fromkeys(part for part in parts if part)), levels, slack)

    def of(self, table: ModelTable) -> tuple[Match, ...]:
        """The matches; errors as for :func:`match_families`."""
        sets: list[tuple[str, ...]] = [(name,) for name in self.indicators]
        if len(sets) > 1:
            sets.append(self.indicators)
        return tuple(
            match
            for names in sets
            for match in match_families(table, names, self.levels or None, self.slack)
        )


def match_families(
    table: ModelTable,
    indicators: Sequence[str],
    levels: Mapping[str, float] | None = None,
    slack: float = SLACK,
) -> tuple[Match, ...]:
    """The best model of each family where some costs are equal.

    Args:
        table: Models with families; a Comparison's are those of
            :meth:`~nas.model_table.ModelTable.of_comparison`.
        indicators: Costs that must be equal at once.
        levels: What they are to be equal to. When absent, one match at each quartile of the costs
            between the least and the most that all families reach.
        slack: How far better a cost may be, as a share of the level.

    Raises:
        ExperimentError: Families are not known or fewer than two, a cost is none of the table's, a
            level is missing or not above 0.
    """
    families = tuple(dict.fromkeys(table.families))
    if len(families) < 2:
        raise ExperimentError(
            f"Models are matched between families, of which there must be at least two; got "
            f"{', '.join(families) or 'none'}. Name the column that says which family each is of."
        )
    columns = [table.position(name) for name in indicators]
    rows = ~np.isnan(table.scores)
    known = table.take(rows & ~np.isnan(table.log_costs[:, columns]).any(axis=1))
    signs = np.where([name in table.maximized for name in indicators], -1.0, 1.0)
    if levels is None:
        tried = _levels(known, columns)
    else:
        gone = [name for name in indicators if not levels.get(name, 0.0) > 0]
        if gone:
            raise ExperimentError(f"A level above 0 is missing of {', '.join(gone)}.")
        tried = np.log([[levels[name] for name in indicators]]) * signs
    return tuple(_match(known, tuple(indicators), level, signs, slack, families) for level in tried)


def _levels(table: ModelTable, columns: list[int]) -> NDArray[np.float64]:
    """Quantiles of the costs that all families reach: ``[levels, columns]``, as `log_costs`."""
    logs, families = table.log_costs[:, columns], np.array(table.families)
    result = np.empty((len(QUANTILES), len(columns)))
    for i, costs in enumerate(logs.T):
        of = [costs[families == family] for family in dict.fromkeys(table.families)]
        low = max((float(own.min()) for own in of), default=0.0)
        high = min((float(own.max()) for own in of), default=0.0)
        # Families that do not meet have no such range, so levels are those of all.
        common = costs[(costs >= low) & (costs <= high)] if low < high else costs
        result[:, i] = np.quantile(common, QUANTILES, method="lower") if len(common) else 0.0
    return result


def _match(
    table: ModelTable,
    indicators: tuple[str, ...],
    level: NDArray[np.float64],
    signs: NDArray[np.float64],
    slack: float,
    families: tuple[str, ...],
) -> Match:
    logs = table.log_costs[:, [table.position(name) for name in indicators]]
    # What is just the level, or just the slack below it, is in whatever is rounded.
    spare = 1e-9
    inside = (logs <= level + spare) & (logs >= level + np.log1p(-slack) - spare)
    rows = np.flatnonzero(inside.all(axis=1))
    rows = rows[np.argsort(table.loss[rows], kind="stable")]
    best: dict[str, int] = {}
    for row in rows.tolist():
        best.setdefault(table.families[row], row)
    chosen = np.array(list(best.values()), dtype=np.int64)
    scores = table.scores[chosen]
    same = table.tolerance(table.quality).same(scores, scores[:1]).tolist()
    return Match(
        indicators,
        dict(zip(indicators, np.exp(level * signs).tolist(), strict=True)),
        slack,
        tuple(_matched(table, row) for row in chosen.tolist()),
        tuple(family for family in families if family not in best),
        tuple(f for f, tied in list(zip(best, same, strict=True))[1:] if tied),
        unfair_match(table, indicators, chosen),
    )


def _matched(table: ModelTable, row: int) -> Matched:
    values = table.values[row].tolist()
    return Matched(
        table.families[row],
        table.names[row],
        float(table.scores[row]),
        {
            name: None if value != value else value
            for name, value in zip(table.indicators, values, strict=True)
        },
    )
