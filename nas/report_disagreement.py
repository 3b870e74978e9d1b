"""Disagreement of indicators, as a report shows it: for a search and for a comparison alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nas.disagreement import Correlations, Disagreement
from nas.rank_correlation import RankCorrelation
from nas.report_document import Cell, Section, Table, number
from nas.report_figures import Figure, Heatmap

__all__ = ["disagreement_section", "said_of_indicators"]


def said_of_indicators(found: Disagreement) -> str:
    """What single indicators would have recommended at the median quality, in a sentence."""
    if not found.recommendations or len(found.indicators) < 2:
        return ""
    first = found.recommendations[0]
    chosen = dict.fromkeys(first.cheapest.values())
    good = f"Among the {first.models} that are at least as good as the median"
    if len(chosen) == 1:
        return f"{good}, every indicator recommends the same one: {next(iter(chosen))}."
    worst = {name: pair for name, pair in first.worst.items() if pair[1] > 1}
    line = f"{good}, {len(chosen)} different ones are the cheapest by some indicator"
    if not worst:
        return f"{line}."
    name = max(worst, key=lambda each: worst[each][1])
    other, times = worst[name]
    return (
        f"{line}: the cheapest by {name} alone takes {times:.3g} times the least {other} "
        f"(the cheapest by that is {first.cheapest[other]})."
    )


def disagreement_section(
    found: Disagreement,
    notes: Mapping[str, str],
    left_out: str = "",
    space: Correlations | None = None,
) -> Section:
    """Rank correlations, fronts, what each indicator recommends, and the pairs that say most.

    Args:
        found: Of the models.
        notes: What each indicator holds for.
        left_out: Which indicators are not in it, and why.
        space: Rank correlations of the indicators over random members of the space.
    """
    names = (*found.indicators, found.quality) if found.scored else found.indicators
    front = len(found.fronts.members["all"])
    groups = "; ".join(map(str, found.redundant)) or "none"
    panels = [_heatmap(f"All {found.models} evaluated", names, found.kendall)]
    if space is not None:
        panels.insert(0, _heatmap("Random members of the space", found.indicators, space))
    if front > 2:
        panels.append(_heatmap(f"The {front} on the front", names, found.front_kendall))
    figure = Figure(
        "rank-correlation",
        "How far indicators order models alike",
        "Kendall's tau-b of every two indicators, what is maximised turned round: 1 where both "
        "order all pairs alike, 0 where one says nothing of the other, -1 where they contradict "
        "in every pair. Blank where all models are equal. Over a front indicators contradict more "
        "than over the space, and the choice is made on the front.",
        tuple(panels),
    )
    return Section(
        "disagreement",
        "Where indicators disagree",
        (
            f"Redundant groups, of which one says what all do (tau of at least 0.9 in every "
            f"pair): {groups}.",
            *filter(None, [left_out]),
            "Rest on a square for its 95 % interval.",
        ),
        (figure, *_alone(found, notes), *_pairs(found)),
    )


def _heatmap(title: str, names: tuple[str, ...], correlations: Correlations) -> Heatmap:
    same = RankCorrelation(1.0, 1.0, 1.0, 0)
    rows = [[correlations[a][b] if a != b else same for b in names] for a in names]
    return Heatmap(
        title,
        names,
        tuple(tuple(item.tau for item in row) for row in rows),
        tuple(
            tuple(
                f"{a} and {b}: {'the same' if a == b else item}"
                for b, item in zip(names, row, strict=True)
            )
            for a, row in zip(names, rows, strict=True)
        ),
    )


def _alone(found: Disagreement, notes: Mapping[str, str]) -> list[Table]:
    """If one indicator had decided: its own front and what it recommends."""
    if not found.recommendations:
        return []
    first, sizes = found.recommendations[0], found.fronts.sizes
    rows = []
    for name in found.indicators:
        stays = found.fronts.stays[name]["all"]
        lost = found.fronts.stays["all"][name]
        other, times = first.worst.get(name, ("", math.nan))
        told = "cheapest by every indicator" if times <= 1 else f"by {other}"
        rows.append(
            (
                Cell(name, notes.get(name, "")),
                Cell(str(sizes[name]), f"of {sizes['all']} on the front of all", sizes[name]),
                Cell(_share(lost), "", _sortable(lost)),
                Cell(_share(stays), "", _sortable(stays)),
                Cell(first.cheapest[name]),
                Cell(
                    "" if math.isnan(times) else f"{times:.3g} times the least",
                    "" if math.isnan(times) else told,
                    _sortable(times),
                ),
            )
        )
    return [
        Table(
            "alone",
            "If one indicator alone had decided. Its choice is the cheapest by it among the "
            f"{first.models} models that reach {found.quality} {number(first.quality)}, the "
            "median.",
            (
                Cell("indicator", "what it holds for"),
                Cell("on its own front"),
                Cell("of the front it keeps"),
                Cell("of its own on the front"),
                Cell("its choice"),
                Cell("what that takes at worst"),
            ),
            tuple(rows),
        )
    ]


def _pairs(found: Disagreement) -> list[Table]:
    if not found.telling:
        return []
    rows = []
    for pair in found.telling:
        a, b = pair.indicators
        scores = " and ".join(number(score) for score in pair.scores)
        rows.append(
            (
                Cell(pair.first, f"cheaper by {a}"),
                Cell(pair.second, f"cheaper by {b}"),
                Cell(f"{pair.ratios[0]:.3g} times", f"the second, by {a}", pair.ratios[0]),
                Cell(f"{pair.ratios[1]:.3g} times", f"the first, by {b}", pair.ratios[1]),
                Cell(scores, found.quality),
            )
        )
    return [
        Table(
            "telling",
            "Pairs of about the same quality whose order depends on the indicator, the most "
            "telling first. Differences within measurement error count as ties.",
            (
                Cell("first"),
                Cell("second"),
                Cell("dearer by one"),
                Cell("dearer by the other"),
                Cell("quality"),
            ),
            tuple(rows),
        )
    ]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _sortable(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
