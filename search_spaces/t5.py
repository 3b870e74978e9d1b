"""Blocks of T5 (Raffel et al. 2020) and of the models that grew from it.

ByT5 (Xue et al. 2022) reads bytes and gates its MLPs; Switch Transformers (Fedus et al. 2022) put
experts in the place of some of them. No layer has a bias, norms divide by the root mean square, and
positions enter as a trainable number for each distance and head that is added to the scores of
self-attention.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.block import Block, Shape
from search_spaces.validation import check_type, check_whole

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "CrossAttention",
    "EncoderNorm",
    "RelativeAttention",
    "SpanEmbedding",
    "SwitchFeedForward",
    "T5FeedForward",
    "T5Head",
]


@dataclass(frozen=True, slots=True)
class SpanEmbedding(Block):
    """Turns a span of the ids ``[length]`` into ``[tokens, width]``, without positions.

    Attributes:
        vocabulary: Ids that there are.
        length: Ids that are given.
        start: Where the span begins.
        tokens: Length of the span.
        width: Features of a token.
    """

    vocabulary: int
    length: int
    start: int
    tokens: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "vocabulary", "length", "tokens", "width")
        check_type(self, int, "start")
        if not 0 <= self.start <= self.length - self.tokens:
            raise ValueError(
                "`start` must be at least 0 and leave room for `tokens` in `length`; "
                f"got {self.start} with {self.tokens} and {self.length}."
            )

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.length,),)

    @property
    def token_ids(self) -> int:
        return self.vocabulary

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        return text_layers.SpanEmbedding(self.vocabulary, self.width, self.start, self.tokens)


@dataclass(frozen=True, slots=True)
class RelativeAttention(Block):
    """``x + attention(norm(x))`` over ``[tokens, width]``, with a bias for each distance.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        heads: Heads, each with queries, keys and values of its own.
        head_width: Features of a head.
        causal: Whether a token sees only itself and those before it.
    """

    tokens: int
    width: int
    heads: int
    head_width: int
    causal: bool

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "heads", "head_width")
        check_type(self, bool, "causal")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        attention = text_layers.RelativeAttention(
            self.tokens, self.width, self.heads, self.head_width, causal=self.causal
        )
        return text_layers.PreNorm(text_layers.rms_norm(self.width), attention)


@dataclass(frozen=True, slots=True)
class CrossAttention(Block):
    """``x + attention(norm(x), memory)``: tokens ``[tokens, width]`` attend to the encoder's.

    Attributes:
        tokens: Length of the sequence.
        memory_tokens: Length of the encoder's sequence, the second input.
        width: Features of a token of either.
        heads: Heads, each with queries, keys and values of its own.
        head_width: Features of a head.
    """

    tokens: int
    memory_tokens: int
    width: int
    heads: int
    head_width: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "memory_tokens", "width", "heads", "head_width")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width), (self.memory_tokens, self.width))

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        attention = text_layers.CrossAttention(self.width, self.heads, self.head_width)
        return text_layers.PreNorm(text_layers.rms_norm(self.width), attention)


@dataclass(frozen=True, slots=True)
class T5FeedForward(Block):
    """``x + mlp(norm(x))`` over ``[tokens, width]``.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        hidden: Features between the linear layers.
        gated: Two linear layers with ReLU between them where unset (T5 1.0); where set, the first
            is multiplied with a GELU of a third one in place of the ReLU (T5 1.1).
    """

    tokens: int
    width: int
    hidden: int
    gated: bool

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "hidden")
        check_type(self, bool, "gated")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        mlp = (text_layers.GatedMlp if self.gated else text_layers.PlainMlp)(
            self.width, self.hidden
        )
        return text_layers.PreNorm(text_layers.rms_norm(self.width), mlp)


@dataclass(frozen=True, slots=True)
class SwitchFeedForward(Block):
    """``x + mlp(norm(x))`` over ``[tokens, width]``, the MLP that of the likeliest expert.

    A linear router chooses; tokens that their expert has no room for are left as they are
    (:class:`search_spaces.expert_layers.ExpertMlp`).

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        hidden: Features between the two linear layers of an expert.
        experts: MLPs to choose from.
        capacity: Tokens that an expert takes of each example, at most ``tokens``.
    """

    tokens: int
    width: int
    hidden: int
    experts: int
    capacity: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "hidden", "experts", "capacity")
        if self.capacity > self.tokens:
            raise ValueError(
                f"`capacity` must not exceed `tokens`; got {self.capacity} and {self.tokens}."
            )

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    @property
    def inactive_params(self) -> int:
        return (self.experts - 1) * 2 * self.width * self.hidden

    def build(self) -> nn.Module:
        from torch.nn import functional

        from search_spaces import expert_layers, text_layers

        mlp = expert_layers.ExpertMlp(
            self.tokens,
            self.width,
            self.hidden,
            self.experts,
            1,
            self.capacity,
            activation=functional.relu,
            bias=False,
        )
        return text_layers.PreNorm(text_layers.rms_norm(self.width), mlp)


@dataclass(frozen=True, slots=True)
class EncoderNorm(Block):
    """The norm at the encoder's end, over ``[tokens, width]``.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
    """

    tokens: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from search_spaces import text_layers

        return text_layers.rms_norm(self.width)


@dataclass(frozen=True, slots=True)
class T5Head(Block):
    """Final norm, and scores ``[tokens, vocabulary]`` of the id that comes next.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        vocabulary: Ids that there are.
        scaled: Whether tokens are divided by the root of the width before they are scored, as
            they are where the scores use the embedding's table.
    """

    tokens: int
    width: int
    vocabulary: int
    scaled: bool

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "vocabulary")
        check_type(self, bool, "scaled")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers, text_layers

        parts: OrderedDict[str, nn.Module] = OrderedDict(norm=text_layers.rms_norm(self.width))
        if self.scaled:
            parts["scale"] = layers.Apply(lambda x: x * self.width**-0.5)
        parts["score"] = text_layers.plain_linear(self.width, self.vocabulary)
        return nn.Sequential(parts)
