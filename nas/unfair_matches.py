"""Unfair matches: where equal cost by an indicator is known to compare what is not alike.

*The Efficiency Misnomer* (Dehghani et al., ICLR 2022) discusses two of them. Models that use a
parameter several times (tied layers), or not for every example (experts, weights that are zero), do
not do the compute of others with as many parameters. And at equal compute the capacity of those
that use few parameters many times is crippled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.model_table import ModelTable

__all__ = ["unfair_match"]

APART = 4.0
"""Times that a quantity differs between matched models from which it is said."""
USED = 0.95
"""Share of parameters or MACs below which the rest counts as not used."""
SPARSE, TIED, EXPERTS = "sparse", "tied", "a mixture of experts"
WORDS = {
    SPARSE: ("sparse", "sparsity"),
    TIED: ("tied", "shared", "universal", "albert", "recurrent"),
    EXPERTS: ("moe", "expert", "experts", "mixture", "switch"),
}
"""Words of names, families and strata by what they say of how parameters are used."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What models may be equal in, and what that does not make equal.

    Attributes:
        words: Of the names of indicators that count it.
        unequal: What equal amounts of it are not.
        reason: Why, of models that do not use each parameter once.
        where: How a remark begins on models that are far apart in the other quantity.
    """

    words: frozenset[str]
    unequal: str
    reason: str
    where: str


PARAMS = _Quantity(
    frozenset(("params", "param", "parameters", "weights")),
    "Equal parameters are not equal compute here",
    "not all are used once each",
    "At equal parameters",
)
COMPUTE = _Quantity(
    frozenset(("macs", "gmacs", "mmacs", "flops", "gflops", "mflops", "madds")),
    "Equal compute is not equal capacity here",
    "parameters are not used once each",
    "The capacity of some is crippled: at equal compute",
)


def unfair_match(
    table: ModelTable, indicators: Sequence[str], rows: NDArray[np.int64]
) -> tuple[str, ...]:
    """Why it is unfair to match some models by some indicators, as sentences.

    What an indicator is of is told by the words of its name (``"params_m"``, ``"gmacs"``), and how
    a model uses its parameters by those of its name, family and strata, or by its active parameters
    or effective MACs where the table has them.

    Args:
        table: The models and their costs.
        indicators: What is equal.
        rows: Which models, by position: ``[models]``.
    """
    if len(rows) < 2:
        return ()
    kinds = {table.names[row]: _kind(table, row) for row in rows.tolist()}
    special = ", ".join(f"{name} ({kind})" for name, kind in kinds.items() if kind)
    found: list[str] = []
    for equal, other in ((PARAMS, COMPUTE), (COMPUTE, PARAMS)):
        if not any(_counting(equal, indicators)):
            continue
        if special:
            found.append(f"{equal.unequal}: {equal.reason} by {special}.")
        free = [name for name in _counting(other, table.indicators) if name not in indicators]
        found += _apart(table, free, rows, equal.where)
    return tuple(found)


def _counting(quantity: _Quantity, names: Sequence[str]) -> Iterator[str]:
    """Those of the indicators that count a quantity, by the words of their names."""
    return (name for name in names if _words(name) & quantity.words)


def _apart(
    table: ModelTable, names: Sequence[str], rows: NDArray[np.int64], where: str
) -> list[str]:
    """What some models differ in far."""
    result = []
    for name in names:
        logs = table.log_costs[rows, table.position(name)]
        if np.isnan(logs).all():
            continue
        most, least = rows[np.nanargmax(logs)], rows[np.nanargmin(logs)]
        times = float(np.exp(np.nanmax(logs) - np.nanmin(logs)))
        if times >= APART:
            result.append(
                f"{where} {table.names[most]} has {times:.3g} times the {name} of "
                f"{table.names[least]}."
            )
    return result


def _kind(table: ModelTable, row: int) -> str:
    """How a model uses its parameters; empty of one that uses each once, as far as is known."""
    for part, whole, kind in (
        ("active_params", "params", EXPERTS),
        ("effective_macs", "macs", SPARSE),
    ):
        if part in table.indicators and whole in table.indicators:
            used, there = (table.values[row, table.position(name)] for name in (part, whole))
            if used < USED * there:
                return kind
    labels = [of[row] for of in (table.families, table.names, *table.strata.values()) if of]
    said = set().union(*map(_words, labels))
    return next((kind for kind, words in WORDS.items() if said & {*words}), "")


def _words(name: str) -> set[str]:
    return {word for word in re.split(r"[^a-z]+", name.lower()) if word}
