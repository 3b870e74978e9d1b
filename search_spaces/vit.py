"""Vision Transformer (Dosovitskiy et al., ICLR 2021): blocks and search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import SearchSpace, Slot
from search_spaces.validation import (
    check_items,
    check_multiple,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PatchEmbedding", "TransformerLayer", "ViTHead", "ViTSpace"]

POOLS = ("cls", "mean")


@dataclass(frozen=True, slots=True)
class PatchEmbedding(Block):
    """Cuts an image into patches and adds a position embedding.

    A patch that does not divide the resolution drops the remainder, as the convolution does.

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
class TransformerLayer(Block):
    """Pre-norm encoder layer: attention and MLP, each with a LayerNorm before and a residual.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        heads: Attention heads; they split the width.
        mlp_width: Hidden features of the MLP.
    """

    tokens: int
    width: int
    heads: int
    mlp_width: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "heads", "mlp_width")
        check_multiple(self, "width", "heads")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        return nn.Sequential(
            layers.Residual(
                nn.Sequential(nn.LayerNorm(self.width), layers.Attention(self.width, self.heads))
            ),
            layers.Residual(
                nn.Sequential(nn.LayerNorm(self.width), layers.Mlp(self.width, self.mlp_width))
            ),
        )


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
        resolution: Height and width of the image in pixels.
        classes: Outputs.
        patch_size: Choices of the patch's side in pixels.
        depth: Choices of the number of layers.
        width: Choices of the features of a token.
        heads: Choices of the number of heads; each must divide each width.
        mlp_ratio: Choices, for each layer, of MLP width over width.
        pool: Choices of ``"cls"`` and ``"mean"``.
    """

    input_channels: int = 1
    resolution: int = 8
    classes: int = 10
    patch_size: Sequence[int] = (2, 4)
    depth: Sequence[int] = (2, 3, 4, 5, 6)
    width: Sequence[int] = (32, 48, 64)
    heads: Sequence[int] = (2, 4)
    mlp_ratio: Sequence[float] = (1, 2, 4)
    pool: Sequence[str] = POOLS
    name: str = field(default="vit", init=False)

    def __post_init__(self) -> None:
        check_whole(self, "input_channels", "resolution", "classes")
        check_positive(self, "patch_size", "depth", "width", "heads", "mlp_ratio")
        check_items(self, int, "patch_size", "depth", "width", "heads")
        check_one_of(self, "pool", POOLS)
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        shared: dict[str, tuple[Choice, ...]] = {
            "patch_size": tuple(self.patch_size),
            "pool": tuple(self.pool),
            "width": tuple(self.width),
            "heads": tuple(self.heads),
            "depth": tuple(self.depth),
        }
        layers = range(max(self.depth))
        return shared | {f"mlp_ratio_{layer}": tuple(self.mlp_ratio) for layer in layers}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        def embedding(patch_size: int, pool: str, width: int) -> PatchEmbedding:
            return PatchEmbedding(
                self.input_channels, self.resolution, patch_size, width, pool == "cls"
            )

        def head(patch_size: int, pool: str, width: int) -> ViTHead:
            tokens = embedding(patch_size, pool, width).tokens
            return ViTHead(tokens, width, self.classes, pool)

        def layer_at(position: int) -> Slot:
            def layer(
                patch_size: int, pool: str, width: int, heads: int, depth: int, mlp_ratio: float
            ) -> TransformerLayer | None:
                if position >= depth:
                    return None
                tokens = embedding(patch_size, pool, width).tokens
                return TransformerLayer(tokens, width, heads, round(mlp_ratio * width))

            reads = ("patch_size", "pool", "width", "heads", "depth", f"mlp_ratio_{position}")
            return Slot(reads, layer)

        ends = ("patch_size", "pool", "width")
        layers = [layer_at(position) for position in range(max(self.depth))]
        return (Slot(ends, embedding), *layers, Slot(ends, head))
