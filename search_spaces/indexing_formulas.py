"""Costs of operators that move, pick or only relabel numbers."""

from __future__ import annotations

from typing import Any

from search_spaces.operator_costs import (
    Cost,
    Formula,
    Kept,
    TracedTensor,
    elements,
    numel,
    tensors_in,
)

__all__ = ["INDEXING_FORMULAS"]


def _taken(out: TracedTensor, x: TracedTensor, *kept: Kept) -> Cost:
    """Cost of reading from ``x`` only what is put out."""
    return Cost(kept=kept, unread=elements(x) - elements(out), taken_from=x)


def _embedding(
    out: TracedTensor, ids: TracedTensor, weight: TracedTensor, *args: object, **kwargs: object
) -> Cost:
    return _taken(out, weight, Kept(ids, (weight,)))


def _getitem(out: TracedTensor, x: TracedTensor, index: Any) -> Cost:
    items = index if isinstance(index, tuple) else (index,)
    lists = [item for item in items if isinstance(item, list)]
    picked = list(tensors_in(items))
    if not picked and not lists:
        return Cost()
    # A list becomes a tensor of int64 first.
    return _taken(out, x, *map(Kept, picked), *(Kept(2 * len(item)) for item in lists))


def _gather(
    out: TracedTensor, x: TracedTensor, dim: int, index: TracedTensor, **kwargs: object
) -> Cost:
    return _taken(out, x, Kept(x), Kept(index))


def _take_along_dim(
    out: TracedTensor, x: TracedTensor, indices: TracedTensor, dim: int | None = None
) -> Cost:
    # The index is wrapped by a remainder into one of int64 for each number taken, and then read.
    wrapped = 2 * numel(out)
    return Cost(
        elementwise=numel(out),
        inner_traffic=2 * wrapped,
        kept=(Kept(x), Kept(wrapped)),
        unread=elements(x) - elements(out),
        taken_from=x,
    )


def _dropout(
    out: TracedTensor,
    x: TracedTensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Cost:
    # In inference it returns its input, so only a call that is always active comes here. Counts of
    # training are those of a network trained without it.
    raise ValueError("`dropout` must be given the module's own `training`; it was given True.")


def _free(out: TracedTensor, *args: object, **kwargs: object) -> Cost:
    return Cost()


_MOVED = (
    "cat chunk contiguous expand flatten movedim pad permute real reshape roll split squeeze stack "
    "transpose unbind unflatten unsqueeze view"
)

INDEXING_FORMULAS: dict[str, Formula] = {
    "embedding": _embedding,
    "__getitem__": _getitem,
    "gather": _gather,
    "take_along_dim": _take_along_dim,
    "dropout": _dropout,
    **dict.fromkeys(_MOVED.split(), _free),
}
"""Formulas of this module by operator."""
