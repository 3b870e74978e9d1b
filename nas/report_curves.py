"""Curves of a search: quality against every indicator, none of them before the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.candidates import Evaluated
from nas.dominance import nondominated
from nas.indicators import Indicator, split_name
from nas.report_figures import GREY, MARKERS, PALETTE, Axis, Figure, Limit, Panel, Series, staircase
from nas.uncertainty import NORMAL_95

__all__ = ["Curves", "axis_of"]

KNEE, FRONT, MEASURED = "knee of the set", "front of this indicator alone", "measured whole"
BUDGET = "budget"
SPREAD = 8.0
"""From this ratio of the largest to the least on, an axis is logarithmic."""
FAMILIES = len(MARKERS)
"""Families that are told apart; more are drawn alike."""

GROUPS = {
    "inference": (
        "counts",
        "Quality against what a network is: counts of one inference",
        "They hold on every device.",
    ),
    "training": (
        "training",
        "Quality against what training it takes",
        "Of one step, at the run's batch and optimiser.",
    ),
}


@dataclass(frozen=True, slots=True)
class Curves:
    """What the panels of a search are drawn from.

    Attributes:
        candidates: Everything evaluated, in order: a point's subject is its position here.
        members: Ids of the set.
        knee: Id of its knee.
        budgets: By indicator.
        quality_errors: Standard error of quality by id, where it is known.
        notes: What each indicator holds for.
    """

    candidates: Sequence[Evaluated]
    members: frozenset[str]
    knee: str
    budgets: Mapping[str, float]
    quality_errors: Mapping[str, float]
    notes: Mapping[str, str]

    def figures(self) -> tuple[Figure, ...]:
        """One of each group of indicators that there is: counts, training and each device."""
        first = self.candidates[0]
        groups: dict[str, list[str]] = {}
        for name in first.indicators:
            known, place = first.indicator(name), split_name(name)[1]
            groups.setdefault(place or known.phase, []).append(name)
        figures = []
        for number, (group, names) in enumerate(groups.items()):
            if first.kind != "space":
                key, title, of = "costs", "Quality against every cost", "As the table has them."
            elif group in GROUPS:
                key, title, of = GROUPS[group]
            else:
                key, title, of = f"device-{number}", f"Quality against what {group} takes", ""
            caption = (
                f"{of} Every point is an evaluated candidate; bars are 95 % intervals of members, "
                "where they are known, without what another training seed would change. The line "
                "is what would be left if this indicator alone counted: members off it are in the "
                "set for the sake of other indicators."
            )
            panels = tuple(self.panel(name) for name in names)
            figures.append(Figure(f"curves-{key}", title, caption.strip(), panels))
        return tuple(figures)

    def panel(self, name: str) -> Panel:
        """Quality against one indicator."""
        known = self.candidates[0].indicator(name)
        quality = self.candidates[0].quality
        limit = self.budgets.get(name)
        limits = () if limit is None else (Limit(BUDGET, limit / known.scale),)
        x = [candidate.indicators[name].value / known.scale for candidate in self.candidates]
        numbers = [*x, *(each.x for each in limits)]
        return Panel(
            name,
            axis_of(_titled(known), numbers),
            Axis(f"{quality.name}{' (more is better)' * quality.maximize}"),
            tuple(self._series(name, known, x)),
            self.notes.get(name, "") + "; equal of all" * (len(set(x)) == 1),
            limits,
        )

    def _series(self, name: str, known: Indicator, x: Sequence[float]) -> list[Series]:
        y = [candidate.quality.value for candidate in self.candidates]
        more = self.candidates[0].quality.maximize
        feasible = [i for i, each in enumerate(self.candidates) if each.feasible]
        points = np.array([[x[i], y[i]] for i in feasible]).reshape(-1, 2)
        kept = nondominated(points, np.array([known.maximize, more]))
        across, up = points[kept].T.tolist()
        corners = staircase(across, up, known.maximize, more)
        series = [Series(FRONT, *corners, GREY, line="solid")]
        families = list(dict.fromkeys(each.label for each in self.candidates))
        if self.candidates[0].kind != "space" or len(families) > FAMILIES:
            families = [""]
        for inside in (False, True):
            for number, family in enumerate(families):
                rows = [
                    i
                    for i, each in enumerate(self.candidates)
                    if (each.id in self.members) == inside and family in ("", each.label)
                ]
                if rows:
                    series.append(self._points(name, known, rows, number, family, inside))
        knee = [i for i, each in enumerate(self.candidates) if each.id == self.knee]
        series.extend(_measured(self.candidates, name, known))
        at = tuple(x[i] for i in knee), tuple(y[i] for i in knee)
        if knee:
            gold = 4 % len(PALETTE)
            series.append(Series(KNEE, *at, gold, "star", subjects=tuple(knee)))
        return series

    def _points(
        self,
        name: str,
        known: Indicator,
        rows: Sequence[int],
        number: int,
        family: str,
        inside: bool,
    ) -> Series:
        chosen = [self.candidates[i] for i in rows]
        values = [each.indicators[name] for each in chosen]
        x = tuple(value.value / known.scale for value in values)
        y = tuple(each.quality.value for each in chosen)
        lows = tuple(v.value if v.low is None else v.low for v in values)
        highs = tuple(v.value if v.high is None else v.high for v in values)
        known_x = inside and any(lows[k] != highs[k] for k in range(len(rows)))
        half = [NORMAL_95 * self.quality_errors.get(each.id, 0.0) for each in chosen]
        known_y = inside and any(half)
        state = "in the set" if inside else "evaluated, not in the set"
        return Series(
            f"{family}, {state}" if family else state,
            x,
            y,
            number if inside or family else GREY,
            MARKERS[number],
            filled=inside,
            x_low=tuple(low / known.scale for low in lows) if known_x else (),
            x_high=tuple(high / known.scale for high in highs) if known_x else (),
            y_low=tuple(v - h for v, h in zip(y, half, strict=True)) if known_y else (),
            y_high=tuple(v + h for v, h in zip(y, half, strict=True)) if known_y else (),
            subjects=tuple(rows),
        )


def axis_of(title: str, numbers: Sequence[float]) -> Axis:
    """An axis for some numbers, logarithmic where they are far apart."""
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    return Axis(title, log=low > 0 and high / low >= SPREAD)


def _titled(known: Indicator) -> str:
    return f"{known.symbol}{' (more is better)' * known.maximize}"


def _measured(candidates: Sequence[Evaluated], name: str, known: Indicator) -> list[Series]:
    rows = [i for i, each in enumerate(candidates) if name in each.measured]
    if not rows:
        return []
    values = [candidates[i].measured[name] for i in rows]
    return [
        Series(
            MEASURED,
            tuple(value.value / known.scale for value in values),
            tuple(candidates[i].quality.value for i in rows),
            6,
            "cross",
            subjects=tuple(rows),
        )
    ]
