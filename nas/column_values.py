"""Values of a table's columns, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError

__all__ = ["choice_values", "finite_values"]


def choice_values(name: str, column: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """A column of a configuration: finite numbers, words or truth values.

    Raises:
        ExperimentError: It holds something else; the message names the column, and the row.
    """
    array = np.asarray(column)
    if array.dtype.kind in "iuf":
        if not np.isfinite(array).all():
            row = int(np.argmin(np.isfinite(array)))
            raise ExperimentError(
                f"Column `{name}`, row {row}: {array[row]} is no finite number; leave the row out."
            )
        return array
    if array.dtype.kind in "bSU":
        return array
    raise ExperimentError(
        f"Column `{name}` must hold numbers or words, not both nor other things; got "
        f"{array.dtype} with {array[:3].tolist()} in it."
    )


def finite_values(name: str, column: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    """A column of numbers.

    Raises:
        ExperimentError: One is none, or not finite; the message names the column, and the row.
    """
    try:
        array = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"Column `{name}` must hold numbers: {error}.") from error
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array)))
        raise ExperimentError(
            f"Column `{name}`, row {row}: {array[row]} is no finite number; leave the row out."
        )
    return array
