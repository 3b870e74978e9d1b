"""Spaces that the shipped profiles were measured over: each family at the size it is used at.

Their blocks are those of published networks and of what lies between; ``hwnas profile measure``
takes them by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.errors import UnknownNameError
from search_spaces.families import SPACES
from search_spaces.space import SearchSpace

__all__ = ["PROFILED", "profiled_space"]

_IMAGENET: dict[str, Any] = {"input_channels": 3, "resolution": 224, "classes": 1000}
_SMALL: dict[str, Any] = {"input_channels": 3, "resolution": 96, "classes": 100}

PROFILED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "vit_224": (
        "vit",
        _IMAGENET
        | {
            "patch_size": (16, 32, 64),
            "depth": (2, 4, 6, 8, 10, 12, 16),
            "width": (192, 384, 512, 768, 1024),
            "heads": (3, 6, 8, 12, 16),
            "head_width": (32, 64),
            "mlp_ratio": (1, 2, 3, 4),
        },
    ),
    "mbconv_224": (
        "mbconv",
        _IMAGENET
        | {
            "activation": ("silu",),
            "stem_width": (16, 32),
            "stem_stride": 2,
            "strides": (1, 2, 2, 2, 1, 2),
            "width": ((16,), (24, 32), (40, 64), (80, 112), (96, 160), (192, 320)),
            "depth": ((1,), (1, 2, 3), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3)),
            "kernel_size": (3, 5),
            "expansion": ((1,), (3, 6), (3, 6), (3, 6), (3, 6), (3, 6)),
            "squeeze": (False, True),
            "features": (1280,),
        },
    ),
    "vit_96": (
        "vit",
        _SMALL
        | {
            "patch_size": (8, 16),
            "depth": (2, 3, 4, 6, 8),
            "width": (64, 96, 128, 192),
            "heads": (2, 4),
            "head_width": (16, 32),
            "mlp_ratio": (1, 2, 4),
        },
    ),
    "mbconv_96": (
        "mbconv",
        _SMALL
        | {
            "activation": ("silu",),
            "stem_width": (16,),
            "stem_stride": 2,
            "strides": (1, 2, 2, 2),
            "width": ((16,), (24, 32), (40, 64), (80, 112)),
            "depth": ((1,), (1, 2, 3), (1, 2, 3), (1, 2, 3)),
            "kernel_size": (3, 5),
            "expansion": ((1,), (3, 6), (3, 6), (3, 6)),
            "squeeze": (False, True),
            "features": (256,),
        },
    ),
}
"""Family and fields of each space by name: at 224 pixels for GPUs, at 96 for CPUs."""


def profiled_space(name: str) -> SearchSpace:
    """A space by the name of :data:`PROFILED`, or a family's with its defaults.

    Raises:
        UnknownNameError: There is no such space.
    """
    if name in PROFILED:
        family, fields = PROFILED[name]
        return SPACES[family](**fields)
    if name in SPACES:
        return SPACES[name]()
    raise UnknownNameError("space", name, (*PROFILED, *SPACES))
