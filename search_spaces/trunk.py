"""What the families of image transformers share: patches in, attention and MLPs, classes out.

The layers between are in two halves each, as :mod:`search_spaces.transformer` has them; a family
says which halves its layers have, and what else decides them.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import SearchSpace, Slot
from search_spaces.transformer import FeedForward, SelfAttention, head_features
from search_spaces.validation import (
    check_at_most,
    check_choices,
    check_items,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["HEADS", "ImageTrunk", "Layer", "PatchEmbedding", "ViTHead", "half"]

Made = TypeVar("Made")

POOLS = ("cls", "mean")

ENDS = ("resolution", "patch_size", "pool", "width")
"""Parameters that fix the first and the last block, and the sequence between the two."""

HEADS = ("heads", "head_width", "kv_heads")
"""Parameters that :meth:`Layer.attention` takes."""


def sequence_length(resolution: int, patch_size: int, class_token: bool) -> int:
    """Tokens of an image.

    >>> sequence_length(resolution=224, patch_size=16, class_token=True)
    197
    """
    return (resolution // patch_size) ** 2 + class_token


def unread_pixels(resolution: int, patch_size: int) -> str | None:
    """What patches leave of an image that they do not divide, in words; ``None`` for nothing.

    >>> unread_pixels(224, 64)
    'patches of 64 pixels leave the last 32 rows and columns of an image of 224 pixels unread'
    """
    if not resolution % patch_size:
        return None
    return (
        f"patches of {patch_size} pixels leave the last {resolution % patch_size} rows and columns "
        f"of an image of {resolution} pixels unread"
    )


@dataclass(frozen=True, slots=True)
class PatchEmbedding(Block):
    """Cuts an image into patches and adds a position embedding.

    A patch that does not divide the resolution leaves the remainder unread (:attr:`remark`), as the
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
        check_at_most(self, "patch_size", "resolution")

    @property
    def tokens(self) -> int:
        """Tokens that come out, the class token included."""
        return sequence_length(self.resolution, self.patch_size, self.class_token)

    @property
    def remark(self) -> str | None:
        return unread_pixels(self.resolution, self.patch_size)

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


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a network: where it stands, and the sequence that it reads.

    Attributes:
        position: Layers before it.
        depth: Layers of the network.
        tokens: Length of the sequence.
        width: Features of a token.
    """

    position: int
    depth: int
    tokens: int
    width: int

    def attention(self, heads: int, head_width: int, kv_heads: int) -> SelfAttention:
        """A first half."""
        each = head_features(self.width, heads, head_width)
        return SelfAttention(self.tokens, self.width, heads, each, kv_heads or heads, causal=False)

    def mlp(self, mlp_rank: int, mlp_ratio: float) -> FeedForward:
        """A second half."""
        return FeedForward(self.tokens, self.width, self.hidden(mlp_ratio), mlp_rank)

    def hidden(self, mlp_ratio: float) -> int:
        """The width of an MLP that is so many times as wide as a token."""
        return round(mlp_ratio * self.width)


def half(
    position: int,
    block: Callable[..., Block],
    *reads: str,
    tie: Callable[..., int | None] | None = None,
) -> Slot:
    """The slot of one half of the layer at a position; it is empty where the depth ends before.

    Args:
        position: Layers before this one.
        block: Returns the block of a :class:`Layer` and of the values of ``reads``.
        *reads: Parameters that decide the half beside those that decide its :class:`Layer`.
        tie: Returns, of the same, the earlier slot whose weights are used, or ``None``.
    """

    def in_layer(function: Callable[..., Made]) -> Callable[..., Made | None]:
        def made(
            resolution: int, patch_size: int, pool: str, width: int, depth: int, *values: Choice
        ) -> Made | None:
            if position >= depth:
                return None
            tokens = sequence_length(resolution, patch_size, pool == "cls")
            return function(Layer(position, depth, tokens, width), *values)

        return made

    owner = None if tie is None else in_layer(tie)
    return Slot((*ENDS, "depth", *reads), in_layer(block), tie=owner)


@dataclass(frozen=True)
class ImageTrunk(SearchSpace):
    """A transformer over the patches of an image, of which a family says what its layers are.

    Slot 0 holds the patch embedding, two slots follow for each position up to the largest depth,
    and the last slot holds the classifier.

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
        mlp_ratio: Choices of MLP width over width; the MLP width is rounded. A family says which
            layers share a choice.
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

    def __post_init__(self) -> None:
        check_choices(self)
        check_whole(self, "input_channels", "classes")
        check_positive(self, "resolution", "patch_size", "depth", "width", "heads", "mlp_ratio")
        check_items(self, int, "patch_size", "depth", "width", "heads")
        check_items(self, int, "head_width", "kv_heads", "mlp_rank")
        check_one_of(self, "pool", POOLS)
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @property
    @abc.abstractmethod
    def layer_parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of the family's own parameters, those of the MLP ratio among them."""

    @abc.abstractmethod
    def layer(self, position: int) -> tuple[Slot, Slot]:
        """The halves of the layer at a position, each made by :func:`half`."""

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
        return shared | dict(self.layer_parameters)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        def embedding(resolution: int, patch_size: int, pool: str, width: int) -> PatchEmbedding:
            return PatchEmbedding(self.input_channels, resolution, patch_size, width, pool == "cls")

        def head(resolution: int, patch_size: int, pool: str, width: int) -> ViTHead:
            tokens = sequence_length(resolution, patch_size, pool == "cls")
            return ViTHead(tokens, width, self.classes, pool)

        layers = [slot for position in range(max(self.depth)) for slot in self.layer(position)]
        return (Slot(ENDS, embedding), *layers, Slot(ENDS, head))
