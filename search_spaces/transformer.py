"""The two halves of a transformer layer, each normalised first and with its residual inside.

Vaswani et al. (2017) put attention before an MLP; Dosovitskiy et al. (2021) normalise before each
rather than after. As blocks of their own they also stand where a layer has only one of the two:
in FNet, in mixtures of experts, in decoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.block import Block, Shape
from search_spaces.validation import check_multiple, check_type, check_whole

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CachedAttention", "FeedForward", "SelfAttention", "head_features"]


def head_features(width: int, heads: int, head_width: int) -> int:
    """Features of a head, where a ``head_width`` of 0 is the width over the heads.

    >>> head_features(width=64, heads=4, head_width=0)
    16

    Raises:
        ValueError: The heads do not divide the width.
    """
    if not head_width and width % heads:
        raise ValueError(
            "`width` must be divisible by `heads` where `head_width` is 0; "
            f"got {width} and {heads}."
        )
    return head_width or width // heads


@dataclass(frozen=True, slots=True)
class SelfAttention(Block):
    """``x + attention(norm(x))`` over ``[tokens, width]``, with a LayerNorm and biases.

    With fewer key-value heads than heads, each of them serves a group of heads (grouped-query
    attention, Ainslie et al. 2023).

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        heads: Heads, each with its own queries.
        head_width: Features of a head; all heads together need not be as wide as a token.
        kv_heads: Heads of keys and values; they divide the heads.
        causal: Whether a token sees only itself and those before it.
    """

    tokens: int
    width: int
    heads: int
    head_width: int
    kv_heads: int
    causal: bool

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "heads", "head_width", "kv_heads")
        check_type(self, bool, "causal")
        check_multiple(self, "heads", "kv_heads")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        attention = layers.Attention(
            self.width, self.heads, self.head_width, self.kv_heads, causal=self.causal
        )
        return layers.Residual(nn.Sequential(nn.LayerNorm(self.width), attention))

    @property
    def cache_elements(self) -> int:
        return 2 * self.kv_heads * self.tokens * self.head_width if self.causal else 0

    def decoding(self) -> Block | None:
        if not self.causal:
            return None
        if self.tokens == 1:
            return self  # There is nothing before the last token.
        return CachedAttention(self.tokens, self.width, self.heads, self.head_width, self.kv_heads)


@dataclass(frozen=True, slots=True)
class CachedAttention(Block):
    """The last token of a causal :class:`SelfAttention`, which has the same weights.

    It reads the token ``[1, width]`` and the keys and the values of the tokens before it, each
    ``[kv_heads, context - 1, head_width]``.

    Attributes:
        context: Tokens that are attended to, the last one included; above 1.
        width: Features of a token.
        heads: Heads, each with its own queries.
        head_width: Features of a head.
        kv_heads: Heads of keys and values; they divide the heads.
    """

    context: int
    width: int
    heads: int
    head_width: int
    kv_heads: int

    def __post_init__(self) -> None:
        check_whole(self, "context", "width", "heads", "head_width", "kv_heads")
        check_multiple(self, "heads", "kv_heads")
        if self.context == 1:
            raise ValueError("`context` must be above 1, or there is nothing to cache; got 1.")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        cached = (self.kv_heads, self.context - 1, self.head_width)
        return ((1, self.width), cached, cached)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers, text_layers

        attention = layers.Attention(
            self.width, self.heads, self.head_width, self.kv_heads, causal=True
        )
        return text_layers.PreNorm(nn.LayerNorm(self.width), attention)


@dataclass(frozen=True, slots=True)
class FeedForward(Block):
    """``x + mlp(norm(x))`` over ``[tokens, width]``: LayerNorm, two linear layers, GELU between.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        hidden: Features between the two linear layers.
        rank: 0 for dense layers; otherwise each weight is a product of two matrices with this
            inner size, which has to be below ``width`` and ``hidden``.
    """

    tokens: int
    width: int
    hidden: int
    rank: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "hidden")
        check_type(self, int, "rank")
        if not 0 <= self.rank < min(self.width, self.hidden):
            raise ValueError(
                "`rank` must be 0, for dense layers, or above it and below `width` and `hidden`; "
                f"got {self.rank} with {self.width} and {self.hidden}."
            )

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        mlp = layers.Mlp(self.width, self.hidden, self.rank)
        return layers.Residual(nn.Sequential(nn.LayerNorm(self.width), mlp))

    def decoding(self) -> Block:
        return FeedForward(1, self.width, self.hidden, self.rank)
