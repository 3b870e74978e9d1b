"""Picks: members of a set by what is wanted of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nas.budget_units import check_limit, split_limit
from nas.candidates import Evaluated, missed_by
from nas.columns import QUALITY, Columns
from nas.errors import ExperimentError, NothingFeasibleError
from search_spaces import UnknownNameError

__all__ = ["pick_members"]

NEAREST = 3
EXTREMES = {"least": False, "most": True}

Member = TypeVar("Member", bound=Evaluated)


def pick_members(
    members: Sequence[Member], representative: Sequence[str], text: str
) -> tuple[Member, ...]:
    """Members by a pick: what is wanted and, after commas, limits that they keep to.

    Args:
        members: Of a Pareto set.
        representative: Ids of those that stand for all.
        text: ``"knee"``, ``"all"``, ``"representative"``, ``"least:NAME"``, ``"most:NAME"`` or the
            beginning of an id; beside it, or alone, limits such as ``"macs<=1e6"``. A name is that
            of an indicator or ``quality``.

    Returns:
        In the order of the members. The knee is the one of them that is closest to the ideal point
        when quality and each indicator are scaled to their own range, all weighing the same; an
        indicator that is a multiple of another weighs nothing.

    Raises:
        ExperimentError: Two things are wanted, or a limit cannot be one.
        UnknownNameError: No member has that id, or there is no such indicator.
        NothingFeasibleError: No member keeps to the limits; the message has the nearest.
    """
    parts = [part.strip() for part in text.split(",")]
    limits = [part for part in parts if "=" in part]
    wanted = [part for part in parts if "=" not in part]
    if len(wanted) > 1:
        raise ExperimentError(
            f"`--pick` takes one of knee, all, representative, least:NAME, most:NAME or an id, and "
            f"limits after commas; got {text!r}."
        )
    within = _within(members, limits) if limits else tuple(members)
    return _wanted(within, members, representative, wanted[0] if wanted else "all")


def _wanted(
    within: tuple[Member, ...],
    members: Sequence[Member],
    representative: Sequence[str],
    what: str,
) -> tuple[Member, ...]:
    if what == "all":
        return within
    if what == "representative":
        return tuple(member for member in within if member.id in representative)
    if what == "knee" and within:
        columns = Columns.of(within)
        distance = np.linalg.norm(columns.scaled[:, columns.distinct], axis=1)
        return (within[int(np.argmin(distance))],)
    kind, colon, name = what.partition(":")
    if colon and kind in EXTREMES and within:
        given, (name, _) = name, _known(name, 1.0, within)
        if _maximized(name, within[0]) != EXTREMES[kind]:
            other = "most" if kind == "least" else "least"
            raise ExperimentError(f"`{what}` is the worst there is; write {other}:{given}.")
        best = max if EXTREMES[kind] else min
        return (best(within, key=lambda member: _value(member, name)),)
    found = [member for member in within if what and member.id.startswith(what)]
    if len(found) != 1:
        ids = [member.id for member in members]
        known = ["knee", "all", "representative", "least:NAME", "most:NAME", *ids]
        raise UnknownNameError("member", what, known if members else [])
    return (found[0],)


def _within(members: Sequence[Member], texts: Sequence[str]) -> tuple[Member, ...]:
    """Members that keep to every limit."""
    if not members:
        raise NothingFeasibleError("The Pareto set is empty, so that no member keeps to limits.")
    misses = np.zeros(len(members))
    for text in texts:
        given, sign, number = split_limit(text)
        name, limit = _known(given, number, members)
        maximize = _maximized(name, members[0])
        check_limit(text, given, sign, limit, maximize)
        values = np.array([_value(member, name) for member in members])
        misses += np.maximum(missed_by(values, limit, maximize), 0)
    if (misses > 0).all():
        order = sorted(range(len(members)), key=lambda i: (misses[i], members[i].id))
        raise NothingFeasibleError(
            f"No member keeps to {', '.join(texts)}. Nearest:",
            [f"  {members[i].id}: missed by {misses[i]:+.1%}" for i in order[:NEAREST]],
        )
    return tuple(member for member, miss in zip(members, misses, strict=True) if miss == 0)


def _known(name: str, limit: float, members: Sequence[Evaluated]) -> tuple[str, float]:
    """The column of the members that a name stands for, and the limit in its unit."""
    if name in (QUALITY, members[0].quality.name):
        return QUALITY, limit
    known = (QUALITY, *members[0].indicators)
    try:
        canonical, limit = members[0].canonical_budget(name, limit)
    except UnknownNameError as error:
        raise UnknownNameError("indicator", name, known) from error
    if canonical not in known:
        raise UnknownNameError("indicator", name, known)
    return canonical, limit


def _maximized(name: str, member: Evaluated) -> bool:
    return member.quality.maximize if name == QUALITY else member.indicator(name).maximize


def _value(member: Evaluated, name: str) -> float:
    return member.quality.value if name == QUALITY else member.indicators[name].value
