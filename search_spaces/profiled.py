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
_DIGITS: dict[str, Any] = {
    "input_channels": 1,
    "resolution": 8,
    "classes": 10,
    "heads": (2,),
    "mlp_ratio": (2,),
}

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
    "vit_8": (
        "vit",
        _DIGITS
        | {
            "patch_size": (2, 4, 8),
            "depth": (1, 2, 3, 4, 6, 8, 12),
            "width": (16, 24, 32, 48, 64, 96),
        },
    ),
    "moe_8": (
        "moe",
        _DIGITS
        | {
            "patch_size": (2,),
            "depth": (2, 3, 4, 6),
            "width": (24, 32, 48),
            "pool": ("mean",),
            "experts": (2, 4, 8),
            "active": (1, 2),
            "capacity_factor": (1.0,),
            "expert_every": (1, 2),
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
    "resnet_224": (
        "resnet",
        _IMAGENET
        | {
            "stem": ("conv7x7_pool",),
            "stem_width": (64,),
            "strides": (1, 2, 2, 2),
            "width": ((192, 256), (384, 512), (768, 1024), (1536, 2048)),
            "depth": ((2, 3), (2, 3, 4), (3, 4, 6), (2, 3)),
            "bottleneck_ratio": (0.25, 0.5),
            "group_width": (0, 16),
            "squeeze": (False, True),
        },
    ),
    "swin_224": (
        "swin",
        _IMAGENET
        | {
            "stages": 4,
            "patch_size": (4,),
            "width": (64, 96, 128),
            "depth": ((2,), (2,), (2, 4, 6, 8), (2,)),
            "head_width": (32,),
            "window": (7,),
            "mlp_ratio": (2, 3, 4),
        },
    ),
    "decoder_512": (
        "decoder",
        {
            "vocabulary": (50_257,),
            "context": (512,),
            "depth": (2, 4, 6, 8, 12),
            "width": (256, 512, 768, 1024),
            "heads": (4, 8, 16),
            "head_width": (64,),
            "kv_heads": (0, 2),
            "mlp_ratio": (2, 3, 4),
            "tied": (True, False),
        },
    ),
}
"""Family and fields of each space by name: at 224 pixels for GPUs, at 96 for CPUs, and
language models over a context of 512."""


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
