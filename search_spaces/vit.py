"""Vision Transformer (Dosovitskiy et al., ICLR 2021): blocks and search space."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import SearchSpace, Slot
from search_spaces.transformer import FeedForward, SelfAttention, head_features
from search_spaces.validation import (
    check_items,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PRESETS", "PatchEmbedding", "ViTHead", "ViTSpace"]

POOLS = ("cls", "mean")


@dataclass(frozen=True, slots=True)
class PatchEmbedding(Block):
    """Cuts an image into patches and adds a position embedding.

    A patch that does not divide the resolution leaves :attr:`dropped_pixels` unread, as the
    convolution does.

    Attributes:
        channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        patch_size: Height and width of a patch in pixels.
        width: Features of a token.
        class_token: Whether a learned token is put in front.
    """

    channels: int
    resolution: int
    patch_size: int
    width: int
    class_token: bool

    def __post_init__(self) -> None:
        check_whole(self, "channels", "resolution", "patch_size", "width")
        check_type(self, bool, "class_token")
        if self.patch_size > self.resolution:
            raise ValueError(
                f"`patch_size` must not exceed `resolution`; got {self.patch_size} "
                f"and {self.resolution}."
            )

    @property
    def tokens(self) -> int:
        """Tokens that come out, the class token included."""
        return (self.resolution // self.patch_size) ** 2 + self.class_token

    @property
    def dropped_pixels(self) -> int:
        """Width in pixels of the right and bottom edges that no patch covers."""
        return self.resolution % self.patch_size

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.channels, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        import torch
        from torch import nn

        class Embedding(nn.Module):
            def __init__(self, block: PatchEmbedding) -> None:
                super().__init__()
                self.patches = nn.Conv2d(
                    block.channels, block.width, block.patch_size, block.patch_size
                )
                self.positions = nn.Parameter(torch.randn(1, block.tokens, block.width) * 0.02)
                self.token = (
                    nn.Parameter(torch.zeros(1, 1, block.width)) if block.class_token else None
                )

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                y = self.patches(x).flatten(2).transpose(1, 2)
                if self.token is not None:
                    y = torch.cat((self.token.expand(x.shape[0], -1, -1), y), dim=1)
                embedded: torch.Tensor = y + self.positions
                return embedded

        return Embedding(self)


@dataclass(frozen=True, slots=True)
class ViTHead(Block):
    """Final LayerNorm, pooling to one token, and a linear classifier.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        classes: Outputs.
        pool: ``"cls"`` takes the first token, ``"mean"`` the average of all.
    """

    tokens: int
    width: int
    classes: int
    pool: str

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "classes")
        check_type(self, str, "pool")
        check_one_of(self, "pool", POOLS)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        pool = layers.Apply(lambda x: x[:, 0] if self.pool == "cls" else x.mean(1))
        return nn.Sequential(nn.LayerNorm(self.width), pool, nn.Linear(self.width, self.classes))


@dataclass(frozen=True)
class ViTSpace(SearchSpace):
    """Vision Transformers with an MLP ratio for each layer.

    Attributes:
        input_channels: Channels of the image.
        resolution: Height and width of the image in pixels, or choices of it.
        classes: Outputs.
        patch_size: Choices of the patch's side in pixels.
        depth: Choices of the number of layers.
        width: Choices of the features of a token.
        heads: Choices of the number of heads.
        head_width: Choices of the features of a head; 0 for the width over the heads, which each
            of them must then divide.
        kv_heads: Choices of the number of key-value heads; 0 for as many as heads. Each must
            divide each number of heads.
        mlp_ratio: Choices, for each layer, of MLP width over width; the MLP width is rounded.
        mlp_rank: Choices of the inner size of factored MLP weights; 0 for dense ones.
        pool: Choices of ``"cls"`` and ``"mean"``.
    """

    input_channels: int = 1
    resolution: int | Sequence[int] = 8
    classes: int = 10
    patch_size: Sequence[int] = (2, 4)
    depth: Sequence[int] = (2, 3, 4, 5, 6)
    width: Sequence[int] = (32, 48, 64)
    heads: Sequence[int] = (2, 4)
    head_width: Sequence[int] = (0,)
    kv_heads: Sequence[int] = (0,)
    mlp_ratio: Sequence[float] = (1, 2, 4)
    mlp_rank: Sequence[int] = (0,)
    pool: Sequence[str] = POOLS
    name: str = field(default="vit", init=False)

    def __post_init__(self) -> None:
        check_whole(self, "input_channels", "classes")
        check_positive(self, "resolution", "patch_size", "depth", "width", "heads", "mlp_ratio")
        check_items(self, int, "patch_size", "depth", "width", "heads")
        check_items(self, int, "head_width", "kv_heads", "mlp_rank")
        check_one_of(self, "pool", POOLS)
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        sizes = self.resolution
        shared: dict[str, tuple[Choice, ...]] = {
            "resolution": (sizes,) if isinstance(sizes, int) else tuple(sizes),
            "patch_size": tuple(self.patch_size),
            "pool": tuple(self.pool),
            "width": tuple(self.width),
            "heads": tuple(self.heads),
            "head_width": tuple(self.head_width),
            "kv_heads": tuple(self.kv_heads),
            "mlp_rank": tuple(self.mlp_rank),
            "depth": tuple(self.depth),
        }
        layers = range(max(self.depth))
        return shared | {f"mlp_ratio_{layer}": tuple(self.mlp_ratio) for layer in layers}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        def embedding(resolution: int, patch_size: int, pool: str, width: int) -> PatchEmbedding:
            return PatchEmbedding(self.input_channels, resolution, patch_size, width, pool == "cls")

        def head(resolution: int, patch_size: int, pool: str, width: int) -> ViTHead:
            tokens = embedding(resolution, patch_size, pool, width).tokens
            return ViTHead(tokens, width, self.classes, pool)

        def attention(
            resolution: int,
            patch_size: int,
            pool: str,
            width: int,
            heads: int,
            head_width: int,
            kv_heads: int,
        ) -> SelfAttention:
            tokens = embedding(resolution, patch_size, pool, width).tokens
            each = head_features(width, heads, head_width)
            return SelfAttention(tokens, width, heads, each, kv_heads or heads, causal=False)

        def mlp(
            resolution: int,
            patch_size: int,
            pool: str,
            width: int,
            mlp_rank: int,
            mlp_ratio: float,
        ) -> FeedForward:
            tokens = embedding(resolution, patch_size, pool, width).tokens
            return FeedForward(tokens, width, round(mlp_ratio * width), mlp_rank)

        def in_layer(position: int, block: Callable[..., Block], *reads: str) -> Slot:
            def present(depth: int, *values: Choice) -> Block | None:
                return block(*values) if position < depth else None

            return Slot(("depth", *ends, *reads), present)

        ends = ("resolution", "patch_size", "pool", "width")
        layers = (
            (
                in_layer(position, attention, "heads", "head_width", "kv_heads"),
                in_layer(position, mlp, "mlp_rank", f"mlp_ratio_{position}"),
            )
            for position in range(max(self.depth))
        )
        return (Slot(ends, embedding), *itertools.chain(*layers), Slot(ends, head))


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
