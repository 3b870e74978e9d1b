"""Decoder-only language models (GPT-2; Radford et al. 2019): blocks and search space.

A network reads the ids of a text and scores, at each position, every id that may come next.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice, SharedWeight
from search_spaces.block import Block, Shape
from search_spaces.space import SearchSpace, Slot
from search_spaces.transformer import FeedForward, SelfAttention, head_features
from search_spaces.validation import check_choices, check_items, check_positive, check_whole

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "PRESETS",
    "DecoderSpace",
    "LanguageHead",
    "LastTokenEmbedding",
    "TokenEmbedding",
]


@dataclass(frozen=True, slots=True)
class TokenEmbedding(Block):
    """Turns ids ``[tokens]`` into ``[tokens, width]``, with learned positions.

    Attributes:
        vocabulary: Ids that there are.
        tokens: Length of the sequence.
        width: Features of a token.
    """

    vocabulary: int
    tokens: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "vocabulary", "tokens", "width")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens,),)

    @property
    def token_ids(self) -> int:
        return self.vocabulary

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        return text_layers.PositionedEmbedding(self.vocabulary, self.tokens, self.width, last=False)

    def decoding(self) -> Block:
        return LastTokenEmbedding(self.vocabulary, self.tokens, self.width)


@dataclass(frozen=True, slots=True)
class LastTokenEmbedding(Block):
    """The last token of a :class:`TokenEmbedding`, which has the same weights and fields."""

    vocabulary: int
    tokens: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "vocabulary", "tokens", "width")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((1,),)

    @property
    def token_ids(self) -> int:
        return self.vocabulary

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        return text_layers.PositionedEmbedding(self.vocabulary, self.tokens, self.width, last=True)


@dataclass(frozen=True, slots=True)
class LanguageHead(Block):
    """Final LayerNorm, and scores ``[tokens, vocabulary]`` of the id that comes next.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        vocabulary: Ids that there are.
    """

    tokens: int
    width: int
    vocabulary: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "vocabulary")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import text_layers

        score = text_layers.plain_linear(self.width, self.vocabulary)
        return nn.Sequential(OrderedDict(norm=nn.LayerNorm(self.width), score=score))

    def decoding(self) -> Block:
        return LanguageHead(1, self.width, self.vocabulary)


@dataclass(frozen=True)
class DecoderSpace(SearchSpace):
    """Decoder-only language models with an MLP ratio for each layer.

    Attributes:
        vocabulary: Choices of the number of ids.
        context: Choices of the length of the sequence.
        depth: Choices of the number of layers.
        width: Choices of the features of a token.
        heads: Choices of the number of heads.
        head_width: Choices of the features of a head; 0 for the width over the heads, which each
            of them must then divide.
        kv_heads: Choices of the number of key-value heads; 0 for as many as heads. Each must
            divide each number of heads.
        mlp_ratio: Choices, for each layer, of MLP width over width; the MLP width is rounded.
        tied: Choices of whether the head's weight is the embedding's table (Press & Wolf 2017).
    """

    vocabulary: Sequence[int] = (256,)
    context: Sequence[int] = (64,)
    depth: Sequence[int] = (1, 2, 3)
    width: Sequence[int] = (32, 48, 64)
    heads: Sequence[int] = (2, 4)
    head_width: Sequence[int] = (0,)
    kv_heads: Sequence[int] = (0,)
    mlp_ratio: Sequence[float] = (1, 2, 4)
    tied: Sequence[bool] = (True, False)
    name: str = field(default="decoder", init=False)

    def __post_init__(self) -> None:
        check_choices(self)
        check_positive(self, "vocabulary", "context", "depth", "width", "heads", "mlp_ratio")
        check_items(self, int, "vocabulary", "context", "depth", "width", "heads")
        check_items(self, int, "head_width", "kv_heads")
        check_items(self, bool, "tied")
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        shared: dict[str, tuple[Choice, ...]] = {
            "vocabulary": tuple(self.vocabulary),
            "context": tuple(self.context),
            "width": tuple(self.width),
            "heads": tuple(self.heads),
            "head_width": tuple(self.head_width),
            "kv_heads": tuple(self.kv_heads),
            "depth": tuple(self.depth),
            "tied": tuple(self.tied),
        }
        layers = range(max(self.depth))
        return shared | {f"mlp_ratio_{layer}": tuple(self.mlp_ratio) for layer in layers}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        def head(context: int, width: int, vocabulary: int, tied: bool) -> LanguageHead:
            return LanguageHead(context, width, vocabulary)

        def shared(
            context: int, width: int, vocabulary: int, tied: bool
        ) -> tuple[SharedWeight, ...]:
            return (("score.weight", 0, "table"),) if tied else ()

        def layer(position: int) -> tuple[Slot, Slot]:
            def attention(
                context: int, width: int, depth: int, heads: int, head_width: int, kv_heads: int
            ) -> SelfAttention | None:
                if position >= depth:
                    return None
                each = head_features(width, heads, head_width)
                return SelfAttention(context, width, heads, each, kv_heads or heads, causal=True)

            def mlp(context: int, width: int, depth: int, ratio: float) -> FeedForward | None:
                if position >= depth:
                    return None
                return FeedForward(context, width, round(ratio * width), 0)

            ends = ("context", "width", "depth")
            return (
                Slot((*ends, "heads", "head_width", "kv_heads"), attention),
                Slot((*ends, f"mlp_ratio_{position}"), mlp),
            )

        layers = [slot for position in range(max(self.depth)) for slot in layer(position)]
        return (
            Slot(("vocabulary", "context", "width"), TokenEmbedding),
            *layers,
            Slot(("context", "width", "vocabulary", "tied"), head, shared=shared),
        )


PRESETS: dict[str, dict[str, Any]] = {
    "gpt2_small": {
        "vocabulary": (50_257,),
        "context": (1024,),
        "depth": (12,),
        "width": (768,),
        "heads": (12,),
        "mlp_ratio": (4,),
        "tied": (True,),
    },
}
"""Fields of a :class:`DecoderSpace` that has one architecture: the smallest GPT-2."""
