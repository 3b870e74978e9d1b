"""Quality: how good a network's outputs are, as the data set or a table measures it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS_PER_BYTE", "ERROR", "Measure", "Quality"]

IGNORED = -100
"""A label that is not predicted; PyTorch's cross-entropy leaves it out by default."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A measured quality, with everything that says what it is.

    Attributes:
        name: The split and the measure (``"validation_error"``).
        value: The number.
        direction: ``"minimize"``: the smaller, the better, as of everything that is trained; or
            ``"maximize"``, as a published table may have it.
    """

    name: str
    value: float
    direction: str = "minimize"

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(
                f"`direction` must be 'minimize' or 'maximize'; got {self.direction!r}."
            )

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.direction == "maximize"

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ')} {self.value:.4g}"

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Quality:
        """Reads back what :meth:`to_json` wrote."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Measure:
    """What a data set minimises: a loss, summed over a split, over the size of the split.

    Attributes:
        name: What it is called after the split (``"error"``).
        total: Its sum over outputs ``[..., classes]`` with labels ``[...]``.
    """

    name: str
    total: Callable[[NDArray[Any], NDArray[np.int64]], float]

    def quality(self, split: str, value: float) -> Quality:
        """A value of it on a split (``"validation"``, ``"test"``)."""
        return Quality(f"{split}_{self.name}", value)


def _wrong(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    return float((outputs.argmax(axis=-1) != labels).sum())


def _bits(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    predicted = labels != IGNORED
    logits = outputs[predicted].astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=-1)) + top[:, 0]
    chosen = np.take_along_axis(logits, labels[predicted][:, None], axis=-1)[:, 0]
    return float((log_sum - chosen).sum() / math.log(2))


ERROR = Measure("error", _wrong)
"""Share of the examples whose largest output is not their label."""

BITS_PER_BYTE = Measure("bits_per_byte", _bits)
"""Cross-entropy in bits over the bytes predicted.

Comparable between vocabularies, which cut the same bytes into more or fewer tokens, and between
contexts. 8 is guessing.
"""
