"""The columns of a file that are a configuration, lists spread over a column for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.layer_features import LayerStack
from nas.table_file import TableFile
from search_spaces import UnknownNameError

__all__ = ["table_configuration"]


def table_configuration(
    table: TableFile, config: Sequence[str], depth: str | None
) -> tuple[dict[str, NDArray[Any]], list[LayerStack]]:
    """Values of each column, and the stacks of layers that some of them are.

    Args:
        table: The columns.
        config: Those of the configuration, as :meth:`nas.table_problem.TableProblem.from_table`
            takes them.
        depth: The one that says how many elements lists have, where that differs.

    Raises:
        ExperimentError: Lists do not have the length that they must, there is none where there must
            be one, or a column has the name of a list's layer.
        UnknownNameError: ``depth`` is not one of them.
    """
    kinds = dict(map(table.kind, config))
    worded = list(kinds)
    if depth is not None and depth not in worded:
        raise UnknownNameError("column of the configuration, for `depth`,", depth, worded)
    depths = None if depth is None else table.numbers(depth)
    configuration: dict[str, NDArray[Any]] = {}
    layers: dict[str, tuple[str, ...]] = {}
    for name in worded:
        if kinds[name] != "list":
            configuration[name] = table.choices(name, kinds[name] == "text")
            continue
        columns = table.lists(name, depths, depth or "").T
        layers[name] = tuple(f"{name}_{layer}" for layer in range(len(columns)))
        for layer in layers[name]:
            if layer in worded:
                raise ExperimentError(
                    f"Columns `{layer}` and `{name}:list` of the configuration stand for the "
                    "same; leave one of them out."
                )
        configuration |= dict(zip(layers[name], columns, strict=True))
    if depth is not None and not layers:
        raise ExperimentError(
            f"`depth` is {depth!r}, but no column of the configuration is a list; write "
            "`COLUMN:list` for those that are, or leave `depth` out."
        )
    return configuration, [] if depth is None else [LayerStack(depth, layers)]
