"""Spaces of an experiment: from the choices of its file and what its data set decides."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from nas.errors import ExperimentError
from nas.splits import Dataset
from search_spaces import SearchSpace, SparseSpace
from search_spaces.block import as_tuples
from search_spaces.validation import choice_fields

__all__ = ["make_space", "nearest"]

OVERRIDABLE = ("resolution",)
"""Fields of a space that the data set decides unless the experiment does."""


def make_space(
    name: str, cls: type[SearchSpace], fields: Mapping[str, Any], dataset: Dataset
) -> SearchSpace:
    """A space of a class.

    Args:
        name: What the experiment calls it.
        cls: Its class.
        fields: What the experiment says of it: choices, ``sparsity`` and ``class``.
        dataset: What decides the other fields.

    Raises:
        ExperimentError: It has no such field, a field is missing, its choices do not make networks,
            or its networks do not read the data set.
    """
    given = {key: as_tuples(value) for key, value in fields.items() if key != "class"}
    sparsity = given.pop("sparsity", None)
    parameters = inspect.signature(cls).parameters
    decided = {key: v for key, v in dataset.space_fields.items() if key in parameters}
    known = [key for key in parameters if key not in decided or key in OVERRIDABLE]
    for key in given:
        if key not in known:
            raise ExperimentError(
                f"Unknown key `spaces.{name}.{key}`.{nearest(key, known)} "
                f"Known: {', '.join([*known, 'sparsity'])}."
            )
    everything = decided | given
    missing = [
        key
        for key, parameter in parameters.items()
        if key not in everything
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if missing:
        raise ExperimentError(
            f"`spaces.{name}`: {cls.__name__} needs `{'`, `'.join(missing)}`, which the data set "
            f"{dataset.name} does not give; set them, or take another `task.dataset`."
        )
    for key, single in choice_fields(cls).items():
        if key in given and not single and not isinstance(given[key], tuple):
            raise ExperimentError(
                f"`spaces.{name}.{key}` must list its choices; got {given[key]!r}, so write "
                f"[{given[key]!r}]."
            )
    try:
        space = cls(**everything)
        if sparsity is not None:
            space = SparseSpace(space, sparsity)
        dataset.check(space)
    except (ValueError, TypeError) as error:
        raise ExperimentError(f"`spaces.{name}`: {error}") from error
    return space


def nearest(key: str, known: Sequence[str]) -> str:
    """A question whether the most similar of the known keys was meant, if one is similar."""
    near = difflib.get_close_matches(key, known, n=1)
    return f" Did you mean `{near[0]}`?" if near else ""
