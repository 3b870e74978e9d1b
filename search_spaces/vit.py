"""Vision Transformer (Dosovitskiy et al., ICLR 2021): search space and published networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces.architecture import Choice
from search_spaces.space import Slot
from search_spaces.trunk import HEADS, ImageTrunk, Layer, half

__all__ = ["PRESETS", "ViTSpace"]


@dataclass(frozen=True)
class ViTSpace(ImageTrunk):
    """Vision Transformers with an MLP ratio for each layer.

    Attributes:
        mlp_ratio: Choices, for each layer, of MLP width over width; the MLP width is rounded.
    """

    name: str = field(default="vit", init=False)

    @property
    def layer_parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return {f"mlp_ratio_{i}": tuple(self.mlp_ratio) for i in range(max(self.depth))}

    def layer(self, position: int) -> tuple[Slot, Slot]:
        return (
            half(position, Layer.attention, *HEADS),
            half(position, Layer.mlp, "mlp_rank", f"mlp_ratio_{position}"),
        )


def _published(
    patch_size: int, depth: int, width: int, *, mlp_width: int = 0, classes: int = 1000
) -> dict[str, Any]:
    """A ViT at 224 pixels with heads of 64 features; its MLP has four widths unless given."""
    return {
        "input_channels": 3,
        "resolution": 224,
        "classes": classes,
        "patch_size": (patch_size,),
        "depth": (depth,),
        "width": (width,),
        "heads": (width // 64,),
        "mlp_ratio": ((mlp_width or 4 * width) / width,),
        "pool": ("cls",),
    }


_DEPTH_AND_WIDTH = {"ti": (12, 192), "s": (12, 384), "b": (12, 768), "l": (24, 1024)}
"""B and L of Dosovitskiy et al. (2021), Ti and S of Touvron et al. (2021)."""

_DEPTHS = (6, 8, 16, 24, 32, 48)
"""Rows D of Table 2 of Dehghani et al. (2022), each named by its depth."""

_WIDTH_OF_MLP_WIDTH = {768: 192, 1024: 384, 1536: 512, 3072: 768, 4096: 1024}
"""Rows W of the same table, each named by its MLP width. The table prints parameters and FLOPs: of
all depths up to 48 and all widths and MLP widths in steps of 64, with heads of 64 features as in
rows D, 12 layers of these widths alone give both, and their MLPs have the width in the name. The
size of a head hardly moves the FLOPs and is all that the figures leave open."""

_JFT_CLASSES = 18_291
"""Classes of JFT-300M, with which the parameters of Table 2 come out."""

PRESETS: dict[str, dict[str, Any]] = {
    f"vit_{size}_{patch_size}": _published(patch_size, depth, width)
    for size, (depth, width) in _DEPTH_AND_WIDTH.items()
    for patch_size in (8, 16, 32, 64)
}
"""Fields of the :class:`ViTSpace` whose one architecture is the published network."""

PRESETS["deit_s"] = PRESETS["vit_s_16"]
PRESETS |= {
    f"misnomer_d{depth}": _published(32, depth, 384, classes=_JFT_CLASSES) for depth in _DEPTHS
}
PRESETS |= {
    f"misnomer_w{mlp}": _published(32, 12, width, mlp_width=mlp, classes=_JFT_CLASSES)
    for mlp, width in _WIDTH_OF_MLP_WIDTH.items()
}
