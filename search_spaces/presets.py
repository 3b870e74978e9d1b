"""Presets: published networks by name, each as the fields of the space that holds it alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.errors import UnknownNameError
from search_spaces.families import FAMILIES
from search_spaces.space import SearchSpace

__all__ = ["PRESETS", "preset"]

PRESETS: Mapping[str, tuple[type[SearchSpace], Mapping[str, Any]]] = MappingProxyType(
    {name: (space, fields) for space, presets in FAMILIES for name, fields in presets.items()}
)
"""Of each preset its space and the space's fields, each with a single choice."""


def preset(name: str) -> Architecture:
    """The network of a preset.

    >>> preset("vit_b_16").blocks[0]
    PatchEmbedding(channels=3, resolution=224, patch_size=16, width=768, class_token=True)

    Raises:
        UnknownNameError: There is no such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, tuple(PRESETS))
    cls, fields = PRESETS[name]
    space = cls(**fields)
    return space.decode(np.zeros(len(space.parameters), dtype=np.int64))
