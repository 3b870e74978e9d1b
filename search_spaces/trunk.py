"""What the families of image transformers share: patches in, attention and MLPs, classes out."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from search_spaces.architecture import Choice
from search_spaces.space import SearchSpace, Slot
from search_spaces.transformer import FeedForward, SelfAttention
from search_spaces.validation import check_items, check_one_of, check_positive, check_whole
from search_spaces.vit import POOLS, PatchEmbedding, ViTHead

__all__ = ["ENDS", "ImageTrunk"]

ENDS = ("patch_size", "pool", "width")
"""Parameters that fix the first and the last block, and how long the sequence between them is."""


@dataclass(frozen=True)
class ImageTrunk(SearchSpace):
    """A transformer over the patches of an image, of which a family says what its layers are.

    Slot 0 holds the patch embedding, the slots of :meth:`layer` follow for each position up to the
    largest depth, and the last slot holds the classifier.

    Attributes:
        input_channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        classes: Outputs.
        patch_size: Choices of the patch's side in pixels.
        depth: Choices of the number of layers.
        width: Choices of the features of a token; each number of heads must divide them.
        heads: Choices of the number of attention heads.
        mlp_ratio: Choices of MLP width over width; the MLP width is rounded.
        pool: Choices of ``"cls"`` and ``"mean"``.
    """

    input_channels: int = 1
    resolution: int = 8
    classes: int = 10
    patch_size: Sequence[int] = (2, 4)
    depth: Sequence[int] = (2, 3, 4)
    width: Sequence[int] = (32, 48, 64)
    heads: Sequence[int] = (2, 4)
    mlp_ratio: Sequence[float] = (1, 2, 4)
    pool: Sequence[str] = POOLS

    def __post_init__(self) -> None:
        check_whole(self, "input_channels", "resolution", "classes")
        check_positive(self, "patch_size", "depth", "width", "heads", "mlp_ratio")
        check_items(self, int, "patch_size", "depth", "width", "heads")
        check_one_of(self, "pool", POOLS)
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @property
    @abc.abstractmethod
    def layer_parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of what the layers read beside :data:`ENDS`, depth and heads."""

    @abc.abstractmethod
    def layer(self, position: int) -> tuple[Slot, ...]:
        """The slots of one layer; they are empty where ``position`` is not below the depth."""

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        shared: dict[str, tuple[Choice, ...]] = {
            "patch_size": tuple(self.patch_size),
            "pool": tuple(self.pool),
            "width": tuple(self.width),
            "heads": tuple(self.heads),
            "depth": tuple(self.depth),
        }
        return shared | dict(self.layer_parameters)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        layers = [slot for position in range(max(self.depth)) for slot in self.layer(position)]
        return (Slot(ENDS, self.embedding), *layers, Slot(ENDS, self.head))

    def embedding(self, patch_size: int, pool: str, width: int) -> PatchEmbedding:
        """The first block."""
        return PatchEmbedding(
            self.input_channels, self.resolution, patch_size, width, pool == "cls"
        )

    def head(self, patch_size: int, pool: str, width: int) -> ViTHead:
        """The last block."""
        return ViTHead(self.tokens(patch_size, pool), width, self.classes, pool)

    def tokens(self, patch_size: int, pool: str) -> int:
        """Length of the sequence between the two."""
        return self.embedding(patch_size, pool, width=1).tokens

    def attention(self, patch_size: int, pool: str, width: int, heads: int) -> SelfAttention:
        """A first half of a layer."""
        if width % heads:
            raise ValueError(f"`width` must be divisible by `heads`; got {width} and {heads}.")
        tokens = self.tokens(patch_size, pool)
        return SelfAttention(tokens, width, heads, width // heads, heads, causal=False)

    def mlp(self, patch_size: int, pool: str, width: int, mlp_ratio: float) -> FeedForward:
        """A second half of a layer."""
        return FeedForward(self.tokens(patch_size, pool), width, round(mlp_ratio * width), rank=0)
