"""What operators put out on the meta device, run once for equal shapes.

There PyTorch works most operators out in Python, step by step, which is slow. What comes out
follows from the shapes, strides and types of what goes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

__all__ = ["FreshResults"]

LIMIT = 50_000
"""Results that are remembered at most."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """A tensor of the meta device, of which nothing else can be told."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> _Layout:
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def make(self) -> torch.Tensor:
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")


@dataclass(frozen=True, slots=True)
class FreshResults:
    """Remembers results that are new tensors, by operator and arguments.

    Views, several results, and calls that change an argument run each time.

    Attributes:
        known: The result of each call that is remembered.
    """

    known: dict[Any, _Layout] = field(default_factory=dict)

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """What the function returns for tensors on the meta device, or an equal new tensor.

        Raises:
            Exception: Whatever the function raises; only what succeeded is remembered.
        """
        tensors: list[torch.Tensor] = []
        key = (function, _key(args, tensors), _key(kwargs, tensors))
        try:
            layout = self.known.get(key)
        except TypeError:  # Of an argument that has no hash nothing can be remembered.
            return function(*args, **kwargs)
        if layout is not None:
            return layout.make()
        versions = [tensor._version for tensor in tensors]
        result = function(*args, **kwargs)
        changed = any(t._version != v for t, v in zip(tensors, versions, strict=True))
        if tensors and not changed and _is_fresh(result, tensors):
            if len(self.known) >= LIMIT:
                self.known.clear()
            self.known[key] = _Layout.of(result)
        return result


def _is_fresh(result: Any, tensors: Sequence[torch.Tensor]) -> bool:
    """Whether it is a tensor that fills memory of its own from the first element on."""
    if type(result) is not torch.Tensor or not result.is_meta:
        return False
    if result.is_conj() or result.is_neg():
        return False
    memory = result.untyped_storage()
    if any(memory._cdata == tensor.untyped_storage()._cdata for tensor in tensors):
        return False
    return memory.nbytes() == _Layout.of(result).make().untyped_storage().nbytes()


def _key(value: Any, tensors: list[torch.Tensor]) -> Any:
    """An argument as a key; the tensors in it are added to the list.

    Types are part of it: an operator may tell 1 from 1.0 and True, and a list from a tuple.
    """
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        lazy = value.is_conj(), value.is_neg()
        return type(value), tuple(value.shape), value.stride(), value.dtype, value.device, lazy
    if isinstance(value, list | tuple):
        return type(value), tuple([_key(item, tensors) for item in value])
    if isinstance(value, Mapping):
        return tuple([(name, _key(item, tensors)) for name, item in value.items()])
    if isinstance(value, slice):
        return slice, _key((value.start, value.stop, value.step), tensors)
    return type(value), value
